"""Where images and labels come from: a folder, a folder with a CSV, or a MedMNIST .npz → one `SampleTable`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cass_cli.data.layouts.columns import Columns
from cass_cli.data.layouts.csv_layout import find_table, read_labelled
from cass_cli.data.layouts.folders import looks_like_dermofit, read_class_folders, read_dermofit, read_flat
from cass_cli.data.layouts.npz import read_npz
from cass_cli.data.layouts.records import Records, in_order
from cass_cli.data.layouts.scan import Scan, scan_folder
from cass_cli.errors import ConfigError, DataError, did_you_mean
from cass_cli.words import count, shown_list

RECOGNISED = Columns()
LAYOUTS = ("auto", "classes", "flat", "csv", "isic2019", "dermofit", "npz")


@dataclass(frozen=True)
class SampleTable:
    """N images and what is known of them. Rows keep their order in every function that takes a table.

    `names` are POSIX paths relative to `root`, or "train/000123" when `root` is an .npz archive. Names that are
    not UTF-8 hold surrogate escapes, as `os.fsdecode` gives them; `words.shown` makes any name printable.
    `labels` is None when unlabelled; int64 [N] of class indices with -1 for "no label"; or uint8 [N, C] of
    0/1 when multi-label. `groups` names the patient or lesion of each image; "" = unknown, an image on its own.
    `splits` is the curator's "train", "val" or "test"; "" means undecided.
    """

    root: Path
    names: tuple[str, ...]
    classes: tuple[str, ...] = ()
    labels: NDArray[np.int64] | NDArray[np.uint8] | None = None
    groups: tuple[str, ...] | None = None
    splits: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()  # what was recognised, decided or left out: one plain sentence each

    def __len__(self) -> int:
        return len(self.names)

    @property
    def multilabel(self) -> bool:
        return self.labels is not None and self.labels.ndim == 2

    @property
    def archive(self) -> bool:
        """True when the images are members of an .npz file rather than files of their own."""
        return self.root.suffix.lower() == ".npz"

    def path(self, index: int) -> Path:
        """Return the file of image `index`; only tables over files have one."""
        assert not self.archive, "images of an .npz archive have no path of their own"
        return self.root / self.names[index]

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
        )


def load_samples(
    root: Path,
    *,
    labels: Path | None = None,
    layout: str = "auto",
    columns: Columns = RECOGNISED,
    allow_outside: bool = False,
) -> SampleTable:
    """Return the images under `root` and what is known of them, sorted by name; `notes` say how it was read.

    `root` is a folder, an .npz archive, or a CSV lying in its folder. `labels` (a CSV, looked for in the current
    folder, then in `root`) and named columns select the CSV layout; `layout` names one outright. In "auto",
    class folders win over a CSV that merely lies in `root`; without either the images are unlabelled.
    Raises DataError for anything missing, contradictory or outside `root`, ConfigError for an unknown layout.
    """
    if layout not in LAYOUTS:
        close = did_you_mean(layout, LAYOUTS)
        raise ConfigError(f"Unknown layout '{layout}'.{close}", hint=f"Layouts: {', '.join(LAYOUTS)}.")
    root = root.expanduser()
    if layout == "npz" or root.suffix.lower() == ".npz":
        return _table_of(root.absolute(), read_npz(root))
    if root.suffix.lower() == ".csv" and root.is_file() and labels is None:
        root, labels = root.parent, root.absolute()
    scan = scan_folder(root, allow_outside=allow_outside, all_masks=layout == "dermofit")
    asked = labels is not None or columns.named
    from_csv = asked or layout in ("csv", "isic2019")
    records = None if from_csv else _from_folders(scan, layout)
    if records is None and (table := find_table(scan, labels, columns.image, layout, demanded=from_csv)):
        records = read_labelled(scan, table, columns, allow_outside=allow_outside)
    records = records or read_flat(scan.images)
    return _table_of(scan.root, replace(records, notes=[*records.notes, *scan.notes]))


def _from_folders(scan: Scan, layout: str) -> Records | None:
    """Read what the folders tell; None in "auto" when they tell no classes."""
    if layout == "flat":
        return read_flat(scan.images)
    if layout == "dermofit" or (layout == "auto" and scan.masks and looks_like_dermofit(scan.images)):
        records = read_dermofit(scan.images)
    else:
        records = read_class_folders(scan.images, demand=1 if layout == "classes" else 2)
    if records is None and layout != "auto":
        raise DataError(
            f"There are no class folders under {scan.root} (layout '{layout}').",
            hint="Put the images of each class in a folder named after it, or give a CSV with --labels.",
        )
    if records is not None and scan.tables:
        records.notes.append(f"Class folders win over {shown_list(scan.tables)}: give --labels to use it instead.")
    return records


def _table_of(root: Path, records: Records) -> SampleTable:
    """Sort by name and turn class names into indices."""
    order = sorted(range(len(records.names)), key=records.names.__getitem__)
    notes = list(records.notes)
    classes: tuple[str, ...] = ()
    labels: NDArray[np.int64] | NDArray[np.uint8] | None = None
    if records.labels is not None:
        classes, labels = _encode([records.labels[i] for i in order], records, notes)
    groups = records.groups
    splits = records.splits
    return SampleTable(
        root=root,
        names=tuple(records.names[i] for i in order),
        classes=classes,
        labels=labels,
        groups=None if groups is None else tuple(groups[i] for i in order),
        splits=None if splits is None or not any(splits) else tuple(splits[i] for i in order),
        notes=tuple(notes),
    )


def _encode(
    named: list[tuple[str, ...]], records: Records, notes: list[str]
) -> tuple[tuple[str, ...], NDArray[np.int64] | NDArray[np.uint8] | None]:
    """Return (classes, labels) of the label names of each image; what had to be decided is added to `notes`."""
    present = in_order(label for labels in named for label in labels)
    if not present:
        notes.append("No image has a label: unlabelled.")
        return (), None
    classes = tuple(c for c in records.classes if c in set(present)) if records.classes else present
    if records.classes and len(classes) < len(records.classes):
        gone = [c for c in records.classes if c not in classes]
        notes.append(f"Classes without any image: {shown_list(gone)}: left out.")
    index = {c: i for i, c in enumerate(classes)}
    bare = sum(not labels for labels in named)
    if records.multilabel:
        bits = np.zeros((len(named), len(classes)), dtype=np.uint8)
        for row, labels in enumerate(named):
            bits[row, [index[label] for label in labels]] = 1
        if bare:
            notes.append(f"{count(bare, 'image has', 'images have')} none of the labels: taken as all absent.")
        return classes, bits
    if bare:
        notes.append(f"{count(bare, 'image has', 'images have')} no label: used for pretraining only.")
    return classes, np.array([index[labels[0]] if labels else -1 for labels in named], dtype=np.int64)
