"""JSON for machines, durations for people."""

from __future__ import annotations

import json
from typing import Any

from rich.console import Console
from rich.text import Text


def print_json(value: Any) -> None:
    """Print `value` as the one JSON document on stdout."""
    print(json.dumps(value, indent=2, default=str))


def print_sentence(console: Console, said: str | Text, *, style: str | None = None) -> None:
    """Print a sentence, broken between words where a terminal is narrower; in a file it stays one line.

    Paths and commands are not printed so: a terminal breaks them where they can still be copied whole.
    """
    console.print(said, style=style, soft_wrap=not console.is_terminal)


def duration(seconds: float) -> str:
    """Return a time as people say it, in its two largest units."""
    seconds = round(seconds)
    for unit, name, part, rest in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if seconds >= unit:
            return f"{seconds // unit} {name} {seconds % unit // part:02d} {rest}"
    return f"{seconds} s"
