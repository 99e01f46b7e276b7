"""The table of a grid names what is tested against what, so that no number stands alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from cass_cli.config.grid_file import Grid
from cass_cli.engine.grid.results import Difference, GridResults, Score
from cass_cli.engine.grid.running import Records
from cass_cli.reports.grid import write_results
from cass_cli.scores.over_seeds import PairedTest, summarise_seeds


@pytest.mark.parametrize(
    ("axis", "labels", "told"),
    [("method", ["transfer", "cass"], "transfer"), ("optim.cnn", ["adam", "sgd"], "optim.cnn adam")],
)
def test_what_is_tested_against_is_named(axis: str, labels: list[str], told: str, tmp_path: Path) -> None:
    grid = Grid("g", "a grid", {axis: {label: {} for label in labels}}, against={axis: labels[0]})
    scores = tuple(Score({axis: label}, "cnn", 10, {0: 0.5}, summarise_seeds([0.5])) for label in labels)
    none, some = PairedTest(3, 0.01, -0.1, 0.1, 0.9, 0.9), PairedTest(3, 0.2, 0.1, 0.3, 0.001, 0.1)
    differences = tuple(Difference({axis: labels[1]}, "cnn", test, test.t_p) for test in (none, none, some))
    write_results(grid, GridResults("macro_f1", scores, differences, (axis,), 2, 2), (), Records(tmp_path))
    table = (tmp_path / "table.md").read_text(encoding="utf-8")
    assert f"2 of 3 differences to {told} cannot be told from none" in table
    assert f"Less {told}: test macro F1" in table
    assert table.split("cnn: ")[1].startswith(told.replace("adam", "sgd").replace("transfer", "cass"))


def test_arms_that_had_collapsed_are_told(tmp_path: Path) -> None:
    grid = Grid("g", "a grid", {"method": {"cass": {}, "byol": {}}})
    counts = {"pretrained": {"cass": 3, "byol": 1}, "collapsed": {"cass": {"vit": 3, "cnn": 1}, "byol": {}}}
    write_results(grid, GridResults("macro_f1", (), (), ("method",), 4, 4, **counts), (), Records(tmp_path))
    table = (tmp_path / "table.md").read_text(encoding="utf-8")
    assert "Collapsed by the end of 3 pretrainings by cass: cnn in 1 and vit in 3." in table
    assert "byol" not in table
