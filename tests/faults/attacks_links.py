"""Attacks by links that someone left where a command writes: in a run, beside it, in its folders, among its locks."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from random import Random

from tests.faults.contained import contained, outside, verdict
from tests.faults.layer import Layer, attacked
from tests.faults.outcome import Attack, Result
from tests.faults.world import ARMS, GO_ON, NEW, PAPER, PROBE, STATES, World

PRECIOUS = "others wrote this\n" * 20
Plant = Callable[[World, Path], object]  # at this path of the world


@dataclass(frozen=True)
class Scene:
    """A command that writes, the state of the world before it, and how many attacks it gets."""

    command: tuple[str, ...]
    state: str = "tuned"
    most: int = 12


_PROBE = ("finetune", "--runs", "{runs}")
_LOOK = ("--run", "{runs}/p", "--samples", "2")
SCENES = {
    "report": Scene(("report", "{runs}/p")),
    "evaluate": Scene(("evaluate", "--run", "{runs}/p", "--resamples", "0"), most=16),
    "attention-maps": Scene(("attention-maps", *_LOOK), most=12),
    "feature-maps": Scene(("feature-maps", *_LOOK), most=14),
    "similarity": Scene(("similarity", "--run", "{runs}/p", "--samples", "4"), most=8),
    "predict": Scene(("predict", "{data}/dark/00.png", "--run", "{runs}/p")),
    "ensemble": Scene(("ensemble", "--run", "{runs}/p"), most=18),
    "probe": Scene((*_PROBE, *PROBE), "pretrained"),
    "more-seeds": Scene((*_PROBE, *PAPER, "--label-fraction", "1", "--seeds", "2", "--resume"), most=18),
    "alone": Scene((*_PROBE, "--data", "{data}", "--name", "d", "--init-from", "random", *ARMS), "empty", most=12),
    "pretrain": Scene(NEW, "empty", most=16),
    "pretrain-more": Scene((*GO_ON, "--epochs", "3"), most=18),
    "pretrain-overwrite": Scene((*NEW, "--epochs", "1", "--overwrite"), most=6),
}


def attacks(world: World, of: str, *, sample: int | None = None) -> Iterator[Attack]:
    """The attacks on what a command writes, by a fixed seed, or so many of them."""
    scene, found = SCENES[of], list[tuple[str, str]]()
    for path in _written(world, of):
        is_file = "." in Path(path).name.lstrip(".") or "/.locks/" in path
        ways = ["link", "dangling", *(["hard link"] if path.endswith(".jsonl") or "/.locks/p/" in path else [])]
        found += [(path, way) for way in (ways if is_file else ["folder", "dangling folder"])]
    Random(of).shuffle(found)
    kinds = list(dict.fromkeys((Path(path).suffix, way) for path, way in found))
    turns = [[one for one in found if (Path(one[0]).suffix, one[1]) == kind] for kind in kinds]
    fair = [turn[number] for number in range(max(map(len, turns))) for turn in turns if number < len(turn)]
    chosen = fair[: min(scene.most, scene.most if sample is None else sample)]
    for path, way in sorted(chosen):
        run = partial(planted, world, scene.state, scene.command, path, WAYS[way])
        yield Attack("links", f"links/{of}/{path.replace('/', ':')}/{way.replace(' ', '-')}", run, f"{way} at {path}")


def planted(
    world: World, state: str, command: Sequence[str], path: str, plant: Plant, *, named: Sequence[str] = ()
) -> Result:
    """Plant something at `path` of the world, run the command, and judge it; told, it names one of the path's parts."""
    world.make(STATES[state], state)
    world.restore(state)
    (world.victim / "precious.txt").write_text(PRECIOUS)
    plant(world, world.work / path)
    before, folders = outside(world), _folders(world)
    found = contained(world, command)
    parts = [part for part in Path(path).parts if part not in ("runs", "p", "d", "finetune")]
    words = named or [*parts, f"'{Path(path).name}'", path]
    result = verdict(world, found, before, named=words)
    made = sorted(set(_folders(world)) - set(folders))
    return Result("wrote outside", f"{made}: {result.seen}") if made else result


@cache
def _written(world: World, of: str) -> list[str]:
    """Return what the command, left alone, writes in the world, but for the folders that may be links of a user."""
    scene = SCENES[of]
    world.make(STATES[scene.state], scene.state)
    world.restore(scene.state)
    with attacked(Layer(world.work)) as layer:
        outcome = world.run(scene.command)
    assert outcome.code == 0, f"{of}: {outcome.said}"
    paths = {path.removesuffix(".part") for kind, path in layer.seen if kind not in ("unlink", "rmdir")}
    own = "runs/d" if of == "alone" else "runs/p"  # where there is something, a new run is not begun
    others = {path for path in paths if ".removed" not in path and path not in ("runs", own)}
    return sorted(path for path in others if scene.state != "empty" or not path.startswith(own))


def _folders(world: World) -> list[str]:
    return [folder for folder, _, _ in os.walk(world.victim)]


# ---- what is planted ----


def link(world: World, path: Path) -> None:
    """A link to a file of others, which says what the command's own said before."""
    _put(path, world.victim / path.name, held=True)


def dangling(world: World, path: Path) -> None:
    """A link to where a file of others could be."""
    _put(path, world.victim / "new" / path.name, held=False)


def hard_link(world: World, path: Path) -> None:
    """Another name of a file of others."""
    victim = world.victim / path.name
    shutil.copy(path, victim) if path.is_file() else victim.write_text(PRECIOUS)
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    os.link(victim, path)


def folder(world: World, path: Path) -> None:
    """A link to a folder of others, which holds what the command's own held."""
    victim = world.victim / path.name
    victim.mkdir()
    if path.is_dir():
        shutil.copytree(path, victim, symlinks=True, dirs_exist_ok=True)
    _instead(path, victim)


def dangling_folder(world: World, path: Path) -> None:
    """A link to where a folder of others could be."""
    _instead(path, world.victim / "gone")


def _put(path: Path, victim: Path, *, held: bool) -> None:
    victim.parent.mkdir(parents=True, exist_ok=True)
    if held:
        shutil.copy(path, victim) if path.is_file() else victim.write_text(PRECIOUS)
    _instead(path, victim)


def _instead(path: Path, victim: Path) -> None:
    """Make `path` a link, whatever it was before."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(victim)


WAYS: dict[str, Plant] = {
    "link": link,
    "dangling": dangling,
    "hard link": hard_link,
    "folder": folder,
    "dangling folder": dangling_folder,
}
