"""Reported by others, where a run and not a reading goes wrong: scripts of shared/cases, with tiny networks.

Each command is a process of its own in the folder of the case; they take some seconds each.
"""

from __future__ import annotations

import resource
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from .cass import Cass, Said
from .draw import Draw
from .judge import Verdict

Rows = Iterator[tuple[str, Verdict]]
NETS = "--cnn resnet18 --vit vit_tiny_patch16_224"
TINY = f"{NETS} --init random --image-size 32 --epochs 1 --batch-size 8"
FINE = f"--init-from random {NETS} --image-size 32"
COMPUTING = 30.0  # seconds, which busy neighbours do not lengthen; importing takes ten of them
PATIENCE = 600.0  # seconds, on a machine that others use too


@dataclass(frozen=True)
class RunCase:
    """A script of shared/cases; `run` does it in a folder of its own and yields each command that counts."""

    name: str
    source: str
    run: Callable[[Cass, Path], Rows]


def _cass(cass: Cass, root: Path, command: str, before: str = "") -> Said:
    return cass.run(command.split(), cwd=root, before=before, patience=PATIENCE)


def _first(cass: Cass, root: Path, command: str) -> None:
    """Run what a case needs and does not judge."""
    said = _cass(cass, root, command)
    if said.code != 0:
        raise RuntimeError(f"cass {command}: {said.words[-300:]}")


def _two_classes(root: Path, folder: str = "d") -> None:
    draw = Draw(root)
    for label in "ab":
        draw.fill(f"{folder}/{label}", label, each=15, name="{i}.png")


def _verdict(said: Said, *, good: bool) -> Verdict:
    if said.code is None or said.code not in (0, 1, 2) or "fault of cass" in said.words:
        return Verdict("crashed", said.words[-200:])
    return Verdict("right" if good else "wrong", f"exit code {said.code}: {said.words[-160:]}")


def _follow_up(cass: Cass, root: Path) -> Rows:
    """The command that pretrain suggests must find the run that it made."""
    _two_classes(root)
    said = _cass(cass, root, f"pretrain --data d {TINY} --runs elsewhere --name mine")
    next_line = next((line for line in said.out.splitlines() if "cass finetune" in line), "")
    command = next_line.partition("cass ")[2]
    said = _cass(cass, root, command) if command else said
    good = said.code == 0 and (root / "elsewhere/mine/finetune").is_dir()
    yield f"cass pretrain --runs elsewhere --name mine; cass {command}", _verdict(said, good=good)


def _after_move(cass: Cass, root: Path) -> Rows:
    """Images that were moved: say so, and go on with the new place."""
    _two_classes(root)
    _first(cass, root, f"pretrain --data d {TINY} --name m")
    (root / "d").rename(root / "moved")
    said = _cass(cass, root, "pretrain --resume --name m --epochs 2")
    yield "cass pretrain --resume --name m", _verdict(said, good=said.code == 2 and "--data" in said.words)
    said = _cass(cass, root, "pretrain --resume --name m --epochs 2 --data moved")
    yield "cass pretrain --resume --name m --data moved", _verdict(said, good=said.code == 0)


def _no_symlinks(cass: Cass, root: Path) -> Rows:
    """A disk without symbolic links: train all the same."""
    _two_classes(root)
    body = "import os\ndef no(*a, **k): raise OSError(95, 'Operation not supported')\nos.symlink = no\n"
    (root / "sitecustomize.py").write_text(body, encoding="utf-8")
    said = _cass(cass, root, f"pretrain --data d {TINY} --name one", before=str(root))
    good = said.code == 0 and any((root / "runs/one").iterdir())
    yield "cass pretrain, where links cannot be made", _verdict(said, good=good)


def _copied(cass: Cass, root: Path) -> Rows:
    """A folder of runs whose links a copy turned into folders."""
    _two_classes(root)
    _first(cass, root, f"pretrain --data d {TINY} --name m")
    shutil.copytree(root / "runs", root / "copied", symlinks=False)
    said = _cass(cass, root, f"pretrain --data d {TINY} --runs copied --name new")
    yield "cass pretrain --runs copied", _verdict(said, good=said.code == 0)
    said = _cass(cass, root, "finetune --run m --runs copied")
    yield "cass finetune --run m --runs copied", _verdict(said, good=said.code == 0)


def _many_classes(cass: Cass, root: Path) -> Rows:
    """114 classes: evaluating them must not take minutes."""
    draw = Draw(root)
    for c in range(114):
        draw.fill(f"d/c{c:03d}", f"c{c:03d}", each=3, name="{i}.png")
    fine = FINE.replace("--image-size 32", "--image-size 16")
    _first(cass, root, f"finetune --data d {fine} --arm cnn --name m")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    said = _cass(cass, root, "evaluate --run m --resamples 0")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    took = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    verdict = _verdict(said, good=said.code == 0 and took < COMPUTING)
    yield "cass evaluate of 114 classes", Verdict(verdict.outcome, f"{took:.0f} s of computing, exit code {said.code}")


def _one_test_image(cass: Cass, root: Path) -> Rows:
    """The complaint about a test split of one image must be about the test split."""
    draw = Draw(root)
    for label in "abcdef":
        draw.image(f"d/{label}/{label}.jpg", label)
    _first(cass, root, f"finetune --data d {FINE} --name m")
    said = _cass(cass, root, "evaluate --run m")
    good = said.code == 0 or (said.code == 2 and "test" in said.words and "to train on" not in said.words)
    yield "cass evaluate, one test image", _verdict(said, good=good)


def _all_unreadable(cass: Cass, root: Path) -> Rows:
    """No answer to any image is no success."""
    _two_classes(root)
    _first(cass, root, f"finetune --data d {FINE} --name m")
    whole = (root / "d/a/1.png").read_bytes()
    (root / "cut").mkdir()
    (root / "cut/a.png").write_bytes(whole[: len(whole) // 2])
    said = _cass(cass, root, "predict cut --run m --out p.csv")
    yield "cass predict, where no image can be read", _verdict(said, good=said.code in (1, 2))


RUNS = (
    RunCase("15-follow-up-forgets-run", "shared/cases/15", _follow_up),
    RunCase("16-resume-after-move", "shared/cases/16", _after_move),
    RunCase("17-no-symlinks", "shared/cases/17", _no_symlinks),
    RunCase("18-copied-runs", "shared/cases/18", _copied),
    RunCase("20-many-classes", "shared/cases/20", _many_classes),
    RunCase("22-one-test-image", "shared/cases/22", _one_test_image),
    RunCase("25-predict-all-unreadable", "shared/cases/25", _all_unreadable),
)
