"""Tables of `cass compare`: for the terminal, as CSV, as Markdown and as LaTeX."""

from __future__ import annotations

import io
from dataclasses import asdict
from typing import Any

from rich.table import Table
from rich.text import Text

from cass_cli.csv_cells import CellWriter
from cass_cli.reports.cross_validation import (
    FOLD_LEGEND,
    comparison_rows,
    fold_sentences,
    fold_title,
    show_fold_comparison,
)
from cass_cli.reports.printing import Screen, print_json, print_sentence
from cass_cli.reports.tables import print_table
from cass_cli.reports.written_table import Written, latex, markdown
from cass_cli.runs.compare import Cell, CellTest, Comparison
from cass_cli.runs.compare_folds import FoldComparison
from cass_cli.scores.metrics import METRICS
from cass_cli.scores.over_seeds import describe_difference, format_summary
from cass_cli.words import label_share

INTERVAL = (
    "Mean over n seeds ± half of the 95 % interval (Student t). mean: of both arms; joint: a probe of both; ensemble: "
    "all of them, averaged; pick: validation's choice."
)


def show_comparison(comparison: Comparison | None, folds: FoldComparison | None = None, *, as_json: bool) -> None:
    """Show the table, then a sentence for each paired test; then the same of cross-validations."""
    if as_json:
        print_json(as_dict(comparison, folds))
        return
    console = Screen(soft_wrap=True)
    if comparison:
        _show_trials(console, comparison)
    if comparison and folds:
        console.print()
    if folds:
        show_fold_comparison(console, folds)


def _show_trials(console: Screen, comparison: Comparison) -> None:
    header, *rows = table_rows(comparison)
    table = Table(box=None, pad_edge=False, header_style="bold", title=_title(comparison), title_justify="left")
    for i, heading in enumerate(header):
        table.add_column(heading, justify="left" if i < 2 else "right", no_wrap=i >= 2)
    before = ""
    for method, *rest in rows:
        table.add_row(*map(Text, (method if method != before else "", *rest)))
        before = method
    print_table(console, table, names=2)
    print_sentence(console, INTERVAL, style="dim")
    for sentence in sentences(comparison):
        print_sentence(console, Text(f"• {sentence}"))
    for note in comparison.notes:
        print_sentence(console, Text(f"Warning: {note}", style="yellow"))


def table_rows(comparison: Comparison) -> list[list[str]]:
    """Return the table as text, its header first: a row a method and arm, a column a label fraction."""
    fractions = sorted({cell.fraction for cell in comparison.cells})
    by_key = {(c.method, c.candidate, c.fraction): c for c in comparison.cells}
    rows = [["Technique", "Arm", *(f"{100 * fraction:.4g} %" for fraction in fractions)]]
    for method, candidate in dict.fromkeys((c.method, c.candidate) for c in comparison.cells):
        cells = [by_key.get((method, candidate, fraction)) for fraction in fractions]
        model = next((cell.model for cell in cells if cell), "")
        name = f"{candidate} ({model})" if model else candidate
        rows.append([method, name, *(format_summary(cell.summary) if cell else "–" for cell in cells)])
    return rows


def sentences(comparison: Comparison) -> list[str]:
    """Return a sentence for each test that claims no more than it allows."""
    return [_sentence(test, METRICS[comparison.metric]) for test in comparison.tests]


def _sentence(test: CellTest, metric: str) -> str:
    said = describe_difference(test.test, test.first, test.second, metric=metric, p=test.p_adjusted)
    return f"{test.candidate}, {label_share(test.fraction)}: {said}"


def _written(comparison: Comparison | None, folds: FoldComparison | None) -> list[Written]:
    found = []
    if comparison:
        said = (*sentences(comparison), *comparison.notes)
        found.append(Written(_title(comparison), table_rows(comparison), INTERVAL, said))
    if folds:
        said = (*fold_sentences(folds), *folds.notes)
        found.append(Written(fold_title(folds), comparison_rows(folds), FOLD_LEGEND, said))
    return found


def as_markdown(comparison: Comparison | None, folds: FoldComparison | None = None) -> str:
    """Return the tables and the tests as Markdown."""
    return "\n".join(map(markdown, _written(comparison, folds)))


def as_latex(comparison: Comparison | None, folds: FoldComparison | None = None) -> str:
    r"""Return each table as a LaTeX tabular (package booktabs), the tests as comments below it."""
    return "\n".join(map(latex, _written(comparison, folds)))


def as_csv(comparison: Comparison | None, folds: FoldComparison | None = None) -> str:
    """Return a row a method, arm, label fraction and seed, or fold: everything needed to make any other table."""
    text = io.StringIO()
    writer = CellWriter(text)
    metric = next(found.metric for found in (comparison, folds) if found)
    by_fold = ["fold"] if folds else []
    writer.writerow(["method", "arm", "model", "fraction", "labels", "seed", *by_fold, metric, "mean", "low", "high"])
    for c in comparison.cells if comparison else ():
        interval = [c.summary.mean, c.summary.low, c.summary.high]
        for seed, value in c.values.items():
            cells = [c.method, c.candidate, c.model, c.fraction, c.labels, seed, *([""] if folds else [])]
            writer.writerow([*cells, value, *interval])
    for f in folds.cells if folds else ():
        interval = [f.summary.mean, f.summary.low, f.summary.high]
        for fold, value in f.values.items():
            writer.writerow([f.method, f.candidate, "", f.fraction, f.labels, "", fold, value, *interval])
    return text.getvalue()


def as_dict(comparison: Comparison | None, folds: FoldComparison | None = None) -> dict[str, Any]:
    """Return plain JSON values."""
    return {**(_trials_dict(comparison) if comparison else {}), **({"folds": _folds_dict(folds)} if folds else {})}


def _folds_dict(folds: FoldComparison) -> dict[str, Any]:
    cells = [
        {
            **asdict(cell),
            "values": {fold: _defined(value) for fold, value in cell.values.items()},
            "summary": cell.summary.as_dict(),
            "pooled": cell.pooled.as_dict(),
        }
        for cell in folds.cells
    ]
    return {
        "metric": folds.metric,
        "cells": cells,
        "tests": [_test(test) for test in folds.tests],
        "sentences": fold_sentences(folds),
        "notes": list(folds.notes),
    }


def _test(test: CellTest) -> dict[str, Any]:
    return {**asdict(test), "test": test.test.as_dict(), "p_adjusted": _defined(test.p_adjusted)}


def _trials_dict(comparison: Comparison) -> dict[str, Any]:
    return {
        "metric": comparison.metric,
        "cells": [_cell(cell) for cell in comparison.cells],
        "tests": [_test(test) for test in comparison.tests],
        "sentences": sentences(comparison),
        "notes": list(comparison.notes),
    }


def _cell(cell: Cell) -> dict[str, Any]:
    values = {seed: _defined(value) for seed, value in cell.values.items()}
    return {**asdict(cell), "values": values, "summary": cell.summary.as_dict()}


def _defined(value: float) -> float | None:
    return None if value != value else value  # noqa: PLR0124 - NaN alone differs from itself


def _title(comparison: Comparison) -> str:
    return f"Test {METRICS[comparison.metric]} by share of training labels"
