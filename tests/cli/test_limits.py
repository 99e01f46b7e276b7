"""Limits of pixels and of a file's size hold in every command that reads images."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cass_cli.cli.app import run
from tests.cli.conftest import TINY

LIMITS = (("--max-pixels", "99"), ("--max-file-mb", "1"))
RUN = ("--run", "p", "--data", "{data}", "--runs", "{runs}")
READERS = {
    "pretrain": (*TINY, "--data", "{data}", "--runs", "{runs}", "--name", "new"),
    "finetune": ("--data", "{data}", "--runs", "{runs}", "--name", "new", "--init-from", "random"),
    "evaluate": (*RUN, "--resamples", "0"),
    "errors": RUN,
    "ensemble": (*RUN, "--variant", "both"),
    "predict": ("{data}", "--run", "p", "--runs", "{runs}", "--out", "{out}"),
    "attention-maps": (*RUN, "--samples", "2"),
    "feature-maps": (*RUN, "--samples", "2"),
    "similarity": (*RUN, "--samples", "4"),
    "benchmark-time": ("--data", "{data}", "--out", "{runs}", "--preset", "demo", "--methods", "cass", "--steps", "1"),
    "inspect": ("{data}",),
}


@pytest.mark.parametrize("command", READERS)
def test_a_limit_is_held(command: str, tuned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs, data = tmp_path / "runs", tmp_path / "pictures"
    shutil.copytree(tuned, runs, symlinks=True)
    shutil.copytree(tuned.parent / "pictures", data)
    for picture in data.rglob("*.png"):
        with picture.open("ab") as file:
            file.truncate(1_500_000)  # what is behind the last chunk is not read
    for number, (limit, value) in enumerate(LIMITS):
        options = [word.format(data=data, runs=runs, out=tmp_path / f"{number}.csv") for word in READERS[command]]
        run([command, *options, limit, value])
        said = " ".join("".join(capsys.readouterr()).split())
        assert f"more than {limit} {value} allows" in said, said
