"""The table layout: match the rows of a CSV to files, and settle rows that name one image twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from cass_cli.data.frames import file_of
from cass_cli.data.layouts.cells import known
from cass_cli.data.layouts.columns import (
    LEFT_OUT,
    Columns,
    Rows,
    image_columns,
    is_ours,
    is_tiles,
    read_rows,
)
from cass_cli.data.layouts.folders import groups_of_paths, splits_of_paths
from cass_cli.data.layouts.label_columns import is_isic, is_none, pick_column
from cass_cli.data.layouts.lookup import Index, find_images
from cass_cli.data.layouts.pairs import IMAGE, PAIR, one_row_each
from cass_cli.data.layouts.records import Records
from cass_cli.data.layouts.split_values import NONE
from cass_cli.data.layouts.tables import Table, read_table
from cass_cli.data.layouts.vocabulary import GROUP_COLUMNS, IMAGE_COLUMNS, LABEL_COLUMNS, plain, tokens
from cass_cli.errors import DataError
from cass_cli.words import count, shown, shown_list

MOST_REASONS = 10  # why images are left out, that are told one by one


@dataclass(frozen=True)
class HowToRead:
    """What is asked of a table besides its columns."""

    columns: Columns
    allow_outside: bool = False
    skip_missing: bool = False  # rows without a file are left out


def named_table(root: Path, labels: Path) -> Path:
    """Return the CSV `labels`, in the current folder or else in `root`; raise `DataError` where it is in neither."""
    found = next((place for place in (labels.expanduser(), root / labels) if place.is_file()), None)
    if found is None:
        raise DataError(f"There is no CSV {shown(str(labels))} (looked here and in {root}).")
    return found.resolve()


def open_table(path: Path, index: Index) -> Table:
    """Return the table at `path`, which may lack a header, read once; raises `DataError` as `read_table` does."""
    if path not in index.opened:
        usual = {*IMAGE_COLUMNS, *LABEL_COLUMNS, *GROUP_COLUMNS, "split"}
        index.opened[path] = read_table(path, is_image=index.has, usual=usual)
    return index.opened[path]


def read_labelled(table: Table, index: Index, how: HowToRead) -> Records:
    """Return the images that the table names, one entry an image, with its labels, groups and splits.

    Where no column gives the split, train/val/test folders in the paths do. Rows that repeat one image are merged
    when they agree. Raises DataError as `read_rows` and `find_images` do, and for rows that disagree.
    """
    path, columns = table.path, how.columns
    images = image_columns(table, columns.image, index.has)
    notes = [f"Layout: a CSV, {shown(path.name)}."]
    if table.headless:
        notes.append(f"{shown(path.name)} has no header: column 1, column 2, …")
    if len(images) == 2:
        table, note = one_row_each(table, images)
        rows = read_rows(table, IMAGE, columns, taken=[PAIR])
        if rows.groups is None and columns.group is None:
            rows = replace(rows, groups=list(table.columns[PAIR]), groups_by="rows of pairs")
        notes.append(note)
    else:
        if plain(images[0]) not in IMAGE_COLUMNS and columns.image is None:
            notes.append(f"Images are named in column '{shown(images[0])}'.")
        rows = read_rows(table, images[0], columns)
    notes += rows.notes
    skipped = _not_meant(rows)
    wanted = [i for i in range(len(rows.images)) if i not in skipped]
    found = find_images(
        [rows.images[i] for i in wanted], index, path, allow_outside=how.allow_outside, skip_missing=how.skip_missing
    )
    left_out = [(name, why) for i, why in skipped.items() for name in index.hits(rows.images[i])[:1]]
    left_out += [(name, "no such file") for name in found.absent]
    kept = [i for i, name in zip(wanted, found.names, strict=True) if name]
    names = [name for name in found.names if name]
    if not names:
        raise DataError(f"{shown(path.name)} leaves no image: each row says that its own is left out.")
    rows, notes = _of_rows(rows, kept), [*notes, *found.notes, *_skipped_notes(skipped)]
    if rows.groups is None and columns.group is None and is_isic(list(table.columns)):
        rows = replace(rows, groups=_isic_lesions(path, rows.images, notes), groups_by="column lesion_id")
    tiles, files = is_tiles(table), [file_of(name) for name in names]  # folders of tiles are slides: test_001
    if rows.splits is None and not (tiles or is_none(columns.split)) and (splits := splits_of_paths(files)) is not None:
        rows = replace(rows, splits=splits)
        notes.append("Splits come from the folders.")
    if rows.groups is None and columns.group is None and not tiles:
        groups, by, told = groups_of_paths(files)
        rows, notes = replace(rows, groups=groups, groups_by=by), notes + told
    first = _first_rows(names, rows, path.name)
    if len(first) < len(names):
        notes.append(f"{count(len(names) - len(first), 'row repeats', 'rows repeat')} an image: merged.")
    unnamed = sorted(set(index.scan.images).difference(files, (name for name, _ in left_out)))
    if unnamed:
        notes.append(f"{count(len(unnamed), 'image is', 'images are')} in the folder but not in the CSV: left out.")
        left_out += [(name, f"not in {path.name}") for name in unnamed]
    records = _records([names[i] for i in first], _of_rows(rows, first), left_out, notes)
    return replace(records, listed=True, ours=is_ours(table))


def _not_meant(rows: Rows) -> dict[int, str]:
    """Return the rows that say themselves that their image is none to learn from, and why."""
    skipped = {i: "its split is mapped to none" for i, split in enumerate(rows.splits or ()) if split == NONE}
    for i, status in enumerate(rows.status or ()):
        if status.startswith(LEFT_OUT):
            skipped[i] = status.removeprefix(LEFT_OUT).lstrip(": ") or "left out in the table"
    return skipped


def _skipped_notes(skipped: dict[int, str]) -> list[str]:
    reasons = Counter(skipped.values())
    return [f"{count(n, 'image')}: {reason}: left out." for reason, n in reasons.most_common(MOST_REASONS)]


def _of_rows(rows: Rows, kept: Sequence[int]) -> Rows:
    """Return what is said of the rows `kept`."""
    labels = rows.labels
    if labels is not None:
        unknown = None if labels.unknown is None else [labels.unknown[i] for i in kept]
        labels = replace(labels, labels=[labels.labels[i] for i in kept], unknown=unknown)
    return Rows(
        images=[rows.images[i] for i in kept],
        labels=labels,
        groups=None if rows.groups is None else [rows.groups[i] for i in kept],
        groups_by=rows.groups_by,
        splits=None if rows.splits is None else [rows.splits[i] for i in kept],
        status=None,
        notes=rows.notes,
        subgroups={column: [cells[i] for i in kept] for column, cells in rows.subgroups.items()},
    )


def _records(names: list[str], rows: Rows, left_out: list[tuple[str, str]], notes: list[str]) -> Records:
    labels = rows.labels
    return Records(
        names=names,
        labels=None if labels is None else labels.labels,
        multilabel=labels is not None and labels.multilabel,
        unknown=None if labels is None else labels.unknown,
        classes=None if labels is None else labels.classes,
        groups=rows.groups,
        groups_by=rows.groups_by,
        splits=rows.splits,
        subgroups=rows.subgroups,
        left_out=left_out,
        notes=notes,
    )


def _first_rows(names: Sequence[str], rows: Rows, table: str) -> list[int]:
    """Return the first row of each image; raises DataError where a later row of the same image differs."""
    labels = None if rows.labels is None else rows.labels.labels
    unknown = None if rows.labels is None else rows.labels.unknown
    columns = [column for column in (labels, unknown, rows.groups, rows.splits) if column is not None]
    first: dict[str, int] = {}
    conflicts: list[str] = []
    for row, name in enumerate(names):
        before = first.setdefault(name, row)
        if before != row and any(column[before] != column[row] for column in columns):
            conflicts.append(name)
    if conflicts:
        differing = list(dict.fromkeys(conflicts))
        raise DataError(
            f"{shown(table)} has rows that contradict each other for {count(len(differing), 'image')}: "
            f"{shown_list(differing)}",
            hint="Keep one row an image; several labels of one image go in one cell, as a;b.",
        )
    return list(first.values())


def _isic_lesions(path: Path, images: list[str], notes: list[str]) -> list[str] | None:
    """Return the lesion of each image from ISIC's metadata CSV beside the ground truth, if it lies there."""
    metadata = path.with_name(path.name.replace("GroundTruth", "Metadata"))
    if metadata == path or not metadata.is_file():
        notes.append("No ISIC metadata CSV beside the ground truth: lesions unknown, images are not grouped.")
        return None
    table = read_table(metadata)
    image = pick_column(table, None, IMAGE_COLUMNS, "--image-column")
    group = pick_column(table, None, GROUP_COLUMNS, "--group-column")
    if image is None or group is None:
        return None
    lesions = {PurePosixPath(n).stem: known(g) for n, g in zip(table.columns[image], table.columns[group], strict=True)}
    groups = [lesions.get(PurePosixPath(n).stem, "") for n in images]
    alone = f"; {groups.count(''):,} images without one stand alone" if "" in groups else ""
    notes.append(f"Grouped by column '{group}' of {metadata.name}{alone}.")
    return groups


def is_about_labels(path: Path) -> bool:
    """True for a file called as tables of labels are: one that must not be passed over in silence."""
    words = {"label", "labels", "train", "training", "metadata", "groundtruth", "annotations", "data", "entry", "meta"}
    return not words.isdisjoint(tokens(path.stem)) or "groundtruth" in plain(path.stem)
