"""What a layout recogniser hands back, before names become indices."""

from __future__ import annotations

from collections.abc import Iterable
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


def in_order(labels: Iterable[str]) -> tuple[str, ...]:
    """Return the distinct labels sorted: as numbers when all are whole numbers, else as text."""
    distinct = set(labels)
    if all(label.isascii() and label.isdigit() for label in distinct):
        return tuple(sorted(distinct, key=lambda label: (int(label), label)))
    return tuple(sorted(distinct))
