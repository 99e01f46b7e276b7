"""Which column of a table of images says what: the image, its label or 0/1 columns, its group, its split."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from cass_cli.data.layouts.cells import CellLabels, Uncertain, bit, bit_labels, class_labels, known
from cass_cli.data.layouts.label_columns import (
    CLASS_PREFIX,
    ISIC_CLASSES,
    is_isic,
    is_none,
    label_columns,
    pick_column,
    says,
)
from cass_cli.data.layouts.split_values import find_split_column, flag_split, split_cells
from cass_cli.data.layouts.tables import Table
from cass_cli.data.layouts.vocabulary import (
    COVARIATES,
    GROUP_COLUMNS,
    IMAGE_COLUMNS,
    LABEL_WORDS,
    MASK_WORDS,
    PERSONS,
    SUBGROUPS,
    plain,
    tokens,
)
from cass_cli.errors import DataError
from cass_cli.words import count, shown, shown_list

OUR_FACTS = ("status", "width", "height", "mode", "bit_depth", "format", "pages", "cluster", "leak", "disagrees")
TILE_COLUMNS = ("image", "slide", "patient", "x", "y")  # how a table of tiles begins, see `engine/tiling/`
LEFT_OUT = "left out"  # how the status begins of an image that is none to learn from, in tables that cass wrote
SAMPLED = 300  # rows whose cells are held against the files


@dataclass(frozen=True)
class Columns:
    """Which columns of a table say what, and how their cells are read.

    None: recognised by their usual names and by what they hold; "none": no column does.
    """

    image: str | None = None
    label: str | None = None  # one column, or 0/1 columns as "a,b,c"
    group: str | None = None
    known_group: bool = False  # the publisher says that `group` tells patients: it may part images as the labels do
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
    subgroups: dict[str, list[str]] = field(default_factory=dict)  # column → its cells: sex, age, site, …


def read_rows(table: Table, image: str, asked: Columns, taken: Collection[str] = ()) -> Rows:
    """Return what `table` says of each row, whose images `image` names; columns `taken` are told apart already.

    Raises DataError for a named column that is absent and where no column can be told to be the one.
    """
    ours, tiles = is_ours(table), is_tiles(table)
    facts = OUR_FACTS if ours else ("slide", "x", "y") if tiles else ()
    free = [c for c in table.columns if c not in {image, *taken, *facts}]
    split = _split_column(table, asked, free)
    free = [c for c in free if c != split]
    group = group_column(table, asked.group or ("patient" if tiles else None), free)
    free = [c for c in free if c != group and not (split is None and not asked.label and flag_split(c))]
    chosen = label_columns(table, asked.label, free, ours=ours)
    labels = _labels_of(table, chosen, asked)
    notes = [f"{shown(table.path.name)} has no label column: unlabelled."] if labels is None else list(labels.notes)
    if len(chosen) == 1:
        notes.insert(0, f"Labels come from column '{shown(chosen[0])}'.")
    groups = _known(table.columns[group]) if group else None
    if group and groups and len(groups) > 1 and len(set(groups)) == 1 and groups[0]:
        notes.append(f"Column '{shown(group)}' says {shown(groups[0])} of every image: no groups.")
        groups = None
    elif group and groups and labels and not (tiles or asked.known_group) and part_alike(groups, labels.labels):
        notes.append(f"Column '{shown(group)}' parts the images as the labels do: no groups.")
        groups = None
    elif group:
        notes.append(f"Grouped by column '{shown(group)}'.")
    if split:
        notes.append(f"Splits come from column '{shown(split)}'.")
    unused = [c for c in table.columns if c not in {image, group, split, *chosen, *taken, *facts}]
    subgroups = {c: _known(table.columns[c]) for c in unused if says(c, SUBGROUPS)}
    subgroups = {c: cells for c, cells in subgroups.items() if len(set(cells)) > 1}
    if subgroups:
        notes.append(f"Kept for comparing subgroups: {shown_list(list(subgroups))}.")
    if unused := [c for c in unused if c not in subgroups]:
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
        subgroups,
    )


def is_ours(table: Table) -> bool:
    """Whether cass wrote the table, by its first columns and what its `status` says."""
    if list(table.columns)[:2] != ["image", "split"] or "status" not in table.columns:
        return False
    return all(cell == "ok" or cell.startswith(("unreadable", LEFT_OUT)) for cell in set(table.columns["status"]))


def is_tiles(table: Table) -> bool:
    """Whether `cass tile` wrote the table: it tells what each tile is of, and the folders of the tiles tell nothing."""
    return tuple(table.columns)[: len(TILE_COLUMNS)] == TILE_COLUMNS


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
        pair = [c for c in others if c != best and share[c] >= 0.8 and not says(c, MASK_WORDS)]
        pair = [c for c in pair if _pictures_differ(table, best, c)]
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


def group_column(table: Table, asked: str | None, free: Sequence[str]) -> str | None:
    """Return the column of patients or lesions: the one that is asked for, else one of `free`; None: there is none."""
    if is_none(asked):
        return None
    if asked is not None:
        return pick_column(table, asked, (), "--group-column")
    free = [c for c in free if not _parts_few(c, table.columns[c])]
    usual = [c for word in GROUP_COLUMNS for c in free if plain(c) == word]
    labels = LABEL_WORDS | {"name", "type", "status", "group"}
    persons = [c for word in PERSONS for c in free if word in tokens(c) and not says(c, COVARIATES | labels)]
    return next((c for c in [*usual, *persons] if any(known(cell) for cell in table.columns[c])), None)


def _parts_few(column: str, cells: Sequence[str]) -> bool:
    """Whether a column called `case` or `group` parts many rows into a handful: case and control, not patients."""
    return plain(column) in ("case", "group") and len(set(_known(cells)) - {""}) < 6 < len(cells) // 4


def part_alike(groups: Sequence[str], labels: Sequence[tuple[str, ...]]) -> bool:
    """Whether groups are but the labels under other names."""
    said = [(g, label) for g, label in zip(groups, labels, strict=True) if g and label]
    pairs = set(said)
    return 1 < len(pairs) < len(said) and len(pairs) == len({g for g, _ in pairs}) == len({label for _, label in pairs})


def _known(cells: Sequence[str]) -> list[str]:
    """Return the cells, "" where the value is missing; each distinct one is looked at once."""
    values = {cell: known(cell) for cell in set(cells)}
    return [values[cell] for cell in cells]


def _labels_of(table: Table, chosen: list[str], asked: Columns) -> CellLabels | None:
    if not chosen:
        return None
    ours = chosen[0].startswith(CLASS_PREFIX)
    if len(chosen) == 1 and not ours:
        cells, by_name = table.columns[chosen[0]], asked.label is not None
        return class_labels(chosen[0], cells, asked.separator, asked=by_name, ours=is_ours(table) and not by_name)
    columns = {c.removeprefix(CLASS_PREFIX) if ours else c: table.columns[c] for c in chosen}
    skip, notes = [False] * len(table), []
    if chosen == list(ISIC_CLASSES) and is_isic(list(table.columns)):
        skip = [bit(c) == 1 for c in table.columns.get("UNK", [])] or skip
        notes.append("Layout: ISIC 2019 ground truth; column UNK is no class.")
        if any(skip):
            notes.append(f"{count(sum(skip), 'image is', 'images are')} labelled UNK: kept without a label.")
    read = bit_labels(table.path, columns, list(columns), skip, asked.uncertain, always_many=ours)
    return CellLabels(read.labels, read.multilabel, read.unknown, read.classes, (*notes, *read.notes))
