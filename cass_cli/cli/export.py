"""`cass export`: a fine-tuning as one file that runs without cass."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cass_cli.cli.options import ANSWER_BY, FRACTION, JSON, NAMED, OR_RUN, OUTPUT, RUNS, TRIAL_SEED, VARIANT, one_run


def export(
    named: Annotated[str | None, NAMED] = None,
    run: Annotated[str | None, OR_RUN] = None,
    runs: Annotated[Path, RUNS] = Path("runs"),
    variant: Annotated[str | None, VARIANT] = None,
    label_fraction: Annotated[float | None, FRACTION] = None,
    seed: Annotated[int | None, TRIAL_SEED] = None,
    answer_by: Annotated[str | None, ANSWER_BY] = None,
    format: Annotated[
        str, typer.Option(help="ONNX, or PyTorch's exported program.", rich_help_panel=OUTPUT, metavar="onnx|program")
    ] = "onnx",
    out: Annotated[
        Path | None,
        typer.Option(help="File. Default: RUN-ANSWER.onnx, or .pt2, here.", rich_help_panel=OUTPUT, metavar="FILE"),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace --out if it exists.", rich_help_panel=OUTPUT)
    ] = False,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Write what answers (an arm, their mean, the joint regression) as one network that runs without cass.

    From pixels, 0 … 255, to calibrated probabilities, for any number of images at once. Classes, size and thresholds
    are in the file; it is read back, and held to what cass answers.
    """
    from cass_cli.reports.progress import stages
    from cass_cli.runs.names import find

    trial = find(runs, one_run(named, run)).trial(variant, fraction=label_fraction, seed=seed)
    with stages(beginning="Loading") as told:
        from cass_cli.engine.exporting.job import export as write
        from cass_cli.reports.exports import show_exported

        found = write(
            trial,
            kind=format,
            answer_by=answer_by,
            out=out,
            overwrite=overwrite,
            on_stage=lambda what: told(what, 0, 0),
        )
    show_exported(found, as_json=as_json)
