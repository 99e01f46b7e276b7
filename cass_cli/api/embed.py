"""`cass embed` as a function."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cass_cli.api.load import AnyPath, AnyRun, found
from cass_cli.config.load import flag_layer
from cass_cli.engine.embedding.findings import find_neighbourhood
from cass_cli.engine.embedding.job import embed as read
from cass_cli.engine.embedding.job import find_images
from cass_cli.engine.embedding.request import Asked, check_reading, check_similarity, elsewhere, settings_of, whose
from cass_cli.engine.embedding.saved import check_out, labels_of, write_features
from cass_cli.reports.embedding import (
    check_figure,
    draw_embedding,
    finding_columns,
    finding_row,
    neighbourhood_file,
    write_neighbourhood,
)
from cass_cli.reports.progress import stages


@dataclass(frozen=True)
class EmbeddingView:
    """What arms know of n images that could be read, and what is known of these."""

    features: Mapping[str, NDArray[np.float32]]  # by arm [n, D]
    names: tuple[str, ...]
    labels: NDArray[Any]  # names of classes [n], "" where unknown; or int8 [n, C] of 0 and 1, −1 where unknown
    classes: tuple[str, ...]
    groups: tuple[str, ...]  # "" where unknown
    splits: tuple[str, ...]  # "" in none
    neighbourhood: pd.DataFrame  # candidates for a look, a row each; empty where they were not looked for
    about: Mapping[str, Any]  # run, networks, digests of their weights, layers, how images were read


def embed(
    run: AnyRun | None = None,
    images: AnyPath | None = None,
    *,
    variant: str | None = None,
    averaged: bool = False,
    arm: str | None = None,
    layers: int | None = None,
    layer: int | None = None,
    mirrored: bool | None = None,
    data: AnyPath | None = None,
    labels: AnyPath | None = None,
    settings: Mapping[str, Any] | None = None,
    duplicate_similarity: float | None = None,
    neighbourhood: bool = True,
    out: AnyPath | None = None,
    figure: AnyPath | None = None,
    projection: str | None = None,
    colour: str | None = None,
    seed: int = 0,
    overwrite: bool = False,
    device: str | None = None,
    precision: str | None = None,
    workers: int = 0,
    runs: AnyPath = "runs",
    progress: bool = False,
) -> EmbeddingView:
    """Return what the arms know of each image, as numbers, as `cass embed` writes them.

    `run` is a run, whose pretrained arms are asked, or a fine-tuning; None is the latest. `images` is a folder, a CSV
    in its folder or an .npz; None: the run's own, which lie at `data` if they were moved. `labels` names their CSV, and
    `settings` holds what else `--set` takes of how they are read, as in {"data.group_column": "patient"}.

    `layers` takes so many last layers together, by default as many as a probe reads; `layer` one alone, 1 being the
    last. `neighbourhood` holds near-duplicates, outliers, and labels at odds with their neighbours'. Files are written
    only where they are named: features to `out` (.npz or .parquet, with the candidates in a CSV beside it), a picture
    to `figure`.

    Raises `cass_cli.errors.RunError` where there are no such arms, `ConfigError` where they have not the layers asked
    for, `DataError` where no image can be read.

    >>> found = embed("tour", layer=1, arm="cnn")
    >>> found.features["cnn"].shape[0] == len(found.names) == 600
    True
    >>> sorted(set(found.splits)), list(found.neighbourhood)[:4]
    (['test', 'train', 'val'], ['finding', 'found_by', 'image', 'other'])
    """
    reading = {**(settings or {}), "data.labels": labels}
    check_reading(images, reading)
    check_similarity(duplicate_similarity, neighbourhood=neighbourhood)
    place, picture = (None if path is None else Path(path) for path in (out, figure))
    beside = neighbourhood_file(place) if place and neighbourhood else None
    check_out(place, beside, picture, overwrite=overwrite)
    of = whose(found(run, runs), variant)
    own = settings_of(of, flag_layer({"data.path": data, "train.device": device, "train.precision": precision}))
    there = flag_layer({"data.path": images, **reading})
    dataset = find_images(of, own, elsewhere(own.config.data, there) if images else None)
    drawing = check_figure(dataset, picture, projection=projection, colour=colour, seed=seed)
    with stages() if progress else nullcontext(_quiet) as told:
        made = read(
            of,
            own,
            dataset,
            Asked(arm, averaged, layers, layer, mirrored),
            workers=workers,
            on_progress=partial(told, "Reading"),
        )
        near = find_neighbourhood(made, duplicate_similarity, on_progress=told) if neighbourhood else None
        if place:
            write_features(place, made)
        if beside and near:
            write_neighbourhood(beside, near, made)
        if drawing:
            draw_embedding(made, drawing, on_progress=told)
    rows = [finding_row(finding, made) for finding in near.findings] if near else []
    frame = pd.DataFrame(rows, columns=finding_columns(made))
    arms = list(made.features)
    return EmbeddingView(
        features={name: of_arm.values for name, of_arm in made.features.items()},
        names=made.table.names,
        labels=labels_of(made.table),
        classes=made.table.classes,
        groups=made.table.groups or ("",) * len(made.table),
        splits=made.splits,
        neighbourhood=frame.assign(**{name: pd.to_numeric(frame[name]) for name in arms}),
        about=made.about,
    )


def _quiet(_what: str, _done: int, _total: int) -> None: ...
