"""`cass doctor`: what is installed, what the machine has, and what is odd about it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cass_cli.cli.options import RUNS


def doctor(
    runs: Annotated[Path, RUNS] = Path("runs"),
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")] = False,
) -> None:
    """Look at versions, devices, memory, disks, weights and network, and say what is odd: for a bug report.

    It names no person, no machine and no folder. Exits with 2 where cass cannot work at all.
    """
    from cass_cli.reports.loading import loading

    with loading("Loading PyTorch and measuring …"):
        from cass_cli.engine.doctor.job import examine
        from cass_cli.reports.doctor import show_examination

        examination = examine(runs)
    show_examination(examination, as_json=as_json)
    if not examination.usable:
        raise typer.Exit(2)
