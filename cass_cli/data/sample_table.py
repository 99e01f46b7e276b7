"""N images and what is known of them, by number: what every room after this one works with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cass_cli.data.decode.facts import USUAL, PixelRules
from cass_cli.data.frames import file_of, frame_of
from cass_cli.data.layouts.hdf5 import is_pcam_file, pcam_file
from cass_cli.data.layouts.overlays import obstacles
from cass_cli.data.layouts.records import Records, in_order
from cass_cli.words import count, shown_list


@dataclass(frozen=True)
class SampleTable:
    """N images and what is known of them. Rows keep their order in every function that takes a table.

    `names` are POSIX paths relative to `root`, or "train/000123" when `root` is an archive (.npz, .h5). Names that are
    not UTF-8 hold surrogate escapes, as `os.fsdecode` gives them; `words.shown` makes any name printable. One image of
    several in a file has the ending of `frames.py`.
    `labels` is None when unlabelled; int64 [N] of class indices with -1 for "no label"; or int8 [N, C] of
    0 and 1 when multi-label, with -1 where it is not known. `groups` names the patient or lesion of each image;
    "" = unknown, an image on its own.
    `splits` is the curator's "train", "val" or "test"; "" means undecided.
    """

    root: Path
    names: tuple[str, ...]
    classes: tuple[str, ...] = ()
    labels: NDArray[np.int64] | NDArray[np.int8] | None = None
    groups: tuple[str, ...] | None = None
    groups_by: str = ""  # what tells them, in a few words
    splits: tuple[str, ...] | None = None
    subgroups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # sex, age, site, …: column → cells
    notes: tuple[str, ...] = ()  # what was recognised, decided or left out: one plain sentence each
    obstacles: tuple[str, ...] = ()  # what no one would train on knowingly: a lost class, a split of one class
    left_out: tuple[tuple[str, str], ...] = ()  # other files: name, and why it is no image to learn from
    rules: PixelRules = USUAL  # how they become pixels

    def __len__(self) -> int:
        return len(self.names)

    @property
    def multilabel(self) -> bool:
        return self.labels is not None and self.labels.ndim == 2

    @property
    def archive(self) -> bool:
        """True when the images are members of an .npz or HDF5 file rather than files of their own."""
        return self.root.suffix.lower() == ".npz" or is_pcam_file(self.root.name)

    @property
    def archive_files(self) -> dict[str, Path]:
        """The file or files of an archive, the .npz or those of each split, by what tells them apart."""
        if self.root.suffix.lower() == ".npz":
            return {"": self.root}
        parts = dict.fromkeys(name.partition("/")[0] for name in self.names)
        return {part: pcam_file(self.root, part, "x") for part in parts}

    def path(self, index: int) -> Path:
        """Return the file of image `index`; only tables over files have one."""
        assert not self.archive, "images of an archive have no path of their own"
        return self.root / file_of(self.names[index])

    def frame(self, index: int) -> int | None:
        """Return which frame or slice of its file image `index` is; None for a file that is not taken apart."""
        return None if self.archive else frame_of(self.names[index])

    def select(self, indices: Sequence[int] | NDArray[np.int64]) -> SampleTable:
        """Return the table of these rows, in this order; classes and notes stay."""
        rows = np.asarray(indices, dtype=np.int64)

        def picked(column: tuple[str, ...] | None) -> tuple[str, ...] | None:
            return None if column is None else tuple(column[i] for i in rows)

        return replace(
            self,
            names=tuple(self.names[i] for i in rows),
            labels=None if self.labels is None else self.labels[rows],
            groups=picked(self.groups),
            splits=picked(self.splits),
            subgroups={column: tuple(cells[i] for i in rows) for column, cells in self.subgroups.items()},
        )


def table_of(root: Path, records: Records) -> SampleTable:
    """Sort by name and turn class names into indices."""
    order = sorted(range(len(records.names)), key=records.names.__getitem__)
    notes = list(records.notes)
    classes: tuple[str, ...] = ()
    labels: NDArray[np.int64] | NDArray[np.int8] | None = None
    if records.labels is not None:
        classes, labels = _encode(records, order, notes)
    groups, splits, read = records.groups, records.splits, set(records.names)
    return SampleTable(
        root=root,
        names=tuple(records.names[i] for i in order),
        classes=classes,
        labels=labels,
        groups=None if groups is None else tuple(groups[i] for i in order),
        groups_by="" if groups is None else records.groups_by,
        splits=None if splits is None or not any(splits) else tuple(splits[i] for i in order),
        subgroups={column: tuple(cells[i] for i in order) for column, cells in records.subgroups.items()},
        notes=tuple(notes),
        obstacles=tuple(obstacles(records)),
        left_out=tuple(sorted({(name, why) for name, why in records.left_out if name not in read})),
    )


def _encode(
    records: Records, order: Sequence[int], notes: list[str]
) -> tuple[tuple[str, ...], NDArray[np.int64] | NDArray[np.int8] | None]:
    """Return (classes, labels) of the label names of each image; what had to be decided is added to `notes`."""
    assert records.labels is not None, "asked of labelled records"
    named = [records.labels[i] for i in order]
    present = in_order(label for labels in named for label in labels)
    if not present:
        notes.append("No image has a label: unlabelled.")
        return (), None
    classes = tuple(c for c in records.classes if c in set(present)) if records.classes else present
    if records.classes and len(classes) < len(records.classes):
        gone = [c for c in records.classes if c not in classes]
        notes.append(f"Classes without any image: {shown_list(gone)}: left out.")
    index = {c: i for i, c in enumerate(classes)}
    if records.multilabel:
        return classes, _encode_many(records, order, index, notes)
    bare = sum(not labels for labels in named)
    if bare:
        notes.append(f"{count(bare, 'image has', 'images have')} no label: used for pretraining only.")
    return classes, np.array([index[labels[0]] if labels else -1 for labels in named], dtype=np.int64)


def _encode_many(
    records: Records, order: Sequence[int], index: Mapping[str, int], notes: list[str]
) -> NDArray[np.int8]:
    """Return int8 [N, C]: 1 for each label of an image, -1 for what is not known, else 0."""
    assert records.labels is not None, "asked of labelled records"
    bits = np.zeros((len(order), len(index)), dtype=np.int8)
    for row, i in enumerate(order):
        bits[row, [index[label] for label in records.labels[i]]] = 1
        if records.unknown is not None:
            bits[row, [index[label] for label in records.unknown[i] if label in index]] = -1
    bare = int((bits == 0).all(axis=1).sum())
    if bare:
        notes.append(f"{count(bare, 'image has', 'images have')} none of the labels: taken as all absent.")
    return bits
