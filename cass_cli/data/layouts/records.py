"""What a layout recogniser hands back, before names become indices."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

MOST_IMAGES = 5_000_000  # of a set; a file that states more is damaged, or made to keep us busy


@dataclass(frozen=True)
class Records:
    """Images in the words of their source: one entry of each list an image."""

    names: list[str]  # POSIX paths relative to the data root
    labels: list[tuple[str, ...]] | None = None  # class names of each image; () = none stated
    multilabel: bool = False
    unknown: list[tuple[str, ...]] | None = None  # multi-label: classes of which nobody knows whether they are there
    classes: tuple[str, ...] | None = None  # None: the sorted labels that occur
    groups: list[str] | None = None
    groups_by: str = ""  # what tells them: "column patient_id", "case folders", …
    splits: list[str] | None = None
    subgroups: dict[str, list[str]] = field(default_factory=dict)  # sex, age, site, …: column → cell of each image
    listed: bool = False  # a table names the images
    ours: bool = False  # read back from a table that cass wrote: its splits are not the publisher's
    lost: tuple[str, ...] = ()  # classes of whose files most are in formats that are not read
    left_out: list[tuple[str, str]] = field(default_factory=list)  # name, and why it is no image to learn from
    notes: list[str] = field(default_factory=list)

    def rows(self, kept: Sequence[int]) -> Records:
        """Return the records of these images."""
        return replace(
            self,
            names=[self.names[i] for i in kept],
            labels=None if self.labels is None else [self.labels[i] for i in kept],
            unknown=None if self.unknown is None else [self.unknown[i] for i in kept],
            groups=None if self.groups is None else [self.groups[i] for i in kept],
            splits=None if self.splits is None else [self.splits[i] for i in kept],
            subgroups={column: [cells[i] for i in kept] for column, cells in self.subgroups.items()},
        )


def in_order(labels: Iterable[str]) -> tuple[str, ...]:
    """Return the distinct labels sorted: as numbers when all are whole numbers, else as text."""
    distinct = set(labels)
    if all(label.isascii() and label.isdigit() for label in distinct):
        return tuple(sorted(distinct, key=lambda label: (len(label.lstrip("0")), label.lstrip("0"), label)))
    return tuple(sorted(distinct))
