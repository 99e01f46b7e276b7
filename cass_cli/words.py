"""Words for people: names fit for a terminal, lists cut short, numbers with their noun."""

from __future__ import annotations

import re
from collections.abc import Sequence

LONGEST = 300  # characters of a name that are shown
# What is not seen by itself, and belongs to names as people write them: other spaces between letters (those of macOS,
# French and Japanese), and what joins or parts two letters of Persian, Hindi and the like, or two emoji.
WITHIN = re.compile(
    r"(?<=\S)[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]+(?=\S)"
    r"|(?<=[^\x00-\x7f\u200c\u200d])[\u200c\u200d](?=[^\x00-\x7f\u200c\u200d])"
)


def seen(text: str) -> bool:
    """Whether all of `text` is seen as it stands, and none of it acts upon who shows it."""
    return text.isprintable() or WITHIN.sub("", text).isprintable()


def printable(text: str) -> str:
    """Return `text` fit for a terminal or a page, line by line: what is not seen, or acts upon them, is escaped.

    That is control characters, what turns the direction of letters, and bytes that are not UTF-8.
    """
    if text.isprintable():
        return text
    safe = text.encode("utf-8", "backslashreplace").decode("utf-8")
    kept = {place for found in WITHIN.finditer(safe) for place in range(*found.span())}
    return "".join(
        c if c.isprintable() or c == "\n" or i in kept else c.encode("unicode_escape").decode("ascii")
        for i, c in enumerate(safe)
    )


def shown(name: str, longest: int = LONGEST) -> str:
    """Return `name` as `printable` does, on one line, without the middle of one that is longer than `longest`."""
    line = printable(name).replace("\n", r"\n")
    return line if len(line) <= longest else f"{line[: longest // 2]}…{line[-(longest // 2) :]}"


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
