"""Which column of a table is the label, or which 0/1 columns are the classes: by their names and by what they hold."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from shlex import quote

from cass_cli.data.layouts.cells import is_bits, is_missing
from cass_cli.data.layouts.tables import Table
from cass_cli.data.layouts.vocabulary import (
    ABOUT_LABELS,
    COVARIATES,
    LABEL_COLUMNS,
    LABEL_WORDS,
    NO_FINDING,
    TYPE_COLUMNS,
    names_finding,
    plain,
    tokens,
)
from cass_cli.errors import DataError, did_you_mean
from cass_cli.words import shown, shown_list

ISIC_CLASSES = ("AK", "BCC", "BKL", "DF", "MEL", "NV", "SCC", "VASC")
CLASS_PREFIX = "label:"  # before the name of a class, in tables that cass wrote
AGREED = {"consensus", "majority", "adjudicated", "gold", "final", "standard"}
STRONG = {"label", "labels", "class", "classes", "category", "diagnosis", "diagnostic", "dx"}  # and nothing but labels


def label_columns(table: Table, asked: str | None, free: list[str], *, ours: bool) -> list[str]:
    """Return the label column, or the 0/1 columns, or [] when the table has no labels.

    `asked` names them; else they are among the columns `free`. `ours`: cass wrote the table. Raises `DataError` that
    lists the columns and the option where several may be the label.
    """
    if is_none(asked):
        return []
    if asked is not None:
        parts = [asked] if asked in table.columns else [part.strip() for part in asked.split(",")]
        return [column for part in parts if (column := pick_column(table, part, (), "--label-column"))]
    if ours:
        return [c for c in free if c.startswith(CLASS_PREFIX)] or [c for c in free if c == "label"]
    return list(ISIC_CLASSES) if is_isic(list(table.columns)) else _recognised(table, free)


def _recognised(table: Table, free: Sequence[str]) -> list[str]:
    """Return the columns named as labels are, else the 0/1 columns, else the only one left that may be a label."""
    free = [c for c in free if any(not is_missing(cell) or cell.startswith("-1") for cell in table.columns[c])]
    bits = [c for c in free if not says(c, COVARIATES) and is_bits(table.columns[c])]
    named = _named_labels(table, free)
    if len(named) == 1 and named[0] in bits and len(bits) > 1:
        return _one_or_all(table, named[0], bits)
    if named and not set(named) <= set(bits):
        rivals = named if len(named) > 1 else [*named, *_findings(table, free, named[0])]
        if len(rivals) > 1:
            raise _choice(table, rivals)
        return named
    if named and len(bits) < 2:
        return named
    others = _left_over(table, [c for c in free if len(bits) < 2 or c not in bits])
    if len(bits) > 1 and not others:
        return bits
    worded = [c for c in others if is_bits(table.columns[c], words=True) and not is_bits(table.columns[c])]
    if len(bits) > 1 or len(others) > 1 or worded:  # of True and False no one knows whether it is the label
        raise _choice(table, list(dict.fromkeys([*bits, *others])))
    return others


def _findings(table: Table, free: Sequence[str], named: str) -> list[str]:
    """Return the columns of True and False named after a finding: `malignant` beside `disease` may be the label."""
    if plain(named) in ("label", "labels", "class"):  # no word of medicine: it can be nothing else
        return []
    told = [c for c in free if c != named and names_finding(c) and not says(c, COVARIATES)]
    return [c for c in told if is_bits(table.columns[c], words=True) and not is_bits(table.columns[c])]


def _left_over(table: Table, free: Sequence[str]) -> list[str]:
    """Return the columns that may be labels, though nothing says so but that they are left."""
    known = COVARIATES | ABOUT_LABELS
    told = [c for c in free if not says(c, known) and not _is_name(table.columns[c])]
    return [c for c in told if _varies(table.columns[c]) or is_bits(table.columns[c], words=True)]


def _varies(cells: Sequence[str]) -> bool:
    """Whether a column could be a label: two values or more, or one in its only row."""
    values = {c for c in cells if not is_missing(c) or c.startswith("-1")}
    return len(values) > 1 or (len(values) == len(cells) == 1)


def _named_labels(table: Table, free: Sequence[str]) -> list[str]:
    """Return the columns named as labels are; of several that say the same, the first, and words before numbers."""
    places = "x" in map(plain, table.columns)  # then y is one, too
    usual = [c for word in LABEL_COLUMNS for c in free if plain(c) == word and not (places and word == "y")]
    worded = [
        c
        for c in free
        if plain(c) in TYPE_COLUMNS
        or (says(c, LABEL_WORDS) and not says(c, ABOUT_LABELS) and c.lower() not in NO_FINDING)
    ]
    found = [c for c in usual if plain(c) in ("label", "labels")] or usual or worded
    found.sort(key=lambda c: all(_is_number(cell) for cell in table.columns[c] if cell))  # words before numbers
    distinct: list[str] = []
    for column in found:
        cells = table.columns[column]
        if not any(_one_to_one(cells, table.columns[before]) for before in distinct):
            distinct.append(column)
    return distinct


def _is_number(cell: str) -> bool:
    return cell.replace(".", "", 1).replace("-", "", 1).isdecimal()


def _one_to_one(one: Sequence[str], other: Sequence[str]) -> bool:
    pairs = set(zip(one, other, strict=True))
    return len(pairs) == len(set(one)) == len(set(other))


def _one_or_all(table: Table, named: str, bits: list[str]) -> list[str]:
    """Choose between a 0/1 column named as labels are and all of the 0/1 columns, of which it may be one class."""
    if not STRONG.isdisjoint(tokens(named)):
        return [named]
    if any(names_finding(c) for c in bits if c != named):
        return bits
    raise DataError(
        f"The labels of {shown(table.path.name)} may be column '{shown(named)}', or all of {shown_list(bits, 20)}.",
        hint=f"Choose: --label-column {quote(named)}, or --label-column {quote(','.join(bits))}.",
    )


def _choice(table: Table, columns: Sequence[str]) -> DataError:
    return DataError(
        f"No column of {shown(table.path.name)} can be told to be the label: {shown_list(columns, 20)}.",
        hint=f"Name it, as in --label-column {quote(_likeliest(table, columns))} (several 0/1 columns: a,b,c; without "
        "labels: none).",
    )


def _likeliest(table: Table, columns: Sequence[str]) -> str:
    """Return what an example names: all of them where each says yes or no, else one that others agreed on, or one."""
    if all(is_bits(table.columns[c], words=True) for c in columns):
        return ",".join(columns)
    return next((c for c in columns if not AGREED.isdisjoint(tokens(c))), columns[0])


def says(column: str, words: Collection[str]) -> bool:
    """Whether a word of the column's name is one of `words`."""
    return not set(tokens(column)).isdisjoint(words) or plain(column) in words


def _is_name(column: Sequence[str]) -> bool:
    """Whether nearly every cell of a column is its own: names and identifiers, which are no classes."""
    cells = [c for c in column if c]
    return len(cells) > 20 and len(set(cells)) > 0.9 * len(cells) and not is_bits(cells)


def is_isic(columns: Sequence[str]) -> bool:
    """True for the header of ISIC 2019's ground truth."""
    return {"image", *ISIC_CLASSES} <= set(columns)


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
