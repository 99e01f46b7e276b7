"""What an attack is, and how it ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

GOOD = ("told", "equal")
BAD = (
    *("lost", "left over", "silent difference", "traceback"),
    *("wrote outside", "too much memory", "too slow", "shown raw", "leaked"),
)


@dataclass(frozen=True)
class Result:
    """How it ended, in one of the words above, and what was seen where that is bad."""

    word: str
    seen: str = ""


@dataclass(frozen=True)
class Attack:
    """One attack: its kind, a name by which it can be run alone, and what it does."""

    kind: str
    name: str
    run: Callable[[], Result]
    what: str = ""
