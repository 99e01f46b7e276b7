"""`cass embed`: what arms know of images, as numbers; what is odd among them by its neighbours."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from cass_cli.cli.options import (
    ALLOW_OUTSIDE,
    ARM,
    AVERAGED,
    CHANNELS,
    CLASS_LEVEL,
    DEVICE,
    FRAMES,
    GROUP_COLUMN,
    GROUP_PATTERN,
    IMAGE_COLUMN,
    JSON,
    LABEL_COLUMN,
    LABEL_SEPARATOR,
    LABELS,
    LAYOUT,
    MAX_FILE_MB,
    MAX_PIXELS,
    MISSING,
    MOVED,
    OUTPUT,
    PRECISION,
    RUN,
    RUN_,
    RUNS,
    SLICES,
    SPLIT_COLUMN,
    SPLIT_LIST,
    SPLIT_VALUES,
    UNCERTAIN,
    WINDOW,
    WORKERS,
)


def embed(
    images: Annotated[
        Path | None,
        typer.Argument(help="Folder of images, CSV in its folder, or .npz. Default: the run's own.", metavar="FOLDER"),
    ] = None,
    run: Annotated[str | None, RUN] = None,
    runs: Annotated[Path, RUNS] = Path("runs"),
    variant: Annotated[
        str | None,
        typer.Option(
            help="This fine-tuning's arms, as in imagenet, instead of the run's.", rich_help_panel=RUN_, metavar="NAME"
        ),
    ] = None,
    averaged: Annotated[bool, AVERAGED] = False,
    arm: Annotated[str | None, ARM] = None,
    layers: Annotated[
        int | None,
        typer.Option(help="So many last layers together. Default: as a probe reads, 6.", min=1, rich_help_panel=RUN_),
    ] = None,
    layer: Annotated[
        int | None,
        typer.Option(help="This layer alone, counted from the end: 1 is the last.", min=1, rich_help_panel=RUN_),
    ] = None,
    mirrored: Annotated[
        bool | None,
        typer.Option(
            "--mirrored/--no-mirrored",
            help="Mean with the features of the mirrored image. Default: as a probe reads.",
            rich_help_panel=RUN_,
        ),
    ] = None,
    data: Annotated[Path | None, MOVED] = None,
    labels: Annotated[Path | None, LABELS] = None,
    layout: Annotated[str | None, LAYOUT] = None,
    image_column: Annotated[str | None, IMAGE_COLUMN] = None,
    label_column: Annotated[str | None, LABEL_COLUMN] = None,
    group_column: Annotated[str | None, GROUP_COLUMN] = None,
    split_column: Annotated[str | None, SPLIT_COLUMN] = None,
    class_level: Annotated[int | None, CLASS_LEVEL] = None,
    label_separator: Annotated[str | None, LABEL_SEPARATOR] = None,
    uncertain: Annotated[str | None, UNCERTAIN] = None,
    group_pattern: Annotated[str | None, GROUP_PATTERN] = None,
    split_values: Annotated[str | None, SPLIT_VALUES] = None,
    split_list: Annotated[list[str] | None, SPLIT_LIST] = None,
    missing: Annotated[str | None, MISSING] = None,
    frames: Annotated[str | None, FRAMES] = None,
    slices: Annotated[int | None, SLICES] = None,
    window: Annotated[str | None, WINDOW] = None,
    channels: Annotated[str | None, CHANNELS] = None,
    allow_outside: Annotated[bool | None, ALLOW_OUTSIDE] = None,
    max_pixels: Annotated[int | None, MAX_PIXELS] = None,
    max_file_mb: Annotated[int | None, MAX_FILE_MB] = None,
    duplicate_similarity: Annotated[
        float | None,
        typer.Option(
            help="Cosine above which two images are near-duplicates. Default: what is unusual among these images.",
            min=-1.0,
            max=1.0,
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    neighbourhood: Annotated[
        bool,
        typer.Option(
            "--neighbourhood/--no-neighbourhood",
            help="Look for near-duplicates, outliers and doubtful labels, which a CSV beside --out lists.",
            rich_help_panel=OUTPUT,
        ),
    ] = True,
    figure: Annotated[
        Path | None,
        typer.Option(help="Draw the images in a plane: .png, .pdf or .svg.", rich_help_panel=OUTPUT, metavar="PICTURE"),
    ] = None,
    projection: Annotated[
        str | None,
        typer.Option(
            help="How the figure finds its plane; umap needs the extra of that name. Default: tsne.",
            rich_help_panel=OUTPUT,
            metavar="tsne|umap|pca",
        ),
    ] = None,
    colour: Annotated[
        str | None,
        typer.Option(
            help="What its colours mean: class, split, group, or a column as sex. Default: class, else split.",
            rich_help_panel=OUTPUT,
            metavar="WHAT",
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(help="Of the figure: where it begins, which images.", min=0, rich_help_panel=OUTPUT)
    ] = 0,
    out: Annotated[
        Path,
        typer.Option(
            help="The features: .npz, or .parquet (extra of that name).", rich_help_panel=OUTPUT, metavar="FILE"
        ),
    ] = Path("features.npz"),
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace what is written, if it exists.", rich_help_panel=OUTPUT)
    ] = False,
    device: Annotated[str | None, DEVICE] = None,
    precision: Annotated[str | None, PRECISION] = None,
    workers: Annotated[int, WORKERS] = 0,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Write what the arms know of each image, with names, labels, groups and splits: .npz or Parquet.

    Then near-duplicates (those that cross splits first), outliers and labels at odds with their neighbours' are listed:
    candidates for a look. Without FOLDER, of the run's own images. Images that cannot be read are left out.
    """
    from cass_cli.config.flags import split_files
    from cass_cli.config.load import flag_layer
    from cass_cli.reports.loading import loading
    from cass_cli.reports.progress import stages
    from cass_cli.runs.names import find

    named = find(runs, run)
    with loading():
        from cass_cli.engine.embedding.findings import find_neighbourhood
        from cass_cli.engine.embedding.job import embed as read
        from cass_cli.engine.embedding.job import find_images
        from cass_cli.engine.embedding.request import (
            Asked,
            check_reading,
            check_similarity,
            elsewhere,
            settings_of,
            whose,
        )
        from cass_cli.engine.embedding.saved import check_out, write_features
        from cass_cli.reports.embedding import (
            check_figure,
            draw_embedding,
            neighbourhood_file,
            show_embedded,
            write_neighbourhood,
        )

    reading = {
        "data.labels": labels,
        "data.layout": layout,
        "data.image_column": image_column,
        "data.label_column": label_column,
        "data.group_column": group_column,
        "data.split_column": split_column,
        "data.class_level": class_level,
        "data.label_separator": label_separator,
        "data.uncertain": uncertain,
        "data.group_pattern": group_pattern,
        "data.split_values": split_values,
        "data.split_lists": split_files(split_list),
        "data.missing": missing,
        "data.frames": frames,
        "data.slices": slices,
        "data.window": window,
        "data.channels": channels,
        "data.allow_outside": allow_outside,
    }
    everywhere = {"data.max_pixels": max_pixels, "data.max_file_mb": max_file_mb}
    computing = {"data.path": data, "train.device": device, "train.precision": precision}
    check_reading(images, reading)
    check_similarity(duplicate_similarity, neighbourhood=neighbourhood)
    check_out(out, neighbourhood_file(out) if neighbourhood else None, figure, overwrite=overwrite)
    of = whose(named, variant)
    settings = settings_of(of, flag_layer(everywhere | computing))
    there = flag_layer({"data.path": images, **reading, **everywhere})
    dataset = find_images(of, settings, elsewhere(settings.config.data, there) if images else None)
    drawing = check_figure(dataset, figure, projection=projection, colour=colour, seed=seed)
    with stages() as told:
        found = read(
            of,
            settings,
            dataset,
            Asked(arm, averaged, layers, layer, mirrored),
            workers=workers,
            on_progress=partial(told, "Reading"),
        )
        near = find_neighbourhood(found, duplicate_similarity, on_progress=told) if neighbourhood else None
        write_features(out, found)
        if near:
            write_neighbourhood(neighbourhood_file(out), near, found)
        if drawing:
            draw_embedding(found, drawing, on_progress=told)
    show_embedded(found, near, out, figure, as_json=as_json)
