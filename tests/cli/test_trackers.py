"""Trackers, by the packages themselves and without a network: what they hold of a training, killed or not.

Those of MLflow and Weights & Biases are skipped where the package is not installed: `pip install '.[mlflow,wandb]'`.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from getpass import getuser
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from cass_cli.cli.app import run
from cass_cli.config.schema import Train
from cass_cli.engine.pretraining import job
from cass_cli.reports.trackers.followed import Followed
from tests.cli.conftest import make_pictures
from tests.cli.read_back import curves, mlflow_run, tensorboard, wandb_records

INSTALLED = [name for name in ("tensorboard", "mlflow", "wandb") if (it := find_spec(name)) and it.origin]
EACH = [
    pytest.param(name, marks=pytest.mark.skipif(name not in INSTALLED, reason=f"{name} is not installed"))
    for name in ("tensorboard", "mlflow", "wandb")
]
TINY = [
    *("--image-size", "32", "--batch-size", "8", "--cnn", "test_resnet", "--vit", "test_vit"),
    *("--init", "random", "--device", "cpu", "--precision", "fp32", "--lr", "1e-5", "--no-advice"),
]
TUNED = ["--recipe", "paper", "--no-guard", "--epochs", "3", "--patience", "9", "--batch-size", "8"]
FINE_TUNING = "finetune/pretrained-paper"


class Killed(BaseException):
    """As a process ends that is killed: nothing is closed, nothing is said."""


@pytest.fixture(autouse=True)
def _nobodys_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in list(os.environ):
        if name.startswith(("MLFLOW_", "WANDB_")):
            monkeypatch.delenv(name)
    yield


def track(*names: str) -> list[str]:
    return [word for name in names for word in ("--track", name)]


def pretrain(base: Path, name: str, *more: str, epochs: int = 3) -> int:
    data = base / "pictures"
    if not data.exists():
        make_pictures(data, per_class=8)
    words = ["--data", str(data), "--runs", str(base / "runs"), "--name", name, "--epochs", str(epochs)]
    return run(["pretrain", *TINY, *words, *more])


def die(followed: Followed) -> None:
    """Close nothing; but Weights & Biases has a process of its own, which would end with ours."""
    if followed.names == ["wandb"]:
        import wandb

        wandb.teardown()


def test_a_tracker_that_is_not_installed_is_named_with_its_extra(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cass_cli.reports.trackers.tracker.find_spec", lambda _name: None)
    assert pretrain(tmp_path, "a", *track("mlflow")) == 2
    told = capsys.readouterr().err
    assert "--track mlflow needs MLflow, which is not installed." in told
    assert "pip install 'cass-cli[mlflow]'" in told and not (tmp_path / "runs").exists()


@pytest.mark.parametrize("tracker", EACH)
def test_a_killed_and_resumed_pretraining_has_the_curve_of_one_that_was_not(
    tracker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = tmp_path / "runs"
    assert pretrain(tmp_path, "whole", *track(tracker)) == 0
    with monkeypatch.context() as patch:
        saved, real = [0], job.save_checkpoint

        def save(*given: Any) -> None:
            saved[0] += 1
            if saved[0] == 2:  # the row of epoch 2 is written
                raise Killed
            real(*given)

        patch.setattr(job, "save_checkpoint", save)
        patch.setattr(Followed, "leave", die)
        with pytest.raises(Killed):
            pretrain(tmp_path, "killed", *track(tracker))
    assert len((runs / "killed/metrics.jsonl").read_text().splitlines()) == 2
    assert pretrain(tmp_path, "killed", "--resume") == 0  # the run knows who follows it

    whole, resumed = (curves(tracker, runs, runs / name, name) for name in ("whole", "killed"))
    assert whole == resumed
    rows = [json.loads(line) for line in (runs / "killed/metrics.jsonl").read_text().splitlines()]
    assert resumed["loss"] == [(row["epoch"], pytest.approx(row["loss"], rel=1e-6)) for row in rows]
    spread = [(row["epoch"], pytest.approx(row["gauges"]["vit"]["features"]["spread"], rel=1e-6)) for row in rows]
    assert resumed["gauges/vit/features/spread"] == spread


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("tracker", EACH)
def test_killed_before_or_after_an_epoch_is_told_it_is_told_once(
    tracker: str, moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        if moment == "before":
            patch.setattr(Followed, "saved", kill_at_epoch(2))
        else:  # and before it is recorded that it was told
            patch.setattr(Followed, "_record", kill_at_record(2))
        patch.setattr(Followed, "leave", die)
        with pytest.raises(Killed):
            pretrain(tmp_path, "a", *track(tracker))
    assert pretrain(tmp_path, "a", "--resume", epochs=3) == 0
    found = curves(tracker, tmp_path / "runs", tmp_path / "runs/a", "a")
    assert [epoch for epoch, _ in found["lr"]] == [1, 2, 3]


real_saved, real_record = Followed.saved, Followed._record


def kill_at_epoch(number: int) -> Any:
    def saved(self: Followed) -> None:
        if any(epoch == number for epoch, _ in self.waiting):
            raise Killed
        real_saved(self)

    return saved


def kill_at_record(number: int) -> Any:
    def record(self: Followed, name: Any, told: Any) -> None:
        if told["epochs"] == number:
            raise Killed
        real_record(self, name, told)

    return record


@pytest.mark.skipif(not INSTALLED or platform.system() == "Windows", reason="there is no tracker, or no SIGKILL")
def test_a_process_that_was_killed_leaves_a_curve_to_go_on_with(tmp_path: Path) -> None:
    make_pictures(tmp_path / "pictures")
    runs, words = tmp_path / "runs", ["--data", str(tmp_path / "pictures"), "--runs", str(tmp_path / "runs")]
    command = [sys.executable, "-m", "cass_cli", "pretrain", *TINY, *words, "--name", "a", "--epochs", "200"]
    process = subprocess.Popen([*command, *track(*INSTALLED)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    log = runs / "a/metrics.jsonl"
    while process.poll() is None and not (log.exists() and log.read_text().count("\n") >= 3):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    done = json.loads((runs / "a/trackers.json").read_text())[INSTALLED[0]]["epochs"]
    assert run(["pretrain", "--resume", "--runs", str(runs), "--name", "a", "--epochs", str(done + 3)]) == 0
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    for tracker in INSTALLED:
        found = curves(tracker, runs, runs / "a", "a")["loss"]
        assert found == [(row["epoch"], pytest.approx(row["loss"], rel=1e-6)) for row in rows], tracker


@pytest.mark.parametrize("tracker", EACH)
def test_every_trial_has_a_curve_of_its_own_which_goes_on_too(
    tracker: str, pretrained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(pretrained, tmp_path / "runs", symlinks=True)
    shutil.copytree(tmp_path / "runs/p", tmp_path / "runs/q")
    runs, asked = tmp_path / "runs", [*TUNED, "--seeds", "2", "--label-fraction", "0.5"]
    assert run(["finetune", "--runs", str(runs), "--run", "p", *asked, *track(tracker)]) == 0
    with monkeypatch.context() as patch:
        patch.setattr(Followed, "saved", kill_at_epoch(2))
        patch.setattr(Followed, "leave", die)
        with pytest.raises(Killed):
            run(["finetune", "--runs", str(runs), "--run", "q", *asked, *track(tracker)])
    assert run(["finetune", "--runs", str(runs), "--run", "q", "--resume"]) == 0
    for trial in (f"{FINE_TUNING}/0.5/seed0", f"{FINE_TUNING}/0.5/seed1"):
        name = trial.removeprefix("finetune/")
        whole, resumed = (curves(tracker, runs, runs / of / trial, f"{of}/{name}") for of in ("p", "q"))
        assert whole == resumed
        rows = [json.loads(line) for line in (runs / "q" / trial / "metrics.jsonl").read_text().splitlines()]
        told = [(row["epoch"], pytest.approx(row["arms"]["cnn"]["val_score"], rel=1e-6)) for row in rows]
        assert resumed["arms/cnn/val_score"] == told and len(told) == 3
    summary = json.loads((runs / "q" / trial / "summary.json").read_text())
    if tracker != "wandb":  # whose summary has no step
        assert resumed["test/vit/macro_f1"] == [(3, pytest.approx(summary["test"]["vit"]["macro_f1"], rel=1e-6))]


@pytest.mark.skipif("tensorboard" not in INSTALLED, reason="tensorboard is not installed")
def test_a_probe_trains_nothing_and_tells_its_scores(pretrained: Path, tmp_path: Path) -> None:
    shutil.copytree(pretrained, tmp_path / "runs", symlinks=True)
    assert run(["finetune", "--runs", str(tmp_path / "runs")]) == 0
    trial = tmp_path / "runs/p/finetune/pretrained-probe/1/seed0"
    assert not (trial / "tensorboard").exists()
    assert run(["finetune", "--runs", str(tmp_path / "runs"), "--resume", *track("tensorboard")]) == 0  # afterwards
    found = tensorboard(trial)
    summary = json.loads((trial / "summary.json").read_text())
    assert found["test/joint/macro_f1"] == [(0, pytest.approx(summary["test"]["joint"]["macro_f1"], rel=1e-6))]
    assert run(["finetune", "--runs", str(tmp_path / "runs"), "--resume", *track("tensorboard")]) == 0
    assert tensorboard(trial) == found


@pytest.mark.skipif("tensorboard" not in INSTALLED, reason="tensorboard is not installed")
def test_a_tracker_that_fails_is_warned_of_once_and_training_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from tensorboard.summary.writer.record_writer import RecordWriter

    written, real = [0], RecordWriter.write

    def write(self: Any, data: bytes) -> None:
        written[0] += 1
        if written[0] > 3:  # version, settings, epoch 1
            raise OSError(28, "No space left on device")
        real(self, data)

    with monkeypatch.context() as patch:
        patch.setattr(RecordWriter, "write", write)
        assert pretrain(tmp_path, "a", *track("tensorboard"), epochs=3) == 0
    told = capsys.readouterr().out
    assert told.count("Warning: TensorBoard failed, and training goes on without it:") == 1
    assert "No space left on device" in told
    assert len((tmp_path / "runs/a/metrics.jsonl").read_text().splitlines()) == 3
    assert pretrain(tmp_path, "a", "--resume", epochs=4) == 0  # with room again
    assert [epoch for epoch, _ in tensorboard(tmp_path / "runs/a")["loss"]] == [1, 2, 3, 4]


@pytest.mark.skipif("mlflow" not in INSTALLED, reason="mlflow is not installed")
def test_a_server_that_is_gone_does_not_stop_a_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    assert pretrain(tmp_path, "a", *track("mlflow"), epochs=1) == 0
    assert capsys.readouterr().out.count("Warning: MLflow failed, and training goes on without it:") == 1


@pytest.mark.skipif("mlflow" not in INSTALLED, reason="mlflow is not installed")
def test_mlflow_keeps_settings_and_what_a_resumed_run_changes(tmp_path: Path) -> None:
    assert pretrain(tmp_path, "a", *track("mlflow"), epochs=1) == 0
    assert pretrain(tmp_path, "a", "--resume", epochs=2) == 0
    _, found = mlflow_run(tmp_path / "runs", "a")
    assert found.info.status == "FINISHED" and found.data.params["data.path"] == "pictures"
    assert (found.data.params["train.epochs"], found.data.tags["train.epochs"]) == ("1", "2")
    assert found.data.params["arms.vit"] == "test_vit" and found.data.tags["run"] == "a"


@pytest.mark.parametrize("tracker", EACH)
def test_what_is_written_names_no_host_user_or_folder(tracker: str, tmp_path: Path) -> None:
    """But for MLflow's own records of where its files are, and the log of Weights & Biases, which is never sent."""
    assert pretrain(tmp_path, "a", *track(tracker), epochs=1) == 0
    runs = tmp_path / "runs"
    places = {"tensorboard": "a/tensorboard/*", "mlflow": "mlruns/*/*/*/*", "wandb": "wandb/*/*.wandb"}
    files = [path for path in runs.glob(places[tracker]) if path.is_file()]
    assert files
    private = {platform.node(), str(tmp_path), str(Path.home())} | ({getuser()} if len(getuser()) > 4 else set())
    for path in files:
        for word in private:
            assert word not in str(path.relative_to(runs))
            assert len(word) < 4 or word.encode() not in path.read_bytes(), path
    if tracker == "wandb":
        told = {item.key: item.value_json for r in wandb_records(files[0]) for item in r.run.config.update}
        assert told["data.path"] == '"pictures"'
        assert {(r.run.host, r.environment.host) for r in wandb_records(files[0])} == {("", "")}
    if tracker == "tensorboard":
        (file,) = files
        assert file.name.split(".")[4:] == ["cass", "0000"]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("none", ()),
        (["none"], ()),
        ("mlflow,tensorboard", ("mlflow", "tensorboard")),
        (["mlflow", "mlflow"], ("mlflow",)),
        ((), ()),
    ],
)
def test_how_trackers_may_be_named(given: Any, kept: tuple[str, ...]) -> None:
    assert Train(track=given).track == kept


def test_a_name_that_is_no_tracker(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert pretrain(tmp_path, "a", *track("tensorbord")) == 2
    assert "train.track" in capsys.readouterr().err
