"""The probe of a trial: heads fitted on what the arms, as the trial starts from them, know of its label subset."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cass_cli.data.labelled_images import LabelledData
from cass_cli.engine.features import ArmFeatures, features_of
from cass_cli.engine.finetuning.shared import Job, Watcher
from cass_cli.engine.heads import fit_heads, head_logits
from cass_cli.engine.signals import StopRequest
from cass_cli.models.arms import Arm
from cass_cli.models.heads import LayerHead
from cass_cli.scores.values import Floats


@dataclass(frozen=True)
class Probe:
    """Fitted heads, and what they answer for the images of the validation and the test split that could be read."""

    heads: Mapping[str, LayerHead]  # of each arm, and "joint"
    logits: Mapping[str, Mapping[str, Floats]]  # split → candidate → [N, C]


def fit_probe(
    job: Job,
    bodies: Mapping[str, Arm],
    subset: NDArray[np.int64],
    watch: Watcher,
    stop: StopRequest,
    *,
    joint: bool,
    seed: int,
) -> Probe:
    """Read each image that is needed once through each arm, and fit the heads on the labels of `subset`.

    Raises `Interrupted` for `stop` between two batches, or two of the regressions that are tried.
    """

    def fitting(done: int, total: int) -> None:
        watch.fitting(done, total)
        stop.check()

    rows = {"train": subset, "val": job.data.rows["val"], "test": job.data.rows["test"]}
    rows = {split: job.images.readable(found) for split, found in rows.items()}
    features = read_features(job, bodies, job.data, np.concatenate(list(rows.values())), watch, stop)
    heads = fit_heads(
        features,
        rows["train"],
        job.data.labels[rows["train"]],
        job.data.table.classes,
        job.reading,
        groups=job.data.groups(rows["train"]),
        joint=joint,
        seed=seed,
        on_progress=fitting,
    )
    return Probe(heads, {split: head_logits(heads, features, rows[split]) for split in ("val", "test")})


def answers_of_untold(
    job: Job,
    bodies: Mapping[str, Arm],
    head: LayerHead,
    subset: NDArray[np.int64],
    watch: Watcher,
    stop: StopRequest,
) -> tuple[NDArray[np.int64], Floats]:
    """Return the training images whose label is not among those of `subset`, and what `head` says of them.

    These are rows [U] of the table and logits fp64 [U, C]. Images that could not be read are left out.
    """
    found, logits = [], []
    hidden = np.setdiff1d(job.data.rows["train"], subset)
    for data, asked in ((job.data, hidden), (job.data.of_bare(), job.data.bare)):
        if len(rows := job.images.readable(asked)):
            features = read_features(job, bodies, data, rows, watch, stop)
            found.append(rows)
            logits.append(head_logits({"head": head}, features, rows)["head"])
    if not found:
        return hidden[:0], np.empty((0, len(job.data.table.classes)))
    return np.concatenate(found), np.concatenate(logits)


def read_features(
    job: Job,
    bodies: Mapping[str, Arm],
    data: LabelledData,
    rows: NDArray[np.int64],
    watch: Watcher,
    stop: StopRequest,
) -> dict[str, ArmFeatures]:
    """Return what frozen arms know of rows of the table, which are among those of `data`."""
    return features_of(
        job.variant.run.features,
        {name: body.model for name, body in bodies.items()},
        data,
        job.images,
        rows,
        job.reading,
        job.compute,
        stop=stop,
        on_progress=watch.reading,
    )
