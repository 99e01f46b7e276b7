"""`cass card`: a model card and reporting checklists of a fine-tuning."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cass_cli.cli.options import FRACTION, JSON, NAMED, OUTPUT, RUNS, TRIAL_SEED, VARIANT


def card(
    run: Annotated[str | None, NAMED] = None,
    runs: Annotated[Path, RUNS] = Path("runs"),
    variant: Annotated[str | None, VARIANT] = None,
    label_fraction: Annotated[float | None, FRACTION] = None,
    seed: Annotated[int | None, TRIAL_SEED] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the files. Default: the trial's.", rich_help_panel=OUTPUT, metavar="FOLDER"),
    ] = None,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Write a model card, and checklists (TRIPOD+AI, CLAIM, STARD) filled in with what the run knows.

    Markdown, and all of it as JSON. What only the authors can say is marked; what has not been measured is named with
    the command that measures it. No file names a patient, a folder, the machine or its user.
    """
    from cass_cli.reports.progress import working
    from cass_cli.runs.names import find

    trial = find(runs, run).trial(variant, fraction=label_fraction, seed=seed)
    with working("Writing"):
        from cass_cli.reports.card_files import show_card, write_card
        from cass_cli.reports.card_known import gather_known

        known = gather_known(trial)
        files = write_card(known, out or trial.path)
    show_card(known, files, as_json=as_json)
