"""Tables for the terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.measure import measure_renderables
from rich.table import Column, Table
from rich.text import Text

from cass_cli.config.presets import About
from cass_cli.reports.printing import Screen, print_sentence
from cass_cli.scores.bootstrap import Estimate

if TYPE_CHECKING:  # with it PyTorch, which a report can do without
    from cass_cli.engine.pretraining.collapse import ArmGauges

GAUGES_LEGEND = "spread 1 and cosine 0: images lie uniformly apart; spread 0 and cosine 1: collapsed"
LEAST = 12  # characters to which a column of names may be folded
STATE_STYLE = {"healthy": "green", "shrinking": "yellow", "collapsed": "bold red"}


def presets_table(presets: Mapping[str, About]) -> None:
    """Print the presets, a row each."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("preset", "data", "images", "classes", "metric", "the paper's pretraining"):
        table.add_column(heading, justify="right" if heading in ("images", "classes") else "left", overflow="fold")
    for name, about in presets.items():
        row = (f"{about.images:,}", str(about.classes), about.metric, about.paper_cost)
        table.add_row(f"[cyan]{name}[/]", about.title, *row)
    print_table(Screen(), table)


def gauges_table(
    gauges: Mapping[str, ArmGauges], states: Mapping[str, str], probes: Mapping[str, Any] | None = None
) -> Table:
    """Return the collapse gauges of both arms, a row each, for what the loss sees and what is kept.

    Where there are probes, two columns give their accuracy on validation images, in the row of the features.
    """
    table = Table(box=None, pad_edge=False, header_style="dim")
    headings = ("arm", "", "spread", "mean cosine", "effective rank", *(("kNN", "linear") if probes else ()), "state")
    for heading in headings:
        table.add_column(heading, justify="left" if heading in ("arm", "", "state") else "right")
    for arm, both in gauges.items():
        state = states.get(arm, "start")
        for kind, gauge in (("outputs", both.outputs), ("features", both.features)):
            first = kind == "outputs"
            table.add_row(
                arm if first else "",
                kind,
                f"{gauge.spread:.3f}",
                f"{gauge.cosine:.3f}",
                f"{gauge.rank:.1f}",
                *(_probe_cells(probes[arm], first) if probes else ()),
                f"[{STATE_STYLE.get(state, 'dim')}]{state}[/]" if first else "",
            )
    return table


def _probe_cells(probes: Mapping[str, Any], first: bool) -> tuple[str, str]:
    """Return the accuracies of an arm's probes, which are of its features: the second of its rows."""
    return ("", "") if first else (f"{probes['knn']['accuracy']:.3f}", f"{probes['linear']['accuracy']:.3f}")


def plain_table(title: str, headings: Sequence[str]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", title=escape(title), title_justify="left")
    for i, heading in enumerate(headings):
        table.add_column(
            escape(heading), justify="left" if i == 0 else "right", overflow="fold" if i == 0 else "ellipsis"
        )
    return table


def with_interval(estimate: Estimate, digits: int = 3) -> str:
    if math.isnan(estimate.value):
        return "–"
    value = f"{estimate.value:.{digits}f}"
    if math.isnan(estimate.low):
        return value
    return f"{value} [dim]{estimate.low:.{digits}f}…{estimate.high:.{digits}f}[/]"


def said_with_interval(estimate: Estimate, digits: int = 2) -> str:
    """Return a number with its interval as it stands in a sentence or a small table; – where it is not defined."""
    if math.isnan(estimate.value):
        return "–"
    value, low, high = (f"{x:.{digits}f}".replace("-", "−") for x in (estimate.value, estimate.low, estimate.high))
    until = " to " if estimate.low < 0 else "–"
    return value if math.isnan(estimate.low) else f"{value} ({low}{until}{high})"


def print_table(console: Console, table: Table, *, names: int = 1) -> None:
    """Print a table of which no number is cut: a terminal that is too narrow folds names, or has a block for each row.

    A block begins with the row's first `names` cells. A file gets the table as wide as it is.
    """
    if table.title:  # which would be broken to the width of its table
        print_sentence(console, table.title if isinstance(table.title, Text) else f"[bold]{table.title}[/]")
        table.title = None
    widths = [_width(console, column) for column in table.columns]
    folds = [column.overflow == "fold" for column in table.columns]
    for column, fold in zip(table.columns, folds, strict=True):
        column.no_wrap = not fold
    gaps = 2 * (len(widths) - 1)
    if not console.is_terminal:
        console.width = max(console.width, sum(widths) + gaps)
    least = sum(min(width, LEAST) if fold else width for width, fold in zip(widths, folds, strict=True)) + gaps
    if least <= console.width:
        console.print(table, soft_wrap=False)
        return
    for cells in zip(*(column.cells for column in table.columns), strict=True):
        _print_block(console, [column.header for column in table.columns], cells, names)


def fits(console: Console, table: Table) -> bool:
    """Whether a table is as wide as the terminal or less."""
    return sum(_width(console, column) for column in table.columns) + 2 * (len(table.columns) - 1) <= console.width


def _width(console: Console, column: Column) -> int:
    wide = console.options.update(max_width=10_000)
    return measure_renderables(console, wide, [column.header, column.footer, *column.cells]).maximum


def _print_block(console: Console, headings: Sequence[Any], cells: Sequence[Any], names: int) -> None:
    texts = [cell if isinstance(cell, Text) else console.render_str(str(cell)) for cell in cells]
    told = [(str(heading), text) for heading, text in zip(headings, texts, strict=True)]
    lead = [Text(f"{heading} " if i else "").append_text(text) for i, (heading, text) in enumerate(told[:names])]
    console.print(Text("  ").join(part for part in lead if part.plain.strip()), style="bold", soft_wrap=False)
    rest = [(heading, text) for heading, text in told[names:] if text.plain]
    room = max((len(heading) for heading, _ in rest), default=0)
    for heading, text in rest:
        console.print(Text(f"  {heading:<{room}}  ", style="dim").append_text(text), soft_wrap=False)
