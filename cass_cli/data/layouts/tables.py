"""A CSV as columns of cells, read strictly."""

from __future__ import annotations

import codecs
import csv
import io
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from cass_cli.csv_cells import name_of
from cass_cli.data.layouts.contents import contents
from cass_cli.data.layouts.vocabulary import plain
from cass_cli.errors import DataError
from cass_cli.words import shown, shown_list

DELIMITERS = (",", "\t", ";", "|")
SAMPLED = 20  # rows that decide which delimiter it is
CLOSED = "\0"  # in no text; read as a row behind the last one, unless a quote is open
MOST_COLUMNS, MOST_CELLS = 5_000, 20_000_000
WIDEST = 16_384  # columns of a spreadsheet, the empty ones with them
# How a table begins that cass wrote, or a spreadsheet that saved it with marks of its own: its names are as `csv_cells`
# writes them.
OURS = tuple(f"image{mark}{second}{mark}" for mark in DELIMITERS for second in ("split", "slide"))


@dataclass(frozen=True)
class Table:
    """The cells of a CSV, column by column, stripped of blanks around them."""

    path: Path
    columns: dict[str, list[str]]
    headless: bool = False  # its first row is data already: columns are called "column 1", …

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))


def read_table(path: Path, *, is_image: Callable[[str], bool] = lambda _: False, usual: Collection[str] = ()) -> Table:
    """Return the cells of a CSV: UTF-8, or UTF-16 by its mark; comma, tab, semicolon or bar; `sep=;` on top or not.

    Names that cass wrote (`csv_cells`) are those that it was told.
    A first row in which `is_image` knows a cell, and none is `usual` for a column, is no header. Raises DataError for a
    missing or empty file, other encodings (naming the byte), ragged rows and repeated column names.
    """
    text = _read_text(path)
    lines = _rows(path, text)
    first = [cell.strip() for cell in lines[0]] if lines else []
    headless = not any(plain(cell) in usual for cell in first) and any(is_image(cell) for cell in first)
    if len(lines) < (1 if headless else 2):
        raise DataError(f"{shown(str(path))} has no rows below its header.", hint="One row an image is expected.")
    named = name_of if text.startswith(OURS) else str
    header = [named(cell.strip()) for cell in lines[0]]
    if headless:
        header = [f"column {i + 1}" for i in range(len(header))]
    else:  # the index that pandas writes, and columns that a spreadsheet left empty
        header = [name or f"unnamed: {i}" for i, name in enumerate(header)]
    ragged = next((i for i, row in enumerate(lines) if len(row) != len(header)), None)
    if ragged is not None:
        raise DataError(
            f"Row {ragged + 1} of {shown(str(path))} has {len(lines[ragged])} cells, its header {len(header)}.",
            hint="Quote cells that hold the delimiter.",
        )
    twice = [name for name, times in Counter(header).items() if times > 1]
    if twice:
        raise DataError(f"{shown(str(path))} has several columns named {shown_list(twice)}.")
    cells = zip(*(lines if headless else lines[1:]), strict=True)
    columns = {name: [named(c.strip()) for c in column] for name, column in zip(header, cells, strict=True)}
    return Table(path, columns, headless)


def _rows(path: Path, text: str) -> list[list[str]]:
    """Return the rows of cells, without blank lines and without trailing delimiters that every row has."""
    first, _, rest = text.partition("\n")
    delimiter = ""
    if first.strip().lower().startswith("sep=") and len(first.strip()) == 5:  # Excel's own first line
        delimiter, text = first.strip()[4], rest
    delimiter = delimiter or _delimiter(text, spaces=path.suffix.lower() == ".txt")
    if text.count(delimiter) > MOST_CELLS:
        raise DataError(f"{shown(str(path))} has more than {MOST_CELLS:,} cells.", hint="Keep the columns that matter.")
    if (columns := text.partition("\n")[0].count(delimiter)) > WIDEST:
        raise DataError(f"{shown(str(path))} has {columns + 1:,} columns.", hint=f"At most {MOST_COLUMNS:,} are read.")
    try:
        lines = list(csv.reader(chain(io.StringIO(text, newline=""), [CLOSED]), delimiter=delimiter))
    except (csv.Error, TypeError, ValueError) as error:  # these two: a delimiter that can be none
        raise DataError(f"{shown(str(path))} is no readable CSV: {error}.") from error
    if lines.pop() != [CLOSED]:
        raise DataError(f"{shown(str(path))} has a quote that is never closed, from row {len(lines) + 1:,} on.")
    lines = _without_trailing(_without_comments([row for row in lines if any(row)]))
    if lines and len(lines[0]) > MOST_COLUMNS:
        raise DataError(
            f"{shown(str(path))} has {len(lines[0]):,} columns.", hint=f"At most {MOST_COLUMNS:,} are read."
        )
    return lines


def _without_trailing(lines: list[list[str]]) -> list[list[str]]:
    """Return the rows without the last columns that are empty in all of them, but for the first column."""
    if len({len(row) for row in lines}) != 1:
        return lines
    filled = max(next((i for i in range(len(row), 1, -1) if row[i - 1].strip()), 1) for row in lines)
    return [row[:filled] for row in lines] if filled < len(lines[0]) else lines


def _without_comments(lines: list[list[str]]) -> list[list[str]]:
    """Return the rows without those on top that begin with #, unless that is the header."""
    comments = next((i for i, row in enumerate(lines) if not row[0].startswith("#")), 0)
    return lines[comments:] if len(lines) > comments and len(lines[0]) != len(lines[comments]) else lines


def _delimiter(text: str, *, spaces: bool) -> str:
    """Return the delimiter that gives all of the first rows the same number of cells, else that of the header."""
    head = text[:100_000].splitlines()[:SAMPLED]
    if len(text) > 100_000:
        head = head[:-1] or head
    for delimiter in (*DELIMITERS, *([" "] if spaces else [])):
        try:
            widths = {len(row) for row in csv.reader(head, delimiter=delimiter) if any(row)}
        except csv.Error:
            continue
        if len(widths) == 1 and widths.pop() > 1:
            return delimiter
    return next((d for d in DELIMITERS if head and d in head[0]), ",")


def _read_text(path: Path) -> str:
    data = contents(path)
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        if data.startswith(tuple(map(str.encode, OURS))):
            return data.decode("utf-8", "surrogateescape")
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{shown(str(path))} is not {'UTF-16' if wide else 'UTF-8'}: byte 0x{data[error.start]:02x} at offset "
            f"{error.start:,} (line {line:,}).",
            hint="Save it as UTF-8 (in a spreadsheet: 'CSV UTF-8').",
        ) from error
    if "\0" in text:
        raise DataError(
            f"{shown(str(path))} holds zero bytes: it is no text, or UTF-16 without its mark.",
            hint="Save it as UTF-8 (in a spreadsheet: 'CSV UTF-8').",
        )
    return text
