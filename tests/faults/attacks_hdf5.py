"""Attacks by HDF5: arrays that lie elsewhere, claims that no file holds, chunks that inflate, and 25 mutations."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import h5py
import numpy as np

from tests.faults.traps import Scene, Trap, Write, mutated, replaced

STEM = "camelyonpatch_level_2_split_"
X, Y, META = f"{STEM}train_x.h5", f"{STEM}train_y.h5", f"{STEM}train_meta.csv"
SHAPE = (8, 24, 24, 3)
HUGE = 10**12
ELSEWHERE = "../../victim/theirs.h5"


def _intact(folder: Path) -> None:
    random = np.random.default_rng(0)
    for part, rows in {"train": 8, "valid": 4, "test": 4}.items():
        with h5py.File(folder / f"{STEM}{part}_x.h5", "w") as file:
            pixels = random.integers(0, 256, (rows, *SHAPE[1:]), dtype=np.uint8)
            file.create_dataset("x", data=pixels, fletcher32=True)  # without it no one knows of changed values
        with h5py.File(folder / f"{STEM}{part}_y.h5", "w") as file:
            labels = (np.arange(rows, dtype=np.uint8) % 2).reshape(rows, 1, 1, 1)
            file.create_dataset("y", data=labels, fletcher32=True)
        lines = [f"{i},{part}{i // 2}" for i in range(rows)]
        (folder / f"{STEM}{part}_meta.csv").write_text("\n".join([",wsi", *lines]) + "\n")


def _made(name: str, make: Callable[[Any], object]) -> Write:
    """Return what writes a file of the set anew: `make` fills it."""

    def write(folder: Path) -> None:
        with h5py.File(folder / ELSEWHERE, "w") as other:
            other["x"], other["y"] = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE[0], np.uint8)
        (folder / name).unlink()
        with h5py.File(folder / name, "w") as file:
            make(file)

    return write


def _traps() -> Iterator[Trap]:
    for file, key in ((X, "x"), (Y, "y")):
        shape = SHAPE if key == "x" else (SHAPE[0], 1, 1, 1)
        for name, make in {**_links(key), **_claims(key, shape), **_values(key, shape)}.items():
            yield Trap(f"{key} is {name}", _made(file, make), (STEM,))
        others: dict[str, Write] = {
            "a device": replaced(file, Path("/dev/zero")),
            "a circle": replaced(file, Path(file)),
            "20 GB of zeros": replaced(file, 20 << 30),
            "a folder": lambda folder, file=file: ((folder / file).unlink(), (folder / file).mkdir()),  # type: ignore[misc]
            "a pipe": lambda folder, file=file: ((folder / file).unlink(), os.mkfifo(folder / file)),  # type: ignore[misc]
        }
        for name, write in others.items():
            yield Trap(f"{key} is {name}", write, (STEM, "image", "PatchCamelyon"))
        for share in (0.2, 0.6, 0.99):
            yield Trap(f"{key} cut to {share}", replaced(file, lambda b, s=share: b[: int(len(b) * s)]), (STEM,))  # type: ignore[misc]
    for number in range(25):  # of 12 kB; the head, where lies what is where, is hit by half
        random, file = Random(number), (X, Y)[number % 2]
        near = (40, 800, 1500, 2100) if number % 4 < 2 else ()
        yield Trap(f"mutation {number}", replaced(file, lambda b, r=random, n=near: mutated(b, r, n)), (STEM,))  # type: ignore[misc]
    yield Trap("table of slides of 2 GB", replaced(META, 2 << 30), (META,))
    yield Trap("table of slides in another length", replaced(META, b"wsi\na\n"), (META,))


def _links(key: str) -> dict[str, Callable[[Any], object]]:
    def virtual(file: Any) -> None:
        layout = h5py.VirtualLayout(SHAPE if key == "x" else SHAPE[:1], np.uint8)
        layout[:] = h5py.VirtualSource(ELSEWHERE, key, layout.shape)
        file.create_virtual_dataset(key, layout)

    def cycle(file: Any) -> None:
        file.create_group("a")["b"] = file["/"]
        file[key] = file["a"]

    def outside(name: str) -> Callable[[Any], object]:
        return lambda file: file.create_dataset(key, SHAPE, np.uint8, external=[(name, 0, h5py.h5f.UNLIMITED)])

    return {
        "an external link": lambda file: file.__setitem__(key, h5py.ExternalLink(ELSEWHERE, key)),
        "a soft link to nowhere": lambda file: file.__setitem__(key, h5py.SoftLink("/nowhere")),
        "a soft link to itself": lambda file: file.__setitem__(key, h5py.SoftLink(f"/{key}")),
        "a group that holds itself": cycle,
        "an array of another file": virtual,
        "values of another file": outside(ELSEWHERE),
        "values of a device": outside("/dev/zero"),
        "a type": lambda file: file.__setitem__(key, np.dtype("u1")),
        "under another name": lambda file: file.__setitem__("z", np.zeros(3)),
    }


def _claims(key: str, shape: tuple[int, ...]) -> dict[str, Callable[[Any], object]]:
    chunk, rest = (1, *shape[1:]), shape[1:]

    def bomb(file: Any) -> None:
        array = file.create_dataset(key, shape, np.uint8, chunks=chunk, compression="gzip")
        array.id.write_direct_chunk((0, 0, 0, 0), zlib.compress(bytes(1 << 30)))

    def large_bomb(file: Any) -> None:
        large = (1, 20_000, 20_000, 3)
        array = file.create_dataset(key, large, np.uint8, chunks=large, compression="gzip")
        array.id.write_direct_chunk((0, 0, 0, 0), zlib.compress(bytes(1000)))

    def made(*sides: int, **options: Any) -> Callable[[Any], object]:
        return lambda file: file.create_dataset(key, sides, np.uint8, **options)

    return {
        "10^12 rows": made(HUGE, *rest),
        "10^12 rows in chunks": made(HUGE, *rest, chunks=chunk),
        "10^12 rows in packed chunks": made(HUGE, *rest, chunks=chunk, compression="gzip"),
        "10^9 rows of nothing": made(10**9, 0, 0, 3),
        "never written": made(*shape, chunks=chunk),
        "a chunk of 4 GB": made(*shape, maxshape=(None,) * 4, chunks=(65_535, 255, 255, 1)),
        "a chunk that inflates": bomb,
        "a chunk of 1.2 GB, packed": large_bomb,
    }


def _values(key: str, shape: tuple[int, ...]) -> dict[str, Callable[[Any], object]]:
    def put(values: Any, **options: Any) -> Callable[[Any], object]:
        return lambda file: file.create_dataset(key, data=values, **options)

    words = np.array(["a" * 1000] * shape[0], dtype=object)
    return {
        "words": put(words, dtype=h5py.string_dtype()),
        "lists": lambda file: file.create_dataset(key, shape[:1], h5py.vlen_dtype(np.uint8)),
        "fractions": put(np.full(shape, 0.5)),
        "fields": put(np.zeros(shape, [("a", "u1"), ("b", "S9")])),
        "references": lambda file: file.create_dataset(key, shape, dtype=h5py.ref_dtype),
        "empty": put(h5py.Empty("u1")),
        "a single number": put(np.uint8(1)),
        "a row more": put(np.zeros((shape[0] + 1, *shape[1:]), np.uint8)),
        "no rows": put(np.zeros((0, *shape[1:]), np.uint8)),
        "packed by scale": put(np.zeros(shape, np.uint8), scaleoffset=0),
        "other numbers": put(np.full(shape, 200, np.int16)),
    }


HDF5 = Scene("HDF5 archive", _intact, "", _traps)
