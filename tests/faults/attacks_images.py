"""Attacks by image files: each of them, alone among good pictures, is inspected, predicted, or trained on."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from random import Random

from tests.faults.contained import contained, outside, verdict
from tests.faults.forged_images import Write
from tests.faults.hostile_images import HOSTILE
from tests.faults.outcome import Attack, Result
from tests.faults.world import ARMS, STATES, World

PLACE = "dark"  # the class folder that it lies in
PLAN = ("pretrain", *ARMS, "--init", "random", "--data", "{data}", "--runs", "{runs}", "--dry-run")


def hostile() -> dict[str, Write]:
    """Return all files; those of DICOM where it can be written."""
    if find_spec("pydicom") is None:
        return HOSTILE
    from tests.faults.hostile_dicom import HOSTILE_DICOM

    return HOSTILE | HOSTILE_DICOM


def attacks(world: World, *, sample: int | None = None) -> Iterator[Attack]:
    """Inspect each file; a few are met by other commands too."""
    files = hostile()
    names = list(files) if sample is None else sorted(Random("images").sample(sorted(QUICK), sample))
    for name in names:
        yield Attack("hostile image", f"images/{name}", partial(_inspect, world, name, files[name]), "inspect")


QUICK = ("deflated-1e9.dcm", "directories-200000.tif", "sparse.webp", "fifo.png", "j2k-claims.dcm", "claims.npy")


def _inspect(world: World, name: str, write: Write) -> Result:
    """The command must end well, and either read the file or name it; the other pictures are read."""
    path = _among_good(world, name, write)
    before = outside(world)
    return verdict(world, contained(world, ("inspect", "{data}")), before, named=[path.name])


def _among_good(world: World, name: str, write: Write) -> Path:
    world.make(STATES["empty"], "empty")
    world.restore("empty")
    path = world.data / PLACE / name
    write(path)
    return path
