"""Settings for people: their values, and where each comes from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from cass_cli.config.load import Resolved
from cass_cli.engine.fastest import MEASURED


def settings_table(resolved: Resolved, keys: Iterable[str]) -> Table:
    """Return a row for each of the settings `keys`: name, value, origin; defaults are dim.

    What was measured is told by `measurements`.
    """
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("setting", no_wrap=True)
    for heading in ("value", "from"):
        table.add_column(heading, overflow="fold")
    for key in keys:
        origin = MEASURED if resolved.origins[key].startswith(MEASURED) else resolved.origins[key]
        style = "dim" if origin == "default" else ""
        table.add_row(*(Text(text) for text in (key, shown_value(resolved.value(key)), origin)), style=style)
    return table


def measurements(resolved: Resolved, notes: Sequence[str]) -> list[str]:
    """Return what was measured to choose settings, as far as the notes don't tell of it."""
    told = dict.fromkeys(origin for origin in resolved.origins.values() if origin.startswith(MEASURED))
    return [f"{origin.capitalize()}." for origin in told if not any(origin in note.lower() for note in notes)]


def shown_value(value: Any) -> str:
    """Return the value of a setting as text."""
    if isinstance(value, tuple):
        return ", ".join(str(item) for item in value)
    if isinstance(value, dict):
        return ", ".join(f"{key}={item}" for key, item in value.items()) or "–"
    return "–" if value is None else str(value)
