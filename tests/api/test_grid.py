"""`grid()` does what `cass grid` does, and hands back what that writes. Its tasks are done in this process here."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

import cass_cli
from cass_cli.cli.app import run
from cass_cli.engine.grid import running
from cass_cli.errors import ConfigError, RunError


@pytest.fixture
def file(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(running, "_watched", lambda arguments, *_how: run(arguments[3:]))
    arms = {"cnn": "test_byobnet", "vit": "test_vit", "init": "random"}
    grid = {
        "settings": {"data.path": os.fspath(pictures), "data.image_size": 32, "arms": arms, "recipe": "paper"},
        "axes": {"finetune.epochs": [1, 2], "method": ["transfer"], "finetune_seed": [0, 1]},
        "against": {"finetune.epochs": 1},
        "paper": [{"finetune.epochs": 2, "vit": 0.75}],
    }
    path = tmp_path / "epochs.yaml"
    path.write_text(yaml.safe_dump(grid, sort_keys=False))
    return path


def test_a_grid_hands_back_what_it_writes(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = cass_cli.grid(file)
    assert (found.done, found.cells, found.metric) == (4, 4, "macro_f1")
    written = pd.read_csv("runs/epochs.grid/results.csv")
    assert list(found.results) == list(written)
    assert found.results["value"].astype(float).tolist() == written["value"].tolist()
    vit = found.scores[(found.scores["candidate"] == "vit") & (found.scores["finetune.epochs"] == "2")].iloc[0]
    assert (vit["n"], vit["paper"]) == (2, 0.75)
    own = written.query("candidate == 'vit' and metric == 'macro_f1'").groupby("finetune.epochs")["value"].mean()
    assert vit["mean"] == pytest.approx(own[2])
    gaps = found.differences.set_index("candidate")
    assert gaps.loc["vit", "difference"] == pytest.approx(own[2] - own[1])
    assert {*gaps["finetune.epochs"]} == {"2"}
    assert [path.name for path in found.files] == ["results.csv", "table.md", "table.tex", "figure.png"]
    began = {path: path.stat().st_mtime_ns for path in Path("runs").rglob("summary.json")}
    capsys.readouterr()
    assert cass_cli.grid(file).scores.equals(found.scores)
    assert {path: path.stat().st_mtime_ns for path in Path("runs").rglob("summary.json")} == began
    assert capsys.readouterr() == ("", "")


def test_what_fails_is_raised_once_the_rest_is_written(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    grid: dict[str, Any] = yaml.safe_load(file.read_text())
    here = grid["settings"].pop("data.path")
    grid["settings"]["finetune.epochs"] = 1
    axes = {"data": {"there": {"path": here}, "gone": {"path": "no/such"}}, "method": ["transfer"]}
    file.write_text(yaml.safe_dump(grid | {"axes": axes, "against": {}, "paper": []}, sort_keys=False))
    with caplog.at_level(logging.WARNING, "cass_cli"), pytest.raises(RunError, match="1 task of 2 failed"):
        cass_cli.grid(file, gpus=[0])
    assert len(caplog.messages) == 1
    assert "-gone-" in caplog.messages[0] or "such" in caplog.messages[0]
    assert {*pd.read_csv("runs/epochs.grid/results.csv")["data"]} == {"there"}


def test_what_cannot_work_is_raised_before_anything_is_run(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Did you mean 'table-8'"):
        cass_cli.grid("tabel-8", runs=tmp_path)
    with pytest.raises(ConfigError, match="is no number of a GPU"):
        cass_cli.grid("table-18", small=True, runs=tmp_path, gpus="0,x")
    assert not list(tmp_path.iterdir())
