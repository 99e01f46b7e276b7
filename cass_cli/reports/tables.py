"""Tables for the terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cass_cli.config.presets import About
from cass_cli.engine.pretraining.collapse import ArmGauges
from cass_cli.scores.bootstrap import Estimate

GAUGES_LEGEND = "spread 1 and cosine 0: images lie uniformly apart; spread 0 and cosine 1: collapsed"
STATE_STYLE = {"healthy": "green", "shrinking": "yellow", "collapsed": "bold red"}


def presets_table(presets: Mapping[str, About]) -> None:
    """Print the presets, a row each."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("preset", "data", "images", "classes", "metric", "the paper's pretraining"):
        table.add_column(heading, justify="right" if heading in ("images", "classes") else "left")
    for name, about in presets.items():
        row = (f"{about.images:,}", str(about.classes), about.metric, about.paper_cost)
        table.add_row(f"[cyan]{name}[/]", about.title, *row)
    Console().print(table)


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
        table.add_column(escape(heading), justify="left" if i == 0 else "right", overflow="fold")
    return table


def with_interval(estimate: Estimate, digits: int = 3) -> str:
    if math.isnan(estimate.value):
        return "–"
    value = f"{estimate.value:.{digits}f}"
    if math.isnan(estimate.low):
        return value
    return f"{value} [dim]{estimate.low:.{digits}f}…{estimate.high:.{digits}f}[/]"
