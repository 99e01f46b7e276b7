"""`cass errors`: the answers of a fine-tuning that are worth a look."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cass_cli.cli.options import (
    ANSWER_BY,
    CACHE,
    DEVICE,
    FRACTION,
    JSON,
    MAX_FILE_MB,
    MAX_PIXELS,
    MOVED,
    NAMED,
    OR_RUN,
    OUTPUT,
    PRECISION,
    RUNS,
    SPLIT,
    TRIAL_SEED,
    VARIANT,
    WORKERS,
    one_run,
)


def errors(
    named: Annotated[str | None, NAMED] = None,
    run: Annotated[str | None, OR_RUN] = None,
    runs: Annotated[Path, RUNS] = Path("runs"),
    variant: Annotated[str | None, VARIANT] = None,
    label_fraction: Annotated[float | None, FRACTION] = None,
    seed: Annotated[int | None, TRIAL_SEED] = None,
    answer_by: Annotated[str | None, ANSWER_BY] = None,
    split: Annotated[str, SPLIT] = "test",
    data: Annotated[Path | None, MOVED] = None,
    max_pixels: Annotated[int | None, MAX_PIXELS] = None,
    max_file_mb: Annotated[int | None, MAX_FILE_MB] = None,
    count: Annotated[int, typer.Option(help="Images of each kind.", min=1, max=200, rich_help_panel=OUTPUT)] = 12,
    label_check: Annotated[
        bool,
        typer.Option(
            "--label-check/--no-label-check",
            help="Look for training labels that may be wrong, for which the frozen arms read each training image.",
            rich_help_panel=OUTPUT,
        ),
    ] = True,
    out: Annotated[
        Path | None,
        typer.Option(help="The page. Default: errors-SPLIT.html in the trial.", rich_help_panel=OUTPUT, metavar="FILE"),
    ] = None,
    device: Annotated[str | None, DEVICE] = None,
    precision: Annotated[str | None, PRECISION] = None,
    cache: Annotated[str | None, CACHE] = None,
    workers: Annotated[int | None, WORKERS] = None,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Show the surest wrong answers, the most doubtful right ones, and those that the arms disagree on most.

    One HTML page has each with its picture, where both arms looked, and their probabilities; and training labels that
    may be wrong: candidates for a look, not errors. It needs nothing beside it: no network, no script.
    """
    from cass_cli.config.load import flag_layer
    from cass_cli.data.splits import check_split
    from cass_cli.reports.loading import loading
    from cass_cli.reports.progress import stages, working
    from cass_cli.runs.directory import settings_over
    from cass_cli.runs.names import find

    check_split(split)
    trial = find(runs, one_run(named, run)).trial(variant, fraction=label_fraction, seed=seed)
    with loading():
        from cass_cli.engine.reviewing.job import review
        from cass_cli.reports.errors_page import GENERATOR, page_in, show_errors, write_errors
        from cass_cli.reports.html import check_replaceable

    page = out or page_in(trial, split)
    check_replaceable(page, generator=GENERATOR)
    flags = {
        "data.path": data,
        "data.max_pixels": max_pixels,
        "data.max_file_mb": max_file_mb,
        "data.cache": cache,
        "data.workers": workers,
        "train.device": device,
        "train.precision": precision,
    }
    with stages() as told:
        found = review(
            settings_over(trial.variant.config, [flag_layer(flags)]),
            trial,
            split=split,
            candidate=answer_by,
            most=count,
            label_check=label_check,
            on_progress=told,
        )
    with working("Writing"):
        size = write_errors(found, page, asked=out is not None)
    show_errors(found, page, size, as_json=as_json)
