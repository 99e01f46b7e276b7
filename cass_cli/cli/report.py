"""`cass report`: one HTML page that tells all of a run, or of several."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cass_cli.cli.options import JSON, RUNS


def report(
    named: Annotated[
        list[str] | None,
        typer.Argument(
            help="Runs: names below --runs, latest, or paths. Default: the latest.",
            metavar="RUN",
            show_default=False,
        ),
    ] = None,
    runs: Annotated[Path, RUNS] = Path("runs"),
    out: Annotated[
        Path | None,
        typer.Option(help="The file. Default: report.html in the run; of several runs, here.", metavar="FILE"),
    ] = None,
    check_leaks: Annotated[
        bool,
        typer.Option("--check-leaks", help="Look for near-identical images in different splits; reads the images."),
    ] = False,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Write one HTML page on runs: settings, data, curves, results with intervals, figures, cost, commands.

    The page needs nothing beside it: no network, no script. It replaces an older report, and no other file.
    """
    from cass_cli.reports.progress import working
    from cass_cli.runs.names import find_runs

    opened = find_runs(runs, named or [])
    with working("Loading"):
        from cass_cli.reports.html import check_replaceable, show_written, write_report
        from cass_cli.runs.facts import gather_report

    path = out or (opened[0].path / "report.html" if len(opened) == 1 else Path("report.html"))
    check_replaceable(path)
    with working("Comparing images" if check_leaks else "Writing"):
        found = gather_report(opened, check_leaks=check_leaks)
        size = write_report(found, path, asked=out is not None)
    show_written(found, path, size, as_json=as_json)
