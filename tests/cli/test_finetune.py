"""`cass finetune` as users run it."""

from __future__ import annotations

import json
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
from safetensors.torch import load_file, save_file

from cass_cli.cli.app import run
from cass_cli.config.load import Layer
from cass_cli.engine.starting_arms import starting_body, with_new_head
from cass_cli.models.sealed import write_sealed
from cass_cli.runs.directory import Run, settings_over
from cass_cli.runs.manifest import replace_recorded
from tests.cli.conftest import TRAINED, make_pictures

QUICK = [*TRAINED, "--epochs", "2", "--batch-size", "8", "--lr", "1e-3"]


@pytest.fixture
def runs(pretrained: Path, tmp_path: Path) -> Path:
    """A copy of the pretraining alone, to be written into."""
    shutil.copytree(pretrained, tmp_path / "runs", symlinks=True, ignore=shutil.ignore_patterns("finetune"))
    return tmp_path / "runs"


def finetune(runs: Path, *more: str) -> int:
    return run(["finetune", "--runs", str(runs), *QUICK, *more])


def summary(runs: Path, trial: str, name: str = "p") -> dict[str, Any]:
    value: dict[str, Any] = json.loads((runs / name / "finetune" / trial / "summary.json").read_text())
    return value


def tensors(runs: Path, trial: str, arm: str = "vit", name: str = "p") -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = load_file(runs / name / "finetune" / trial / "arms" / f"{arm}.safetensors")
    return found


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor], *, but: str = "-") -> bool:
    return all(torch.equal(first[key], second[key]) for key in first if not key.startswith(but))


def test_fractions_and_seeds_become_trials(tuned: Path) -> None:
    variant = tuned / "p" / "finetune" / "pretrained-paper"
    trials = {str(path.parent.relative_to(variant)) for path in variant.glob("*/*/summary.json")}
    assert trials == {"0.3/seed0", "0.3/seed1", "1/seed0", "1/seed1"}
    assert (variant.parent / "latest").resolve() == variant.resolve()
    assert (tuned / "latest").resolve() == (tuned / "p").resolve()
    assert not list(variant.rglob("state.pt"))  # a finished trial needs no checkpoint
    assert summary(tuned, "pretrained-paper/1/seed0")["labels"] == 28
    assert summary(tuned, "pretrained-paper/0.3/seed0")["labels"] == 8  # 0.3 of 14 of each class is 4
    settings = yaml.safe_load((variant / "config.yaml").read_text())
    assert settings["finetune"]["fractions"] == [0.3, 1.0]


def test_arms_load_with_timm_alone_and_name_their_classes(tuned: Path) -> None:
    for path in (tuned / "p" / "finetune" / "pretrained-paper" / "1" / "seed0" / "arms").glob("*.json"):
        card = json.loads(path.read_text())
        model = timm.create_model(card["model"], **card["options"])
        model.load_state_dict(load_file(path.with_suffix(".safetensors")), strict=True)
        assert model.num_classes == len(card["classes"]) == 2


def test_json_gives_means_with_intervals(tuned: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Everything is finished, so that --resume only tells it again."""
    assert run(["finetune", "--runs", str(tuned), "--resume", "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    found = next(r for r in value["results"] if (r["candidate"], r["fraction"], r["metric"]) == ("vit", 1, "macro_f1"))
    scores = [t["test"]["vit"]["macro_f1"] for t in value["trials"] if t["fraction"] == 1]
    assert found["n"] == len(scores) == 2
    assert found["mean"] == pytest.approx(sum(scores) / 2)
    assert found["low"] <= found["mean"] <= found["high"]


def test_what_an_arm_starts_from(pretrained: Path) -> None:
    """pretrained and averaged are the run's arms, imagenet is the file that the run named, random is none of them."""
    weights = pretrained.parent / "imagenet.safetensors"
    torch.manual_seed(9)
    save_file(timm.create_model("test_vit", img_size=32).state_dict(), weights)

    def start(init: str, seed: int = 0) -> dict[str, torch.Tensor]:
        layer = Layer("test", {"finetune.init": init, "arms.weights": {"vit": weights}})
        config = settings_over(pretrained / "p" / "config.yaml", [layer]).config
        body = starting_body(Run(pretrained / "p"), config, "vit", seed=seed)
        tensors: dict[str, torch.Tensor] = with_new_head(body, "vit", classes=3, seed=seed).model.state_dict()
        return tensors

    begun = {init: start(init) for init in ("pretrained", "averaged", "imagenet", "random")}
    arms = pretrained / "p" / "arms"
    assert same(begun["pretrained"], load_file(arms / "vit.safetensors"), but="head")
    assert same(begun["averaged"], load_file(arms / "vit-averaged.safetensors"), but="head")
    assert same(begun["imagenet"], load_file(weights), but="head")
    assert not same(begun["random"], begun["imagenet"], but="head")
    assert not same(begun["pretrained"], begun["imagenet"], but="head")
    # One seed, one head: methods that are compared differ in the body alone.
    heads = [tensors["head.weight"] for tensors in begun.values()]
    assert all(torch.equal(heads[0], head) for head in heads)
    assert heads[0].shape[0] == 3
    other = start("random", seed=1)
    assert not torch.equal(other["head.weight"], heads[0])
    assert not same(other, begun["random"], but="head")


def test_seeds_draw_other_heads_and_other_labels(tuned: Path) -> None:
    first, second = (tensors(tuned, f"pretrained-paper/0.3/seed{seed}") for seed in (0, 1))
    assert not torch.equal(first["head.weight"], second["head.weight"])
    rows = [(tuned / f"p/finetune/pretrained-paper/0.3/seed{s}/metrics.jsonl").read_text() for s in (0, 1)]
    assert json.loads(rows[0].splitlines()[0])["arms"] != json.loads(rows[1].splitlines()[0])["arms"]


def test_without_any_pretraining(pretrained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, out = make_pictures(tmp_path / "pictures"), tmp_path / "runs"
    settings = ["--data", str(data), "--image-size", "32", "--cnn", "test_resnet", "--vit", "test_vit"]
    settings += ["--device", "cpu", "--precision", "fp32", "--arm", "cnn", "--name", "plain"]
    assert finetune(out, *settings, "--init-from", "pretrained") == 2
    assert "--init-from imagenet" in capsys.readouterr().err
    assert not out.exists()
    assert finetune(out, *settings, "--init-from", "random") == 0
    assert summary(out, "random-paper/1/seed0", "plain")["method"] == "none"
    assert (out / "plain" / "splits.csv").exists()
    assert run(["evaluate", "--runs", str(out), "--resamples", "10"]) == 0
    assert finetune(out, *settings, "--init-from", "random") == 2
    assert "exists already" in capsys.readouterr().err
    # The splits are those of a pretraining of the same pictures with the same seed, so that both can be compared.
    files = [folder / "splits.csv" for folder in (out / "plain", pretrained / "p")]
    splits = [[line.split(",")[:2] for line in path.read_text().splitlines()] for path in files]
    assert splits[0] == splits[1]


def test_nothing_is_overwritten_silently(tuned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = tmp_path / "runs"
    shutil.copytree(tuned, runs, symlinks=True)
    before = tensors(runs, "pretrained-paper/1/seed0")
    assert finetune(runs) == 2
    assert "--overwrite" in capsys.readouterr().err
    slow = ["--lr", "1e-4", "--arm", "vit", "--epochs", "1"]
    assert finetune(runs, *slow, "--label-fraction", "0.5") == 2
    assert "finetune.lr was 0.001, now 0.0001" in capsys.readouterr().err
    assert finetune(runs, *slow, "--variant", "slow") == 0
    assert same(before, tensors(runs, "pretrained-paper/1/seed0"))
    assert not same(before, tensors(runs, "slow/1/seed0"))
    assert finetune(runs, *slow, "--overwrite") == 0
    assert same(tensors(runs, "slow/1/seed0"), tensors(runs, "pretrained-paper/1/seed0"))
    assert not (runs / "p/finetune/pretrained-paper/0.3").exists()  # made with settings that no longer hold


def test_resume_adds_seeds_and_keeps_what_is_finished(runs: Path) -> None:
    assert finetune(runs, "--arm", "vit") == 0
    stamp = (runs / "p/finetune/pretrained-paper/1/seed0/summary.json").stat().st_mtime_ns
    assert run(["finetune", "--runs", str(runs), "--resume", "--seeds", "2"]) == 0  # its settings are remembered
    assert (runs / "p/finetune/pretrained-paper/1/seed0/summary.json").stat().st_mtime_ns == stamp
    assert summary(runs, "pretrained-paper/1/seed1")["epochs"] == 2


def test_a_probe_that_is_added_after_more_pretraining_lies_beside_the_arm_that_it_reads(runs: Path) -> None:
    assert run(["finetune", "--runs", str(runs)]) == 0
    assert run(["pretrain", "--runs", str(runs), "--name", "p", "--resume", "--epochs", "2"]) == 0
    assert run(["finetune", "--runs", str(runs), "--resume", "--seeds", "2"]) == 0
    now = load_file(runs / "p" / "arms" / "vit.safetensors")
    assert same(tensors(runs, "pretrained-probe/1/seed1"), now)
    assert not same(tensors(runs, "pretrained-probe/1/seed0"), now)


def test_stopped_and_resumed_gives_the_same_weights(runs: Path) -> None:
    """Each time in a process of its own, like the first: more threads than cores are counted in another way there."""
    long = ["--arm", "vit", "--epochs", "8", "--patience", "8", "--runs", str(runs)]
    settings = [*TRAINED, "--batch-size", "4", "--lr", "1e-3"]
    command = [sys.executable, "-m", "cass_cli", "finetune", *long, *settings]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    rows, deadline = runs / "p/finetune/pretrained-paper/1/seed0/metrics.jsonl", time.monotonic() + 120
    while not rows.exists() or rows.read_text().count("\n") < 3:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 143
    assert "cass finetune --resume" in errors
    for more in (["--runs", str(runs), "--resume"], [*long, *settings, "--variant", "whole"]):
        subprocess.run([*command[:4], *more], check=True, capture_output=True)
    assert same(tensors(runs, "whole/1/seed0"), tensors(runs, "pretrained-paper/1/seed0"))
    log = [json.loads(line)["epoch"] for line in rows.read_text().splitlines()]
    assert log == sorted(set(log))


def test_labels_that_the_run_could_not_read_stay_out(runs: Path) -> None:
    path = runs / "p" / "splits.csv"
    lines = path.read_text().splitlines()
    train = next(i for i, line in enumerate(lines) if ",train," in line)
    lines[train] = ",".join([*lines[train].split(",")[:4], "unreadable: cut short"])
    replace_recorded(path, "\n".join(lines) + "\n")
    assert finetune(runs, "--arm", "vit", "--epochs", "1") == 0
    assert summary(runs, "pretrained-paper/1/seed0")["labels"] == 27


def test_an_empty_validation_split_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = make_pictures(tmp_path / "pictures")
    settings = ["--data", str(data), "--image-size", "32", "--vit", "test_vit", "--arm", "vit", "--device", "cpu"]
    assert finetune(tmp_path, *settings, "--init-from", "random", "--name", "n",
                    "--set", "data.fractions=[0.8, 0, 0.2]", "--patience", "1") == 0  # fmt: skip
    assert "no validation images" in capsys.readouterr().out
    found = summary(tmp_path, "random-paper/1/seed0", "n")
    assert (found["epochs"], found["validation"]) == (2, {})
    assert found["judgement"]["temperatures"] == {"vit": 1.0}


def test_a_class_of_one_image_and_a_tiny_fraction(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = make_pictures(tmp_path / "pictures", classes=("dark", "light", "rare"))
    for path in sorted((data / "rare").iterdir())[1:]:
        path.unlink()
    settings = ["--data", str(data), "--image-size", "32", "--vit", "test_vit", "--arm", "vit", "--device", "cpu"]
    fraction = ["--label-fraction", "0.01", "--init-from", "random", "--name", "n", "--epochs", "1"]
    assert finetune(tmp_path, *settings, *fraction) == 0
    assert "at least one of every class" in capsys.readouterr().out
    assert summary(tmp_path, "random-paper/0.01/seed0", "n")["labels"] == 3


def test_multilabel_by_csv(tmp_path: Path) -> None:
    data = make_pictures(tmp_path / "pictures")
    rows = ["image,bright,even"]
    for i, path in enumerate(sorted(data.rglob("*.png"))):
        rows.append(f"{path.relative_to(data)},{int('light' in str(path))},{int(i % 2 == 0)}")
    (data / "labels.csv").write_text("\n".join(rows) + "\n")
    settings = ["--data", str(data), "--labels", str(data / "labels.csv"), "--image-size", "32", "--device", "cpu"]
    settings += ["--cnn", "test_resnet", "--vit", "test_vit", "--init-from", "random", "--name", "n"]
    assert finetune(tmp_path, *settings) == 0
    found = summary(tmp_path, "random-paper/1/seed0", "n")
    assert found["multilabel"]
    assert set(found["judgement"]["thresholds"]) == {"cnn", "vit", "mean"}
    assert run(["evaluate", "--runs", str(tmp_path), "--resamples", "10", "--json"]) == 0
    out = tmp_path / "predictions.csv"
    assert run(["predict", str(data / "light"), "--runs", str(tmp_path), "--out", str(out)]) == 0
    assert len(out.read_text().splitlines()) == 21


# What is wrong → a word of what is said. {runs} holds a pretraining, {data} its pictures, {tmp} nothing.
BAD_INPUT = [
    (["--runs", "{tmp}"], "There is no run"),
    (["--runs", "{runs}", "--run", "q"], "no run 'q'"),
    (["--runs", "{runs}", "--label-fraction", "0"], "finetune.fractions"),
    (["--runs", "{runs}", "--label-fraction", "1,2"], "finetune.fractions"),
    (["--runs", "{runs}", "--label-fraction", "ten"], "no list of numbers"),
    (["--runs", "{runs}", "--arm", "vitt"], "finetune.arm"),
    (["--runs", "{runs}", "--init-from", "imagenett"], "finetune.init"),
    (["--runs", "{runs}", "--class-weights", "some"], "finetune.class_weights"),
    (["--runs", "{runs}", "--sampling", "even"], "finetune.sampling"),
    (["--runs", "{runs}", "--logit-adjustment", "-1"], "finetune.logit_adjustment"),
    (["--runs", "{runs}", "--gamma", "-1"], "finetune.gamma"),
    (["--runs", "{runs}", "--set", "finetune.patienc=3"], "Did you mean 'finetune.patience'"),
    (["--runs", "{runs}", "--device", "cuda:99"], "CUDA"),
    (["--runs", "{runs}", "--variant", "a/b"], "cannot name a fine-tuning"),
    (["--runs", "{runs}", "--run", "p", "--variant", "n", "--data", "{tmp}"], "is empty"),
    (["--runs", "{runs}", "--run", "p", "--variant", "n", "--data", "{data}/dark"], "are not in"),
    (["--runs", "{runs}", "--init-from", "imagenet", "--cnn", "test_resne"], "Did you mean"),
    (["--runs", "{runs}", "--init-from", "imagenet", "--weights", "vit={tmp}/no.pt", "--arm", "vit"], "no.pt"),
    (["--runs", "{runs}", "--data", "{data}", "--init-from", "averaged"], "--init-from imagenet"),
    (["--runs", "{runs}", "--fraction", "1"], "--label-fraction"),
]


@pytest.mark.parametrize(("arguments", "said"), BAD_INPUT, ids=lambda value: " ".join(value)[:48])
def test_bad_input_says_what_where_and_what_to_try(
    pretrained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    filled = [text.format(runs=pretrained, data=pretrained.parent / "pictures", tmp=empty) for text in arguments]
    before = {path for path in pretrained.rglob("*") if path.suffix != ".part"}
    assert run(["finetune", *filled]) == 2
    captured = capsys.readouterr()
    assert said in captured.err.replace("\n", " ")
    assert "Traceback" not in captured.err
    assert set(pretrained.rglob("*")) == before
    assert list(empty.iterdir()) == []


def test_unlabelled_or_one_class_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = make_pictures(tmp_path / "pictures")
    settings = ["--image-size", "32", "--vit", "test_vit", "--arm", "vit", "--init-from", "random"]
    assert finetune(tmp_path, "--data", str(data / "dark"), *settings) == 2
    assert "no labels" in capsys.readouterr().err


def test_a_damaged_arm_is_named(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (runs / "p" / "arms" / "vit.safetensors").write_bytes(b"not weights at all")
    assert finetune(runs, "--arm", "vit") == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "vit.safetensors with vit.json is not an arm saved by cass: its header is not that of a safetensors" in said
    for path in (runs / "p" / "arms").iterdir():
        path.unlink()
    assert finetune(runs) == 2
    assert "no pretrained arms" in capsys.readouterr().err


def test_arms_of_different_epochs_are_not_fine_tuned(
    pretrained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a process leaves them that is killed when it has written one of the two anew."""
    shutil.copytree(pretrained, tmp_path / "runs", symlinks=True)
    arm = tmp_path / "runs/p/arms/vit"
    card = {**json.loads(arm.with_suffix(".json").read_text()), "epochs": 7}
    write_sealed(arm, load_file(arm.with_suffix(".safetensors")), card)
    assert run(["finetune", "--runs", str(tmp_path / "runs"), "--run", "p"]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "are of different epochs: cnn 1, vit 7" in said
    assert "cass pretrain --resume" in said


def test_a_name_alone_does_not_resume_what_was_not_begun(
    pretrained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ignored = shutil.ignore_patterns("finetune")
    shutil.copytree(pretrained, tmp_path / "runs", symlinks=True, ignore=ignored)
    named = ["finetune", "--runs", str(tmp_path / "runs"), "--run", "p", "--resume", "--variant", "mine"]
    assert run(named) == 2
    assert "has not been begun" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "runs/p/finetune").exists()
