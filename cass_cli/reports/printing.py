"""JSON for machines, durations for people."""

from __future__ import annotations

import json
from typing import Any


def print_json(value: Any) -> None:
    """Print `value` as the one JSON document on stdout."""
    print(json.dumps(value, indent=2, default=str))


def duration(seconds: float) -> str:
    """Return a time as people say it, in its two largest units."""
    seconds = round(seconds)
    for unit, name, part, rest in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if seconds >= unit:
            return f"{seconds // unit} {name} {seconds % unit // part:02d} {rest}"
    return f"{seconds} s"
