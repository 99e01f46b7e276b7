"""A fine-tuning that is older than the arms of its run says so wherever its scores are shown."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest

from cass_cli.cli.app import run
from cass_cli.runs.ancestry import LOOKED_AT, mark_of
from tests.cli.conftest import TRAINED

PROBE = "runs/p/finetune/pretrained-probe"
AGAIN = "cass finetune --resume --overwrite --run p --variant pretrained-probe"


@pytest.fixture
def here(pretrained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with `runs/p`, fine-tuned from its arms and from others."""
    shutil.copytree(pretrained / "p", tmp_path / "runs/p", ignore=shutil.ignore_patterns("finetune", "features"))
    monkeypatch.chdir(tmp_path)
    assert run(["finetune", "--run", "p", "--init-from", "random"]) == 0
    assert run(["finetune", "--run", "p", "--seeds", "2"]) == 0
    return tmp_path


def told(capsys: pytest.CaptureFixture[str], *command: str) -> dict[str, Any]:
    capsys.readouterr()
    assert run([*command, "--json"]) == 0
    value: dict[str, Any] = json.loads(capsys.readouterr().out)
    return value


def said(capsys: pytest.CaptureFixture[str], *command: str) -> str:
    capsys.readouterr()
    assert run([*command]) == 0
    return capsys.readouterr().out


def test_it_is_marked_until_it_is_made_again(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert {cell["method"] for cell in told(capsys, "compare")["cells"]} == {"CASS, probe", "From scratch, probe"}
    assert told(capsys, "report")["older_than_arms"] == []
    assert "is older than" not in Path("runs/p/report.html").read_text()

    assert run(["pretrain", "--resume", "--epochs", "2"]) == 0
    assert told(capsys, "evaluate", "--resamples", "0")["older_than_arms"] == ["cnn", "vit"]
    compared = told(capsys, "compare")
    assert {cell["method"] for cell in compared["cells"]} == {
        "CASS, probe, older than its arms",
        "From scratch, probe",
    }
    assert compared["notes"][0].startswith(f"{PROBE} is older than the arms of its run, which")
    assert compared["notes"][0].endswith(f"Make it again: {AGAIN}")
    assert told(capsys, "report")["older_than_arms"] == ["p/finetune/pretrained-probe"]
    page = Path("runs/p/report.html").read_text()
    assert "CASS, probe, older than its arms" in page
    assert page.count(AGAIN) == 2  # in the table of all, and where it is told of
    for command in ("evaluate", "compare", "report"):
        assert AGAIN in said(capsys, command), command

    assert run(shlex.split(AGAIN)[1:]) == 0
    assert told(capsys, "report")["older_than_arms"] == []
    assert "is older than" not in Path("runs/p/report.html").read_text()


def test_trials_that_are_kept_are_told_from_those_that_are_added(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["pretrain", "--resume", "--epochs", "2"]) == 0
    assert f"{PROBE} is older" in said(capsys, "finetune", "--resume", "--seeds", "3")
    compared = told(capsys, "compare")
    assert "CASS, probe, partly older than its arms" in {cell["method"] for cell in compared["cells"]}
    assert "(2 of 3 trials)" in compared["notes"][0]
    assert told(capsys, "evaluate", "--seed", "2", "--resamples", "0")["older_than_arms"] == []


def test_of_trials_made_before_there_were_marks_nothing_is_said(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in Path(PROBE).glob("1/seed*/summary.json"):
        summary = json.loads(path.read_text())
        for arm in summary["arms"].values():
            del arm["began"]
        path.write_text(json.dumps(summary))
    assert run(["pretrain", "--resume", "--epochs", "2"]) == 0
    assert told(capsys, "compare")["notes"] == []


def test_a_trial_does_not_go_on_from_other_arms(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_arguments: object, **_more: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("cass_cli.engine.finetuning.trained.restore_best", die)
        assert run(["finetune", *TRAINED, "--epochs", "1"]) == 130
    assert run(["pretrain", "--resume", "--name", "p", "--epochs", "2"]) == 0
    capsys.readouterr()
    assert run(["finetune", "--resume", "--run", "p", "--variant", "pretrained-paper"]) == 2
    assert "pretrained further" in capsys.readouterr().err


def test_the_same_weights_have_the_same_mark_and_others_another(tmp_path: Path) -> None:
    path, bulk = tmp_path / "arm.safetensors", bytes(3 * LOOKED_AT)
    assert mark_of(path) == ""
    marks = []
    for content in (b"", b"a", b"a" + bulk, b"b" + bulk, bulk + b"a", bulk + b"b", bulk):
        path.write_bytes(content)
        marks.append(mark_of(path))
        (tmp_path / "copy").write_bytes(content)
        assert mark_of(tmp_path / "copy") == marks[-1]
    assert len({*marks, ""}) == len(marks) + 1
