"""What was changed since a run began: told where it decides, noted where it may, or is scored against."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from cass_cli.cli.app import run
from tests.cli.conftest import TINY, make_pictures

SIZE = ("--cnn", "test_resnet", "--vit", "test_vit", "--image-size", "32", "--init-from", "random", "--device", "cpu")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Flat pictures with a CSV of labels; a pretraining `p` that probes, and a fine-tuning `t` of two seeds."""
    base = tmp_path_factory.mktemp("relabelled")
    folders, flat = make_pictures(base / "folders", per_class=12), base / "pictures"
    flat.mkdir()
    rows = ["image,label"]
    for path in sorted(folders.rglob("*.png")):
        path.rename(flat / f"{path.parent.name}{path.name}")
        rows.append(f"{path.parent.name}{path.name},{path.parent.name}")
    (base / "labels.csv").write_text("\n".join(rows) + "\n")
    data = ["--data", str(flat), "--labels", str(base / "labels.csv"), "--runs", str(base / "runs")]
    assert run(["pretrain", *TINY, *data, "--name", "p", "--probe-every", "1"]) == 0
    assert run(["finetune", *SIZE, *data, "--name", "t", "--recipe", "probe", "--seeds", "2"]) == 0
    return base


@pytest.fixture
def relabelled(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the runs, while one picture of each split has another label; undone afterwards."""
    shutil.copytree(made / "runs", tmp_path / "runs", symlinks=True)
    splits = (made / "runs/t/splits.csv").read_text().splitlines()
    chosen = [next(line.partition(",")[0] for line in splits if f",{split}," in line) for split in ("train", "test")]
    labels = made / "labels.csv"
    before = labels.read_text()
    lines = [
        f"{name},{'light' if label == 'dark' else 'dark'}" if name in chosen else f"{name},{label}"
        for name, label in (line.split(",") for line in before.splitlines())
    ]
    labels.write_text("\n".join(lines) + "\n")
    monkeypatch.chdir(tmp_path)
    yield tmp_path / "runs"
    labels.write_text(before)


def told(capsys: pytest.CaptureFixture[str]) -> str:
    captured = capsys.readouterr()
    return " ".join((captured.out + captured.err).split())


def test_a_pretraining_that_probes_does_not_go_on(relabelled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["pretrain", "--resume", "--name", "p", "--epochs", "2"]) == 2
    assert "2 images" in (said := told(capsys))
    assert "are labelled otherwise than in" in said


def test_a_fine_tuning_does_not_go_on(relabelled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["finetune", "--run", "t", "--resume", "--variant", "random-probe", "--seeds", "3"]) == 2
    assert "2 images labelled otherwise than when" in told(capsys)


def test_scores_against_other_labels_say_so(relabelled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["evaluate", "--run", "t", "--resamples", "10"]) == 0
    assert "1 image labelled otherwise than when the fine-tuning began" in told(capsys)


def test_overwriting_one_seed_says_that_the_other_goes_too(
    relabelled: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    again = ["finetune", "--run", "t", *SIZE[6:], "--recipe", "probe", "--seed", "1", "--seeds", "1", "--overwrite"]
    assert run([*again, "--dry-run"]) == 0
    assert "2 trials in" in told(capsys)
    assert run(again) == 0
    assert "1 other trial of" in told(capsys)
    assert [path.parent.name for path in relabelled.rglob("seed*/summary.json")] == ["seed1"]


def test_overwriting_does_not_believe_other_splits(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(made / "runs", tmp_path / "runs", symlinks=True)
    monkeypatch.chdir(tmp_path)
    splits = tmp_path / "runs/t/splits.csv"
    splits.write_text(splits.read_text().replace(",test,", ",train,"))
    assert run(["finetune", "--run", "t", *SIZE[6:], "--recipe", "probe", "--overwrite"]) == 2
    assert "Changed since cass wrote it: runs/t/splits.csv" in told(capsys)
    assert run(["evaluate", "--run", "t"]) == 2
    assert "splits.csv" in told(capsys)


@pytest.mark.parametrize(
    "again",
    [
        ("pretrain", "--name", "p", "--epochs", "2"),
        ("finetune", "--run", "t", "--variant", "random-probe", "--seeds", "3"),
    ],
)
def test_other_contents_of_the_same_size_are_found_by_verifying(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], again: list[str]
) -> None:
    shutil.copytree(made / "runs", tmp_path / "runs", symlinks=True)
    monkeypatch.chdir(tmp_path)
    picture = made / "pictures/dark00.png"
    before, times = picture.read_bytes(), picture.stat()
    try:
        picture.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))  # of its last checksum
        os.utime(picture, ns=(times.st_atime_ns, times.st_mtime_ns))
        assert run([*again, "--resume", "--verify"]) == 2
        assert "1 file of other contents (dark00.png)" in told(capsys)
        os.utime(picture)
        assert run([*again, "--resume"]) == 0
        assert "Images: 1 file of another time (dark00.png); --resume --verify compares" in told(capsys)
    finally:
        picture.write_bytes(before)
        os.utime(picture, ns=(times.st_atime_ns, times.st_mtime_ns))


@pytest.mark.parametrize("command", ["pretrain", "finetune"])
def test_there_is_nothing_to_verify_in_a_new_run(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([command, "--data", "x", "--verify"]) == 2
    assert "Add --resume." in told(capsys)


def test_a_run_that_was_barely_begun_has_a_forecast(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "runs/b").mkdir(parents=True)
    for name in ("environment.json", "config.yaml"):
        shutil.copy(made / "runs/p" / name, tmp_path / "runs/b")
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    assert run(["pretrain", "--resume", "--name", "b", "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)
