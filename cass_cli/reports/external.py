"""How scores on another site's images are told beside those at home."""

from __future__ import annotations

import math

from rich.table import Table
from rich.text import Text

from cass_cli.runs.records import EstimateRecord, ExternalRecord
from cass_cli.scores.metrics import METRICS
from cass_cli.scores.over_seeds import signed

PREFIX = "external-"  # of what stands for the split in the names of files


def place_of(split: str) -> str:
    """Return in words where images come from: a split of the run, or another site."""
    return f"{split.removeprefix(PREFIX)}, another site" if split.startswith(PREFIX) else f"{split} split"


def beside_home(record: ExternalRecord, candidate: str) -> list[tuple[str, str, str, str]]:
    """Return a row a metric: its title, at home, elsewhere, and the difference with its interval."""
    rows = []
    home, drops = record["home"].get(candidate, {}), record["drops"].get(candidate, {})
    for metric, title in METRICS.items():
        value, drop = home.get(metric), drops.get(metric)
        if value is not None and drop is not None and drop["value"] is not None:
            rows.append((title, f"{value:.3f}", f"{value + drop['value']:.3f}", _difference(drop)))
    return rows


def elsewhere_table(record: ExternalRecord, candidate: str) -> Table | None:
    """Return these rows for the terminal; None where home was not scored."""
    rows = beside_home(record, candidate)
    if not rows:
        return None
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(Text(f"beside home ({candidate})"), overflow="fold")
    for heading in ("home", record["name"], "difference"):
        table.add_column(Text(heading), justify="right", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def _difference(drop: EstimateRecord) -> str:
    value, low, high = (math.nan if each is None else each for each in (drop["value"], drop["low"], drop["high"]))
    return signed(value) if math.isnan(low) else f"{signed(value)} ({signed(low)} to {signed(high)})"
