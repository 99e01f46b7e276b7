"""`cass predict`: class probabilities for new images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cass_cli.cli.options import (
    ALLOW_OUTSIDE,
    ANSWER_BY,
    DEVICE,
    FRACTION,
    IMAGE_COLUMN,
    JSON,
    MAX_FILE_MB,
    MAX_PIXELS,
    MISSING,
    OUTPUT,
    PATIENT_RULE,
    PRECISION,
    RUN,
    RUNS,
    TRIAL_SEED,
    VARIANT,
    WORKERS,
)


def predict(
    images: Annotated[
        list[Path], typer.Argument(help="Images, folders of them, CSVs that name them, or .npz archives.")
    ],
    run: Annotated[str | None, RUN] = None,
    runs: Annotated[Path, RUNS] = Path("runs"),
    variant: Annotated[str | None, VARIANT] = None,
    label_fraction: Annotated[float | None, FRACTION] = None,
    seed: Annotated[int | None, TRIAL_SEED] = None,
    answer_by: Annotated[str | None, ANSWER_BY] = None,
    image_column: Annotated[str | None, IMAGE_COLUMN] = None,
    groups: Annotated[
        Path | None,
        typer.Option(
            help="CSV that names each image's patient: one answer a patient, too, in a second file.",
            rich_help_panel=OUTPUT,
            metavar="CSV",
        ),
    ] = None,
    group_column: Annotated[
        str | None,
        typer.Option(
            help="Its column of patients. Default: recognised, or the only other one.",
            rich_help_panel=OUTPUT,
            metavar="NAME",
        ),
    ] = None,
    patient_rule: Annotated[str | None, PATIENT_RULE] = None,
    missing: Annotated[str | None, MISSING] = None,
    allow_outside: Annotated[bool, ALLOW_OUTSIDE] = False,
    max_pixels: Annotated[int | None, MAX_PIXELS] = None,
    max_file_mb: Annotated[int | None, MAX_FILE_MB] = None,
    device: Annotated[str | None, DEVICE] = None,
    precision: Annotated[str | None, PRECISION] = None,
    workers: Annotated[int, WORKERS] = 0,
    out: Annotated[
        Path | None,
        typer.Option(help="CSV that is written; - is stdout.", rich_help_panel=OUTPUT, show_default="predictions.csv"),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace --out if it exists.", rich_help_panel=OUTPUT)
    ] = False,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Classify images with a fine-tuned run: probabilities, chosen class, agreement of the arms, doubt.

    Files that cannot be read are reported in the column `status` and skipped; exit code 2 where none can be read.
    Memory does not grow with the number of images, only with that of patients.
    """
    from dataclasses import replace

    from cass_cli.config.load import flag_layer
    from cass_cli.errors import ConfigError
    from cass_cli.files import OPENED
    from cass_cli.reports.loading import loading
    from cass_cli.reports.progress import counting
    from cass_cli.runs.directory import settings_over
    from cass_cli.runs.names import find
    from cass_cli.words import shown

    place = out or Path("predictions.csv")
    if as_json and str(place) == "-":
        raise ConfigError("--json and --out - both want stdout.", hint="Name a file with --out.")
    if groups and (str(place) == "-" or OPENED.fullmatch(str(place)) or (place.exists() and not place.is_file())):
        raise ConfigError(
            f"--groups writes two files, and --out {shown(str(place))} is one.", hint="Name a file with --out."
        )
    trial = find(runs, run).trial(variant, fraction=label_fraction, seed=seed)
    with loading():
        from cass_cli.engine.finetuning.predict import UNLABELLED, predict_job
        from cass_cli.reports.predictions import show_predictions, write_predictions

    flags = {
        "train.device": device,
        "train.precision": precision,
        "data.missing": missing,
        "data.max_pixels": max_pixels,
        "data.max_file_mb": max_file_mb,
    }
    layer = flag_layer(flags)
    job = predict_job(
        trial,
        images,
        settings_over(trial.variant.config, [layer]),
        columns=replace(UNLABELLED, image=image_column),
        allow_outside=allow_outside,
        answer_by=answer_by,
        groups=groups,
        group_column=group_column,
        patient_rule=patient_rule,
        workers=workers,
    )
    with counting("Predicting") as progress:
        counted = (progress(i, job.images) or answer for i, answer in enumerate(job.answers, start=1))
        tally = write_predictions(counted, job, place, overwrite=overwrite, asked=out is not None)
    show_predictions(tally, job, place, as_json=as_json)
