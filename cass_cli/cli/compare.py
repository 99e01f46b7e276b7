"""`cass compare`: methods, arms and label fractions in one table, with tests."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

FORMATS = "Output"


def compare(
    runs: Annotated[
        list[str] | None,
        typer.Argument(help="Runs (all their fine-tunings), or paths of fine-tunings. Default: the latest run."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder that holds the runs.")] = Path("runs"),
    metric: Annotated[
        str | None,
        typer.Option(help="macro_f1, balanced_accuracy, auroc, … Default: the first run's.", metavar="NAME"),
    ] = None,
    csv: Annotated[
        Path | None, typer.Option(help="Write every seed's score here.", rich_help_panel=FORMATS, metavar="PATH")
    ] = None,
    markdown: Annotated[
        Path | None, typer.Option(help="Write the table as Markdown.", rich_help_panel=FORMATS, metavar="PATH")
    ] = None,
    latex: Annotated[
        Path | None, typer.Option(help="Write the table for LaTeX.", rich_help_panel=FORMATS, metavar="PATH")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON result on stdout.", rich_help_panel=FORMATS)
    ] = False,
) -> None:
    """Compare fine-tunings on the test split: method × arm × label fraction, as the paper's Tables 1, 3, 4 and 5.

    The first run named is tested against each other one, seed by seed; p-values are adjusted for their number.
    """
    from cass_cli.reports.comparison import as_csv, as_latex, as_markdown, show_comparison
    from cass_cli.runs.compare import compare as tabulate
    from cass_cli.runs.compare import trials_by_method
    from cass_cli.runs.directory import write_text
    from cass_cli.runs.names import named_variants

    comparison = tabulate(trials_by_method(named_variants(out, runs or [])), metric=metric)
    for path, render in ((csv, as_csv), (markdown, as_markdown), (latex, as_latex)):
        if path is not None:
            write_text(path, render(comparison))
    show_comparison(comparison, as_json=as_json)
