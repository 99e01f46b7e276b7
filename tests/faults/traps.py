"""A set of images with something hostile in it, looked over by `cass inspect`, and held against the intact set."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from tests.faults.contained import contained, outside, verdict
from tests.faults.outcome import Attack, Result
from tests.faults.world import STATES, World

Write = Callable[[Path], object]  # into a folder
OF_PIXELS = {"bad", "sizes", "modes"}  # what `inspect` says of those that were read, and of the others
UNLIKE = ("seconds", "notes", "advice", "command")  # what `inspect` says besides the reading itself


@dataclass(frozen=True)
class Trap:
    """What is done to the intact set, what `cass inspect` is given besides it, and what a message must name."""

    name: str
    spring: Write
    named: tuple[str, ...]
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Scene:
    """A kind of attacks: the intact set, what of it `cass inspect` is given, and the traps."""

    kind: str
    intact: Write
    data: str
    traps: Callable[[], Iterator[Trap]]
    unsound: Callable[[Path], str] = lambda _folder: ""  # why what was read whole, is not
    optional: str = ""  # a file that may as well not be there, if nothing is to be learnt from it


def attacks(world: World, scene: Scene, prefix: str, *, sample: int | None = None) -> Iterator[Attack]:
    """The traps of a scene as attacks, or so many of them."""
    traps = list(scene.traps())
    if sample is not None:
        traps = sorted(Random(prefix).sample(traps, min(sample, len(traps))), key=lambda trap: trap.name)
    for trap in traps:
        name = f"{prefix}/{trap.name.replace(' ', '-')}"
        yield Attack(scene.kind, name, partial(_spring, world, scene, trap), ", ".join(trap.named))


def _spring(world: World, scene: Scene, trap: Trap) -> Result:
    """It ends well where it is told, or where what is read is what the intact set holds."""
    folder = world.work / "set"
    data = str(folder / scene.data)
    if (world, scene.intact) not in _intact:
        _prepare(world, scene, folder)
        found = world.run(("inspect", data, "--json"))
        assert found.code == 0, found.said
        _intact[world, scene.intact] = _reading(found.said)
    _prepare(world, scene, folder)
    trap.spring(folder)
    before = outside(world)
    found = contained(world, ("inspect", data, "--json", *trap.options))
    result = verdict(world, found, before, named=trap.named)
    if result.word != "equal":
        return result
    expected, reading = _intact[world, scene.intact], _reading(found.outcome.said)
    others = {key for key in expected if expected[key] != reading[key]}
    if reading["bad"] and others <= OF_PIXELS:  # images that cannot be read are told one by one
        return Result("told", result.seen)
    differ = [f"{key}: {expected[key]} → {reading[key]}" for key in expected if key in others]
    if differ and scene.optional:
        (folder / scene.optional).rename(world.work / "aside")
        differ = [] if _reading(world.run(("inspect", data, "--json")).said) == reading else differ
    unsound = [why] if (why := scene.unsound(folder)) else []
    return Result("silent difference", "; ".join([*differ, *unsound])) if differ or unsound else result


def _prepare(world: World, scene: Scene, folder: Path) -> None:
    world.make(STATES["empty"], "empty")
    world.restore("empty")
    (world.victim / "theirs.csv").write_text("image,label\nsecret.png,secret\n")
    folder.mkdir()
    scene.intact(folder)


def _reading(said: str) -> dict[str, Any]:
    """Return what `inspect --json` says of the images."""
    value = json.loads(said[said.index("{") :])
    return {key: value[key] for key in value if key not in UNLIKE}


_intact: dict[tuple[World, Write], dict[str, Any]] = {}


def replaced(name: str, data: bytes | Callable[[bytes], bytes] | int | Path) -> Write:
    """Return what writes a file of the set: its bytes, what they become, zeros that take no space, or a link."""

    def write(folder: Path) -> None:
        path = folder / name
        old = path.read_bytes() if callable(data) else b""
        path.unlink(missing_ok=True)
        path.parent.mkdir(exist_ok=True)
        if isinstance(data, Path):
            path.symlink_to(data)
        elif isinstance(data, int):
            with path.open("wb") as file:
                file.truncate(data)
        else:
            path.write_bytes(data(old) if callable(data) else data)

    return write


def in_turn(*writes: Write) -> Write:
    """Return what does one after the other."""

    def write(folder: Path) -> None:
        for each in writes:
            each(folder)

    return write


def mutated(data: bytes, random: Random, near: Sequence[int] = ()) -> bytes:
    """Return the bytes with a bit, byte or stretch changed, cut out or put in, near one of the places if given."""
    at = min(len(data) - 1, max(0, random.choice(near) + random.randrange(-40, 40))) if near else 0
    at = at if near else random.randrange(len(data))
    length = random.choice((1, 2, 4, 64))
    match random.randrange(6):
        case 0 | 1:
            return data[:at] + bytes([data[at] ^ 1 << random.randrange(8)]) + data[at + 1 :]
        case 2:
            return data[:at] + random.randbytes(length) + data[at + length :]
        case 3:
            return data[:at] + random.choice((b"\0", b"\xff")) * length + data[at + length :]
        case 4:
            return data[:at] + data[at + length :]
        case _:
            return data[:at] + random.randbytes(length) + data[at:]
