"""CSV files of results."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from cass_cli.data.splits import quoting_for
from cass_cli.files import whole_text


def numbers(values: Iterable[float]) -> list[str]:
    return ["" if math.isnan(value) else f"{value:.6g}" for value in values]


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]], *, asked: bool = False) -> Path:
    """Write a CSV whose names, in the first column, keep bytes that are not UTF-8; whole or not at all.

    `asked`: a user named this very path, so a link stays one.
    """
    lines = list(rows)
    with whole_text(path, asked=asked) as file:
        writer = csv.writer(
            file, lineterminator="\n", quoting=quoting_for([cell for line in lines for cell in line[:1]])
        )
        writer.writerow(header)
        writer.writerows(lines)
    return path
