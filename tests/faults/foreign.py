"""A run from a stranger: one of its files is not what cass wrote there, though all that seals it is as it should be."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from random import Random
from typing import Any

import safetensors.torch as plain
import yaml

from cass_cli.models.sealed import write_sealed
from tests.faults.contained import contained, outside, verdict
from tests.faults.outcome import Attack, Result
from tests.faults.world import STATES, World

Change = Callable[[Path], object]
RUN = "runs/p"
TUNED = f"{RUN}/finetune/pretrained-paper/1/seed0"
PROBED = f"{RUN}/finetune/pretrained-probe/1/seed0"
OF_TORCH = ("weights_only", "torch.serialization", "add_safe_globals")  # advice that nobody should follow


@dataclass(frozen=True)
class Foreign:
    """What of the run is changed, and which command meets it."""

    name: str
    file: str  # below the work of the world
    change: Change  # of the file, to what the stranger sent
    command: tuple[str, ...]
    named: str = ""  # what must be told; "": anything
    fine: bool = False  # whether the command may as well come to its end


def attacks(world: World, *, of: Callable[[], Iterator[Foreign]], sample: int | None = None) -> Iterator[Attack]:
    """Yield the attacks `of` a group; each starts from the same finished run."""
    chosen = list(of())
    if sample is not None:
        chosen = Random(of.__name__).sample(chosen, min(sample, len(chosen)))
    for foreign in chosen:
        name = f"foreign/{of.__name__}/{foreign.name.replace(' ', '-')}"
        yield Attack("foreign run", name, partial(_attempt, world, foreign), foreign.file)


COMMANDS = ("finetuning.evaluate", "finetuning.predict", "finetuning.job", "looking.similarity", "pretraining.job")


def _attempt(world: World, foreign: Foreign) -> Result:
    world.make(STATES["tuned"], "tuned")
    for name in (*(f"cass_cli.engine.{command}" for command in COMMANDS), "matplotlib.pyplot"):
        import_module(name)  # once here, and not in each process that is attacked
    world.restore("tuned")
    (world.victim / "kept.json").write_text('{"mine": "and nobody else\'s"}')
    os.utime(world.victim, (1e9, 1e9))
    foreign.change(world.work / foreign.file)
    before = outside(world)
    found = contained(world, foreign.command)
    result = verdict(world, found, before, named=[foreign.named] if foreign.named else [])
    if result.word == "told" and (words := [word for word in OF_TORCH if word in found.outcome.said]):
        return Result("shown raw", f"{words} {result.seen}")
    if result.word == "told" and len(found.outcome.said) > 5000:
        return Result("shown raw", f"{len(found.outcome.said):,} characters: {result.seen}")
    if result.word == "equal" and not foreign.fine:
        return Result("silent difference", result.seen)
    return result


def on_json(**values: Any) -> Change:
    """Return a change of a JSON file that has no seal: values by dotted keys."""
    return lambda path: path.write_text(json.dumps(_with(json.loads(path.read_text()), values)))


def on_card(**values: Any) -> Change:
    """Return a change of a card, sealed anew as cass would."""

    def change(path: Path) -> None:
        tensors = path.with_suffix(".safetensors")
        write_sealed(path, plain.load_file(tensors), _with(json.loads(path.read_text()), values))

    return change


def on_settings(text: str = "", **values: Any) -> Change:
    """Return a change of a config.yaml that no manifest remembers: settings by dotted keys, or `text` at its end."""

    def change(path: Path) -> None:
        (path.parent / "manifest.json").unlink(missing_ok=True)
        found = path.read_text()
        if values:
            found = yaml.safe_dump(_with(yaml.safe_load(found), values), sort_keys=False)
        path.write_text(found + text)

    return change


def _with(tree: Any, values: Mapping[str, Any]) -> Any:
    for key, value in values.items():
        *parts, last = key.split("__")
        node = tree
        for part in parts:
            node = node[part]
        node[last] = value
    return tree


def text(content: str | bytes | Callable[[], str | bytes]) -> Change:
    """Return a change to this content, which is made only then where it is large."""

    def change(path: Path) -> None:
        made = content() if callable(content) else content
        path.write_bytes(made if isinstance(made, bytes) else made.encode())

    return change


def unrecorded(change: Change) -> Change:
    """Return the change, of a file that no manifest remembers: a stranger's would have been made from theirs."""

    def changed(path: Path) -> None:
        (path.parent / "manifest.json").unlink(missing_ok=True)
        change(path)

    return changed


def holes(size: int, start: bytes = b"") -> Change:
    """Return a change to a file of so many bytes that takes no space."""

    def change(path: Path) -> None:
        path.write_bytes(start)
        os.truncate(path, size)

    return change


def no_card(change: Change) -> Change:
    """Return the change, of a file that had no seal."""

    def unsealed(path: Path) -> None:
        plain.save_file(plain.load_file(path), path)
        change(path)

    return unsealed


def link(target: str) -> Change:
    """Return a change to a link, whose target is said from the folder of the world."""

    def change(path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        base = next(folder.parent for folder in path.parents if folder.name == "work")
        if path.is_dir():
            path.rename(path.with_name(f"{path.name}-before"))
        path.unlink(missing_ok=True)
        path.symlink_to(base / target)

    return change


def pipe(path: Path) -> None:
    """Put a pipe in the place of a file: who opens it waits for ever."""
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def folder(path: Path) -> None:
    """Put a folder in the place of a file."""
    path.unlink(missing_ok=True)
    path.mkdir()


def header(tensors: Any, *, length: int | None = None, data: bytes = b"") -> bytes:
    """Return a safetensors file whose header says this, and is said to be of `length`."""
    said = tensors if isinstance(tensors, bytes) else json.dumps(tensors).encode()
    return struct.pack("<Q", len(said) if length is None else length) + said + data
