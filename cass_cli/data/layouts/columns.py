"""Which column of a table of images says what: the image, its label or 0/1 columns, its group, its split."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from shlex import quote

from cass_cli.data.layouts.cells import CellLabels, Uncertain, bit, bit_labels, class_labels, is_bits, is_missing, known
from cass_cli.data.layouts.split_values import find_split_column, flag_split, split_cells
from cass_cli.data.layouts.tables import Table
from cass_cli.data.layouts.vocabulary import (
    ABOUT_LABELS,
    COVARIATES,
    GROUP_COLUMNS,
    IMAGE_COLUMNS,
    LABEL_COLUMNS,
    LABEL_WORDS,
    PERSONS,
    names_finding,
    plain,
    tokens,
)
from cass_cli.errors import DataError, did_you_mean
from cass_cli.words import count, shown, shown_list

ISIC_CLASSES = ("AK", "BCC", "BKL", "DF", "MEL", "NV", "SCC", "VASC")
CLASS_PREFIX = "label:"  # before the name of a class, in tables that cass wrote
OUR_FACTS = ("status", "width", "height", "mode", "bit_depth", "format", "pages", "cluster", "leak", "disagrees")
LEFT_OUT = "left out"  # how the status begins of an image that is none to learn from, in tables that cass wrote
MANY_BITS = 5  # 0/1 columns beside one called `target` that make it one of them: a class among classes
SAMPLED = 300  # rows whose cells are held against the files


@dataclass(frozen=True)
class Columns:
    """Which columns of a table say what, and how their cells are read.

    None: recognised by their usual names and by what they hold; "none": no column does.
    """

    image: str | None = None
    label: str | None = None  # one column, or 0/1 columns as "a,b,c"
    group: str | None = None
    split: str | None = None
    separator: str | None = None  # between the classes of one image in a cell
    uncertain: Uncertain = "unknown"  # what a -1 among 0 and 1 is
    split_values: Mapping[str, str] = field(default_factory=dict)  # value → train, val, test or none

    @property
    def named(self) -> bool:
        """Whether any column is named: then there is a table."""
        return any(c is not None and not is_none(c) for c in (self.image, self.label, self.group, self.split))


@dataclass(frozen=True)
class Rows:
    """What a table says of each of its rows."""

    images: list[str]
    labels: CellLabels | None
    groups: list[str] | None
    groups_by: str  # what tells them
    splits: list[str] | None  # "none": the publisher's value is mapped to no split
    status: list[str] | None  # in tables that cass wrote
    notes: list[str]


def read_rows(table: Table, image: str, asked: Columns, taken: Collection[str] = ()) -> Rows:
    """Return what `table` says of each row, whose images `image` names; columns `taken` are told apart already.

    Raises DataError for a named column that is absent and where no column can be told to be the one.
    """
    ours = "status" in table.columns and "split" in table.columns
    free = [c for c in table.columns if c not in {image, *taken} and not (ours and c in OUR_FACTS)]
    split = _split_column(table, asked, free)
    free = [c for c in free if c != split]
    group = _group_column(table, asked.group, free)
    free = [c for c in free if c != group and not (split is None and not asked.label and flag_split(c))]
    chosen = _our_labels(free) if ours and not asked.label else _label_columns(table, asked.label, free)
    labels = _labels_of(table, chosen, asked)
    notes = [f"{shown(table.path.name)} has no label column: unlabelled."] if labels is None else list(labels.notes)
    if len(chosen) == 1:
        notes.insert(0, f"Labels come from column '{shown(chosen[0])}'.")
    groups = [known(cell) for cell in table.columns[group]] if group else None
    if group and groups and labels and part_alike(groups, labels.labels):
        notes.append(f"Column '{shown(group)}' parts the images as the labels do: no groups.")
        groups = None
    elif group:
        notes.append(f"Grouped by column '{shown(group)}'.")
    if split:
        notes.append(f"Splits come from column '{shown(split)}'.")
    unused = [
        c for c in table.columns if c not in {image, group, split, *chosen, *taken} and not (ours and c in OUR_FACTS)
    ]
    if unused:
        notes.append(f"Columns not used: {shown_list(unused)}.")
    splits = None if split is None else split_cells(table.path.name, split, table.columns[split], asked.split_values)
    return Rows(
        table.columns[image],
        labels,
        groups,
        f"column {group}",
        splits,
        table.columns["status"] if ours else None,
        notes,
    )


def image_columns(table: Table, asked: str | None, is_image: Callable[[str], bool]) -> list[str]:
    """Return the column of image names; two where each row names a pair of pictures.

    The usual names come first, but a column whose cells name files goes before one whose cells do not. Raises
    DataError where no column looks like it.
    """
    if asked is not None:
        return [pick_column(table, asked, (), "--image-column") or asked]
    usual = [c for word in IMAGE_COLUMNS for c in table.columns if plain(c) == word]
    share = {name: _share(cells, is_image) for name, cells in table.columns.items()}
    others = sorted((c for c in table.columns if c not in usual and share[c] >= 0.5), key=lambda c: -share[c])
    fitting = [c for c in usual if share[c] > 0] + others
    if fitting:
        best = next(c for c in fitting if share[c] >= 0.5 * max(share[f] for f in fitting))
        pair = [c for c in others if c != best and share[c] >= 0.8 and _pictures_differ(table, best, c)]
        return sorted([best, *pair], key=list(table.columns).index) if len(pair) == 1 else [best]
    if usual:
        return usual[:1]
    raise DataError(
        f"No column of {shown(table.path.name)} looks like image names ({shown_list(list(table.columns))}).",
        hint="Name it with --image-column.",
    )


def _share(cells: Sequence[str], is_image: Callable[[str], bool]) -> float:
    """Return which share of the cells names files, each its own: figures that happen to name files, too, do not."""
    filled = [c for c in cells[:: max(1, len(cells) // SAMPLED)] if c]
    return len({c for c in filled if is_image(c)}) / len(filled) if filled else 0.0


def _pictures_differ(table: Table, one: str, other: str) -> bool:
    """Whether no picture stands in both columns: not the same file by name and by path, and no bare figures."""
    named = [{_stem(cell) for cell in table.columns[column] if cell} for column in (one, other)]
    return named[0].isdisjoint(named[1]) and not any(stem.isdecimal() and len(stem) < 4 for stem in named[0] | named[1])


def _stem(cell: str) -> str:
    return cell.replace("\\", "/").rpartition("/")[2].partition(".")[0]


def _split_column(table: Table, asked: Columns, free: Sequence[str]) -> str | None:
    if is_none(asked.split):
        return None
    if asked.split is not None:
        return pick_column(table, asked.split, (), "--split-column")
    wanted = set((asked.label or "").split(",")) | {asked.group}
    return find_split_column(table.columns, [c for c in free if c not in wanted])


def _group_column(table: Table, asked: str | None, free: Sequence[str]) -> str | None:
    if is_none(asked):
        return None
    if asked is not None:
        return pick_column(table, asked, (), "--group-column")
    usual = [c for word in GROUP_COLUMNS for c in free if plain(c) == word]
    persons = [c for word in PERSONS for c in free if word in tokens(c) and not _says(c, COVARIATES | {"name"})]
    return next((c for c in [*usual, *persons] if any(known(cell) for cell in table.columns[c])), None)


def part_alike(groups: Sequence[str], labels: Sequence[tuple[str, ...]]) -> bool:
    """Whether groups are but the labels under other names."""
    said = [(g, label) for g, label in zip(groups, labels, strict=True) if g and label]
    pairs = set(said)
    return 1 < len(pairs) < len(said) and len(pairs) == len({g for g, _ in pairs}) == len({label for _, label in pairs})


def _our_labels(free: Sequence[str]) -> list[str]:
    """Return the label columns of a table that cass wrote."""
    return [c for c in free if c.startswith(CLASS_PREFIX)] or [c for c in free if c == "label"]


def _label_columns(table: Table, asked: str | None, free: list[str]) -> list[str]:
    """Return the label column, or the 0/1 columns, or [] when the table has no labels."""
    if is_none(asked):
        return []
    if asked is not None:
        parts = [asked] if asked in table.columns else [part.strip() for part in asked.split(",")]
        return [column for part in parts if (column := pick_column(table, part, (), "--label-column"))]
    if is_isic(list(table.columns)):
        return list(ISIC_CLASSES)
    free = [c for c in free if any(not is_missing(cell) or cell.startswith("-1") for cell in table.columns[c])]
    bits = [c for c in free if not _says(c, COVARIATES) and is_bits(table.columns[c])]
    named = _named_labels(table, free)
    if len(named) == 1 and named[0] in bits and len(bits) > 1:
        return _one_or_all(table, named[0], bits)
    if len(named) > 1 and not set(named) <= set(bits):
        raise _choice(table, named)
    doubted = [c for c in free if c not in {*named, *bits} and names_finding(c) and not _says(c, COVARIATES)]
    doubted = [c for c in doubted if is_bits(table.columns[c], words=True)]  # True and False
    if len(named) == 1 and doubted and named[0] not in bits and plain(named[0]) not in ("label", "labels", "class"):
        raise _choice(table, [*named, *doubted])
    if len(named) == 1:
        return named
    if len(bits) > 1:
        return bits
    others = [
        c
        for c in free
        if _varies(table.columns[c])
        and not _says(c, COVARIATES)
        and not _says(c, ABOUT_LABELS)
        and not is_name(table, c)
    ]
    if len(others) > 1:
        raise _choice(table, others)
    if others and is_bits(table.columns[others[0]], words=True) and not is_bits(table.columns[others[0]]):
        raise _choice(table, others)  # True and False: no one knows whether it is the label
    return others


def _varies(cells: Sequence[str]) -> bool:
    """Whether a column could be a label: two values or more, or one in its only row."""
    values = {c for c in cells if not is_missing(c) or c.startswith("-1")}
    return len(values) > 1 or (len(values) == len(cells) == 1)


def _named_labels(table: Table, free: Sequence[str]) -> list[str]:
    """Return the columns named as labels are; of several that say the same, the first, and words before numbers."""
    usual = [c for word in LABEL_COLUMNS for c in free if plain(c) == word]
    worded = [c for c in free if _says(c, LABEL_WORDS) and not _says(c, ABOUT_LABELS)]
    found = [c for c in usual if plain(c) in ("label", "labels")] or usual or worded
    found.sort(key=lambda c: all(cell.lstrip("-").isdecimal() for cell in table.columns[c] if cell))
    distinct: list[str] = []
    for column in found:
        cells = table.columns[column]
        if not any(_one_to_one(cells, table.columns[before]) for before in distinct):
            distinct.append(column)
    return distinct


def _one_to_one(one: Sequence[str], other: Sequence[str]) -> bool:
    pairs = set(zip(one, other, strict=True))
    return len(pairs) == len(set(one)) == len(set(other))


def _one_or_all(table: Table, named: str, bits: list[str]) -> list[str]:
    """Choose between a 0/1 column named as labels are and all of the 0/1 columns, of which it may be one class."""
    others = [c for c in bits if c != named]
    if plain(named) not in ("target", "y"):
        return [named]
    if len(others) >= MANY_BITS or any(names_finding(c) for c in others):
        return bits
    raise DataError(
        f"The labels of {shown(table.path.name)} may be column '{shown(named)}', or all of {shown_list(bits, 20)}.",
        hint=f"Choose: --label-column {quote(named)}, or --label-column {quote(','.join(bits))}.",
    )


def _choice(table: Table, columns: Sequence[str]) -> DataError:
    return DataError(
        f"No column of {shown(table.path.name)} can be told to be the label: {shown_list(columns, 20)}.",
        hint=f"Name it, as in --label-column {quote(columns[0])} (several 0/1 columns: a,b,c; without labels: none).",
    )


def _says(column: str, words: Collection[str]) -> bool:
    return not set(tokens(column)).isdisjoint(words) or plain(column) in words


def is_name(table: Table, column: str) -> bool:
    """Whether nearly every cell of a column is its own: names and identifiers, which are no classes."""
    cells = [c for c in table.columns[column] if c]
    return len(cells) > 20 and len(set(cells)) > 0.9 * len(cells) and not is_bits(cells)


def is_isic(columns: Sequence[str]) -> bool:
    """True for the header of ISIC 2019's ground truth."""
    return {"image", *ISIC_CLASSES} <= set(columns)


def _labels_of(table: Table, chosen: list[str], asked: Columns) -> CellLabels | None:
    if not chosen:
        return None
    ours = chosen[0].startswith(CLASS_PREFIX)
    if len(chosen) == 1 and not ours:
        return class_labels(chosen[0], table.columns[chosen[0]], asked.separator)
    columns = {c.removeprefix(CLASS_PREFIX) if ours else c: table.columns[c] for c in chosen}
    skip, notes = [False] * len(table), []
    if chosen == list(ISIC_CLASSES) and is_isic(list(table.columns)):
        skip = [bit(c) == 1 for c in table.columns.get("UNK", [])] or skip
        notes.append("Layout: ISIC 2019 ground truth; column UNK is no class.")
        if any(skip):
            notes.append(f"{count(sum(skip), 'image is', 'images are')} labelled UNK: kept without a label.")
    read = bit_labels(table.path, columns, list(columns), skip, asked.uncertain, always_many=ours)
    return CellLabels(read.labels, read.multilabel, read.unknown, read.classes, (*notes, *read.notes))


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
