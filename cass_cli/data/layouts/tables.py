"""A CSV as columns of cells, read strictly."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

from cass_cli.errors import DataError
from cass_cli.words import shown, shown_list


@dataclass(frozen=True)
class Table:
    """The cells of a CSV, column by column, stripped of blanks around them."""

    path: Path
    columns: dict[str, list[str]]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))


def read_table(path: Path) -> Table:
    """Return the cells of a UTF-8 CSV with a header; commas, or semicolons or tabs if the header has no comma.

    Raises DataError for a missing or empty file, other encodings (naming the byte), ragged rows and repeated
    column names.
    """
    text = _read_text(path)
    delimiter = _delimiter(text.partition("\n")[0])
    try:
        lines = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if row]
    except csv.Error as error:
        raise DataError(f"{shown(str(path))} is no readable CSV: {error}.") from error
    if len(lines) < 2:
        raise DataError(f"{shown(str(path))} has no rows below its header.", hint="One row an image is expected.")
    header = [cell.strip() for cell in lines[0]]
    ragged = next((i for i, row in enumerate(lines) if len(row) != len(header)), None)
    if ragged is not None:
        raise DataError(
            f"Row {ragged + 1} of {shown(str(path))} has {len(lines[ragged])} cells, its header {len(header)}.",
            hint="Quote cells that hold the delimiter.",
        )
    twice = [name for name in dict.fromkeys(header) if header.count(name) > 1]
    if twice:
        raise DataError(f"{shown(str(path))} has several columns named {shown_list(twice)}.")
    cells = zip(*lines[1:], strict=True)
    return Table(path, {name: [c.strip() for c in column] for name, column in zip(header, cells, strict=True)})


def read_header(path: Path) -> list[str]:
    """Return the column names of a CSV, whatever its encoding; [] when it cannot be read."""
    try:
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            head = file.readline()
    except OSError:
        return []
    return [cell.strip() for cell in next(csv.reader([head], delimiter=_delimiter(head)), [])]


def _delimiter(head: str) -> str:
    return next((d for d in (",", "\t", ";") if d in head), ",")


def _read_text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"Cannot read {shown(str(path))}: {error.strerror or error}.") from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{shown(str(path))} is not UTF-8: byte 0x{data[error.start]:02x} at offset {error.start:,} "
            f"(line {line:,}).",
            hint="Save it as UTF-8 (in a spreadsheet: 'CSV UTF-8').",
        ) from error
