"""What the cells of label columns say: one class, a list of classes, or 0 and 1 and neither."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cass_cli.data.layouts.records import in_order
from cass_cli.data.layouts.vocabulary import MISSING, NO_FINDING, plain
from cass_cli.errors import DataError
from cass_cli.words import count, shown, shown_list

Uncertain = Literal["unknown", "as-negative", "as-positive"]
BITS = {"0": 0, "0.0": 0, "1": 1, "1.0": 1}
WORDS = {
    **dict.fromkeys(("false", "no", "n", "absent", "negative", "neg", "nein", "non"), 0),
    **dict.fromkeys(("true", "yes", "y", "present", "positive", "pos", "ja", "oui", "x", "+"), 1),
}
UNCERTAIN = {"-1", "-1.0", "u", "uncertain"}
SEPARATORS = (";", "|")  # which part a list wherever they stand
OTHER_SEPARATORS = (",", "/", "&")  # which may belong to the name of a class
FEW_NUMBERS = 10  # distinct numbers that are classes, whatever they are

_PLAIN_NUMBER = re.compile(r"(-?)(\d+)(?:\.(\d*))?", re.ASCII)
_PYTHON_LIST = re.compile(r"\[\s*(['\"].*['\"])?\s*\]|\[\s*\]")


@dataclass(frozen=True)
class CellLabels:
    """The labels of each row as its cells say them."""

    labels: list[tuple[str, ...]]
    multilabel: bool = False
    unknown: list[tuple[str, ...]] | None = None  # multi-label: the classes that a row says nothing certain of
    classes: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()


def is_missing(cell: str) -> bool:
    """Whether the cell says that there is no value; NAT, in capitals, is a tissue."""
    return cell.lower() in MISSING and cell != "NAT"


def known(cell: str) -> str:
    """Return the cell, or "" where it says that the value is missing."""
    return "" if is_missing(cell) or cell.lower() in {"none", "unknown"} else cell


def bit(cell: str) -> int:
    """Return 0 or 1 for a cell that says so in figures or words, else -1."""
    return BITS.get(cell.lower(), WORDS.get(cell.lower(), -1))


def is_bits(cells: Iterable[str], *, words: bool = False) -> bool:
    """Whether a column holds 0 and 1 (with `words`, True and False too), perhaps uncertain or missing ones."""
    values = {c.lower() for c in cells}
    said = BITS.keys() | (WORDS.keys() if words else set())
    return values <= said | MISSING | UNCERTAIN and bool(values & said)


def class_labels(
    column: str, cells: list[str], separator: str | None, *, asked: bool = False, ours: bool = False
) -> CellLabels:
    """Read one column: a class a cell, or several parted by `separator` (None: by ; or |, or as Python lists).

    Raises DataError for numbers that are measurements rather than classes (whole ones pass where the column was
    `asked` for by name), and where every row has its own value. In a table that cass wrote, `ours`, a cell is a class,
    whatever it looks like; only runs of old listed several, as a;b.
    """
    if ours and not any(";" in cell for cell in cells):
        return CellLabels([(cell,) if cell else () for cell in cells])
    lists, how = _lists(cells, separator)
    if lists is not None:
        lists, merged = merge_spellings(lists)
        named = [tuple(part for part in parts if part.lower() not in NO_FINDING) for parts in lists]
        free = sum(bool(a) and not b for a, b in zip(lists, named, strict=True))
        note = f"{count(sum(len(x) > 1 for x in named), 'row lists', 'rows list')} several labels {how}: multi-label."
        none = [f"{count(free, 'row says', 'rows say')} that there is no finding: none of the labels."] if free else []
        empty = [i for i, parts in enumerate(lists) if not parts and is_missing(cells[i]) and not ours]
        classes = tuple(sorted({label for labels in named for label in labels}))
        unknown: list[tuple[str, ...]] = [()] * len(named)
        for i in empty:
            unknown[i] = classes
        return CellLabels(named, True, unknown if empty else None, None, (note, *none, *merged))
    signed = {c for c in cells if c} in ({"-1", "1"}, {"-1.0", "1.0"}, {"-", "+"})
    single: list[tuple[str, ...]] = [() if not cell or (is_missing(cell) and not signed) else (cell,) for cell in cells]
    gone = Counter(cell for cell, labels in zip(cells, single, strict=True) if cell and not labels)
    notes = [f"'{shown(cell)}' is taken as no label ({count(n, 'row')})." for cell, n in sorted(gone.items())]
    labels, merged = merge_spellings(single)
    _check_classes(column, [x[0] for x in labels if x], asked)
    return CellLabels(labels, False, None, None, (*notes, *merged))


def _lists(cells: list[str], separator: str | None) -> tuple[list[tuple[str, ...]] | None, str]:
    """Return (the parts of each cell, how they are parted); None where no cell lists several."""
    filled = [c for c in cells if not is_missing(c)]
    if separator is None and filled and all(_PYTHON_LIST.fullmatch(c) for c in filled):
        return [_parts(_unlisted(c), ",") for c in cells], "as Python lists"
    for mark in SEPARATORS if separator is None else (separator,):
        if any(len(_parts(c, mark)) > 1 for c in filled):
            return [_parts(c, mark) for c in cells], f"parted by {mark}"
    for mark in OTHER_SEPARATORS if separator is None else ():
        if _parts_classes(filled, mark):
            return [_parts(c, mark) for c in cells], f"parted by {mark}"
    return None, ""


def _unlisted(cell: str) -> str:
    inner = cell.strip()[1:-1] if _PYTHON_LIST.fullmatch(cell) else cell
    return re.sub(r"""['"]""", "", inner)


def _parts(cell: str, mark: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(p.strip() for p in cell.split(mark) if not is_missing(p.strip())))


def _parts_classes(cells: Sequence[str], mark: str) -> bool:
    """True where a mark parts classes, and is no part of their names: each part comes in other company or alone."""
    distinct = {tuple(p.strip() for p in c.split(mark)) for c in set(cells)}
    if any(part.isdecimal() for parts in distinct for part in parts):
        return False  # 3/4 and 1,5 are no lists
    several = [parts for parts in distinct if len(parts) > 1]
    company: dict[str, int] = Counter(part for parts in distinct for part in parts)
    return bool(several) and all(company[part] > 1 for parts in several for part in parts)


def merge_spellings(labels: list[tuple[str, ...]]) -> tuple[list[tuple[str, ...]], list[str]]:
    """Bring `Benign`, `benign` and `BENIGN` to the commonest of them; letters, `A` and `a`, stay apart."""
    counted = Counter(label for row in labels for label in row)
    alike: dict[str, list[str]] = defaultdict(list)
    for label in counted:
        if len(label) > 1 or label.isdecimal():
            alike[_spelling(label)].append(label)
    several = [
        sorted(names, key=lambda name: (-counted[name], name.isupper(), len(name), name))
        for names in alike.values()
        if len(names) > 1
    ]
    if not several:
        return labels, []
    best = {name: names[0] for names in several for name in names}
    notes = [f"{shown_list(names[1:])} is another spelling of {shown(names[0])}: one class." for names in several]
    return [tuple(dict.fromkeys(best.get(label, label) for label in row)) for row in labels], notes


def _spelling(label: str) -> str:
    """Return what two spellings of one class share: case, blanks and composed letters do not count, nor 1 and 1.0."""
    text = unicodedata.normalize("NFKC", label).strip()
    if match := _PLAIN_NUMBER.fullmatch(text):
        return f"{match[1]}{match[2].lstrip('0') or '0'}.{(match[3] or '').rstrip('0')}"
    return " ".join(plain(text).replace("_", " ").split()) + (text[-1] if text.endswith(("-", "+")) else "")


def _check_classes(column: str, labels: Sequence[str], asked: bool) -> None:
    distinct = set(labels)
    numbers = [number for label in distinct if (number := _number(label)) is not None]
    if len(numbers) == len(distinct) and len(distinct) > FEW_NUMBERS:
        whole = all(number.is_integer() for number in numbers)
        dense = whole and min(numbers) in (0, 1) and max(numbers) - min(numbers) < 1.2 * len(distinct)
        if not (dense or (whole and asked)):
            raise DataError(
                f"Column '{shown(column)}' holds {len(distinct):,} different numbers from {min(numbers):g} to "
                f"{max(numbers):g}: a measurement, and cass learns classes.",
                hint="Put the classes that you mean, such as low and high, in a column and name it with "
                "--label-column; for pretraining alone: --label-column none.",
            )
    if len(labels) > 20 and len(distinct) > 0.9 * len(labels):
        raise DataError(
            f"Column '{shown(column)}' holds {len(distinct):,} different values in {len(labels):,} rows: no classes.",
            hint="Name the label with --label-column; for pretraining alone: --label-column none.",
        )


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def bit_labels(
    path: Path,
    columns: dict[str, list[str]],
    classes: Sequence[str],
    skip: Sequence[bool],
    uncertain: Uncertain,
    *,
    always_many: bool = False,
) -> CellLabels:
    """Read 0/1 columns: one class an image where every row has exactly one 1, else (or `always_many`) multi-label.

    A row that `skip` marks, or whose every cell is empty, has no label. An uncertain cell (-1) is what `uncertain` says
    it is. An empty one is not known either; but it is a 0 where a column has no 0, or tells uncertain from empty, as
    labellers of reports do who leave out what was not mentioned.
    """
    strange = [c for c in classes if not is_bits(columns[c], words=True)]
    if strange:
        values = sorted({v for c in strange for v in columns[c] if not is_bits([v, "0"], words=True)})
        raise DataError(
            f"Columns of {shown(path.name)} hold more than 0 and 1: {shown_list(strange)} ({shown_list(values, 5)})."
        )
    bare = [all(is_missing(columns[c][i]) for c in classes) or skipped for i, skipped in enumerate(skip)]
    rows = [[bit(columns[c][i]) for c in classes] for i in range(len(skip))]
    doubted = any(columns[c][i].lower() in UNCERTAIN for c in classes for i, skipped in enumerate(bare) if not skipped)
    single = all(skipped or sum(b == 1 for b in row) == 1 for row, skipped in zip(rows, bare, strict=True))
    if single and not doubted and not always_many:
        labels: list[tuple[str, ...]] = [
            () if skipped else (classes[row.index(1)],) for row, skipped in zip(rows, bare, strict=True)
        ]
        return CellLabels(labels, False, None, in_order(classes), (_columns_note(classes, "one class an image"),))
    unknown: list[list[str]] = [[] for _ in rows]
    told = Counter[str]()
    for place, name in enumerate(classes):
        cells = columns[name]
        silent = any(c.lower() in UNCERTAIN for c in cells) or not any(row[place] == 0 for row in rows)
        for i, row in enumerate(rows):
            if row[place] != -1 or skip[i]:
                continue
            doubt = cells[i].lower() in UNCERTAIN
            row[place] = _settled(doubt, silent, uncertain)
            told["uncertain" if doubt else "absent" if silent else "empty"] += 1
            if row[place] == -1:
                unknown[i].append(name)
    notes = [_columns_note(classes, "multi-label"), *_unknown_notes(told, uncertain)]
    named = [tuple(c for c, b in zip(classes, row, strict=True) if b == 1) for row in rows]
    for i, skipped in enumerate(skip):
        if skipped:
            named[i], unknown[i] = (), list(classes)
    lost = [tuple(names) for names in unknown] if any(unknown) else None
    return CellLabels(named, True, lost, in_order(classes), tuple(notes))


def _settled(doubt: bool, silent: bool, uncertain: Uncertain) -> int:
    if doubt:
        return {"unknown": -1, "as-negative": 0, "as-positive": 1}[uncertain]
    return 0 if silent else -1


def _columns_note(classes: Sequence[str], kind: str) -> str:
    return f"Labels come from {len(classes)} columns of 0/1 ({kind}): {shown_list(classes, 20)}."


def _unknown_notes(told: Counter[str], uncertain: Uncertain) -> list[str]:
    notes = []
    if n := told["uncertain"]:
        taken = {"unknown": "left out of that class", "as-negative": "taken as 0", "as-positive": "taken as 1"}
        notes.append(f"{count(n, 'cell is', 'cells are')} uncertain (-1): {taken[uncertain]} (--uncertain).")
    if n := told["absent"]:
        notes.append(f"{count(n, 'cell is', 'cells are')} empty in columns without 0 or with -1: taken as 0.")
    if n := told["empty"]:
        notes.append(f"{count(n, 'cell is', 'cells are')} empty: not known, left out of that class.")
    return notes
