"""A cross-validation in tables and sentences: on the screen, in a comparison and in a report."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from cass_cli.reports.printing import Screen, print_sentence
from cass_cli.reports.tables import print_table
from cass_cli.runs.compare import PICK
from cass_cli.runs.compare_folds import FoldComparison
from cass_cli.runs.cross_validation import CrossValidation
from cass_cli.scores.bootstrap import Estimate
from cass_cli.scores.metrics import METRICS
from cass_cli.scores.over_folds import describe_fold_difference
from cass_cli.scores.over_seeds import format_summary
from cass_cli.words import count, label_share

FOLD_LEGEND = (
    "by fold: mean over n folds ± half of the 95 % t interval, corrected for folds that share training images (Nadeau "
    "and Bengio 2003). together: the answers of all folds scored once, with a bootstrap interval. pick: in each fold, "
    "validation's choice."
)


def show_cross_validation(console: Screen, one: CrossValidation, metrics: Sequence[str]) -> None:
    """Show what is tested, the scores by fold, over folds and together, and what weakens them."""
    print_sentence(console, Text(f"{label_share(one.fraction)}: {tested_in_words(one)}", style="bold"))
    print_sentence(console, headline(one))
    header, *rows = fold_rows(one, one.metric)
    print_table(console, _table(header, rows), names=1)
    console.print()
    header, *rows = score_rows(one, metrics)
    print_table(console, _table(header, _once(rows)), names=1)
    for note in (one.leak, *one.notes):
        if note:
            print_sentence(console, Text(f"• {note}", style="yellow"))


def tested_in_words(one: CrossValidation) -> str:
    """Say what was tested on how many folds, and what was left alone."""
    groups = f" of {count(one.groups, 'group')}" if one.groups else ""
    alone = f"; {count(one.left_alone, 'test image')} of the publisher left alone" if one.left_alone else ""
    return f"{count(sum(one.tested), 'image')}{groups}, each tested once in {one.folds} folds{alone}"


def headline(one: CrossValidation) -> str:
    """Say how good what validation chose is, over all answers and over folds."""
    together, mean = one.together(PICK, one.metric), one.mean(PICK, one.metric)
    return (
        f"What validation chose in each fold: {METRICS[one.metric]} {estimate_text(together)} of all answers together, "
        f"{format_summary(mean)} by fold."
    )


def fold_rows(one: CrossValidation, metric: str) -> list[list[str]]:
    """Return a row a fold as text, the header first: labels seen, images tested, and each candidate's score."""
    values = {name: one.by_fold(name, metric) for name in one.values}
    chosen = [name for name in values if name != PICK]
    rows = [["fold", "labels", "tested", *chosen, PICK]]
    for place, fold in enumerate(range(1, one.folds + 1)):
        cells = [number_text(values[name][fold]) for name in chosen]
        rows.append([f"{fold}", f"{one.labels[place]:,}", f"{one.tested[place]:,}", *cells, one.picks[place]])
    return rows


def score_rows(one: CrossValidation, metrics: Sequence[str]) -> list[list[str]]:
    """Return a row a candidate and metric, the header first: over folds, and of all answers together."""
    rows = [["", "metric", "by fold", "together"]]
    for name in one.values:
        for metric in metrics:
            cells = [format_summary(one.mean(name, metric)), estimate_text(one.together(name, metric))]
            rows.append([name, METRICS[metric], *cells])
    return rows


def comparison_rows(found: FoldComparison) -> list[list[str]]:
    """Return the table of several as text, its header first: a row a method, arm and label fraction."""
    rows = [["Technique", "Arm", "Labels", "by fold", "together"]]
    for cell in found.cells:
        share = f"{100 * cell.fraction:.4g} %"
        rows.append([cell.method, cell.candidate, share, format_summary(cell.summary), estimate_text(cell.pooled)])
    return rows


def fold_sentences(found: FoldComparison) -> list[str]:
    """Return a sentence for each test that claims no more than it allows."""
    metric = METRICS[found.metric]
    return [
        f"{test.candidate}, {label_share(test.fraction)}: "
        + describe_fold_difference(test.test, test.first, test.second, metric=metric, p=test.p_adjusted)
        for test in found.tests
    ]


def show_fold_comparison(console: Screen, found: FoldComparison) -> None:
    """Show the table, then a sentence for each test and note."""
    header, *rows = comparison_rows(found)
    table = _table(header, _once(rows))
    table.title, table.title_justify = fold_title(found), "left"
    print_table(console, table, names=2)
    print_sentence(console, FOLD_LEGEND, style="dim")
    for sentence in fold_sentences(found):
        print_sentence(console, Text(f"• {sentence}"))
    for note in found.notes:
        print_sentence(console, Text(f"Warning: {note}", style="yellow"))


def fold_title(found: FoldComparison) -> str:
    """Return what the table of several is of."""
    return f"Cross-validation, {METRICS[found.metric]} by share of training labels"


def number_text(value: float) -> str:
    """Return a score as text, – where it is undefined."""
    return "–" if value != value else f"{value:.3f}"  # noqa: PLR0124 - NaN alone differs from itself


def estimate_text(estimate: Estimate) -> str:
    """Return a score with its interval as text."""
    if estimate.low != estimate.low:
        return number_text(estimate.value)
    return f"{number_text(estimate.value)} ({estimate.low:.3f}–{estimate.high:.3f})"


def _once(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    """Return the rows without what the first cell repeats."""
    return [["" if i and rows[i - 1][0] == first else first, *rest] for i, (first, *rest) in enumerate(rows)]


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for i, heading in enumerate(header):
        words = {"", "metric", "Technique", "Arm"}
        table.add_column(heading, justify="left" if heading in words else "right", no_wrap=i > 0)
    for row in rows:
        table.add_row(*map(Text, row))
    return table
