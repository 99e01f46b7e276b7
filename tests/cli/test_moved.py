"""Images that were moved: a run goes on with them where they are now, or says what is missing."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from cass_cli.cli.app import run
from cass_cli.engine.checkpoint import load_checkpoint
from cass_cli.runs.manifest import replace_recorded
from tests.cli.conftest import TINY


@pytest.fixture
def moved(pretrained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which `runs/p` has one epoch on images of `before`, which lie in `now`."""
    pictures = pretrained.parent / "pictures"
    shutil.copytree(pictures, tmp_path / "now")
    copy_run(pretrained / "p", tmp_path / "runs/p")
    config = tmp_path / "runs/p/config.yaml"
    replace_recorded(config, config.read_text().replace(str(pictures), str(tmp_path / "before")))
    (tmp_path / "runs/latest").symlink_to("p")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def copy_run(path: Path, to: Path) -> None:
    shutil.copytree(path, to, ignore=shutil.ignore_patterns("finetune", "features", "figures"))


def state(path: Path) -> dict[str, torch.Tensor]:
    tensors: dict[str, torch.Tensor] = load_checkpoint(path / "checkpoints/last/state.pt")["method"]
    return tensors


def settings(path: Path) -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((path / "config.yaml").read_text())
    return read


def test_it_goes_on_as_if_they_had_stayed(moved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree("runs/p", "runs/stayed")
    shutil.copytree("now", "before")
    assert run(["pretrain", "--resume", "--name", "stayed", "--epochs", "2"]) == 0
    shutil.rmtree("before")
    shutil.copy("now/dark/00.png", "now/dark/new.png")  # what came since changes nothing
    splits = Path("runs/p/splits.csv").read_bytes()
    capsys.readouterr()
    assert run(["pretrain", "--resume", "--name", "p", "--epochs", "2", "--data", "now"]) == 0
    said = capsys.readouterr().out
    assert f"Moved: images now at {moved / 'now'}, before at {moved / 'before'}." in said
    assert "All 40 images of the run were found." in said
    ours, theirs = state(Path("runs/p")), state(Path("runs/stayed"))
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
    assert settings(Path("runs/p"))["data"]["path"] == str(moved / "now")
    assert Path("runs/p/splits.csv").read_bytes() == splits
    assert run(["pretrain", "--resume", "--name", "p", "--epochs", "3"]) == 0  # and from now on without being told
    assert "Moved" not in capsys.readouterr().out
    assert run(["finetune", "--run", "p"]) == 0


def test_without_being_told_it_says_what_to_type(moved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["pretrain", "--resume", "--epochs", "2"]) == 2
    said = capsys.readouterr().err
    assert f"no longer at {moved / 'before'}" in said
    assert "cass pretrain --resume --name p --data FOLDER" in said
    for command in (["finetune", "--run", "p"], ["attention-maps", "--run", "p", "--compare", "none"]):
        assert run(command) == 2
        assert "say where they are now with --data" in capsys.readouterr().err
    assert run(["report", "p", "--check-leaks"]) == 2
    assert "leave out --check-leaks" in capsys.readouterr().err


def test_images_that_are_missing_there_are_named_and_nothing_is_changed(
    moved: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("now/dark/03.png").unlink()
    before = Path("runs/p/config.yaml").read_bytes(), Path("runs/p/metrics.jsonl").read_bytes()
    assert run(["pretrain", "--resume", "--epochs", "2", "--data", "now"]) == 2
    assert "dark/03.png" in capsys.readouterr().err
    assert before == (Path("runs/p/config.yaml").read_bytes(), Path("runs/p/metrics.jsonl").read_bytes())
    assert run(["pretrain", "--resume", "--epochs", "2", "--data", "now", "--dry-run"]) == 2


def test_other_commands_find_them_too(moved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["finetune", "--run", "p", "--data", "now"]) == 0
    assert run(["evaluate", "--resamples", "0"]) == 0  # the fine-tuning remembers
    Path("now").rename("later")
    assert run(["evaluate", "--resamples", "0"]) == 2
    assert "--data" in capsys.readouterr().err
    assert run(["evaluate", "--resamples", "0", "--data", "later"]) == 0
    assert run(["similarity", "--compare", "none", "--samples", "4", "--out", "maps", "--data", "later"]) == 0


@pytest.fixture
def labelled(moved: Path) -> Path:
    """A run whose labels stand in a CSV beside the images, both moved."""
    images = sorted(path.relative_to("now") for path in Path("now").rglob("*.png"))
    with Path("labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("image", "label"), *((image, image.parent) for image in images)])
    assert run(["pretrain", *TINY, "--data", "now", "--labels", "labels.csv", "--name", "l"]) == 0
    Path("labels.csv").rename("elsewhere.csv")
    return moved


def test_a_csv_of_labels_moves_as_well(labelled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    go_on = ["pretrain", "--resume", "--name", "l", "--epochs", "2"]
    assert run(go_on) == 2
    assert "cass pretrain --resume --name l --labels CSV" in capsys.readouterr().err
    Path("now").rename("later")
    assert run([*go_on, "--labels", "elsewhere.csv", "--data", "later"]) == 0
    assert "before at" in capsys.readouterr().out
    assert settings(Path("runs/l"))["data"]["labels"] == str(labelled / "elsewhere.csv")


def test_a_csv_with_other_labels_is_not_the_same(labelled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("elsewhere.csv").write_text(Path("elsewhere.csv").read_text().replace("05.png,dark", "05.png,light"))
    assert run(["pretrain", "--resume", "--name", "l", "--epochs", "2", "--labels", "elsewhere.csv"]) == 2
    assert "dark/05.png" in capsys.readouterr().err
    assert (
        run(["pretrain", "--resume", "--name", "p", "--epochs", "2", "--data", "now", "--labels", "elsewhere.csv"]) == 2
    )
    assert "data.labels was None" in capsys.readouterr().err  # the run had none: these are other settings


def test_labels_within_the_folder_move_with_it(labelled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("elsewhere.csv").rename("now/labels.csv")
    assert run(["pretrain", *TINY, "--data", "now", "--labels", "labels.csv", "--name", "within"]) == 0
    Path("now").rename("later")
    capsys.readouterr()
    assert run(["pretrain", "--resume", "--epochs", "2", "--data", "later", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["epochs"] == 2
    assert settings(Path("runs/within"))["data"]["labels"] == str(labelled / "later/labels.csv")
