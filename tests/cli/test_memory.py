"""Memory that runs out is said as it is, with what would fit by options that the command has."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from cass_cli.cli.app import run
from tests.cli.conftest import TINY, TRAINED


def take_too_much(*_arguments: Any, **_named: Any) -> torch.Tensor:
    return torch.empty(2**60)


def test_pretraining_proposes_what_would_fit(
    class_folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("cass_cli.engine.pretraining.loop.apply_view", take_too_much)
    command = ["pretrain", *TINY, "--data", str(class_folders), "--runs", str(tmp_path), "--accumulate", "2"]
    for also in ([], ["--dry-run"]):
        assert run([*command, "--name", "p", *also]) == 2
        said = capsys.readouterr().err
        assert "Not enough memory" in said
        assert "--batch-size 4 (it is 8), --accumulate 4, --gradient-checkpointing, a smaller --image-size" in said
        assert "enforce fail" not in said
        assert "fault of cass" not in said


def test_finetuning_proposes_only_what_it_has(
    pretrained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(pretrained, tmp_path / "runs", symlinks=True)
    monkeypatch.setattr("cass_cli.engine.finetuning.loop.apply_view", take_too_much)
    named = ["--runs", str(tmp_path / "runs"), "--variant", "short", "--batch-size", "6"]
    assert run(["finetune", *named, *TRAINED]) == 2
    said = capsys.readouterr().err
    assert "--batch-size 3 (it is 6)" in said
    assert "--accumulate" not in said
    assert "--gradient-checkpointing" not in said


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("Unable to allocate 3 GiB for an array"),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        RuntimeError("can't start new thread"),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nMore lines follow."),
    ],
)
def test_predicting_says_it_too(
    error: Exception, tuned: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_arguments: Any, **_named: Any) -> None:
        raise error

    monkeypatch.setattr("cass_cli.engine.finetuning.predict.load_arm", fail, raising=False)
    monkeypatch.setattr("cass_cli.models.arms.load_file", fail)  # which calls what it cannot load damaged
    assert run(["predict", str(tuned.parent / "pictures"), "--runs", str(tuned), "--out", "-"]) == 2
    said = capsys.readouterr().err
    assert "Not enough memory" in said
    assert str(error).splitlines()[0].rstrip(".") in said
    assert "More lines" not in said
    assert "--batch-size" not in said
    assert ("--device cpu" in said) == ("CUDA" in str(error))
