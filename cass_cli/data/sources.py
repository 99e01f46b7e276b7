"""Where images and labels come from: a folder, a folder with a CSV, or an archive of images → one `SampleTable`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cass_cli.data.decode.facts import USUAL, PixelRules
from cass_cli.data.frames import FIRST, FrameRules, file_of, frame_of, with_frames
from cass_cli.data.layouts.columns import Columns, is_tiles
from cass_cli.data.layouts.csv_layout import HowToRead, named_table, open_table, read_labelled
from cass_cli.data.layouts.folders import looks_like_dermofit, read_dermofit, read_flat, read_folders
from cass_cli.data.layouts.found_tables import (
    Tables,
    check_called_labels,
    check_unread,
    choose,
    find_tables,
    unused_notes,
)
from cass_cli.data.layouts.hdf5 import find_pcam, pcam_file, read_pcam
from cass_cli.data.layouts.label_columns import is_none
from cass_cli.data.layouts.lookup import Index
from cass_cli.data.layouts.npz import read_npz
from cass_cli.data.layouts.overlays import (
    grouped_by,
    groups_are_labels,
    obstacles,
    split_by_lists,
    supplemented,
    without,
)
from cass_cli.data.layouts.records import Records, in_order
from cass_cli.data.layouts.scan import Scan, scan_folder
from cass_cli.data.sets.archives import is_medmnist
from cass_cli.data.sets.catalogue import SETS, read_as, recognise, recognised_as
from cass_cli.errors import ConfigError, DataError, did_you_mean
from cass_cli.words import count, shown, shown_list

RECOGNISED = Columns()
LAYOUTS = ("auto", "classes", "flat", "csv", "npz", *SETS)
TABLES = (".csv", ".tsv")
ARCHIVES = (".npz", ".h5")


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
        return self.root.suffix.lower() in ARCHIVES

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


def load_samples(
    root: Path,
    *,
    labels: Path | None = None,
    layout: str = "auto",
    columns: Columns = RECOGNISED,
    allow_outside: bool = False,
    class_level: int | None = None,
    group_pattern: str | None = None,
    split_lists: Mapping[str, Path] | None = None,
    skip_missing: bool = False,
    frames: FrameRules = FIRST,
    rules: PixelRules = USUAL,
) -> SampleTable:
    """Return the images under `root` and what is known of them, sorted by name; `notes` say how it was read.

    `root` is a folder, an .npz archive, or a table lying in its folder. `labels` (a CSV, looked for in the current
    folder, then in `root`) and named columns select the table layout; `layout` names one outright. In "auto", class
    folders and a table beside the images are both read; without either the images are unlabelled. `class_level`:
    see `read_folders`; `group_pattern`: see `grouped_by`; `split_lists`: split → text file of image names;
    `frames`: see `with_frames`.
    Raises DataError for anything missing or outside `root`, and for what can be read in two ways, naming the option
    that chooses; ConfigError for an unknown layout.
    """
    if layout not in LAYOUTS:
        close = did_you_mean(layout, LAYOUTS)
        raise ConfigError(f"Unknown layout '{layout}'.{close}", hint=f"Layouts: {', '.join(LAYOUTS)}.")
    root = root.expanduser()
    if (archive := _archive(root, layout)) is not None:
        if labels or columns.named or group_pattern or class_level or split_lists:
            raise ConfigError(
                f"{shown(archive.name)} holds its own labels and splits: options of folders and tables have no part.",
                hint="Leave them out, or unpack the archive into image files.",
            )
        return replace(_table_of(archive.absolute(), without(_read_archive(archive), columns)), rules=rules)
    if root.suffix.lower() in TABLES and root.is_file() and labels is None:
        root, labels = root.parent, root.absolute()
    scan = scan_folder(root, allow_outside=allow_outside, all_masks=layout == "dermofit")
    index, how = Index(scan), HowToRead(columns, allow_outside, skip_missing)
    records: Records | None
    if labels is not None:
        records = _from_named(scan, index, labels, how)
    elif layout in SETS and layout != "dermofit":
        records = read_as(layout, index, how)
    elif layout == "auto" and class_level is None and (of_a_set := recognise(index, how)) is not None:
        records = of_a_set
    elif columns.named or layout == "csv":
        records = _from_tables(find_tables(index, how), scan, demanded=True)
    elif layout != "auto" or class_level is not None:
        records = _from_folders(scan, layout, class_level)
    else:
        tables = find_tables(index, how)
        records = _from_tables(tables, scan, layout, demanded=True) if tables.tiles else _recognised(scan, tables)
    assert records is not None, "a demanded table is read or missed aloud"
    if split_lists or not is_none(columns.split):
        records = split_by_lists(records, index, split_lists)
    records = without(records, columns)
    records = grouped_by(records, group_pattern) if group_pattern else records
    masks = [(name, "a mask of a segmentation") for name in scan.masks]
    unread = [(name, "in a format that is not read") for name in scan.unread]
    left_out = [*records.left_out, *masks, *unread]
    table = _table_of(scan.root, replace(records, left_out=left_out, notes=[*records.notes, *scan.notes]))
    return with_frames(replace(table, rules=rules), frames)


def _archive(root: Path, layout: str) -> Path | None:
    """Return the file that holds all images, None where each is a file of its own."""
    if layout == "npz" or root.suffix.lower() == ".npz":
        return root
    return find_pcam(root) if layout in ("auto", "patchcamelyon") else None


def _read_archive(archive: Path) -> Records:
    """Read an archive; a note says which public set it is."""
    if archive.suffix == ".h5":
        return recognised_as(SETS["patchcamelyon"], read_pcam(archive))
    records = read_npz(archive)
    return recognised_as(SETS["medmnist"], records) if is_medmnist(archive) else records


def _from_folders(scan: Scan, layout: str, class_level: int | None) -> Records:
    """Read what the folders tell in the layout asked for; raises `DataError` where they do not tell it."""
    if layout == "flat":
        return read_flat(scan.images)
    if layout == "dermofit":
        records = read_dermofit(scan.images, unread=scan.unread)
    else:
        records = read_folders(scan.images, unread=scan.unread, class_level=class_level, forced=True)
    if records is None:
        raise DataError(
            f"There are no class folders under {scan.root} (layout '{layout}').",
            hint="Put the images of each class in a folder named after it, or give a CSV with --labels.",
        )
    unused = [f"{shown_list(scan.tables)} not used: the classes are the folders."] if scan.tables else []
    return replace(records, notes=[*records.notes, *unused])


def _from_tables(tables: Tables, scan: Scan, *, demanded: bool) -> Records | None:
    """Read the table beside the images, None where there is none and none is demanded."""
    chosen = choose(tables, scan)
    if chosen is None and demanded:
        why = "; ".join(f"{name}: {reason}" for name, reason in tables.unread.items())
        lying = f" with a column of image names ({why})" if why else ""
        raise DataError(f"There is no CSV{lying} in {scan.root}.", hint="Give it with --labels.")
    if chosen is None:
        return None
    records = tables.records(chosen)
    return replace(records, notes=[*records.notes, *unused_notes(tables, [chosen])])


def _recognised(scan: Scan, tables: Tables) -> Records:
    """Read class folders and tables; raises `DataError` where they contradict each other."""
    labelled = tables.labelled
    try:
        dermofit = scan.masks and looks_like_dermofit(scan.images)
        folders = (read_dermofit if dermofit else read_folders)(scan.images, unread=scan.unread)
    except DataError as error:
        if not labelled:
            why = "; ".join(unused_notes(tables, []))
            raise DataError(f"{error.what} {why}".strip(), hint=error.hint) from error
        folders = None
    if folders is None:
        records = _from_tables(tables, scan, demanded=False)
        if records is None:
            check_unread(tables, scan)
            records = read_flat(scan.images)
            records = replace(records, notes=[*records.notes, *unused_notes(tables, [])])
        return records
    check_called_labels(tables)
    for name, said in (tables.read | tables.besides).items():
        if name in tables.besides and groups_are_labels(folders, said):
            raise tables.unclear[name]  # the folders are the patients of the table
        folders = supplemented(folders, said, name)
    return replace(folders, notes=[*folders.notes, *unused_notes(tables, [*tables.read, *tables.besides])])


def _from_named(scan: Scan, index: Index, labels: Path, how: HowToRead) -> Records:
    """Read the table that the user names; without labels, it adds groups and splits to what the folders tell."""
    path = named_table(scan.root, labels)
    table = open_table(path, index)
    records = read_labelled(table, index, how)
    others = [name for name in scan.tables if scan.root / name != path]
    unused = [f"Other tables there are not used, --labels names one: {shown_list(others)}."] if others else []
    records = replace(records, notes=[*records.notes, *unused])
    if records.labels is not None or is_none(how.columns.label) or is_tiles(table):
        return records
    folders = read_folders(scan.images, unread=scan.unread)
    if folders is not None:
        return supplemented(folders, records, path.name)
    raise DataError(
        f"No column of {path.name} is a label. {next((n for n in records.notes if 'not used' in n), '')}".strip(),
        hint="Name it with --label-column; for groups and splits alone: --label-column none.",
    )


def _table_of(root: Path, records: Records) -> SampleTable:
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
