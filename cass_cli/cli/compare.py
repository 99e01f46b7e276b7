"""`cass compare`: methods, arms and label fractions in one table, with tests."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cass_cli.cli.options import JSON, OUTPUT, RUNS


def compare(
    named: Annotated[
        list[str] | None,
        typer.Argument(
            help="Runs (all their fine-tunings), fine-tunings or trials: names below --runs, latest, or paths. "
            "Default: the latest run.",
            metavar="RUN",
            show_default=False,
        ),
    ] = None,
    runs: Annotated[Path, RUNS] = Path("runs"),
    metric: Annotated[
        str | None,
        typer.Option(help="macro_f1, balanced_accuracy, auroc, … Default: the first run's.", metavar="NAME"),
    ] = None,
    csv: Annotated[
        Path | None, typer.Option(help="Write every seed's score here.", rich_help_panel=OUTPUT, metavar="PATH")
    ] = None,
    markdown: Annotated[
        Path | None, typer.Option(help="Write the table as Markdown.", rich_help_panel=OUTPUT, metavar="PATH")
    ] = None,
    latex: Annotated[
        Path | None, typer.Option(help="Write the table for LaTeX.", rich_help_panel=OUTPUT, metavar="PATH")
    ] = None,
    figure: Annotated[
        Path | None,
        typer.Option(
            help="Draw scores against the share of labels: .png, .pdf or .svg.", rich_help_panel=OUTPUT, metavar="PATH"
        ),
    ] = None,
    figure_seconds: Annotated[
        Path | None,
        typer.Option(
            help="Draw scores against what pretraining and fine-tuning took.", rich_help_panel=OUTPUT, metavar="PATH"
        ),
    ] = None,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Compare fine-tunings on the test split: method × arm × label fraction, as the paper's Tables 1, 3, 4 and 5.

    The first run named is tested against each other one, seed by seed; p-values are adjusted for their number.
    Cross-validations have a table of their own, and are tested fold by fold where they have the same folds.
    """
    from cass_cli.files import write_text
    from cass_cli.reports.comparison import as_csv, as_latex, as_markdown, show_comparison
    from cass_cli.reports.comparison_figures import Figures
    from cass_cli.runs.ancestry import older_notes
    from cass_cli.runs.compare import compare as tabulate
    from cass_cli.runs.compare import trials_by_method
    from cass_cli.runs.compare_folds import compare_folds
    from cass_cli.runs.names import find_all

    figures = Figures(by_labels=figure, by_seconds=figure_seconds)
    figures.check()
    found = find_all(runs, named or [])
    trials = [trial for each in found for trial in each.trials()]
    crossed = {variant: of for each in found for variant, of in each.cross_validations().items()}
    folds = compare_folds(crossed, metric=metric) if crossed else None
    if trials or not crossed:
        comparison = tabulate(trials_by_method(trials), metric=metric, notes=older_notes(trials))
    else:
        comparison = None
    figures.draw(comparison, trials)
    for path, render in ((csv, as_csv), (markdown, as_markdown), (latex, as_latex)):
        if path is not None:
            write_text(path, render(comparison, folds), asked=True)
    show_comparison(comparison, folds, as_json=as_json)
