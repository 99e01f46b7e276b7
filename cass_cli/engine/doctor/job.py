"""`cass doctor`: what is installed, what the machine has, what would be chosen on it, and what is odd about that.

What is found names no person, no machine and no folder, so that it can be shown to anybody.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cass_cli.engine.doctor.installed import Installed, installed
from cass_cli.words import shown_list

if TYPE_CHECKING:  # with them PyTorch, which may be what is broken
    from cass_cli.engine.doctor.machine import Gpus, Machine, Room
    from cass_cli.engine.weight_files import NeededFile

ARMS = {"cnn": "resnet10t", "vit": "vit_tiny_patch16_224"}  # small ones, as those of the demo
SIZE, BATCH = 64, 8  # of what is measured
NETWORK_SECONDS = 3.0
LITTLE_MEMORY, LITTLE_ROOM = 4e9, 5e9  # bytes
MUCH = 1.5  # more threads than a container has processors for


@dataclass(frozen=True)
class Warned:
    """Something odd, and what to do about it."""

    what: str
    hint: str


@dataclass(frozen=True)
class Chosen:
    """What `--device auto` and `--precision auto` would choose."""

    device: str
    precision: str
    why: str


@dataclass(frozen=True)
class Found:
    """What was looked at where PyTorch works."""

    machine: Machine
    gpus: Gpus
    room: Room
    weights: tuple[NeededFile, ...]
    folder: str  # of $CASS_WEIGHTS: "there", "not there" or "not named"
    network: str  # why the hub does not answer; "" where it does
    chosen: Chosen


@dataclass(frozen=True)
class Examination:
    """All that the doctor found."""

    installed: Installed
    found: Found | None  # None where PyTorch or timm cannot be imported
    warnings: tuple[Warned, ...]

    @property
    def usable(self) -> bool:
        """Whether cass can work here at all."""
        return self.found is not None


def examine(runs: Path) -> Examination:
    """Look at everything, for runs below the folder `runs`; seconds."""
    what = installed()
    if what.broken:
        return Examination(what, None, tuple(_of_versions(what)))
    found = _look(runs)
    return Examination(what, found, (*_of_versions(what), *_of_machine(found), *_of_weights(found)))


def _look(runs: Path) -> Found:
    from cass_cli.engine.doctor.machine import gpus, machine, room
    from cass_cli.engine.weight_files import list_weights, needed_models
    from cass_cli.models.hub import why_unreachable
    from cass_cli.models.published import weights_folder

    folder = weights_folder()
    return Found(
        machine=machine(),
        gpus=gpus(),
        room=room(runs),
        weights=list_weights(needed_models()),
        folder="not named" if folder is None else "there" if folder.is_dir() else "not there",
        network=why_unreachable(seconds=NETWORK_SECONDS, tries=1),
        chosen=choose(),
    )


def choose() -> Chosen:
    """Return what a new run would choose by itself, on a CPU after measuring with two small arms."""
    from cass_cli.config.load import Layer, resolve
    from cass_cli.engine.compute import choose_compute
    from cass_cli.engine.device import choose_device
    from cass_cli.engine.fastest import settle_compute
    from cass_cli.models.arms import build_arm

    device = choose_device("auto")
    if device.type != "cpu":
        compute = choose_compute(resolve([]).config.train)
        why = "the card computes in it" if compute.precision == "bf16" else "the card does not compute in bf16"
        if device.type == "mps":
            why = "there cass computes in fp32"
        return Chosen(str(compute.device), compute.precision, f"PyTorch can use a graphics card, and {why}.")
    small = {"data.image_size": SIZE, **{f"arms.{arm}": name for arm, name in ARMS.items()}}
    arms = [build_arm(name, image_size=SIZE, outputs=0) for name in ARMS.values()]
    resolved, measured = settle_compute(resolve([Layer("doctor", small)]), arms, device, batch=BATCH)
    precision = resolved.config.train.precision
    why = measured.replace("these arms", f"{' and '.join(ARMS.values())} of {SIZE} px")
    nothing = "No graphics card; on this processor there is no other way to try."
    more = "A run measures its own arms." if measured else nothing
    return Chosen("cpu", "fp32" if precision == "auto" else precision, f"{why} {more}".strip())


def _of_versions(what: Installed) -> Iterable[Warned]:
    for name, why in what.broken.items():
        yield Warned(f"{name} cannot be imported: {why}", "Install cass anew, into an environment of its own.")
    if what.outdated:
        yield Warned(f"{shown_list(what.outdated)}.", "Install cass anew: pip brings what it asks for.")


def _of_machine(found: Found) -> Iterable[Warned]:
    has, cards = found.machine, found.gpus
    if (cards.driver or cards.problem) and not cards.cards:
        said = f" ({cards.problem})" if cards.problem else ""
        without = "PyTorch was built without CUDA" if cards.cuda is None else f"PyTorch cannot use it{said}"
        cure = "Install a build of PyTorch with CUDA." if cards.cuda is None else "Is the driver older than PyTorch's "
        cure += "" if cards.cuda is None else f"CUDA {cards.cuda}, or CUDA_VISIBLE_DEVICES set?"
        yield Warned(f"There is a graphics card, but {without}.", cure)
    if cards.without_mps:
        yield Warned(f"The CPU is used: {cards.without_mps}", "Use a newer PyTorch or macOS, where this Mac takes it.")
    if has.memory_free < LITTLE_MEMORY:
        yield Warned(
            f"{_gb(has.memory_free)} of memory are free.",
            "Take smaller arms, a smaller --batch-size, and --cache disk; --dry-run says what fits.",
        )
    if has.quota and has.torch_threads > MUCH * has.quota:
        yield Warned(
            f"PyTorch starts {has.torch_threads} threads, and a limit gives this process {has.quota:g} processors.",
            f"export OMP_NUM_THREADS={max(1, round(has.quota))}",
        )
    elif has.torch_threads * 2 <= min(has.cores or has.threads, has.quota or has.threads):
        yield Warned(
            f"PyTorch uses {has.torch_threads} of {has.threads} threads.", "Is OMP_NUM_THREADS set in the environment?"
        )
    for name, free in (("runs", found.room.runs_free), ("decoded images", found.room.cache_free)):
        if free < LITTLE_ROOM:
            yield Warned(f"{_gb(free)} are free on the disk of the {name}.", "Make room; cass cache clear gives some.")
    if not found.room.cache_writable:
        yield Warned("The cache folder cannot be written.", "Name another: export CASS_CACHE=FOLDER")


def _of_weights(found: Found) -> Iterable[Warned]:
    if found.folder == "not there":
        yield Warned("$CASS_WEIGHTS names a folder that is not there.", "Mount or make it, or name another.")
    lacking = [one.model for one in found.weights if not one.where]
    if lacking and found.network:
        yield Warned(
            f"Starting weights of {shown_list(lacking)} are not here, and the hub does not answer.",
            f"Where there is a network: cass weights fetch {' '.join(lacking)}",
        )


def _gb(size: float) -> str:
    return f"{size / 1e9:,.1f} GB"
