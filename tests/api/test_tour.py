"""examples/tour.ipynb runs from its first cell to its last, as it does in Jupyter but without any."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from tests.test_layout import PACKAGE

NOTEBOOK = json.loads((PACKAGE.parent / "examples" / "tour.ipynb").read_text(encoding="utf-8"))
CELLS = ["".join(cell["source"]) for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]


def shown(source: str, names: dict[str, Any]) -> Any:
    """Run a cell and return the value of its last line, which Jupyter would show; None where there is none."""
    tree = ast.parse(source)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "tour.ipynb", "exec"), names)
    return eval(compile(ast.Expression(last.value), "tour.ipynb", "eval"), names) if last else None


def test_it_is_committed_without_outputs() -> None:
    assert (NOTEBOOK["nbformat"], NOTEBOOK["nbformat_minor"]) == (4, 5)
    ids = [cell["id"] for cell in NOTEBOOK["cells"]]
    assert len({*ids}) == len(ids)
    code = [cell for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    assert max(len(line) for cell in NOTEBOOK["cells"] for line in "".join(cell["source"]).splitlines()) <= 120


def test_every_cell_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    plt.switch_backend("agg")
    names: dict[str, Any] = {"__name__": "__main__"}
    frames = 0
    try:
        for number, cell in enumerate(CELLS):
            value = shown(cell, names)
            if isinstance(value, pd.DataFrame):
                frames += 1
                assert len(value) and not value.isna().all(axis=None), f"cell {number} shows an empty frame"
        assert len(plt.figure(1).axes[0].get_lines()) == 4
    finally:
        plt.close("all")
    assert frames == 6 and value is True
    assert capfd.readouterr().out == ""
    assert (tmp_path / "runs" / "tour" / "summary.json").is_file()
