"""A pretrained and fine-tuned run, made once for all tests that only read it."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cass_cli.cli.app import run

TINY = (
    *("--image-size", "32", "--epochs", "1", "--batch-size", "8", "--cnn", "test_resnet", "--vit", "test_vit"),
    *("--init", "random", "--device", "cpu", "--precision", "fp32", "--lr", "1e-5"),
)
TRAINED = ("--recipe", "paper", "--no-guard")  # every weight is trained, and what was trained is kept


def make_pictures(root: Path, *, per_class: int = 20, classes: tuple[str, ...] = ("dark", "light")) -> Path:
    """Write 40-pixel pictures in class folders, told apart by their brightness, with overlap."""
    rng = np.random.default_rng(0)
    for label, name in enumerate(classes):
        (root / name).mkdir(parents=True)
        for i in range(per_class):
            pixels = rng.integers(0, 128, (40, 40, 3)) + rng.integers(0, 60) + 60 * label
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(root / name / f"{i:02d}.png")
    return root


@pytest.fixture(scope="session")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs with one pretraining, `p`, of pictures beside it. Copy it before writing into it."""
    base = tmp_path_factory.mktemp("pretrained")
    data = make_pictures(base / "pictures")
    assert run(["pretrain", *TINY, "--data", str(data), "--runs", str(base / "runs"), "--name", "p"]) == 0
    return base / "runs"


@pytest.fixture(scope="session")
def tuned(pretrained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of it with fine-tunings: two fractions × two seeds of pretrained, and one seed from scratch."""
    base = tmp_path_factory.mktemp("tuned")
    shutil.copytree(pretrained.parent, base, symlinks=True, dirs_exist_ok=True)
    runs = base / "runs"
    settings = ["--runs", str(runs), *TRAINED, "--epochs", "2", "--batch-size", "8", "--lr", "1e-3"]
    assert run(["finetune", *settings, "--init-from", "random", "--seeds", "2"]) == 0
    assert run(["finetune", *settings, "--label-fraction", "0.3,1", "--seeds", "2"]) == 0
    return runs
