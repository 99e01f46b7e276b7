"""`cass evaluate`: what a fine-tuning is worth, with intervals."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cass_cli.cli.options import (
    CACHE,
    DEVICE,
    FRACTION,
    JSON,
    MAX_FILE_MB,
    MAX_PIXELS,
    MOVED,
    OUTPUT,
    PRECISION,
    RUN,
    RUNS,
    SPLIT,
    TRIAL_SEED,
    VARIANT,
    WORKERS,
)


def evaluate(
    run: Annotated[str | None, RUN] = None,
    runs: Annotated[Path, RUNS] = Path("runs"),
    variant: Annotated[str | None, VARIANT] = None,
    label_fraction: Annotated[float | None, FRACTION] = None,
    seed: Annotated[int | None, TRIAL_SEED] = None,
    split: Annotated[str, SPLIT] = "test",
    data: Annotated[Path | None, MOVED] = None,
    max_pixels: Annotated[int | None, MAX_PIXELS] = None,
    max_file_mb: Annotated[int | None, MAX_FILE_MB] = None,
    operating_point: Annotated[
        list[str] | None,
        typer.Option(
            help="Threshold, chosen on validation images, of which sensitivity, specificity, PPV, NPV and likelihood "
            "ratios are told: sensitivity=0.95, specificity=0.9 or youden; may be repeated.",
            rich_help_panel=OUTPUT,
            metavar="GOAL",
        ),
    ] = None,
    positive: Annotated[
        str | None,
        typer.Option(
            help="The class that operating points, calibration and decision curves are of. Default: the second of "
            "two, each of more.",
            rich_help_panel=OUTPUT,
            metavar="CLASS",
        ),
    ] = None,
    prevalence: Annotated[
        list[str] | None,
        typer.Option(
            help="PPV and NPV also where this share of patients has the class: 0.02, or CLASS=0.02; may be repeated.",
            rich_help_panel=OUTPUT,
            metavar="SHARE",
        ),
    ] = None,
    resamples: Annotated[
        int, typer.Option(help="Bootstrap resamples behind the intervals; 0: none.", min=0, rich_help_panel=OUTPUT)
    ] = 1000,
    device: Annotated[str | None, DEVICE] = None,
    precision: Annotated[str | None, PRECISION] = None,
    cache: Annotated[str | None, CACHE] = None,
    workers: Annotated[int | None, WORKERS] = None,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Score a fine-tuning on the test split: both arms, their mean, and which of them validation recommends.

    All metrics come with 95 % bootstrap intervals over images, or over patients where the data name them; so do
    calibration and, with --operating-point, what an answer is worth as a test for one class.
    Then predictions and curves (CSV), scores (JSON) and figures are written into the fine-tuning.
    """
    from cass_cli.config.load import flag_layer
    from cass_cli.data.splits import check_split
    from cass_cli.reports.loading import loading
    from cass_cli.reports.progress import counting, stages
    from cass_cli.runs.directory import settings_over
    from cass_cli.runs.names import find
    from cass_cli.scores.goals import read_asked

    check_split(split)
    asked = read_asked(operating_point, positive, prevalence)
    trial = find(runs, run).trial(variant, fraction=label_fraction, seed=seed)
    with loading():
        from cass_cli.engine.finetuning.evaluate import evaluate as score
        from cass_cli.reports.evaluation import show_evaluation, show_files, write_evaluation

    flags = {
        "data.path": data,
        "data.max_pixels": max_pixels,
        "data.max_file_mb": max_file_mb,
        "data.cache": cache,
        "data.workers": workers,
        "train.device": device,
        "train.precision": precision,
    }
    layer = flag_layer(flags)
    with stages() as told:
        found = score(
            settings_over(trial.variant.config, [layer]),
            trial,
            split=split,
            resamples=resamples,
            asked=asked,
            on_progress=told,
        )
    try:
        if not as_json:
            show_evaluation(found)  # before the figures, which take their time
    finally:  # also for a reader who has seen enough (| head)
        with counting("Writing") as progress:
            files = write_evaluation(found, on_progress=progress)
    show_files(found, files, as_json=as_json)
