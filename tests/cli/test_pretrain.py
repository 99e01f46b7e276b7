"""`cass pretrain` as users run it."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import yaml
from safetensors.torch import load_file
from torch import nn

from cass_cli.cli.app import run
from cass_cli.engine.checkpoint import load_checkpoint, save_checkpoint
from cass_cli.engine.pretraining.session import Session, refresh_averages
from cass_cli.runs.writers import writing_run

TINY = [
    *("--image-size", "32", "--epochs", "2", "--batch-size", "8", "--cnn", "test_resnet", "--vit", "test_vit"),
    *("--init", "random", "--device", "cpu", "--precision", "fp32"),
]


def pretrain(data: Path, out: Path, *more: str) -> int:
    return run(["pretrain", *TINY, "--data", str(data), "--runs", str(out), *more])


def result_of(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(capsys.readouterr().out)
    return value


def state(out: Path, name: str = "run") -> dict[str, torch.Tensor]:
    tensors: dict[str, torch.Tensor] = load_checkpoint(out / name / "checkpoints" / "last" / "state.pt")["method"]
    return tensors


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(first[key], second[key]) for key in first)


def test_a_folder_becomes_two_arms(class_folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "runs"
    assert pretrain(class_folders, out, "--name", "run", "--json") == 0
    result = result_of(capsys)
    assert (result["epochs"], result["images"]) == (2, 28)  # 70 % of 40

    files = {str(path.relative_to(out / "run")) for path in (out / "run").rglob("*") if path.is_file()}
    arms = {
        f"arms/{arm}{kind}.{end}"
        for arm in ("cnn", "vit")
        for kind in ("", "-averaged")
        for end in ("safetensors", "json")
    }
    assert files == arms | {
        "config.yaml",
        "images.json",
        "manifest.json",
        "environment.json",
        "splits.csv",
        "metrics.jsonl",
        "summary.json",
        "checkpoints/last/state.pt",
    }
    assert (out / "latest").resolve() == (out / "run").resolve()

    for card in (out / "run" / "arms").glob("*.json"):
        arm = json.loads(card.read_text())
        model = timm.create_model(arm["model"], **arm["options"])
        model.load_state_dict(load_file(card.with_suffix(".safetensors")), strict=True)
        assert arm["input_size"] == [3, 32, 32]

    rows = [json.loads(line) for line in (out / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [1, 2]
    assert rows[-1]["loss"] == result["loss"]
    assert 0 <= rows[-1]["gauges"]["vit"]["features"]["cosine"] <= 1
    assert json.loads((out / "run" / "summary.json").read_text())["loss"] == result["loss"]


def test_golden_loss(class_folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The whole path, from files to loss, gives these numbers; a change here is a change of the method."""
    assert pretrain(class_folders, tmp_path / "runs", "--name", "run", "--json") == 0
    rows = [json.loads(line) for line in (tmp_path / "runs/run/metrics.jsonl").read_text().splitlines()]
    assert [row["loss"] for row in rows] == pytest.approx(GOLDEN, rel=0.02)
    assert result_of(capsys)["loss"] == rows[-1]["loss"]


GOLDEN = [1.6547, 0.6732]


def test_only_the_training_split_is_seen(class_folders: Path, tmp_path: Path) -> None:
    """Files of the other splits may even be broken: pretraining never opens them."""
    assert pretrain(class_folders, tmp_path, "--name", "first") == 0
    lines = (tmp_path / "first" / "splits.csv").read_text().splitlines()
    header = lines[0].split(",")
    others = [line.split(",") for line in lines[1:]]
    for row in others:
        if row[header.index("split")] != "train":
            (class_folders / row[header.index("image")]).write_bytes(b"broken")
    assert pretrain(class_folders, tmp_path, "--name", "second") == 0
    assert same(state(tmp_path, "first"), state(tmp_path, "second"))


def test_same_seed_same_weights(class_folders: Path, tmp_path: Path) -> None:
    for name, seed in (("a", "3"), ("b", "3"), ("c", "4")):
        assert pretrain(class_folders, tmp_path, "--name", name, "--seed", seed, "--workers", str(len(name))) == 0
    assert same(state(tmp_path, "a"), state(tmp_path, "b"))
    assert not same(state(tmp_path, "a"), state(tmp_path, "c"))


def start(data: Path, out: Path, *more: str) -> subprocess.Popen[str]:
    settings = [] if "--resume" in more else [*TINY, "--data", str(data)]
    command = [sys.executable, "-m", "cass_cli", "pretrain", *settings, "--runs", str(out), *more]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(path: Path, lines: int) -> None:
    deadline = time.monotonic() + 120
    while not path.exists() or path.read_text().count("\n") < lines:
        assert time.monotonic() < deadline, f"{path} did not come"
        time.sleep(0.02)


def test_interrupted_again_and_again_it_equals_the_uninterrupted_run(class_folders: Path, tmp_path: Path) -> None:
    """Each time in a process of its own, like the first; both compute alike, whatever they would measure."""
    alike = ("--set", "train.channels_last=on", "--set", "train.threads=1")
    epochs = ("--epochs", "10", "--name", "run", *alike)
    whole = start(class_folders, tmp_path / "whole", *epochs)
    rows = tmp_path / "cut" / "run" / "metrics.jsonl"
    process = start(class_folders, tmp_path / "cut", *epochs)
    for number, code, done in ((signal.SIGINT, 130, 2), (signal.SIGKILL, -9, 5)):
        wait_for(rows, done)
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == code, errors
        if number != signal.SIGKILL:
            assert "cass pretrain --resume" in errors
        assert len(rows.read_text().splitlines()) < 10
        process = start(class_folders, tmp_path / "cut", "--resume")
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    whole.communicate(timeout=120)
    assert same(state(tmp_path / "cut"), state(tmp_path / "whole"))
    losses = [
        [json.loads(line)["loss"] for line in (tmp_path / out / "run" / "metrics.jsonl").read_text().splitlines()]
        for out in ("cut", "whole")
    ]
    assert losses[0] == losses[1]
    for arm in ("cnn", "vit-averaged"):
        files = [load_file(tmp_path / out / "run" / "arms" / f"{arm}.safetensors") for out in ("cut", "whole")]
        assert same(*files)


def test_resume_refuses_other_settings_and_takes_more_epochs(
    class_folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pretrain(class_folders, tmp_path, "--name", "run") == 0
    assert run(["pretrain", "--resume", "--runs", str(tmp_path)]) == 2
    assert "finished already" in capsys.readouterr().err
    assert run(["pretrain", "--resume", "--runs", str(tmp_path), "--lr", "0.5"]) == 2
    assert "optim.lr was 0.001, now 0.5" in capsys.readouterr().err
    checkpoint = tmp_path / "run" / "checkpoints" / "last" / "state.pt"
    spent = load_checkpoint(checkpoint)["seconds"]
    assert 0 < spent["run"] < 60 and spent["epoch"] == 0
    save_checkpoint(checkpoint, {**load_checkpoint(checkpoint), "seconds": {"run": 1000.0, "epoch": 0.0}})
    assert run(["pretrain", "--resume", "--runs", str(tmp_path), "--epochs", "3", "--json"]) == 0
    result = result_of(capsys)
    assert result["epochs"] == 3
    assert 1000 < result["seconds"] < 1100  # all that the run cost
    config = (tmp_path / "run" / "config.yaml").read_text()
    assert yaml.safe_load(config)["train"]["epochs"] == 3
    assert "batch_size: 8  # flag" in config


def test_a_finished_run_is_not_overwritten_unless_told(
    class_folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pretrain(class_folders, tmp_path, "--name", "run") == 0
    before = (tmp_path / "run" / "summary.json").read_bytes()
    assert pretrain(class_folders, tmp_path, "--name", "run") == 2
    assert "--overwrite" in capsys.readouterr().err
    assert (tmp_path / "run" / "summary.json").read_bytes() == before
    assert pretrain(class_folders, tmp_path, "--name", "run", "--overwrite") == 0


def test_killed_between_its_last_checkpoint_and_the_export_it_can_still_be_finished(
    class_folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert pretrain(class_folders, tmp_path, "--name", "whole", "--json") == 0
    whole = result_of(capsys)

    def die(*_arguments: object, **_more: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("cass_cli.engine.pretraining.job.save_arm", die)
        assert pretrain(class_folders, tmp_path, "--name", "cut") == 130
    assert not list((tmp_path / "cut" / "arms").glob("*.safetensors"))
    capsys.readouterr()

    assert run(["pretrain", "--resume", "--name", "cut", "--runs", str(tmp_path), "--json"]) == 0
    resumed = result_of(capsys)
    for key in ("epochs", "images", "loss", "states", "gauges"):
        assert resumed[key] == whole[key], key
    for arm in ("cnn", "vit", "cnn-averaged", "vit-averaged"):
        assert same(*(load_file(tmp_path / name / "arms" / f"{arm}.safetensors") for name in ("cut", "whole")))


def test_a_run_that_is_going_on_is_left_alone(
    class_folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pretrain(class_folders, tmp_path, "--name", "run") == 0
    with writing_run(tmp_path / "run"):
        assert run(["pretrain", "--resume", "--runs", str(tmp_path), "--epochs", "3"]) == 2
        told = capsys.readouterr().err
        assert f"being written by process {os.getpid()} on " in told and " since 20" in told
        assert pretrain(class_folders, tmp_path, "--name", "run", "--overwrite") == 2
        assert "being written by" in capsys.readouterr().err
    assert len((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()) == 2


def test_a_folder_that_cannot_be_written(
    class_folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").touch()
    assert pretrain(class_folders, tmp_path / "out", "--name", "run") == 2
    assert f"Cannot write {tmp_path / 'out' / 'run'}" in capsys.readouterr().err


def test_overwrite_spares_what_is_no_run(
    class_folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("years of work")
    assert pretrain(class_folders, tmp_path, "--name", "thesis", "--overwrite") == 2
    assert "no run of cass" in capsys.readouterr().err
    assert (tmp_path / "thesis" / "chapter.tex").exists()


def test_dry_run_shows_settings_with_origins_and_makes_nothing(
    class_folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "runs"
    assert pretrain(class_folders, out, "--dry-run", "--set", "optim.lr=1e-5", "--json") == 0
    value = result_of(capsys)
    assert value["settings"]["optim.lr"] == 1e-5
    assert value["origins"]["optim.lr"] == "--set"
    assert value["origins"]["train.epochs"] == "flag"
    assert value["plan"]["images"] == {"train": 28, "val": 4, "test": 8}
    assert value["plan"]["steps"] == 2 * 4
    model = timm.create_model("test_vit", num_classes=1000, img_size=32)
    assert value["plan"]["parameters"]["vit"] == sum(p.numel() for p in model.parameters())
    assert not out.exists()
    saving = ("--accumulate", "2", "--gradient-checkpointing")
    assert pretrain(class_folders, out, "--dry-run", *saving, "--json") == 0
    saved = result_of(capsys)
    assert saved["settings"]["train.gradient_checkpointing"] is True
    assert 0 < saved["plan"]["activation_bytes"] < value["plan"]["activation_bytes"] / 2
    assert pretrain(class_folders, out, "--dry-run") == 0
    assert "Nothing was run" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["--cache", "disk"], ["--cache", "off"], ["--set", "train.accumulate=2"]])
def test_ways_of_holding_images(class_folders: Path, tmp_path: Path, arguments: list[str]) -> None:
    assert pretrain(class_folders, tmp_path, "--name", "ram") == 0
    assert pretrain(class_folders, tmp_path, "--name", "other", *arguments) == 0
    if "--cache" in arguments:
        assert same(state(tmp_path, "ram"), state(tmp_path, "other"))


def test_flat_folder_without_labels(class_folders: Path, tmp_path: Path) -> None:
    flat = tmp_path / "flat"
    flat.mkdir()
    for path in class_folders.rglob("*.png"):
        shutil.copy(path, flat / f"{path.parent.name}-{path.name}")
    assert pretrain(flat, tmp_path / "runs") == 0


def test_bad_images_stop_by_default_or_are_recorded(
    class_folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in sorted(class_folders.rglob("*.png"))[::4]:
        path.write_bytes(path.read_bytes()[:200])
    assert pretrain(class_folders, tmp_path, "--name", "run") == 2
    message = capsys.readouterr().err
    assert ".png" in message
    assert "--bad-images skip" in message
    assert not (tmp_path / "run").exists()
    assert pretrain(class_folders, tmp_path, "--name", "run", "--bad-images", "skip") == 0
    assert (tmp_path / "run" / "splits.csv").read_text().count("unreadable") >= 5


# What is wrong → a word of what is said. {data} is the folder, {tmp} an empty one.
BAD_INPUT = [
    (["--data", "{tmp}/nowhere"], "nowhere"),
    (["--data", "{tmp}"], "is empty"),
    (["--preset", "dermofit"], "Dermofit Image Library"),
    (["--preset", "dermofi"], "Did you mean 'dermofit'"),
    (["--data", "{data}", "--cnn", "resnet5o"], "Did you mean 'resnet50'"),
    (["--data", "{data}", "--image-size", "40"], "Try --image-size 32 or 48"),
    (["--data", "{data}", "--device", "tpu"], "tpu"),
    (["--data", "{data}", "--device", "cuda:99"], "CUDA"),
    (["--data", "{data}", "--set", "train.epoch=3"], "Did you mean 'train.epochs'"),
    (["--data", "{data}", "--epochs", "0"], "train.epochs"),
    (["--data", "{data}", "--precision", "fp8"], "train.precision"),
    (["--data", "{data}", "--config", "{tmp}/no.yaml"], "no.yaml"),
    (["--data", "{data}", "--weights", "resnet=a.pt"], "cnn=PATH"),
    (["--data", "{data}", "--weights", "cnn={tmp}/no.pt"], "no.pt"),
    (["--data", "{data}", "--labels", "{tmp}/labels.csv"], "labels.csv"),
    (["--data", "{data}", "--resume", "--name", "x"], "no run 'x'"),
    (["--data", "{data}", "--runs", "{data}/dark/00.png"], "00.png"),
    (["--data", "{data}", "--name", "a/b"], "cannot name a run"),
    (["--dat", "{data}"], "--data"),
    ([], "--preset demo"),
]


@pytest.mark.parametrize(
    ("arguments", "said"), BAD_INPUT, ids=lambda value: " ".join(value)[:40] if value else "nothing"
)
def test_bad_input_says_what_where_and_what_to_try(
    class_folders: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    said: str,
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)
    filled = [text.format(data=class_folders, tmp=empty) for text in arguments]
    assert run(["pretrain", *TINY, *filled]) == 2
    captured = capsys.readouterr()
    assert said in captured.err.replace("\n", " ")
    assert "Traceback" not in captured.err
    assert captured.out == "" or captured.out.startswith("•")
    assert list(empty.iterdir()) == []


def test_debug_keeps_the_traceback(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="nowhere"):
        run(["pretrain", *TINY, "--data", str(tmp_path / "nowhere"), "--debug"])


def test_an_average_that_is_not_finite_is_left_out(
    class_folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def ruined(s: Session) -> dict[str, nn.Module]:
        averages = refresh_averages(s)
        for value in averages["vit"].parameters():
            torch.nn.init.constant_(value, math.nan)
        return averages

    monkeypatch.setattr("cass_cli.engine.pretraining.job.refresh_averages", ruined)
    assert pretrain(class_folders, tmp_path, "--name", "run") == 0
    assert "The averaged vit is not finite" in " ".join(capsys.readouterr().out.split())
    written = {path.stem for path in (tmp_path / "run/arms").glob("*.safetensors")}
    assert written == {"cnn", "vit", "cnn-averaged"}
