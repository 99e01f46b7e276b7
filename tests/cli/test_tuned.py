"""`cass finetune --recipe tuned`, as users run it: arms that learn on from their probes."""

from __future__ import annotations

import csv
import json
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
import yaml
from safetensors.torch import load_file

from cass_cli.cli.app import run
from cass_cli.data.sources import load_samples
from cass_cli.data.store.store import build_store
from cass_cli.engine.checkpoint import load_checkpoint, save_checkpoint
from cass_cli.engine.finetuning import loop, trained
from cass_cli.models.heads import join
from cass_cli.runs.made_from import read_made_from
from cass_cli.scores.guard import FINE_TUNED, PROBE, Guarded

QUICK = ("--recipe", "tuned", "--epochs", "2", "--batch-size", "8", "--set", "finetune.steps=0")


@pytest.fixture(scope="module")
def tuned(pretrained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pretraining with arms that learned on, whatever validation says of them."""
    runs = tmp_path_factory.mktemp("tuned") / "runs"
    shutil.copytree(pretrained, runs, symlinks=True, ignore=shutil.ignore_patterns("finetune"))
    assert run(["finetune", "--runs", str(runs), *QUICK, "--no-guard", "--seeds", "2"]) == 0
    return runs


@pytest.fixture
def runs(tuned: Path, tmp_path: Path) -> Path:
    """A copy of it, to be written into."""
    shutil.copytree(tuned, tmp_path / "runs", symlinks=True)
    return tmp_path / "runs"


def trial(runs: Path, variant: str = "pretrained-tuned", seed: int = 0) -> Path:
    return runs / "p" / "finetune" / variant / "1" / f"seed{seed}"


def summary(folder: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    return value


def timeless(found: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in found.items() if key not in ("seconds", "run")}


def test_arms_learn_and_their_joint_probe_stands_beside_them(tuned: Path) -> None:
    found = summary(trial(tuned))
    assert (found["recipe"], found["variant"], found["epochs"]) == ("tuned", "pretrained-tuned", 2)
    assert {arm["kept"] for arm in found["arms"].values()} == {"fine-tuned"}
    assert {arm["best_epoch"] for arm in found["arms"].values()} == {2}
    assert set(found["judgement"]["temperatures"]) == {"cnn", "vit", "joint"}
    arms = trial(tuned) / "arms"
    for name in ("cnn", "vit"):
        learned, began = load_file(arms / f"{name}.safetensors"), load_file(arms / f"{name}-start.safetensors")
        card = json.loads((arms / f"{name}.json").read_text())
        model = timm.create_model(card["model"], **card["options"])
        model.load_state_dict(learned, strict=True)
        moved = {key for key, value in learned.items() if not torch.equal(value, began[key])}
        assert moved == {key for key, _ in model.named_parameters()}  # all that learns, and no statistics


def test_frozen_starts_are_on_the_disk_once(tuned: Path) -> None:
    first, second = (trial(tuned, seed=seed) / "arms" for seed in (0, 1))
    assert (first / "vit-start.safetensors").samefile(second / "vit-start.safetensors")
    assert not (first / "vit.safetensors").samefile(second / "vit.safetensors")


def test_what_is_saved_is_what_was_scored(tuned: Path) -> None:
    arms = trial(tuned) / "arms"
    assert run(["evaluate", "--runs", str(tuned), "--seed", "0"]) == 0
    with (arms.parent / "predictions-test.csv").open() as file:
        rows = list(csv.DictReader(file))
    spec = json.loads((arms / "vit.json").read_text())
    data = Path(yaml.safe_load((tuned / "p" / "config.yaml").read_text())["data"]["path"])
    mean, std = (torch.tensor(spec[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
    table = load_samples(data)
    at = [table.names.index(row["image"]) for row in rows]
    pixels = build_store(table, size=32, mode="ram").images[at].float() / 255
    found = summary(trial(tuned))
    for name in ("cnn", "vit", "joint"):
        logits = join(arms / f"{name}-head")((pixels - mean) / std)
        given = torch.softmax(logits / found["judgement"]["temperatures"][name], dim=1)[:, 1]
        assert np.allclose(given.numpy(), [float(row[f"{name}:light"]) for row in rows], atol=1e-3)
    scores = json.loads((arms.parent / "evaluation-test.json").read_text())["scores"]
    for name in found["test"]:
        assert scores[name]["metrics"]["macro_f1"]["value"] == pytest.approx(found["test"][name]["macro_f1"])


def test_stopped_in_an_epoch_and_resumed_gives_the_same(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = timeless(summary(trial(runs)))
    weights = load_file(trial(runs) / "arms" / "vit.safetensors")
    shutil.rmtree(runs / "p" / "finetune")
    real, calls = loop.tune_step, 0

    def stop_in_the_sixth(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 6:
            signal.raise_signal(signal.SIGTERM)
        return real(*arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(loop, "tune_step", stop_in_the_sixth)
        assert run(["finetune", "--runs", str(runs), *QUICK, "--no-guard"]) == 143
    [checkpoint] = trial(runs).rglob("state.pt")
    state = load_checkpoint(checkpoint)
    save_checkpoint(checkpoint, {**state, "seconds": {"run": 2000.0 + state["seconds"]["run"], "epoch": 1000.0}})
    assert run(["finetune", "--runs", str(runs), "--resume"]) == 0
    assert timeless(summary(trial(runs))) == before
    assert 2000 < summary(trial(runs))["seconds"] < 2999  # the whole trial's, by all processes
    rows = [json.loads(line) for line in (trial(runs) / "metrics.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows if row["seconds"] > 1000] == [state["epoch"] + 1]
    again = load_file(trial(runs) / "arms" / "vit.safetensors")
    assert all(torch.equal(value, again[key]) for key, value in weights.items())


def test_what_the_guard_keeps_is_what_joint_reads_and_what_answers(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One arm as it learned, the other as it began: whatever these few images would have preferred."""
    turns, rates = iter((FINE_TUNED, PROBE)), []
    real = trained.with_drop_path
    monkeypatch.setattr(
        trained, "with_drop_path", lambda *given, seed: rates.append(given[1]) or real(*given, seed=seed)
    )
    monkeypatch.setattr(trained, "guard", lambda *_, metric: Guarded(next(turns), metric, 4, 0.5, 0.5))
    assert run(["finetune", "--runs", str(runs), *QUICK, "--variant", "kept"]) == 0
    assert rates == [0.1, 0.1]
    found, arms = summary(trial(runs, "kept")), trial(runs, "kept") / "arms"
    assert {name: arm["kept"] for name, arm in found["arms"].items()} == {"cnn": "fine-tuned", "vit": "probe"}
    assert json.loads((arms / "joint-head.json").read_text())["arms"] == ["cnn-start", "vit"]
    assert not (arms / "vit-start.json").exists()
    assert set(found["set_aside"]) == {"cnn", "vit"}
    assert run(["evaluate", "--runs", str(runs), "--variant", "kept"]) == 0
    scores = json.loads((arms.parent / "evaluation-test.json").read_text())["scores"]
    assert list(scores) == ["cnn", "vit", "mean", "joint", "ensemble"]
    for name, score in scores.items():
        assert score["metrics"]["auroc"]["value"] == pytest.approx(found["test"][name]["auroc"])
    assert "the average of all, by weight" in capsys.readouterr().out


def test_an_arm_alone_has_nothing_beside_it(runs: Path) -> None:
    assert run(["finetune", "--runs", str(runs), *QUICK, "--variant", "alone", "--arm", "vit", "--no-guard"]) == 0
    found = summary(trial(runs, "alone"))
    assert list(found["test"]) == ["vit"]
    assert found["judgement"]["weights"] == {}
    assert run(["evaluate", "--runs", str(runs), "--variant", "alone"]) == 0


TAUGHT = ("--unlabelled", "cross-teach", "--set", "finetune.epochs=1", "--set", "finetune.steps=0", "--no-guard")


def test_images_whose_labels_are_hidden_teach(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lessons: list[torch.Tensor] = []
    real = loop.soft_loss

    def heard(logits: torch.Tensor, taught: torch.Tensor, **how: Any) -> torch.Tensor:
        lessons.append(taught)
        return real(logits, taught, **how)

    with monkeypatch.context() as patched:
        patched.setattr(loop, "soft_loss", heard)
        assert run(["finetune", "--runs", str(runs), *TAUGHT, "--label-fraction", "0.3"]) == 0
    assert "Recipe: tuned, every weight is trained, as finetune.unlabelled asks." in capsys.readouterr().err
    assert lessons
    assert all(torch.allclose(taught.sum(dim=1), torch.ones(len(taught))) for taught in lessons)
    found = summary(runs / "p" / "finetune" / "pretrained-tuned-cross-teach" / "0.3" / "seed0")
    assert (found["labels"], found["untold"]) == (8, 20)
    assert run(["finetune", "--runs", str(runs), *TAUGHT, "--label-fraction", "1", "--resume"]) == 0
    assert "no image is left to teach without its label" in capsys.readouterr().out
    assert run(["compare", "--runs", str(runs)]) == 0
    assert "CASS, tuned, cross-teach" in capsys.readouterr().out


def test_images_that_have_no_label_teach(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = Path(yaml.safe_load((runs / "p" / "config.yaml").read_text())["data"]["path"])
    names = sorted(path.relative_to(data) for path in data.rglob("*.png"))
    labels = tmp_path / "labels.csv"
    some = [f"{name},{name.parent.name if number % 2 else ''}" for number, name in enumerate(names)]
    labels.write_text("\n".join(["image,label", *some]) + "\n")
    new = [
        "--data",
        str(data),
        "--labels",
        str(labels),
        "--name",
        "half",
        "--init-from",
        "random",
        "--image-size",
        "32",
    ]
    arms = ["--cnn", "test_resnet", "--vit", "test_vit"]
    assert run(["finetune", "--runs", str(runs), *new, *arms, *TAUGHT]) == 0
    splits = (runs / "half" / "splits.csv").read_text().splitlines()
    bare = [line for line in splits if ",train," in line and line.split(",")[2] == ""]
    found = summary(runs / "half" / "finetune" / "random-tuned-cross-teach" / "1" / "seed0")
    assert found["untold"] == len(bare) > 5
    made_from = read_made_from(runs / "half" / "finetune" / "random-tuned-cross-teach")
    assert made_from is not None
    assert {line.split(",")[0] for line in bare} < made_from.images.keys()  # what teaches is known again
    assert f"{len(names) // 2 - len(bare)} images have no label and are left out" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("--unlabelled", "cross-teach", "--arm", "vit"), "cross-teach needs two arms"),
        (
            ("--unlabelled", "cross-teach", "--recipe", "paper"),
            "cross-teach begins with probes and averages weights: take the recipe tuned",
        ),
        (("--unlabelled", "cross-teach", "--recipe", "probe"), "no part in the recipe probe, which trains no arm"),
        (("--unlabelled", "cross-teach", "--set", "finetune.averaging=0"), "take the recipe tuned"),
        (("--recipe", "tuned", "--freeze"), "a frozen arm with the probe's head is what the recipe probe gives"),
        (("--recipe", "tuned", "--probe-size", "64"), "no part in the recipe tuned, which reads images of the size"),
    ],
)
def test_what_cannot_be_is_said(
    tuned: Path, asked: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["finetune", "--runs", str(tuned), *asked]) == 2
    assert said in " ".join(capsys.readouterr().err.split())


def test_a_dry_run_tells_what_it_takes(tuned: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["--recipe", "tuned", "--label-fraction", "0.3", "--unlabelled", "cross-teach", "--json"]
    assert run(["finetune", "--runs", str(tuned), *asked, "--dry-run"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["origins"]["finetune.layer_decay"] == "recipe tuned"
    assert "finetune.probe_size" not in found["settings"]
    (trial,) = found["plan"]["trials"]
    assert trial["steps"] >= found["settings"]["finetune.steps"] == 400
    assert found["forecast"]["training_seconds"] > 0


def test_maps_show_arms_that_learned_beside_what_they_began_as(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    named = ["--runs", str(runs), "--run", "p/finetune/pretrained-tuned", "--samples", "1"]
    assert run(["attention-maps", *named]) == 0
    said = capsys.readouterr().out
    assert said.count("fine-tuned on 28 labels") >= 2  # an arm each, beside what it was
    assert said.count("after CASS, 1 epoch") >= 2
