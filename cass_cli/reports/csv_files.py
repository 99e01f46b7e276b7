"""CSV files of results."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from cass_cli.data.splits import quoting_for


def numbers(values: Iterable[float]) -> list[str]:
    return ["" if math.isnan(value) else f"{value:.6g}" for value in values]


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> Path:
    """Write a CSV whose names, in the first column, keep bytes that are not UTF-8; whole or not at all."""
    lines = list(rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    quoting = quoting_for([cell for line in lines for cell in line[:1]])
    special = path.is_symlink() or (path.exists() and not path.is_file())  # a pipe, /dev/stdout: written through
    part = path if special else path.with_name(path.name + ".part")
    with part.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        writer = csv.writer(file, lineterminator="\n", quoting=quoting)
        writer.writerow(header)
        writer.writerows(lines)
    if part != path:
        part.replace(path)
    return path
