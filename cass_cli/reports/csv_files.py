"""CSV files of results."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from cass_cli.csv_cells import CellWriter
from cass_cli.files import whole_text


def numbers(values: Iterable[float]) -> list[str]:
    return ["" if math.isnan(value) else f"{value:.6g}" for value in values]


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]], *, asked: bool = False) -> Path:
    """Write a CSV, whole or not at all; where a user `asked` for this very path, a link stays one."""
    with whole_text(path, asked=asked) as file:
        writer = CellWriter(file)
        writer.writerow(header)
        writer.writerows(rows)
    return path
