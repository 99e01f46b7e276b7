"""`cass pretrain --probe-every`: what it looks at, and that it changes nothing."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import torch

from cass_cli.cli.app import run
from cass_cli.engine.checkpoint import load_checkpoint
from tests.cli.conftest import TINY, make_pictures


def pretrain(data: Path, out: Path, name: str, *more: str) -> int:
    return run(["pretrain", *TINY, "--epochs", "3", "--data", str(data), "--runs", str(out), "--name", name, *more])


def test_probes_are_shown_and_leave_the_run_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = make_pictures(tmp_path / "pictures")
    assert pretrain(data, tmp_path, "plain") == 0
    with (tmp_path / "plain" / "splits.csv").open() as file:
        for row in csv.DictReader(file):
            if row["split"] == "test":
                (data / row["image"]).write_bytes(b"never opened")
    capsys.readouterr()
    assert pretrain(data, tmp_path, "probed", "--probe-every", "2", "--set", "data.check_leaks=false") == 0
    assert "kNN" in capsys.readouterr().out
    rows = [json.loads(line) for line in (tmp_path / "probed" / "metrics.jsonl").read_text().splitlines()]
    assert [bool(row["probes"]) for row in rows] == [False, True, True]  # every second epoch, and the last
    for arm in ("cnn", "vit"):
        for probe in ("knn", "linear"):
            assert 0 <= rows[-1]["probes"][arm][probe]["accuracy"] <= 1
    states = [load_checkpoint(tmp_path / n / "checkpoints/last/state.pt")["method"] for n in ("plain", "probed")]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


def test_probing_without_labels_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = make_pictures(tmp_path / "pictures")
    assert pretrain(data / "dark", tmp_path, "p", "--probe-every", "1") == 2
    assert "no labels to probe with" in capsys.readouterr().err
    assert not (tmp_path / "p").exists()
