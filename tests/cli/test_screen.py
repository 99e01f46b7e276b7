"""What a command shows while it works, and what it need not import before it shows anything."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cass_cli.cli.app import run
from cass_cli.reports.finetuning import FinetuneDisplay
from tests.cli.conftest import TRAINED
from tests.reports.runs_on_disk import add_trial, write_run

HEAVY = "{'torch', 'timm', 'torchvision', 'sklearn', 'pandas'}"


@pytest.fixture
def runs(pretrained: Path, tmp_path: Path) -> Path:
    return shutil.copytree(pretrained, tmp_path / "runs", symlinks=True)


def settings(runs: Path) -> list[str]:
    return ["finetune", "--runs", str(runs), *TRAINED, "--epochs", "1", "--batch-size", "8", "--lr", "1e-3"]


def test_the_scoring_of_validation_and_test_images_is_counted(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[tuple[int, int]] = []
    monkeypatch.setattr(FinetuneDisplay, "scoring", lambda _self, done, total: counted.append((done, total)))
    assert run(settings(runs)) == 0
    validation, test = 4, 8  # of 40 images
    assert counted == [
        (validation, validation),  # after the epoch
        (validation, validation + test),
        (validation + test, validation + test),
    ]


def test_who_stops_it_while_it_scores_goes_on_there(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(_self: FinetuneDisplay, _done: int, total: int) -> None:
        if total == 12:
            os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(FinetuneDisplay, "scoring", stop)
        assert run(settings(runs)) == 130
    steps: list[int] = []
    monkeypatch.setattr(FinetuneDisplay, "step", lambda _self, step: steps.append(step.batch))
    assert run(["finetune", "--resume", "--runs", str(runs)]) == 0
    assert steps == [], "its epoch was trained"


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["report", "one"], 0),
        (["compare", "one"], 0),
        (["report", "nope"], 2),
        *((([name, *of], 2)) for name, of in (("evaluate", []), ("predict", ["x.png"]), ("finetune", []))),
        (["attention-maps"], 2),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_pytorch_is_imported_only_where_it_is_needed(tmp_path: Path, command: list[str], code: int) -> None:
    """A report reads files, and a run that is not there is told without it."""
    add_trial(write_run(tmp_path / "one"))
    folder = tmp_path if command[-1] in ("one", "nope") else tmp_path / "none"
    arguments = [*command, "--runs", str(folder)]
    script = f"import sys; from cass_cli.cli.app import run; code = run({arguments!r});"
    script += f"sys.exit(str({HEAVY} & set(sys.modules)) + str(code))"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert result.stderr.splitlines()[-1] == f"set(){code}", result.stderr
