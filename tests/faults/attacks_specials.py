"""Attacks by what is no file of the run's own where one is read: links to secrets, pipes, devices, loops, odd pictures.

With them the cache, the folder of tiles, and the links that users make themselves, which go on working.
"""

from __future__ import annotations

import base64
import os
import shutil
import socket
import struct
import zlib
from collections.abc import Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from PIL import Image

from tests.faults.attacks_links import SCENES, Plant, dangling, folder, hard_link, link, planted
from tests.faults.outcome import Attack, Result
from tests.faults.world import GO_ON, NEW, World

SECRET = "a secret of others"
TRIAL = "runs/p/finetune/pretrained-probe/1/seed0"
FIGURE = "runs/p/figures/attention-average-cnn.png"
READERS: dict[str, tuple[str, ...]] = {
    "report": ("report", "{runs}/p"),
    "compare": ("compare", "{runs}/p"),
    "predict": ("predict", "{data}/dark/00.png", "--run", "{runs}/p", "--out", "{work}/a.csv"),
    "ensemble": ("ensemble", "--run", "{runs}/p"),
    "resume": (*GO_ON, "--epochs", "3"),
}
READ = (
    *("runs/p/config.yaml", "runs/p/splits.csv", "runs/p/metrics.jsonl", "runs/p/summary.json", "runs/p/report.html"),
    *("runs/p/manifest.json", "runs/p/images.json", "runs/p/environment.json", "runs/p/arms/cnn.safetensors"),
    *("runs/p/checkpoints/last/state.pt", "runs/p/finetune/pretrained-probe/config.yaml", f"{TRIAL}/summary.json"),
    *(f"{TRIAL}/arms/cnn-head.json", f"{TRIAL}/arms/vit.safetensors", f"{TRIAL}/evaluation-test.json", FIGURE),
)


def reading(world: World, *, sample: int | None = None) -> Iterator[Attack]:
    """Each file that commands read is a pipe, a socket, a device, a loop, or a link to a file of others."""
    found, commands = [], list(READERS)
    for number, path in enumerate(READ):
        for turn, (way, plant) in enumerate(INSTEAD.items()):
            of = commands[(number + turn) % len(commands)]
            run = partial(planted, world, "tuned", READERS[of], path, plant, named=_words(path))
            name = f"links/reading/{of}/{path.replace('/', ':')}/{way}"
            found.append(Attack("links", name, run, f"{way} at {path}"))
    for of in ("predict", "resume", "overwrite", "alone"):
        for way, plant in {"loop": _loop, "pipe": _fifo, "device": _device}.items():
            command = READERS.get(of) or (*NEW, "--overwrite") if of != "alone" else SCENES["alone"].command
            path = "runs/d" if of == "alone" else "runs/p"
            run = partial(planted, world, "tuned", command, path, plant, named=(f"'{path[-1]}'", path))
            found.append(Attack("links", f"links/reading/{of}/{path.replace('/', ':')}/{way}", run, f"{way} at {path}"))
    yield from sorted(found, key=lambda attack: attack.name)[:sample]


def _words(path: str) -> tuple[str, ...]:
    return Path(path).name, Path(path).parent.name


def _fifo(world: World, path: Path) -> None:
    _clear(path)
    os.mkfifo(path)


def _socket(world: World, path: Path) -> None:
    _clear(path)
    here = Path.cwd()
    os.chdir(path.parent)  # its name may be no longer than 107 bytes
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(here)


def _device(world: World, path: Path) -> None:
    _clear(path)
    path.symlink_to("/dev/zero")


def _loop(world: World, path: Path) -> None:
    _clear(path)
    path.symlink_to(path.name)


def _clear(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)


INSTEAD: dict[str, Plant] = {"pipe": _fifo, "socket": _socket, "device": _device, "loop": _loop, "link": link}


def pictures(world: World, *, sample: int | None = None) -> Iterator[Attack]:
    """What is called a figure, and is none of the run's."""
    found = []
    for place in (FIGURE, f"{TRIAL}/figures/roc-test.png"):
        for name, plant in PICTURES.items():
            run = partial(_pictured, world, place, plant)
            found.append(Attack("links", f"links/pictures/{name}/{place.replace('/', ':')}", run, f"{name} at {place}"))
    yield from found[:sample]


def _pictured(world: World, place: str, plant: Plant) -> Result:
    """A report is made that holds nothing of it, or it is said."""
    result = planted(world, "tuned", READERS["report"], place, plant, named=_words(place))
    page = world.runs / "p" / "report.html"
    text = page.read_text() if page.is_file() else ""
    secrets = (SECRET, base64.b64encode(SECRET.encode() * 3).decode()[4:40], "<script", "image/svg+xml;base64,PHN2ZyBv")
    if leaked := [secret for secret in secrets if secret in text]:
        return Result("leaked", f"{leaked}: {result.seen}")
    return Result("lost", result.seen) if result.word == "equal" and Path(place).name not in result.seen else result


def _bytes(data: bytes) -> Plant:
    def plant(world: World, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    return plant


def _png(width: int, height: int, rows: bytes = b"", *, more: bytes = b"") -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + more + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def _sparse(world: World, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_png(4, 4, (b"\0" + bytes(12)) * 4))
    os.truncate(path, 6 << 30)


def _secret_link(world: World, path: Path) -> None:
    secret = world.victim / "patient.png"
    secret.write_bytes(_png(4, 4, (b"\0" + bytes(12)) * 4) + SECRET.encode() * 3)
    _clear(path)
    path.symlink_to(secret)


def _other_format(kind: str) -> Plant:
    def plant(world: World, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(path, format=kind)

    return plant


_SVG = f'<svg onload="alert(1)" xmlns="http://www.w3.org/2000/svg"><script>{SECRET}</script></svg>'.encode()
PICTURES: dict[str, Plant] = {
    "sparse": _sparse,
    "bomb": _bytes(_png(40_000, 40_000)),
    "large": _bytes(_png(12_000, 12_000, bytes(12_000 * 36_001))),
    "svg": _bytes(_SVG),
    "html": _bytes(f"<html><script>{SECRET}</script></html>".encode()),
    "gif": _other_format("GIF"),
    "tiff": _other_format("TIFF"),
    "pdf": _other_format("PDF"),
    "text bomb": _bytes(_png(4, 4, (b"\0" + bytes(12)) * 4, more=b"")[:33] + bytes(40)),
    "link to a picture": _secret_link,
    "link to a folder": folder,
    "pipe": _fifo,
    "device": _device,
    "loop": _loop,
}


def caches(world: World, *, sample: int | None = None) -> Iterator[Attack]:
    """What lies in the cache under the names that cass writes there."""
    ways = {"link": link, "dangling": dangling, "hard link": hard_link, "pipe": _fifo, "loop": _loop, "device": _device}
    commands = {
        "ensemble": ("ensemble", "--run", "{runs}/p", "--cache", "disk"),
        "list": ("cache", "list"),
        "clear": ("cache", "clear"),
    }
    found = []
    for of, command in commands.items():
        for ending in (".part", ".lock", ".img"):
            for way, plant in ways.items() if of == "ensemble" else [*ways.items()][1:4:2]:
                run = partial(_cached, world, command, ending, plant)
                found.append(Attack("links", f"links/cache/{of}/{ending}/{way.replace(' ', '-')}", run, way))
    yield from found[:sample]


def _cached(world: World, command: tuple[str, ...], ending: str, plant: Plant) -> Result:
    own, cache = os.environ.get("CASS_CACHE"), world.work / "cache"
    os.environ["CASS_CACHE"] = str(cache)

    def put(world: World, path: Path) -> None:
        done = world.run(("ensemble", "--run", "{runs}/p", "--cache", "disk", "--variant", "first"))
        assert done.code == 0, done.said
        made = next((cache / "images").glob("*.img"))
        target = made.with_suffix(ending)
        if ending == ".part":
            made.rename(target)
        elif ending == ".lock":
            made.unlink()
        plant(world, target)

    try:
        return planted(world, "tuned", command, "cache/images", put)
    finally:
        os.environ.pop("CASS_CACHE") if own is None else os.environ.update(CASS_CACHE=own)


def tiles(world: World, *, sample: int | None = None) -> Iterator[Attack]:
    """Links in a folder of tiles that is made again."""
    if find_spec("openslide") is None:
        return
    places: dict[str, dict[str, Plant]] = {
        "tiles.csv": {"link": link, "dangling": dangling, "pipe": _fifo, "folder": folder, "loop": _loop},
        "a": {"folder": folder, "link": link, "loop": _loop},
        "a/a_x0_y0.png": {"link": link, "dangling": dangling, "pipe": _fifo},
    }
    found = []
    for place, ways in places.items():
        for way, plant in ways.items():
            run = partial(_tiled, world, place, plant)
            found.append(Attack("links", f"links/tile/{place.replace('/', ':')}/{way}", run, f"{way} at {place}"))
    yield from found[:sample]


def _tiled(world: World, place: str, plant: Plant) -> Result:
    from tests.data.slides.drawn import glass, stain, write_slide

    command = ("tile", "{work}/slides", "--size", "32", "--out", "{work}/tiles", "--tissue", "0", "--overwrite")

    def put(world: World, path: Path) -> None:
        pixels = glass(64, 64)
        stain(pixels, 0, 0, 64, 64)
        write_slide(world.work / "slides" / "a.svs", pixels, levels=(1,))
        done = world.run(command)
        assert done.code == 0, done.said
        plant(world, path)

    return planted(world, "empty", command, f"tiles/{place}", put)


def kept(world: World, *, sample: int | None = None) -> Iterator[Attack]:
    """Links that users make themselves: nothing is told, and the work is done."""
    found = []
    for name, (path, of) in KEPT.items():
        run = partial(_kept, world, path, of)
        found.append(Attack("links", f"links/kept/{name.replace(' ', '-')}/{of}", run, name))
    yield from found[:sample]


KEPT = {
    "run folder": ("runs/p", "predict"),
    "run folder read": ("runs/p", "compare"),
    "runs folder": ("runs", "predict"),
    "runs folder read": ("runs", "report"),
    "pictures": ("pictures", "ensemble"),
    "a class of pictures": ("pictures/dark", "predict"),
    "a picture": ("pictures/dark/00.png", "predict"),
    "notes in a run": ("runs/p/my-notes.txt", "compare"),
}


def _kept(world: World, path: str, of: str) -> Result:
    result = planted(world, "tuned", READERS[of], path, _moved)
    return Result("lost", result.seen) if result.word == "told" else result


def _moved(world: World, path: Path) -> None:
    """Move what is there to a large disk, and leave a link."""
    disk = world.work / "disk"
    disk.mkdir()
    if path.exists():
        path.rename(disk / path.name)
    else:
        (disk / path.name).write_text("mine")
    path.symlink_to(disk / path.name)


GROUPS = {f"links/{each.__name__}": each for each in (reading, pictures, caches, tiles, kept)}
