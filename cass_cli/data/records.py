"""What a layout recogniser hands back, before names become indices; and how names are shown to people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}


@dataclass(frozen=True)
class Records:
    """Images in the words of their source: one entry of each list an image."""

    names: list[str]  # POSIX paths relative to the data root
    labels: list[tuple[str, ...]] | None = None  # class names of each image; () = none stated
    multilabel: bool = False
    classes: tuple[str, ...] | None = None  # None: the sorted labels that occur
    groups: list[str] | None = None
    splits: list[str] | None = None
    notes: list[str] = field(default_factory=list)


def split_name(word: str) -> str | None:
    """Return "train", "val" or "test" for the usual spellings of the three in any case, else None."""
    return SPLIT_NAMES.get(word.strip().lower())


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


def in_order(labels: Iterable[str]) -> tuple[str, ...]:
    """Return the distinct labels sorted: as numbers when all are whole numbers, else as text."""
    distinct = set(labels)
    if all(label.isascii() and label.isdigit() for label in distinct):
        return tuple(sorted(distinct, key=lambda label: (int(label), label)))
    return tuple(sorted(distinct))
