"""`cass inspect`: look a data set over before training on it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cass_cli.cli.options import (
    ALLOW_OUTSIDE,
    CHANNELS,
    CLASS_LEVEL,
    DATA,
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
    OUTPUT,
    SLICES,
    SPLIT_COLUMN,
    SPLIT_LIST,
    SPLIT_VALUES,
    UNCERTAIN,
    WINDOW,
    WORKERS,
)

CHECKS = "Checks"


def inspect(
    data: Annotated[Path, typer.Argument(help="Folder of images, CSV in its folder, or MedMNIST .npz.")],
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
    splits: Annotated[
        Path | None,
        typer.Option(help="Check the splits.csv of a run instead.", rich_help_panel=DATA, metavar="CSV"),
    ] = None,
    allow_outside: Annotated[bool | None, ALLOW_OUTSIDE] = None,
    seed: Annotated[
        int, typer.Option(help="Of the splits that cass makes where the data give none.", rich_help_panel=CHECKS)
    ] = 0,
    duplicates: Annotated[
        bool,
        typer.Option(
            "--duplicates/--no-duplicates",
            help="Decode all images and compare them; without: headers only.",
            rich_help_panel=CHECKS,
        ),
    ] = True,
    threshold: Annotated[
        float,
        typer.Option(
            help="Correlation of grey 24-pixel thumbnails that makes near-duplicates.",
            min=0.5,
            max=1.0,
            rich_help_panel=CHECKS,
        ),
    ] = 0.995,
    size: Annotated[
        int, typer.Option(help="Side in pixels at which images are compared.", min=24, rich_help_panel=CHECKS)
    ] = 64,
    frames: Annotated[str | None, FRAMES] = None,
    slices: Annotated[int | None, SLICES] = None,
    window: Annotated[str | None, WINDOW] = None,
    channels: Annotated[str | None, CHANNELS] = None,
    max_pixels: Annotated[int | None, MAX_PIXELS] = None,
    max_file_mb: Annotated[int | None, MAX_FILE_MB] = None,
    workers: Annotated[int | None, WORKERS] = None,
    cached: Annotated[
        bool,
        typer.Option(
            "--cached", help="Keep the decoded images for the next look (see `cass cache`).", rich_help_panel=CHECKS
        ),
    ] = False,
    fail_on: Annotated[
        list[str] | None,
        typer.Option(
            help="Exit with 1 when this is found; may be repeated.",
            rich_help_panel=OUTPUT,
            metavar="leak|bad|duplicate|disagreement",
        ),
    ] = None,
    csv: Annotated[
        Path | None, typer.Option(help="Write a row an image here.", rich_help_panel=OUTPUT, metavar="PATH")
    ] = None,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Look a data set over: layout, classes, splits, broken files, duplicates, leaks.

    --csv writes the whole reading as a table, to be mended in a spreadsheet and given to every command as --labels.
    Exit codes: 0, looked over; 1, something was found that --fail-on names or that stops training; 2, the data could
    not be read, or could be read in two ways.
    """

    from cass_cli.config.flags import split_files
    from cass_cli.config.load import flag_layer, resolve
    from cass_cli.reports.loading import loading

    with loading():
        from cass_cli.data.dataset import samples_of, with_labels_found
        from cass_cli.data.inspection import KINDS, inspect_samples, split_source
    from cass_cli.data.splits import assign_splits, read_splits
    from cass_cli.errors import ConfigError, did_you_mean
    from cass_cli.reports.inspection import as_dict, show_inspection, training_command, write_rows
    from cass_cli.reports.printing import Screen, print_json
    from cass_cli.reports.progress import counting

    for kind in fail_on or ():
        if kind not in KINDS:
            close = did_you_mean(kind, KINDS)
            raise ConfigError(f"--fail-on knows no '{kind}'.{close}", hint=f"Known: {', '.join(KINDS)}.")
    flags = {
        "data.path": data,
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
        "data.allow_outside": allow_outside,
        "data.frames": frames,
        "data.slices": slices,
        "data.window": window,
        "data.channels": channels,
        "data.max_pixels": max_pixels,
        "data.max_file_mb": max_file_mb,
        "data.workers": workers,
    }
    given = flag_layer(flags)
    asked = with_labels_found(resolve([given])).config.data
    table = samples_of(asked)
    with counting("Reading images") as progress:
        found = inspect_samples(
            table,
            read_splits(splits, table) if splits else assign_splits(table, seed=seed),
            splits_by=str(splits) if splits else split_source(table, seed),
            duplicates=duplicates,
            size=size,
            threshold=threshold,
            cached=cached,
            workers=asked.workers,
            on_progress=progress,
        )
    command = training_command(asked, seed=seed, splits=splits)
    if csv is not None:
        write_rows(csv, found)
    if as_json:
        print_json(as_dict(found, command))
    else:
        show_inspection(found, command, Screen())
    if found.obstacles or any(found.found(kind) for kind in fail_on or ()):
        raise typer.Exit(1)
