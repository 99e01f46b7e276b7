"""Words for people: names fit for a terminal, lists cut short, numbers with their noun."""

from __future__ import annotations

from collections.abc import Sequence


def shown(name: str) -> str:
    """Return `name` fit for one line of a terminal: control characters and bytes that are not UTF-8 escaped."""
    safe = name.encode("utf-8", "backslashreplace").decode("utf-8")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in safe)


def shown_list(names: Sequence[str], limit: int = 10) -> str:
    """Return the first `limit` names, comma-separated, and how many more there are."""
    more = f" and {len(names) - limit:,} more" if len(names) > limit else ""
    return ", ".join(shown(name) for name in names[:limit]) + more


def count(number: int, noun: str, plural: str = "") -> str:
    """Return "1 image" or "2,000 images"."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def label_share(fraction: float, of: str = "labels") -> str:
    """Return "all labels" or "10 % of the labels": which share of them may be seen."""
    return f"all {of}" if fraction >= 1 else f"{100 * fraction:.3g} % of the {of}"
