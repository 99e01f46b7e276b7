"""`cass ensemble`: one classifier out of several fine-tunings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cass_cli.cli.options import (
    CACHE,
    DEVICE,
    JSON,
    MAX_FILE_MB,
    MAX_PIXELS,
    MOVED,
    PRECISION,
    RUN,
    RUN_,
    RUNS,
    WORKERS,
)


def ensemble(
    members: Annotated[
        list[str] | None,
        typer.Argument(
            help="Fine-tunings of the run, as in imagenet-probe. Default: all that it has.",
            metavar="FINETUNING",
            show_default=False,
        ),
    ] = None,
    run: Annotated[str | None, RUN] = None,
    runs: Annotated[Path, RUNS] = Path("runs"),
    variant: Annotated[
        str, typer.Option(help="Name of the average, among the fine-tunings.", rich_help_panel=RUN_, metavar="NAME")
    ] = "ensemble",
    label_fraction: Annotated[
        float | None, typer.Option(help="Only this label fraction. Default: all.", rich_help_panel=RUN_, metavar="F")
    ] = None,
    across_seeds: Annotated[
        bool,
        typer.Option(
            "--across-seeds",
            help="Average all seeds of a fraction into one; with few labels it has seen those of all of them.",
            rich_help_panel=RUN_,
        ),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace what is there under this name.", rich_help_panel=RUN_)
    ] = False,
    data: Annotated[Path | None, MOVED] = None,
    max_pixels: Annotated[int | None, MAX_PIXELS] = None,
    max_file_mb: Annotated[int | None, MAX_FILE_MB] = None,
    device: Annotated[str | None, DEVICE] = None,
    precision: Annotated[str | None, PRECISION] = None,
    cache: Annotated[str | None, CACHE] = None,
    workers: Annotated[int | None, WORKERS] = None,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Average the answers of several fine-tunings, weighed by validation images, into one that is used like them.

    Without --across-seeds trials of the same label fraction and seed are averaged, which have seen the same labels.
    Nothing is trained: the average refers to the fine-tunings, and needs them.
    """
    from cass_cli.config.load import flag_layer
    from cass_cli.reports.loading import loading
    from cass_cli.reports.progress import stages
    from cass_cli.runs.names import find

    found = find(runs, run).run
    with loading():
        from cass_cli.engine.finetuning.ensemble import ensemble_job, members_of
        from cass_cli.reports.finetuning import show_finetuned

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
        result = ensemble_job(
            found,
            members_of(found, members or []),
            variant,
            fraction=label_fraction,
            across_seeds=across_seeds,
            layer=flag_layer(flags),
            overwrite=overwrite,
            on_progress=told,
        )
    show_finetuned(result, as_json=as_json)
