"""The cells of CSVs that cass writes: a spreadsheet takes no name for a formula, and a terminal acts upon none.

Such a name is written with an apostrophe before it, by which spreadsheets know text; one with characters that are not
shown with `'\\` before it, and escapes as in Python. `name_of` reads the name again, exactly. Numbers stay as they are.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import IO, Any

from cass_cli.words import seen

FORMULA = re.compile(r"'*[\s\"]*[=+\-@＝＋－＠]")
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|[+-]?(inf|nan)", re.ASCII | re.IGNORECASE)
MARK, ESCAPED = "'", "'\\"


@lru_cache(4_096)  # most of a column say the same
def cell_of(name: str) -> str:
    """Return how `name` is written."""
    if not seen(name) or name.startswith(ESCAPED):
        return ESCAPED + "".join(_escaped(letter) for letter in name)
    return MARK + name if FORMULA.match(name) and not NUMBER.fullmatch(name) else name


def name_of(cell: str) -> str:
    """Return the name that `cell_of` wrote so; any other cell as it is."""
    if not cell.startswith(MARK):
        return cell
    try:
        name = _unescaped(cell[len(ESCAPED) :]) if cell.startswith(ESCAPED) else cell[len(MARK) :]
    except UnicodeDecodeError:
        return cell
    return name if cell_of(name) == cell else cell


class CellWriter:
    """Writes rows to a CSV whose text is written by `cell_of`."""

    def __init__(self, file: IO[str]) -> None:
        self._writer = csv.writer(file, lineterminator="\n")

    def writerow(self, cells: Iterable[Any]) -> None:
        """Write a row."""
        self._writer.writerow([cell_of(cell) if isinstance(cell, str) else cell for cell in cells])

    def writerows(self, rows: Iterable[Iterable[Any]]) -> None:
        """Write several."""
        for row in rows:
            self.writerow(row)


def _escaped(letter: str) -> str:
    return letter if letter.isprintable() and letter != "\\" else letter.encode("unicode_escape").decode("ascii")


def _unescaped(text: str) -> str:
    escapes = text.encode("ascii", "backslashreplace")
    if re.search(rb"(?<!\\)(\\\\)*\\[^\\nrtxuU]", escapes):  # none of ours, which Python would warn of
        return ""
    return escapes.decode("unicode_escape")
