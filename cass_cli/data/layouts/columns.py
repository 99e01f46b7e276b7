"""What each row of a CSV of images says: its labels, group and split.

One label column, 0/1 columns, or lists such as `a;b`; a group column; a split column; ISIC 2019's ground truth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cass_cli.data.layouts.records import split_name
from cass_cli.data.layouts.tables import Table
from cass_cli.errors import DataError, did_you_mean
from cass_cli.words import count, shown, shown_list

IMAGE_COLUMNS = (
    *("image", "image_name", "image_path", "image_id", "image_file", "image_index", "filename", "file_name"),
    *("filepath", "file_path", "file", "path", "img", "img_path", "img_name", "isic_id", "name", "id"),
)
GROUP_COLUMNS = (
    *("group", "patient_id", "patient", "patientid", "subject_id", "subject", "case_id", "case", "lesion_id"),
)
MISSING = {"", "nan", "-1", "-1.0"}

LABEL_COLUMNS = (
    *("label", "labels", "class", "classes", "class_name", "category", "diagnosis", "dx", "target"),
    *("finding_labels", "findings", "y"),
)
SPLIT_COLUMNS = ("split", "subset", "partition", "set")
NO_LABEL_COLUMNS = {"age", "sex", "gender", "index", "", "unnamed:_0", "score_weight", "validation_weight"}
ISIC_CLASSES = ("AK", "BCC", "BKL", "DF", "MEL", "NV", "SCC", "VASC")
_BITS = {"0": 0, "0.0": 0, "false": 0, "1": 1, "1.0": 1, "true": 1}


@dataclass(frozen=True)
class Columns:
    """Which columns of a CSV say what; None: recognised by their usual names, "none": no column does."""

    image: str | None = None
    label: str | None = None  # one column, or 0/1 columns as "a,b,c"
    group: str | None = None
    split: str | None = None
    separator: str = ";"  # between the classes of one image in a cell

    @property
    def named(self) -> bool:
        """Whether any column is named."""
        return any((self.image, self.label, self.group, self.split))


@dataclass(frozen=True)
class Rows:
    """What a table says of each of its rows."""

    images: list[str]
    labels: list[tuple[str, ...]] | None
    multilabel: bool
    classes: tuple[str, ...] | None
    groups: list[str] | None
    splits: list[str] | None
    notes: list[str]


def read_rows(table: Table, asked: Columns) -> Rows:
    """Return what `table` says of each row.

    Raises DataError for a named column that is absent and where no column can be told to be the one.
    """
    image = pick_column(table, asked.image, IMAGE_COLUMNS, "--image-column")
    if image is None:
        raise DataError(
            f"No column of {shown(table.path.name)} looks like image names ({shown_list(list(table.columns))}).",
            hint="Name it with --image-column.",
        )
    group = None if is_none(asked.group) else pick_column(table, asked.group, GROUP_COLUMNS, "--group-column")
    split, splits = _split_of_rows(table, asked.split)
    taken = {image, group, split}
    chosen = _label_columns(table, asked.label, [c for c in table.columns if c not in taken])
    labels, multilabel, classes, notes = _labels_of_rows(table, chosen, asked.separator)
    if group:
        notes.append(f"Grouped by column '{shown(group)}'.")
    if split:
        notes.append(f"Splits come from column '{shown(split)}'.")
    unused = [c for c in table.columns if c not in taken and c not in chosen]
    if unused:
        notes.append(f"Columns not used: {shown_list(unused)}.")
    groups = [known(c) for c in table.columns[group]] if group else None
    return Rows(table.columns[image], labels, multilabel, classes, groups, splits, notes)


def _split_of_rows(table: Table, asked: str | None) -> tuple[str | None, list[str] | None]:
    """Return the split column and "train", "val", "test" or "" of each row.

    A column that merely has a usual name counts only when every value in it names a split.
    """
    if is_none(asked):
        return None, None
    column = pick_column(table, asked, SPLIT_COLUMNS, "--split-column")
    if column is None:
        return None, None
    cells = table.columns[column]
    unknown = sorted({c for c in cells if c.lower() not in MISSING and not split_name(c)})
    if unknown and asked is None:
        return None, None
    if unknown:
        raise DataError(
            f"Column '{shown(column)}' of {shown(table.path.name)} holds what names no split: {shown_list(unknown)}.",
            hint="Use train, val and test; leave a cell empty for images to be split by cass.",
        )
    return column, [split_name(c) or "" for c in cells]


def _label_columns(table: Table, asked: str | None, free: list[str]) -> list[str]:
    """Return the label column, or the 0/1 columns, or [] when the table has no labels."""
    if is_none(asked):
        return []
    if asked is not None and asked not in table.columns and "," in asked:
        parts = [part.strip() for part in asked.split(",")]
        return [column for part in parts if (column := pick_column(table, part, (), "--label-column"))]
    single = pick_column(table, asked, LABEL_COLUMNS, "--label-column")
    bits = [c for c in free if plain(c) not in NO_LABEL_COLUMNS and _is_bits(table.columns[c])]
    # A usual name that is one of several 0/1 columns is a class (target cells among blood cells), not the label.
    among_bits = len(bits) > 1 and single in bits and not asked
    if single is not None and not among_bits and (single in free or asked):
        return [single]
    if len(bits) > 1:
        return bits
    others = [c for c in free if plain(c) not in NO_LABEL_COLUMNS]
    if len(others) <= 1:
        return others
    raise DataError(
        f"No column of {shown(table.path.name)} can be told to be the label: {shown_list(others, 20)}.",
        hint="Name it with --label-column (several 0/1 columns: a,b,c).",
    )


def _is_bits(cells: list[str]) -> bool:
    values = {c.lower() for c in cells}
    return values <= _BITS.keys() | MISSING and bool(values & _BITS.keys())


def is_isic(columns: Sequence[str]) -> bool:
    """True for the header of ISIC 2019's ground truth."""
    return {"image", *ISIC_CLASSES} <= set(columns)


_Labels = tuple[list[tuple[str, ...]] | None, bool, tuple[str, ...] | None, list[str]]


def _labels_of_rows(table: Table, chosen: list[str], separator: str) -> _Labels:
    """Return (labels, multilabel, classes, notes)."""
    if not chosen:
        return None, False, None, [f"{shown(table.path.name)} has no label column: unlabelled."]
    if len(chosen) > 1:
        return _labels_of_bits(table, chosen)
    cells = table.columns[chosen[0]]
    notes = [f"Labels come from column '{shown(chosen[0])}'."]
    several = [c for c in cells if separator and separator in c]
    if several:
        notes.append(f"{count(len(several), 'row lists', 'rows list')} several labels: multi-label.")
        lists = [tuple(dict.fromkeys(p.strip() for p in c.split(separator))) for c in cells]
        return [tuple(p for p in parts if p.lower() not in MISSING) for parts in lists], True, None, notes
    return [() if c.lower() in MISSING else (c,) for c in cells], False, None, notes


def _labels_of_bits(table: Table, chosen: list[str]) -> _Labels:
    """Read 0/1 columns: one class an image where every row has exactly one 1, else multi-label."""
    strange = [c for c in chosen if not _is_bits(table.columns[c])]
    if strange:
        raise DataError(f"Columns of {shown(table.path.name)} hold more than 0 and 1: {shown_list(strange)}.")
    classes, unknown, notes = chosen, [False] * len(table), []
    if is_isic(list(table.columns)):
        classes = list(ISIC_CLASSES)
        unknown = [_bit(c) == 1 for c in table.columns.get("UNK", [])] or unknown
        notes.append("Layout: ISIC 2019 ground truth; column UNK is no class.")
        if any(unknown):
            notes.append(f"{count(sum(unknown), 'image is', 'images are')} labelled UNK: kept without a label.")
    bits = [[_bit(c) for c in table.columns[name]] for name in classes]
    empty = sum(column.count(-1) for column in bits)
    rows = list(zip(*bits, strict=True))
    absent = [skip or set(row) == {-1} for row, skip in zip(rows, unknown, strict=True)]
    single = all(skip or sum(b == 1 for b in row) == 1 for row, skip in zip(rows, absent, strict=True))
    kind = "one class an image" if single else "multi-label"
    notes.append(f"Labels come from {len(classes)} columns of 0/1 ({kind}).")
    if empty and not single:
        notes.append(f"{count(empty, 'cell is', 'cells are')} empty or -1 in the 0/1 columns: taken as 0.")
    named = [
        () if skip else tuple(c for c, b in zip(classes, row, strict=True) if b == 1)
        for row, skip in zip(rows, absent, strict=True)
    ]
    return named, not single, tuple(sorted(classes)), notes


def _bit(cell: str) -> int:
    return _BITS.get(cell.lower(), -1)


def pick_column(table: Table, asked: str | None, usual: Sequence[str], option: str) -> str | None:
    """Return the column asked for, or the first with a usual name (any case, blanks as underscores), or None."""
    if asked is not None:
        if asked in table.columns:
            return asked
        names = list(table.columns)
        raise DataError(
            f"{shown(table.path.name)} has no column '{shown(asked)}' ({option})."
            f"{did_you_mean(asked, names)} It has: {shown_list(names, 20)}."
        )
    columns = {plain(name): name for name in reversed(table.columns)}
    return next((columns[name] for name in usual if name in columns), None)


def is_none(asked: str | None) -> bool:
    """Whether "none" was asked for: no column."""
    return asked is not None and asked.lower() == "none"


def known(cell: str) -> str:
    """Return the cell, or "" where it says that the value is missing."""
    return "" if cell.lower() in MISSING else cell


def plain(name: str) -> str:
    """Return a column name as the lists of usual names spell it."""
    return name.strip().lower().replace(" ", "_")
