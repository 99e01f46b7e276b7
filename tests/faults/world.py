"""What is attacked: pictures, a folder of runs, the commands, and what one can see of the disk after them."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch

from cass_cli.cli.app import run as cass
from cass_cli.runs.latest import LATEST
from tests.cli.conftest import make_pictures
from tests.faults.layer import Layer, Operation, attacked

ARMS = ("--cnn", "test_resnet", "--vit", "test_vit", "--device", "cpu", "--precision", "fp32", "--image-size", "32")
TIMES = {"seconds", "images_per_second", "waiting"}
OTHERWISE = {"environment.json", "report.html"}  # of which it only counts whether they are there, and whole


@dataclass(frozen=True)
class Outcome:
    """How a command ended: its exit code, None where it was killed, and what it said."""

    code: int | None
    said: str

    @property
    def traceback(self) -> bool:
        return self.code == 1 or "fault of cass" in self.said


class World:
    """A folder with pictures and runs, that can be put back as it was."""

    def __init__(self, base: Path) -> None:
        self.base = base.resolve()
        self.work = self.base / "work"
        self.runs, self.data = self.work / "runs", self.work / "pictures"
        self.victim = self.base / "victim"  # of others, which nothing may change
        self._kept = self.base / "kept"

    def make(self, steps: Sequence[Sequence[str]], name: str) -> None:
        """Make a state of the world called `name`, with pictures and what these commands leave."""
        kept = self._kept / name
        if kept.exists():
            return
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir(parents=True)
        make_pictures(self.data, per_class=14)
        for step in steps:
            outcome = self.run(step)
            assert outcome.code == 0, f"{step}: {outcome.said}"
        self._kept.mkdir(exist_ok=True)
        self.keep(kept)

    def keep(self, place: Path) -> None:
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(self.work, place, symlinks=True)

    def restore(self, name: str) -> None:
        """Put the world into the state called `name`."""
        shutil.rmtree(self.work, ignore_errors=True)
        shutil.copytree(self._kept / name, self.work, symlinks=True)
        shutil.rmtree(self.victim, ignore_errors=True)
        self.victim.mkdir()

    def run(self, command: Sequence[str]) -> Outcome:
        """Run `cass` in this process and the folder of the world, filling in {runs}, {data}, {work} and {victim}."""
        out, arguments = io.StringIO(), self.filled(command)
        here = Path.cwd()
        os.chdir(self.work)
        try:
            with redirect_stdout(out), redirect_stderr(out):
                code = cass(arguments)
        except Exception as error:
            return Outcome(1, f"{out.getvalue()}\n{type(error).__name__}: {error}")
        finally:
            os.chdir(here)
        return Outcome(code, out.getvalue())

    def filled(self, command: Sequence[str]) -> list[str]:
        return [part.format(runs=self.runs, data=self.data, work=self.work, victim=self.victim) for part in command]

    def seen(self) -> dict[str, Any]:
        """Return what is in the world, by path: what a file says except for times; without the pictures."""
        found: dict[str, Any] = {}
        for folder, folders, names in os.walk(self.work):
            if Path(folder) == self.work:
                folders.remove(self.data.name)
            for name in [*names, *(each for each in folders if Path(folder, each).is_symlink())]:
                path = Path(folder, name)
                found[_FEATURES.sub("/", str(path.relative_to(self.work)))] = _said(path)
            for name in folders:
                if not any(Path(folder, name).iterdir()):
                    found[str(Path(folder, name).relative_to(self.work))] = "an empty folder"
        return found


def differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Return the paths that differ, with how."""
    found = [f"{path} is missing" for path in sorted(before.keys() - now.keys())]
    found += [f"{path} is left over" for path in sorted(now.keys() - before.keys())]
    return found + [f"{path} differs" for path in sorted(before.keys() & now.keys()) if before[path] != now[path]]


_FEATURES = re.compile(r"(?<=features/(cnn|vit))-[0-9a-f]+/")  # a digest, also of the times of images


def _said(path: Path) -> Any:
    if path.name == LATEST:  # a link, or a text file where the disk refused one
        return path.readlink().name if path.is_symlink() else path.read_text().strip()
    reader: Callable[[bytes], Any] = _READERS.get(path.name) or _READERS.get(path.suffix, bytes)
    data = path.read_bytes()
    try:
        return "there" if path.name in OTHERWISE and data else reader(data)
    except Exception as error:
        return f"broken: {type(error).__name__}: {error}"


def _state(data: bytes) -> Any:
    state = torch.load(io.BytesIO(data), weights_only=True)
    state.pop("metrics", None)  # a digest of rows that hold times
    return _comparable(state)


def _comparable(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _comparable(item) for key, item in value.items() if key not in TIMES}
    if isinstance(value, (list, tuple)):
        return [_comparable(item) for item in value]
    if isinstance(value, torch.Tensor):
        return str(value.dtype), tuple(value.shape), value.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
    return repr(value)


def _rows(data: bytes) -> Any:
    """The rows of a log, without how many images an epoch had in this process, which is for its speed."""
    return [{**_comparable(json.loads(line)), "images": 0} for line in data.decode().splitlines()]


def _images(data: bytes) -> Any:
    """What a run was made from, without the times of files, which --verify writes anew."""
    value = json.loads(data)
    return value | {"images": {name: (size, digest) for name, (size, _, digest) in value["images"].items()}}


def _manifest(data: bytes) -> Any:
    return {name: digests for name, digests in json.loads(data)["files"].items() if name != "images.json"}


_READERS: dict[str, Callable[[bytes], Any]] = {
    "images.json": _images,
    "manifest.json": _manifest,
    ".json": lambda data: _comparable(json.loads(data)),
    ".jsonl": _rows,
    ".pt": _state,
    ".csv": lambda data: list(csv.reader(io.StringIO(data.decode()))),
}


@dataclass(frozen=True)
class Job:
    """A command to attack: the state of the world before it, itself, and what a user types to go on."""

    name: str
    state: str
    command: tuple[str, ...]
    resume: tuple[str, ...] = ()  # none: the same command again
    replaces: str = ""  # below the world: what it replaces, of which the old or the new is whole


def _pretrain(*more: str) -> tuple[str, ...]:
    settings = ("--batch-size", "8", "--init", "random", "--lr", "1e-3", "--data", "{data}", "--runs", "{runs}")
    return ("pretrain", *ARMS, *settings, "--name", "p", *more)


def _finetune(*more: str) -> tuple[str, ...]:
    return ("finetune", "--runs", "{runs}", *more)


PAPER = ("--run", "p", "--recipe", "paper", "--batch-size", "8", "--lr", "1e-3", "--epochs", "2")
PROBE = ("--run", "p", "--label-fraction", "0.5,1")
SCRATCH = ("--data", "{data}", "--name", "d", "--init-from", "random", *ARMS)
SCRATCH_PAPER = (*SCRATCH, "--recipe", "paper", "--batch-size", "8", "--epochs", "2", "--no-guard")
NEW = _pretrain("--epochs", "2")
STATES: dict[str, tuple[tuple[str, ...], ...]] = {
    "empty": (),
    "pretrained": (NEW,),
    "tuned": (NEW, _finetune(*PAPER, "--label-fraction", "1"), _finetune(*PROBE)),
    "alone": (_finetune(*SCRATCH),),
}
GO_ON = ("pretrain", "--runs", "{runs}", "--name", "p", "--resume")
TUNE_ON = _finetune("--run", "p", "--resume")
JOBS = (
    Job("pretrain", "empty", NEW, GO_ON),
    Job("pretrain-more", "pretrained", (*GO_ON, "--epochs", "3"), (*GO_ON, "--epochs", "3")),
    Job("pretrain-overwrite", "tuned", (*NEW, "--seed", "1", "--overwrite"), GO_ON, "runs/p"),
    Job("paper", "pretrained", _finetune(*PAPER), (*TUNE_ON, "--variant", "pretrained-paper")),
    Job(
        "paper-guarded-seeds",
        "pretrained",
        _finetune(*PAPER, "--label-fraction", "0.5", "--seeds", "2"),
        (*TUNE_ON, "--variant", "pretrained-paper"),
    ),
    Job(
        "paper-overwrite",
        "tuned",
        _finetune(*PAPER, "--label-fraction", "1", "--gamma", "0", "--overwrite"),
        (*TUNE_ON, "--variant", "pretrained-paper"),
        "runs/p/finetune/pretrained-paper",
    ),
    Job("probe", "pretrained", _finetune(*PROBE), (*TUNE_ON, "--variant", "pretrained-probe")),
    Job("probe-more", "tuned", _finetune(*PROBE, "--seeds", "2", "--resume")),
    Job(
        "probe-overwrite",
        "tuned",
        _finetune("--run", "p", "--label-fraction", "0.5", "--overwrite"),
        (*TUNE_ON, "--variant", "pretrained-probe"),
        "runs/p/finetune/pretrained-probe/0.5",
    ),
    Job("alone", "empty", _finetune(*SCRATCH), _finetune("--run", "d", "--resume")),
    Job("alone-paper", "empty", _finetune(*SCRATCH_PAPER), _finetune("--run", "d", "--resume")),
    Job("alone-overwrite", "alone", _finetune(*SCRATCH, "--seed", "1", "--overwrite"), (), "runs/d"),
)
READERS = (
    Job("evaluate", "tuned", ("evaluate", "--runs", "{runs}", "--run", "p", "--resamples", "20")),
    Job("report", "tuned", ("report", "{runs}/p")),
    Job("attention-maps", "tuned", ("attention-maps", "--run", "{runs}/p", "--samples", "2")),
    Job("compare", "tuned", ("compare", "{runs}/p", "--csv", "{work}/c.csv", "--markdown", "{work}/c.md")),
    Job("predict", "tuned", ("predict", "{data}", "--run", "{runs}/p", "--out", "{work}/answers.csv")),
    Job("inspect", "empty", ("inspect", "{data}", "--csv", "{work}/i.csv")),
)


def results(world: World, job: Job) -> dict[str, Any]:
    """Return what is seen after the job was done without any fault."""
    return _undisturbed(world, job)[0]


def operations(world: World, job: Job) -> list[Operation]:
    """Return what the job, done without any fault, does to the disk."""
    return _undisturbed(world, job)[1]


@cache
def _undisturbed(world: World, job: Job) -> tuple[dict[str, Any], list[Operation]]:
    prepare(world, job)
    with attacked(Layer(world.work)) as layer:
        outcome = world.run(job.command)
    assert outcome.code == 0, f"{job.name}: {outcome.said}"
    return world.seen(), layer.seen


def prepare(world: World, job: Job) -> None:
    """Put the world into the state that the job begins in."""
    world.make(STATES[job.state], job.state)
    world.restore(job.state)
