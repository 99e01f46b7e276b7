"""The plan of a grid tells its tasks apart by what they vary, and is as wide as a terminal."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from cass_cli.config.grid_file import find_grid, read_grid
from cass_cli.engine.grid.job import plan_grid
from cass_cli.engine.grid.tasks import GridForecast
from cass_cli.reports.grid import show_grid_plan

NOTHING = GridForecast(0, 0, {})


def plan_of(path: Path, capsys: pytest.CaptureFixture[str], *, small: bool = False) -> list[list[str]]:
    """Return the words of each line that the table has."""
    grid = read_grid(path, small=small)
    show_grid_plan(grid, plan_grid(grid, Path("runs")).chains, NOTHING, price=None, as_json=False)
    shown = capsys.readouterr().out.splitlines()
    return [line.split() for line in shown[1 : shown.index("")]]


def test_tasks_have_the_values_of_the_axes_that_decide_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "g.yaml"
    axes = {"method": ["transfer", "cass"], "recipe": ["probe", "paper"], "label_fraction": [0.1, 1]}
    asked = {"settings": {"data": "demo"}, "axes": axes, "evaluate": True, "exclude": [{"method": "transfer"}]}
    path.write_text(yaml.safe_dump(asked, sort_keys=False))
    head, *rows = plan_of(path, capsys)
    assert head == ["task", "method", "recipe", "label_fraction", "run", "state"]
    assert len({row[-2] for row in rows}) == 1  # of one run, whose name ends so
    assert [row[:-2] for row in rows] == [
        ["pretrain", "cass"],
        ["finetune", "cass", "probe", "0.1,", "1"],
        ["finetune", "cass", "paper", "0.1,", "1"],
        *(["evaluate", "cass", recipe, share] for recipe in ("probe", "paper") for share in ("0.1", "1")),
    ]


def test_no_two_tasks_of_a_table_look_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    _, *rows = plan_of(find_grid("table-11"), capsys, small=True)
    told = [tuple(row[:-2]) for row in rows]
    assert len(set(told)) == len(told) == 16
