"""Several labels an image, some of them unknown, through every command that reads labels."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from cass_cli.cli.app import run
from cass_cli.data import dataset, sources
from cass_cli.data.sample_table import SampleTable
from tests.cli.conftest import TINY, make_pictures

CLASSES = ("even", "light", "third")
ARMS = ("--image-size", "32", "--cnn", "test_resnet", "--vit", "test_vit", "--device", "cpu", "--precision", "fp32")
PAPER = ("--recipe", "paper", "--epochs", "2", "--batch-size", "8", "--lr", "1e-3")


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Forty pictures with three labels each, about a third of them unknown, and two of which nothing is known."""
    root = make_pictures(tmp_path / "pictures")
    names = sorted(str(path.relative_to(root)) for path in root.rglob("*.png"))
    with (root / "labels.csv").open("w") as file:
        file.write(",".join(["image", *CLASSES]) + "\n")
        file.writelines(f"{n},{int(n[-5]) % 2},{int('light' in n)},{int(i % 3 == 0)}\n" for i, n in enumerate(names))
    real = sources.load_samples

    def with_unknown(*arguments: Any, **settings: Any) -> SampleTable:
        table = real(*arguments, **settings)
        assert table.labels is not None
        unknown = np.random.default_rng(1).random(table.labels.shape) < 0.3
        unknown[[3, 20]] = True
        return replace(table, labels=np.where(unknown, -1, table.labels).astype(np.int8))

    for module in (sources, dataset):
        monkeypatch.setattr(module, "load_samples", with_unknown)
    return root


def tuned(data: Path, *more: str) -> tuple[Path, dict[str, Any]]:
    """Fine-tune on the pictures; return the trial and its summary."""
    runs = data.parent / "runs"
    asked = ["--data", str(data), "--labels", "labels.csv", "--runs", str(runs), "--name", "q", "--init-from", "random"]
    assert run(["finetune", *asked, *ARMS, *more]) == 0
    trial = next(runs.rglob("seed0"))
    return trial, json.loads((trial / "summary.json").read_text())


@pytest.mark.parametrize(
    "more",
    [
        (),
        PAPER,
        (*PAPER, "--no-guard", "--sampling", "balanced", "--logit-adjustment", "1"),
    ],
)
def test_both_recipes_learn_and_are_scored_on_what_is_known(data: Path, more: tuple[str, ...]) -> None:
    trial, found = tuned(data, *more)
    assert found["multilabel"]
    assert found["labels"] + sum(found["images"].values()) == 38  # not those of which nothing is known
    assert all(
        np.isfinite(value) for scores in found["test"].values() for value in scores.values() if value is not None
    )
    for row in map(json.loads, (trial / "metrics.jsonl").read_text().splitlines() if more else ()):
        assert all(np.isfinite([arm["loss"], arm["val_loss"]]).all() for arm in row["arms"].values())
    assert run(["evaluate", "--runs", str(data.parent / "runs"), "--resamples", "20"]) == 0
    value = json.loads((trial / "evaluation-test.json").read_text())
    with (trial / "predictions-test.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert 0 < sum(row[f"true:{c}"] == "" for row in rows for c in CLASSES) < len(rows)
    for name, scores in value["scores"].items():
        for c, threshold in zip(CLASSES, scores["thresholds"], strict=True):
            known = [row for row in rows if row[f"true:{c}"]]
            truth = np.array([int(row[f"true:{c}"]) for row in known])
            given = np.array([float(row[f"{name}:{c}"]) for row in known])
            assert scores["support"][c] == truth.sum() == sum(c in row["label"].split(";") for row in rows)
            expected = {
                "f1": f1_score(truth, given >= threshold),
                "auroc": roc_auc_score(truth, given),
                "average_precision": average_precision_score(truth, given),
            }
            assert {key: scores["per_class"][key][c]["value"] for key in expected} == pytest.approx(expected)
        assert any("Labels that are unknown are left out" in note for note in scores["notes"])


def test_errors_and_the_card_go_by_what_is_known(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trial, found = tuned(data)
    runs = ["--runs", str(data.parent / "runs")]
    assert run(["evaluate", *runs, "--resamples", "0"]) == 0
    capsys.readouterr()
    assert run(["errors", *runs, "--count", "50", "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    pick, evaluation = value["candidate"], json.loads((trial / "evaluation-test.json").read_text())
    thresholds = dict(zip(CLASSES, evaluation["scores"][pick]["thresholds"], strict=True))
    with (trial / "predictions-test.csv").open() as file:
        rows = {row["image"]: row for row in csv.DictReader(file)}

    def mistakes(row: dict[str, str]) -> list[str]:
        known = [c for c in CLASSES if row[f"true:{c}"]]
        return [c for c in known if (float(row[f"{pick}:{c}"]) >= thresholds[c]) != (row[f"true:{c}"] == "1")]

    wrong = {name for name, row in rows.items() if mistakes(row)}
    assert {case["image"] for case in value["surest_wrong"]} == wrong
    assert {case["image"] for case in value["doubtful_right"]} == {*rows} - wrong
    for case in value["surest_wrong"]:
        row = rows[case["image"]]
        p = {c: float(row[f"{pick}:{c}"]) for c in mistakes(row)}
        sure = {c: value if value >= thresholds[c] else 1 - value for c, value in p.items()}
        assert case["about"] in sure and case["value"] == pytest.approx(max(sure.values()), abs=1e-6)
    assert value["labels"]["judged"] <= value["labels"]["shown"] < 3 * found["labels"]
    for of in value["labels"]["doubted"]:
        assert {of["label"], of["suggested"]} in [{c, f"no {c}"} for c in CLASSES]
    assert run(["card", *runs]) == 0
    card = json.loads((trial / "model-card.json").read_text())
    assert sum(part["images"] for part in card["flow"]["used"].values()) == 38
    assert sum(of.get("no label", {"images": 0})["images"] for of in card["flow"]["excluded"].values()) == 2
    assert "true and" in card["known"]["crosstab"] and "from its threshold on" in card["known"]["output"]


def test_pretraining_probes_and_the_look_over_leave_them_out_too(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--data", str(data), "--labels", "labels.csv", "--runs", str(data.parent / "runs"), "--name", "p"]
    assert run(["pretrain", *TINY, *given, "--probe-every", "1"]) == 0
    rows = [json.loads(line) for line in (data.parent / "runs" / "p" / "metrics.jsonl").read_text().splitlines()]
    probes = rows[-1]["probes"]["vit"]
    assert all(0 <= probes[kind][score] <= 1 for kind in ("knn", "linear") for score in ("accuracy", "macro_f1"))
    capsys.readouterr()
    assert run(["inspect", str(data), "--labels", "labels.csv", "--json"]) == 0
    counts = json.loads(capsys.readouterr().out)["class_counts"]
    labels = sources.load_samples(data, labels=data / "labels.csv").labels
    assert labels is not None
    shown = (labels == 1).sum(axis=0).tolist()
    assert [sum(counts[name].values()) for name in CLASSES] == shown
