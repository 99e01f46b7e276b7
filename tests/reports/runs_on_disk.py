"""A run directory written by hand: every number in it is known, and no training is needed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cass_cli.config.load import Layer, resolve, to_yaml
from cass_cli.scores.bootstrap import Estimate
from cass_cli.scores.metrics import METRICS, PER_CLASS
from tests.runs.summaries import JUDGEMENT, summary_json

CLASSES = ("<b>&", "plain")  # a class name that would be markup
SCORES = {"cnn": 0.71234567, "vit": 0.61234567, "mean": 0.72345678}


def write_run(
    path: Path,
    *,
    epochs: int = 3,
    done: int = 3,
    state: str = "healthy",
    splits: tuple[tuple[str, str, str], ...] = (),
    **settings: Any,
) -> Path:
    """Write a pretraining of `done` of `epochs` epochs; `splits` are (split, label, group) of each image."""
    path.mkdir(parents=True)
    layer = Layer("flag", {"data.path": "/images", "train.epochs": epochs, "optim.lr": 1.5e-5} | settings)
    (path / "config.yaml").write_text(to_yaml(resolve([layer])))
    rows = [_row(epoch, state) for epoch in range(1, done + 1)]
    (path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    environment = {"cass": "0.1.0", "gpu": None, "command": ["cass", "pretrain", "--data", "/my images"]}
    (path / "environment.json").write_text(json.dumps(environment))
    images = splits or tuple((split, CLASSES[i % 2], "") for split in ("train", "val", "test") for i in range(4))
    lines = [f'{i}.png,{split},"{label}",{group},ok' for i, (split, label, group) in enumerate(images)]
    (path / "splits.csv").write_text("image,split,label,group,status\n" + "\n".join(lines) + "\n")
    if done == epochs:
        last = {key: rows[-1][key] for key in ("loss", "states", "gauges")}
        about = {"method": "cass", "epochs": epochs, "device": "cpu", "precision": "fp32", "weights": {}}
        (path / "summary.json").write_text(json.dumps(last | about))
    return path


def _row(epoch: int, state: str) -> dict[str, Any]:
    gauge = {"spread": 0.8 / epoch, "cosine": 0.1234567 * epoch, "rank": 20.5 / epoch}
    return {
        "epoch": epoch,
        "loss": 1.23456789 / epoch,
        "lr": 1e-5,
        "images": 4,
        "seconds": 2.0,
        "waiting": 0.5,
        "images_per_second": 2.0,
        "gauges": {arm: {"outputs": gauge, "features": gauge} for arm in ("cnn", "vit")},
        "states": {"cnn": state, "vit": "healthy"},
    }


def add_trial(run: Path, *, seed: int = 0, variant: str = "pretrained-paper", init: str = "pretrained") -> Path:
    """Add a fine-tuning's trial, evaluated, with a figure."""
    folder = run / "finetune" / variant
    trial = folder / "1" / f"seed{seed}"
    (trial / "figures").mkdir(parents=True)
    (folder / "config.yaml").write_text((run / "config.yaml").read_text())
    scores = {name: dict.fromkeys(METRICS, value + seed / 100) for name, value in SCORES.items()}
    judgement = JUDGEMENT | {"pick": "mean"}
    summary = summary_json(init=init, seed=seed, labels=4, classes=CLASSES, judgement=judgement, test=scores)
    (trial / "summary.json").write_text(json.dumps(summary))
    (trial / "evaluation-test.json").write_text(json.dumps(_evaluation(judgement)))
    draw(trial / "figures" / "confusion-test.png")
    return trial


def _evaluation(judgement: dict[str, Any]) -> dict[str, Any]:
    def estimate(value: float) -> dict[str, float | None]:
        return Estimate(value, value - 0.05, value + 0.05).as_dict()

    scores = {
        name: {
            **{"classes": CLASSES, "multilabel": False, "images": 4, "notes": []},
            "metrics": {metric: estimate(value) for metric in METRICS},
            "per_class": {kind: {c: estimate(value) for c in CLASSES} for kind in PER_CLASS},
            "support": dict.fromkeys(CLASSES, 2),
            "confusion": [[2, 0], [1, 1]],
        }
        for name, value in SCORES.items()
    }
    found = {"metric": "macro_f1", "recommended": "mean", "judgement": judgement, "notes": []}
    return {**found, "scores": scores}


def draw(path: Path) -> Path:
    """Write a small picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 800, 3)).astype(np.uint8)).save(path)
    return path
