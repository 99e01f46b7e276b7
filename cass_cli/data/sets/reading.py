"""How readers of public sets are made: of a table with known columns, or of names that follow one pattern."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from cass_cli.data.decode.kinds import suffix_of
from cass_cli.data.layouts.cells import known
from cass_cli.data.layouts.columns import Columns
from cass_cli.data.layouts.csv_layout import HowToRead, open_table, read_labelled
from cass_cli.data.layouts.folders import splits_of_paths
from cass_cli.data.layouts.lookup import Index
from cass_cli.data.layouts.records import Records
from cass_cli.data.layouts.scan import ARCHIVE_SUFFIXES
from cass_cli.data.layouts.split_values import SPLITS
from cass_cli.data.layouts.tables import Table
from cass_cli.errors import DataError
from cass_cli.words import count, shown_list

SPLIT = "split of the publisher"
GROUP = "patient"
LOOKED_AT = 200  # rows that show whether the files of a table are there


def find_table(index: Index, called: str, *columns: str) -> Table | None:
    """Return the table whose file name matches `called`, a regular expression, with at least these columns.

    Of several names that match, the last in order, which is the newest version; None where two files bear that name.
    """
    pattern = re.compile(called, re.IGNORECASE)
    named: dict[str, list[str]] = {}
    for name in index.scan.tables:
        if pattern.fullmatch(file := PurePosixPath(name).name):
            named.setdefault(file, []).append(name)
    if not named or len(named[max(named)]) > 1:
        return None
    with suppress(DataError):
        table = open_table(index.scan.root / named[max(named)][0], index)
        return table if set(columns) <= table.columns.keys() else None
    return None


def is_there(index: Index, names: Sequence[str]) -> bool:
    """Whether any of the first names of a table is a file: many have but one part of a set."""
    return any(index.hits(name) or index.near(name)[0] for name in names[:LOOKED_AT])


def stacked(tables: Mapping[str, Table], columns: Sequence[str]) -> Table:
    """Return the rows of tables of one split each below one another; of several, with a column of the split."""
    first = next(iter(tables.values()))
    columns = [*columns, *(c for table in tables.values() for c in table.columns)]  # with what tells subgroups
    joined = {
        c: [cell for table in tables.values() for cell in table.columns.get(c) or [""] * len(table)]
        for c in dict.fromkeys(columns)
    }
    if len(tables) > 1:
        joined[SPLIT] = [split for split, table in tables.items() for _ in range(len(table))]
    return replace(first, path=Path(" + ".join(table.path.name for table in tables.values())), columns=joined)


def beside(table: Table, others: Sequence[Table | None], image: str = "image") -> Table:
    """Return the table with the further columns of others, matched by the images' names; "" where they say nothing."""
    stems = [PurePosixPath(name).stem for name in table.columns[image]]
    added: dict[str, dict[str, str]] = {}
    for other in filter(None, others):
        named = [PurePosixPath(name).stem for name in other.columns[image]]
        for column in other.columns.keys() - table.columns.keys():
            added.setdefault(column, {}).update(zip(named, map(known, other.columns[column]), strict=True))
    columns = {column: [told.get(stem, "") for stem in stems] for column, told in sorted(added.items())}
    return replace(table, columns={**table.columns, **columns})


def with_column(table: Table, name: str, cells: list[str]) -> Table:
    """Return the table with one more column, or with other cells in it."""
    return replace(table, columns={**table.columns, name: cells})


def read_table_as(table: Table, index: Index, how: HowToRead, columns: Columns, *, skip: bool = False) -> Records:
    """Return what the table says by these columns; those that the user names go before them.

    With `skip`, rows without a file are left out and counted: of sets that nobody has whole.
    """
    asked = how.columns
    merged = replace(
        asked,
        image=asked.image or columns.image,
        label=asked.label or columns.label,
        group=asked.group or columns.group,
        known_group=asked.group is None and columns.group is not None,
        split=asked.split or columns.split,
        separator=asked.separator or columns.separator,
    )
    return read_labelled(table, index, replace(how, columns=merged, skip_missing=how.skip_missing or skip))


@dataclass(frozen=True)
class Pattern:
    """A set whose paths tell everything: named groups `label`, `group` and `split` in a pattern of path ends."""

    path: str  # regular expression of the end of every image's path
    classes: Mapping[str, str]  # what stands in the path → class; all folders that the publisher ships
    splits: Mapping[str, str] | None = None  # the same of splits
    groups_by: str = ""

    def read(self, index: Index, how: HowToRead) -> Records | None:
        """Return what the paths tell; None where one of them is not the set's, or fewer than two classes are there."""
        strange = any(suffix_of(name) not in ARCHIVE_SUFFIXES for name in index.scan.unread)
        if how.columns.named or strange:
            return None
        expression = re.compile(rf"(?:.*/)?{self.path}")
        told: list[dict[str, str | None]] = []
        for name in index.scan.images:  # of most folders the first is none
            if (match := expression.fullmatch(name)) is None:
                return None
            told.append(match.groupdict())
        if self.splits is None and splits_of_paths(index.scan.images) is not None:
            return None  # somebody has put them into folders of splits
        labels = [self.classes[part["label"] or ""] for part in told]
        if len(set(labels)) < 2:
            return None
        splits = [(self.splits or {}).get(part.get("split") or "", "") for part in told]
        groups = [part.get("group") or "" for part in told]
        return Records(
            names=list(index.scan.images),
            labels=[(label,) for label in labels],
            groups=groups if any(groups) else None,
            groups_by=self.groups_by if any(groups) else "",
            splits=splits if any(splits) else None,
            notes=[
                f"Labels come from the paths: {shown_list(sorted(set(labels)), 10)}.",
                *_grouped(groups, self.groups_by),
                *_split(splits),
            ],
        )


def _grouped(groups: Sequence[str], by: str) -> list[str]:
    named = {group for group in groups if group}
    return [f"Grouped by {by}: {count(len(named), 'group')}."] if named else []


def _split(splits: Sequence[str]) -> list[str]:
    sizes = Counter(splits)
    told = [f"{name} {sizes[name]:,}" for name in SPLITS if sizes[name]]
    return [f"Splits are the publisher's: {shown_list(told)}."] if any(splits) else []
