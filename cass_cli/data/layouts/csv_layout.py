"""The CSV layout: find the table, match its rows to files, and settle rows that name one image twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from cass_cli.data.layouts.columns import (
    GROUP_COLUMNS,
    IMAGE_COLUMNS,
    Columns,
    Rows,
    is_isic,
    is_none,
    known,
    pick_column,
    plain,
    read_rows,
)
from cass_cli.data.layouts.folders import splits_of_paths
from cass_cli.data.layouts.lookup import find_images
from cass_cli.data.layouts.records import Records
from cass_cli.data.layouts.scan import Scan
from cass_cli.data.layouts.tables import read_header, read_table
from cass_cli.errors import DataError
from cass_cli.words import count, shown, shown_list


def find_table(
    scan: Scan, labels: Path | None, image_column: str | None, layout: str, *, demanded: bool
) -> Path | None:
    """Return the CSV to read: `labels`, found as `named_table` does, or the one lying in the root.

    Of several in the root, `labels.csv` wins, then ISIC 2019's ground truth (training before test).
    Raises DataError when the choice is open, or when a table is `demanded` and there is none.
    """
    if labels is not None:
        return named_table(scan.root, labels)
    headers = {name: read_header(scan.root / name) for name in scan.tables}
    isic = [name for name in headers if is_isic(headers[name])]
    if layout == "isic2019" and not isic:
        raise DataError(
            f"There is no ISIC 2019 ground truth in {scan.root}.",
            hint="Put ISIC_2019_Training_GroundTruth.csv beside ISIC_2019_Training_Input/, or give it with --labels.",
        )
    usable = [name for name, head in headers.items() if _names_images(head, image_column)]
    best = [n for n in usable if n.lower() == "labels.csv"] or sorted(isic, key=_training_last)[-1:] or usable
    if len(best) > 1:
        raise DataError(f"Several CSV files lie in {scan.root}: {shown_list(best)}.", hint="Choose with --labels.")
    if not best and demanded:
        lying = f" with a column of image names (there are: {shown_list(scan.tables)})" if scan.tables else ""
        raise DataError(f"There is no CSV{lying} in {scan.root}.", hint="Give it with --labels.")
    return scan.root / best[0] if best else None


def named_table(root: Path, labels: Path) -> Path:
    """Return the CSV `labels`, in the current folder or else in `root`; raise `DataError` where it is in neither."""
    found = next((place for place in (labels.expanduser(), root / labels) if place.is_file()), None)
    if found is None:
        raise DataError(f"There is no CSV {shown(str(labels))} (looked here and in {root}).")
    return found.resolve()


def _names_images(header: list[str], image_column: str | None) -> bool:
    if image_column is not None:
        return image_column in header
    return any(plain(name) in IMAGE_COLUMNS for name in header)


def _training_last(name: str) -> tuple[bool, str]:
    return "training" in name.lower(), name


def read_labelled(scan: Scan, path: Path, columns: Columns, *, allow_outside: bool) -> Records:
    """Return the images that the CSV at `path` names, one entry an image, with its labels, groups and splits.

    Where no column gives the split, train/val/test folders in the paths do. Rows that repeat one image are merged
    when they agree. Raises DataError as `read_table`, `read_rows` and `find_images` do, and for rows that disagree.
    """
    table = read_table(path)
    rows = read_rows(table, columns)
    names = find_images(rows.images, scan, path, allow_outside=allow_outside)
    notes = [f"Layout: a CSV, {shown(path.name)}.", *rows.notes]
    if rows.groups is None and columns.group is None and is_isic(list(table.columns)):
        rows = replace(rows, groups=_isic_lesions(path, rows.images, notes))
    if rows.splits is None and not is_none(columns.split) and (splits := splits_of_paths(names)) is not None:
        rows = replace(rows, splits=splits)
        notes.append("Splits come from the folders.")
    kept = _first_rows(names, rows, path.name)
    if len(kept) < len(names):
        notes.append(f"{count(len(names) - len(kept), 'row repeats', 'rows repeat')} an image: merged.")
    unnamed = len(set(scan.images).difference(names))
    if unnamed:
        notes.append(f"{count(unnamed, 'image is', 'images are')} in the folder but not in the CSV: left out.")
    return Records(
        names=[names[i] for i in kept],
        labels=None if rows.labels is None else [rows.labels[i] for i in kept],
        multilabel=rows.multilabel,
        classes=rows.classes,
        groups=None if rows.groups is None else [rows.groups[i] for i in kept],
        splits=None if rows.splits is None else [rows.splits[i] for i in kept],
        notes=notes,
    )


def _first_rows(names: Sequence[str], rows: Rows, table: str) -> list[int]:
    """Return the first row of each image; raises DataError where a later row of the same image differs."""
    columns = [column for column in (rows.labels, rows.groups, rows.splits) if column is not None]
    first: dict[str, int] = {}
    conflicts: list[str] = []
    for row, name in enumerate(names):
        before = first.setdefault(name, row)
        if any(column[before] != column[row] for column in columns):
            conflicts.append(name)
    if conflicts:
        raise DataError(
            f"{shown(table)} has rows that contradict each other for {count(len(conflicts), 'image')}: "
            f"{shown_list(conflicts)}",
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
