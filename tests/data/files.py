"""Files of no content and tables of little, for tests that read names alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from cass_cli.data.sample_table import SampleTable


def touch(root: Path, *names: str) -> Path:
    """Make empty files: no layout is told from pixels."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def write(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def labels_of(table: SampleTable) -> dict[str, Any]:
    """Return name → class name (None: no label), or the set of class names when multi-label."""
    assert table.labels is not None
    if table.multilabel:
        return {
            name: {table.classes[c] for c in np.flatnonzero(row == 1)}
            for name, row in zip(table.names, table.labels, strict=True)
        }
    return {
        name: table.classes[label] if label >= 0 else None
        for name, label in zip(table.names, table.labels, strict=True)
    }


def noted(table: SampleTable, *words: str) -> bool:
    return any(all(word in note for word in words) for note in table.notes)
