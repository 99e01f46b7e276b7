"""A CSV of labels means one file: here, else in the data's folder; and it moves with its images."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from cass_cli.cli.app import run
from cass_cli.config.load import read_saved
from tests.cli.conftest import TINY, TRAINED, make_pictures

QUICK = (*TRAINED, "--init-from", "random", "--epochs", "1", "--batch-size", "8")


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Pictures in one folder, with a CSV beside them that names two classes."""
    made = make_pictures(tmp_path / "made", per_class=12)
    folder = tmp_path / "pics"
    folder.mkdir()
    lines = ["file,sex,kind"]
    for path in sorted(made.rglob("*.png")):
        name = f"{path.parent.name}{path.name}"
        shutil.move(path, folder / name)
        lines.append(f"{name},{'FM'[len(lines) % 2]},{path.parent.name}")
    (folder / "train.csv").write_text("\n".join(lines) + "\n")
    monkeypatch.chdir(tmp_path)
    return folder


def labels_of(path: str) -> Path | None:
    return read_saved(Path(path) / "config.yaml").config.data.labels


def test_every_command_finds_it_in_the_datas_folder(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    named = ["--labels", "train.csv", "--image-column", "file", "--label-column", "kind"]
    pretrain = ["pretrain", *TINY, "--data", "pics", *named, "--name", "p"]
    assert run(["inspect", "pics", *named, "--no-duplicates", "--json"]) == 0
    assert "dark" in capsys.readouterr().out
    assert run(pretrain) == 0
    assert labels_of("runs/p") == data / "train.csv"
    assert run([*pretrain, "--resume", "--epochs", "2"]) == 0  # the same command again
    assert Path("runs/p/subgroups.csv").read_text().startswith("image,group,sex\n")
    assert "subgroups.csv" not in Path("runs/p/manifest.json").read_text()
    Path("runs/p/subgroups.csv").unlink()  # who shares a run may take it out
    assert run(["finetune", *QUICK, *named]) == 0
    assert labels_of("runs/p/finetune/random-paper") == data / "train.csv"
    assert run(["finetune", *QUICK, *named, "--resume", "--seeds", "2"]) == 0
    assert run(["predict", "pics/train.csv", "--image-column", "file", "--out", "-"]) == 0
    assert capsys.readouterr().out.count(",ok,") == 24


def test_one_here_goes_before_and_stays_the_one(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = tmp_path / "train.csv"
    here.write_text((data / "train.csv").read_text().replace("dark\n", "gloomy\n"))
    assert run(["pretrain", *TINY, "--data", "pics", "--labels", "train.csv", "--name", "p"]) == 0
    assert labels_of("runs/p") == here
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    Path("train.csv").write_text("file,kind\n")
    assert run(["finetune", *QUICK, "--runs", "../runs"]) == 0
    summary = json.loads((tmp_path / "runs/p/finetune/random-paper/1/seed0/summary.json").read_text())
    assert summary["classes"] == ["gloomy", "light"]


def test_it_moves_with_its_images(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["pretrain", *TINY, "--data", "pics", "--labels", "train.csv", "--name", "p"]) == 0
    assert run(["finetune", *QUICK]) == 0
    data.rename(tmp_path / "moved")
    assert run(["evaluate", "--data", "moved", "--resamples", "0"]) == 0
    assert run(["finetune", "--resume", "--data", "moved", "--seeds", "2"]) == 0


def test_what_is_missing_is_said(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["pretrain", *TINY, "--data", "picz", "--labels", "train.csv"]) == 2
    assert "picz" in capsys.readouterr().err
    assert run(["pretrain", *TINY, "--data", "pics", "--labels", "trian.csv"]) == 2
    assert "There is no CSV trian.csv (looked here and in" in capsys.readouterr().err


def test_the_command_with_which_a_report_repeats_a_transfer_run(data: Path) -> None:
    new = ["finetune", *TRAINED, "--data", "pics", "--labels", "train.csv", *TINY[:2], "--epochs", "1", *TINY[6:10]]
    assert run([*new, "--init-from", "random", "--device", "cpu", "--name", "t"]) == 0
    again = ["--config", "runs/t/config.yaml", "--set", "data.splits=runs/t/splits.csv", "--name", "again"]
    assert run(["finetune", *again]) == 0
    first, second = (
        Path("runs", name, "finetune/random-paper/1/seed0/summary.json").read_text() for name in ("t", "again")
    )
    assert json.loads(first)["test"] == json.loads(second)["test"]


def test_a_file_of_settings_that_names_no_images_is_for_the_latest_run(data: Path, tmp_path: Path) -> None:
    assert run(["pretrain", *TINY, "--data", "pics", "--labels", "train.csv", "--name", "p"]) == 0
    (tmp_path / "mine.yaml").write_text("finetune:\n  recipe: paper\n  epochs: 1\n  init: random\n")
    assert run(["finetune", "--config", "mine.yaml"]) == 0
    assert Path("runs/p/finetune/random-paper/1/seed0/summary.json").is_file()
