"""The same run made by commands and by functions, once for all tests that only read it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import cass_cli
from cass_cli.cli.app import run
from tests.cli.conftest import TINY, make_pictures

SMALL: dict[str, Any] = {
    **{"image_size": 32, "epochs": 1, "batch_size": 8, "cnn": "test_resnet", "vit": "test_vit"},
    **{"init": "random", "device": "cpu", "precision": "fp32", "lr": 1e-5},
}


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pictures(tmp_path_factory.mktemp("api") / "pictures")


@pytest.fixture(scope="session")
def commanded(pictures: Path) -> Path:
    """A folder of runs that commands made: `p`, pretrained, fine-tuned on two label fractions, and evaluated."""
    runs = pictures.parent / "commanded"
    where = ["--runs", str(runs)]
    assert run(["pretrain", *TINY, "--data", str(pictures), *where, "--name", "p", "--set", "optim.warmup=0.1"]) == 0
    assert run(["finetune", *where, "--run", "p", "--label-fraction", "0.3,1", "--set", "finetune.layers=2"]) == 0
    assert run(["evaluate", *where, "--run", "p", "--resamples", "50"]) == 0
    return runs


@pytest.fixture(scope="session")
def called(pictures: Path) -> Path:
    """The same by functions."""
    runs = pictures.parent / "called"
    pretrained = cass_cli.pretrain(pictures, **SMALL, runs=runs, name="p", settings={"optim.warmup": 0.1})
    tuned = cass_cli.finetune(pretrained, label_fraction=[0.3, 1], settings={"finetune": {"layers": 2}})
    cass_cli.evaluate(tuned, resamples=50)
    return runs
