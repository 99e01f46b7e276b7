"""Attacks on what a run was made from: its settings, splits, images, labels, log, checkpoint and arms are changed."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image

from cass_cli.files import is_draft
from tests.faults.layer import Killed, Layer, attacked
from tests.faults.outcome import Attack, Result
from tests.faults.world import GO_ON, NEW, PAPER, STATES, TUNE_ON, Job, World, differences, operations, prepare

Change = Callable[[Path], object]  # of the file, or of the folder of pictures
LONG = Job("pretrain-long", "empty", (*NEW, "--epochs", "3"), GO_ON)
LONG_PAPER = Job(
    "paper-long",
    "pretrained",
    ("finetune", "--runs", "{runs}", *PAPER, "--epochs", "3"),
    (*TUNE_ON, "--variant", "pretrained-paper"),
)
EVALUATE = ("evaluate", "--runs", "{runs}", "--run", "p", "--resamples", "0", "--variant")
VARIANT = "runs/p/finetune/pretrained-paper"


@dataclass(frozen=True)
class Damage:
    """What is changed, and what may come of it besides being told, or making no difference."""

    name: str
    file: str
    change: Change
    more: tuple[str, ...] = ()  # options
    note: str = ""  # with this said, another result is right


def attacks(world: World, of: str, *, sample: int | None = None) -> Iterator[Attack]:
    """The attacks on one of `SCENES`, or so many of them."""
    state, command, damages = SCENES[of]
    chosen = list(damages())
    if sample is not None:
        chosen = sorted(Random(of).sample(chosen, min(sample, len(chosen))), key=lambda damage: damage.name)
    for damage in chosen:
        run = partial(_change, world, of, state, command, damage)
        yield Attack("changed run", f"changed/{of}/{damage.name.replace(' ', '-')}", run, damage.file)


def _change(world: World, of: str, state: Callable[[World], str], command: Sequence[str], damage: Damage) -> Result:
    name = state(world)
    if of not in _undisturbed:
        world.restore(name)
        outcome = world.run(command)
        assert outcome.code == 0, outcome.said
        _undisturbed[of] = world.seen()
    world.restore(name)
    damage.change(world.work / damage.file)
    before = world.seen()
    outcome = world.run((*command, *damage.more))
    now = world.seen()
    if outcome.traceback:
        return Result("traceback", outcome.said)
    if outcome.code == 2:
        if found := differences(_kept(before), _kept(now)):
            return Result("lost", f"told, but the disk was changed: {found[:5]}")
        named = Path(damage.file).stem in outcome.said or damage.file == "pictures"
        return Result("told" if named else "traceback", outcome.said)
    if damage.note and re.search(damage.note, "".join(outcome.said.splitlines())):
        return Result("told")
    found = differences(_undisturbed[of], now)
    return Result("silent difference", f"{found[:5]}\n{outcome.said[-600:]}") if found else Result("equal")


def _kept(seen: dict[str, object]) -> dict[str, object]:
    """Return what was there but for what a killed process left over, which is swept."""
    return {path: value for path, value in seen.items() if "/.locks" not in path and not is_draft(Path(path))}


_undisturbed: dict[str, dict[str, object]] = {}


# ---- the states that are changed ----


def _half(world: World, job: Job) -> str:
    """Return the name of a state in which the job's process was killed in its third epoch."""
    name = f"half-{job.name}"
    if not (world._kept / name).exists():
        seen = operations(world, job)
        logs = [n for n, (kind, path) in enumerate(seen) if kind == "open" and path.endswith("metrics.jsonl")]
        prepare(world, job)
        with attacked(Layer(world.work, logs[2])):
            try:
                world.run(job.command)
                raise AssertionError("it is killed")
            except Killed:
                pass
        world.keep(world._kept / name)
    return name


def _tuned(world: World) -> str:
    world.make(STATES["tuned"], "tuned")
    return "tuned"


def _pretrained(world: World) -> str:
    world.make(STATES["pretrained"], "pretrained")
    return "pretrained"


# ---- what is changed ----


def _text(old: str, new: str) -> Change:
    def change(path: Path) -> None:
        text = path.read_text()
        found, count = re.subn(old, new, text, count=1, flags=re.MULTILINE)
        assert count, f"{old} is in {path}"
        path.write_text(found)

    return change


def _lines(edit: Callable[[list[str]], list[str]]) -> Change:
    return lambda path: path.write_text("".join(edit(path.read_text().splitlines(keepends=True))))


def _flip(place: float, bit: int) -> Change:
    def change(path: Path) -> None:
        data = bytearray(path.read_bytes())
        data[int(place * len(data))] ^= 1 << bit
        path.write_bytes(data)

    return change


def _cut(share: float) -> Change:
    return lambda path: os.truncate(path, int(path.stat().st_size * share))


def _flips(file: str, count: int) -> Iterator[Damage]:
    random = Random(file)
    for _ in range(count):
        place, bit = random.random(), random.randrange(8)
        yield Damage(f"{Path(file).stem} bit {bit} at {place:.4f}", file, _flip(place, bit))


def _settings(file: str, *values: tuple[str, str]) -> Iterator[Damage]:
    for key, value in values:
        yield Damage(f"{key} {value}", file, _text(rf"^(\s+{key}): (?!{re.escape(value)}$).*$", rf"\1: {value}"))
    for share in (0.0, 0.2, 0.5, 0.9):
        yield Damage(f"cut to {share}", file, _cut(share))
    yield Damage("last line gone", file, _lines(lambda lines: lines[:-1]))
    yield Damage("a comment more", file, _lines(lambda lines: [*lines, "# mine\n"]))
    yield Damage("another encoding", file, lambda path: path.write_bytes(path.read_text().encode("utf-16")))


def _swapped_values(lines: list[str]) -> list[str]:
    rows = [line.rstrip("\n").split(",") for line in lines]
    at = rows[0].index("split")
    train, test = (next(row for row in rows if row[at] == split) for split in ("train", "test"))
    train[at], test[at] = test[at], train[at]
    return [",".join(row) + "\n" for row in rows]


def _splits(file: str) -> Iterator[Damage]:
    yield Damage("splits swapped", file, _lines(_swapped_values))
    yield Damage("splits in another order", file, _lines(lambda lines: [lines[0], *lines[:0:-1]]))
    yield Damage("splits without a row", file, _lines(lambda lines: [*lines[:4], *lines[5:]]))
    yield Damage("splits without a last row", file, _lines(lambda lines: lines[:-1]))
    yield Damage("splits with other labels", file, _text(",dark", ",light"))
    yield Damage("splits empty", file, _cut(0))
    yield Damage("splits of Windows", file, _lines(lambda lines: [line.replace("\n", "\r\n") for line in lines]))
    yield Damage("splits gone", file, Path.unlink)


def _log(file: str) -> Iterator[Damage]:
    yield Damage("log without a row", file, _lines(lambda lines: lines[1:]))
    yield Damage("log with another number", file, _text(r'"epoch": 1', '"epoch": 7'))
    yield Damage("log in another order", file, _lines(lambda lines: lines[::-1]))
    yield Damage("log with a list", file, _lines(lambda lines: ["[1, 2]\n", *lines]))
    yield Damage("log empty", file, _cut(0))
    yield Damage("log cut", file, _cut(0.6))
    yield Damage("log of zeros", file, lambda path: path.write_bytes(bytes(path.stat().st_size)))
    yield Damage("log in another encoding", file, lambda path: path.write_bytes(path.read_text().encode("utf-16")))
    yield Damage("log with half a row more", file, _lines(lambda lines: [*lines, '{"epoch": 3, "lo']))
    yield Damage("log with a row more", file, _lines(lambda lines: [*lines, lines[-1]]))
    yield Damage("log gone", file, Path.unlink, note="metrics.jsonl is gone")


def _checkpoint(file: str) -> Iterator[Damage]:
    yield from _flips(file, 30)
    for share in (0, 0.3, 0.999):
        yield Damage(f"state cut to {share}", file, _cut(share))


def _pictures() -> Iterator[Damage]:
    first, times = "dark/00.png", r"of another time"

    def redrawn(folder: Path, *, seed: int = 1, keep: bool = True) -> None:
        path = folder / first
        size, when = path.stat().st_size, path.stat().st_mtime_ns
        pixels = np.random.default_rng(seed).integers(0, 255, (40, 40, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(path)
        if keep:  # as a fast copy keeps it
            data = path.read_bytes()
            path.write_bytes(data[:size].ljust(size, b"\0"))
            os.utime(path, ns=(when, when))

    def recoloured(folder: Path) -> None:
        """Another content of the same size, which is still a picture."""
        image, path = Image.open(folder / first).convert("RGB"), folder / first
        bitmap = folder / "b.bmp"
        image.save(bitmap)
        bitmap.replace(path)

    yield Damage("pictures of another size", "pictures", recoloured)
    yield Damage("pictures broken, of one size and time", "pictures", redrawn, ("--verify",))
    yield Damage("pictures flipped", "pictures", lambda folder: _flip(0.7, 3)(folder / first), ("--verify",))
    yield Damage("pictures flipped, not verified", "pictures", lambda f: _flip(0.7, 3)(f / first), note=times)
    yield Damage("pictures touched", "pictures", lambda folder: os.utime(folder / first, (1e9, 1e9)))
    yield Damage("pictures touched, verified", "pictures", lambda f: os.utime(f / first, (1e9, 1e9)), ("--verify",))
    yield Damage("pictures gone", "pictures", lambda folder: (folder / first).unlink())
    yield Damage("pictures copied", "pictures", lambda f: shutil.copy(f / "light/00.png", f / first))
    yield Damage("pictures in the other class", "pictures", lambda f: (f / first).rename(f / "light/0.png"))
    yield Damage("pictures of one class gone", "pictures", lambda folder: shutil.rmtree(folder / "light"))
    yield Damage("pictures in the other class by name", "pictures", lambda f: (f / first).replace(f / "light/00.png"))


def _of_manifest(file: str) -> Iterator[Damage]:
    def edited(edit: Callable[[dict[str, object]], object]) -> Change:
        def change(path: Path) -> None:
            value = json.loads(path.read_text())
            edit(value)
            path.write_text(json.dumps(value))

        return change

    yield Damage("manifest empty", file, _cut(0))
    yield Damage("manifest cut", file, _cut(0.5))
    yield Damage("manifest is a list", file, lambda path: path.write_text("[]"))
    yield Damage("manifest of another version", file, edited(lambda value: value.update(format=9)))
    yield Damage("manifest without files", file, edited(lambda value: value.pop("files")))
    yield Damage("manifest with wrong files", file, edited(lambda value: value.update(files={"config.yaml": "abc"})))
    yield Damage("manifest with a wrong format", file, edited(lambda value: value.update(format="x")))


def _pretraining() -> Iterator[Damage]:
    run = "runs/p"
    values = (("lr", "0.002"), ("batch_size", "4"), ("seed", "5"), ("image_size", "48"), ("weight_decay", "0.9"))
    yield from _settings(f"{run}/config.yaml", *values, ("epochs", "9"))
    yield from _of_any(run, log=run)


def _fine_tuning() -> Iterator[Damage]:
    values = (("gamma", "1.5"), ("lr", "0.02"), ("seed", "5"))
    yield from _settings(f"{VARIANT}/config.yaml", *values)
    yield from _of_any(VARIANT, log=f"{VARIANT}/1/seed0")


def _of_any(folder: str, *, log: str) -> Iterator[Damage]:
    """What a pretraining in `folder` has as well as a fine-tuning, whose log and checkpoint lie in a trial's."""
    yield from _splits("runs/p/splits.csv")
    yield from _pictures()
    yield from _log(f"{log}/metrics.jsonl")
    yield from _of_manifest(f"{folder}/manifest.json")
    yield Damage("images.json cut", f"{folder}/images.json", _cut(0.5))
    yield Damage("images.json empty", f"{folder}/images.json", _cut(0))
    yield from _checkpoint(f"{log}/checkpoints/last/state.pt")


def _arms() -> Iterator[Damage]:
    for name in ("cnn", "vit"):
        yield from _flips(f"runs/p/arms/{name}.safetensors", 10)
    yield Damage("cnn cut", "runs/p/arms/cnn.safetensors", _cut(0.5))


def _classifiers() -> Iterator[Damage]:
    folder = "runs/p/finetune/pretrained-probe/1/seed0/arms"
    for name in ("cnn", "cnn-head", "joint-head"):
        yield from _flips(f"{folder}/{name}.safetensors", 5)


SCENES: dict[str, tuple[Callable[[World], str], Sequence[str], Callable[[], Iterator[Damage]]]] = {
    "pretraining": (partial(_half, job=LONG), GO_ON, _pretraining),
    "fine-tuning": (partial(_half, job=LONG_PAPER), LONG_PAPER.resume, _fine_tuning),
    "arms": (_pretrained, ("finetune", "--runs", "{runs}", "--run", "p"), _arms),
    "classifiers": (_tuned, (*EVALUATE, "pretrained-probe"), _classifiers),
}
"""By name: the state that is changed, the command that goes on with it, and the changes."""
