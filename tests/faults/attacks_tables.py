"""Attacks by what lies beside the images and is none: tables, packed or not, lists, links, sidecars."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from tests.faults.forged import deflated, inflating, zipped
from tests.faults.traps import Scene, Trap, Write, in_turn, replaced

TABLE, LIST = "labels.csv", "test.txt"
N, GIGA, MEGA = 14, 1 << 30, 1_000_000
ROWS = [f"p{i:02d}.png,{'ab'[i % 2]}" for i in range(N)]
HEADER = "image,label"
GOOD = "\n".join([HEADER, *ROWS]) + "\n"


def pictures(folder: Path) -> None:
    """Write pictures of noise, and a table of their labels."""
    random = np.random.default_rng(0)
    for i in range(N):
        Image.fromarray(random.integers(0, 256, (24, 24, 3), dtype=np.uint8)).save(folder / f"p{i:02d}.png")
    (folder / TABLE).write_text(GOOD)


def _traps() -> Iterator[Trap]:
    for name, data in {**_encodings(), **_shapes(), **_cells()}.items():
        make = data if callable(data) else partial(bytes, data)
        yield Trap(name, _late(TABLE, make), ("labels.csv", "image", "png"))
    for name, make in _packed().items():
        yield Trap(
            name, in_turn(lambda folder: (folder / TABLE).unlink(), _late("labels.csv.gz", make)), ("labels.csv",)
        )
    for name, write in places(TABLE).items():
        yield Trap(f"table is {name}", write, ("labels.csv",))
        yield Trap(f"named table is {name}", write, ("labels.csv", "theirs"), ("--labels", "{work}/set/labels.csv"))
    for name, make in _lists().items():
        options = ("--split-list", "test={work}/set/test.txt")
        yield Trap(f"list of {name}", _late(LIST, make), ("test.txt", "test"), options)
        yield Trap(f"found list of {name}", _late(LIST, make), ("test.txt", "test"))
    for name, write in places(LIST).items():
        yield Trap(f"list is {name}", write, ("test.txt", "theirs"), ("--split-list", "test={work}/set/test.txt"))
    for file, write in _sidecars():
        yield Trap(f"sidecar {file}", write, (Path(file).stem,))
    for name, data in {"of 2 GB": 2 * GIGA, "of zeros": 1000}.items():
        options = ("--splits", "{work}/set/s.csv")
        yield Trap(f"splits {name}", replaced("s.csv", data), ("s.csv",), options)


def _late(name: str, make: Callable[[], bytes]) -> Write:
    """Return what writes a file whose bytes are made when it is written."""
    return lambda folder: (folder / name).write_bytes(make())


def _wide(columns: int, cell: str = "") -> bytes:
    """The table with so many columns more."""
    lines = [f"{HEADER}," + ",".join(f"c{i}" for i in range(columns))]
    return "\n".join([*lines, *(f"{row}," + ",".join([cell] * columns) for row in ROWS)]).encode()


def _encodings() -> dict[str, bytes]:
    return {
        "UTF-16 with its mark": GOOD.encode("utf-16"),
        "UTF-16 without its mark": GOOD.encode("utf-16-le"),
        "UTF-16 cut in a letter": GOOD.encode("utf-16")[:-1],
        "UTF-32": GOOD.encode("utf-32"),
        "UTF-7 and more": b"+AG-" + GOOD.encode(),
        "Latin-1": GOOD.replace("a\n", "\xe4\n").encode("latin-1"),
        "a mark alone": b"\xef\xbb\xbf",
        "two marks": b"\xef\xbb\xbf" * 2 + GOOD.encode(),
        "zero bytes between": GOOD.replace(",", ",\0").encode(),
        "zero bytes behind": GOOD.encode() + bytes(1000),
        "a gzip that is none": b"\x1f\x8b" + GOOD.encode(),
        "a zip": zipped(deflated("a.csv", GOOD.encode())),
        "half a letter": GOOD.encode() + b"p00.png,\xf0\x9f",
    }


def _shapes() -> dict[str, bytes | Callable[[], bytes]]:
    good = GOOD.encode()
    return {
        "nothing": b"",
        "a header alone": b"image,label\n",
        "10^6 blank lines": good + b"\n" * MEGA,
        "10^7 blank lines": lambda: good + b"\n" * 10 * MEGA,
        "10^6 columns": lambda: _wide(MEGA),
        "10^6 columns of one name": lambda: b"image,label" + b",x" * MEGA + b"\n" + ROWS[0].encode() + b",1" * MEGA,
        "4,990 columns": lambda: _wide(4990, "x"),
        "16,000 empty columns": lambda: "\n".join(f"{row}{',' * 16_000}" for row in [HEADER, *ROWS]).encode(),
        "30 million cells": lambda: good + b"," * 30 * MEGA,
        "6 million rows": lambda: good + b"p00.png,a\n" * 6 * MEGA,
        "50,000 rows of one image": lambda: good + b"p00.png,a\n" * 50_000,
        "50,000 rows that contradict": lambda: good + b"p00.png,b\np00.png,a\n" * 25_000,
        "a line of 100 MB": lambda: good + b"x" * 100 * MEGA,
        "ends of lines of the Mac": good.replace(b"\n", b"\r"),
        "ends of lines of all kinds": good.replace(b"a\n", b"a\r").replace(b"b\n", b"b\r\n"),
        "a quote open in the header": b'"image,label\n' + good,
        "a quote open in the first row": good.replace(b"p00.png,a", b'p00.png,"a'),
        "a quote open in the middle": good.replace(b"p07.png,b", b'p07.png,"b'),
        "a quote open in the last row": good.replace(b"p13.png,b", b'p13.png,"b'),
        "a quote open before 10 MB": lambda: good + b'p00.png,"' + b"a\n" * 5 * MEGA,
        "quotes alone": b'"' * MEGA,
        "ragged rows": good + b"p00.png,a,a,a\n",
        "columns twice": good.replace(b"image,label", b"label,label"),
        **{f"sep={ord(c)}": f"sep={c}\n".encode() + good for c in "\"'\r\x1b aé😀"},
    }


def _cells() -> dict[str, bytes | Callable[[], bytes]]:
    def with_image(cell: str) -> bytes:
        return GOOD.encode() + f"{cell},a\n".encode("utf-8", "surrogateescape")

    def remarked(cell: str) -> bytes:
        return GOOD.replace("label\n", "label,remark\n").replace("a\n", f"a,{cell}\n").replace("b\n", "b,\n").encode()

    deep = "a/" * 60_000 + "p00.png"
    return {
        "an escape in the header": GOOD.replace("label", "\x1b[31mlabel\x07").encode(),
        "escapes in a column": remarked("\x1b]0;a\x07"),
        "cells from right to left": remarked("\u202ea"),
        "cells of 100,000 letters": remarked("a" * 100_000),
        "a cell of 150,000 letters": with_image("x" * 25_000),
        "cells of 20,000 parts": remarked("+".join(map(str, range(20_000)))),
        "an image outside": with_image("../../victim/secret.png"),
        "an image of the system": with_image("/etc/passwd"),
        "an image that is a device": with_image("/dev/zero"),
        "an image that is a descriptor": with_image("/proc/self/fd/0"),
        "an image with an escape": with_image("\x1b[2J.png"),
        "an image 60,000 folders deep": with_image(deep),
        "300 images 2,000 folders deep": lambda: "".join(
            [GOOD, *[f"{'a/' * 2000}{i}.png,a\n" for i in range(300)]]
        ).encode(),
        "images of 5,000 endings": with_image("p00.png" + ".png" * 5000),
        "an image of 10,000 frames": with_image("p00.png" + "#frame=1" * 10_000),
    }


def _packed() -> dict[str, Callable[[], bytes]]:
    good = gzip.compress(GOOD.encode())
    return {
        "packed bomb of one stream": lambda: gzip.compress(bytes(300 * MEGA), 1),
        "packed bomb of 20 GB": lambda: gzip.compress(b"a" * MEGA) * 20_000,
        "packed bomb of rows": lambda: gzip.compress(b"p00.png,a\n" * 100_000) * 100,
        "packed line of 500 MB": lambda: gzip.compress(b"x" * MEGA) * 500,
        "packed twice": lambda: gzip.compress(good),
        "packed, cut": lambda: good[:-12],
        "packed, a wrong checksum": lambda: good[:-8] + bytes(4) + good[-4:],
        "packed, a wrong length": lambda: good[:-4] + bytes(4),
        "packed, more behind": lambda: good + b"more",
        "packed, zeros behind": lambda: good + bytes(1000),
        "packed, a head alone": lambda: good[:10],
        "packed, not at all": GOOD.encode,
    }


def places(file: str) -> dict[str, Write]:
    """What may lie where a file should."""

    def pipe(folder: Path) -> None:
        (folder / file).unlink(missing_ok=True)
        os.mkfifo(folder / file)

    def within(folder: Path) -> None:
        (folder / file).unlink(missing_ok=True)
        (folder / file).mkdir()

    return {
        "a device": replaced(file, Path("/dev/zero")),
        "a pipe": pipe,
        "a folder": within,
        "a circle": replaced(file, Path(file)),
        "a link outside": replaced(file, Path("../../victim/theirs.csv")),
        "5 GB of zeros": replaced(file, 5 * GIGA),
        "500 MB of zeros": replaced(file, 500 * MEGA),
    }


def _lists() -> dict[str, Callable[[], bytes]]:
    return {
        "10 MB in a line": lambda: b"p00.png " * (10 * MEGA // 8),
        "6 million lines": lambda: b"p00.png\n" * 6 * MEGA,
        "blanks": lambda: b" \n" * MEGA,
        "zeros": lambda: bytes(MEGA),
        "deep folders": lambda: b"a/" * MEGA,
        "nothing": lambda: b"",
        "bytes": lambda: bytes(range(256)) * 100,
    }


def _sidecars() -> Iterator[tuple[str, Write]]:
    yield "deep.json", replaced("deep.json", b"[" * MEGA + b"]" * MEGA)
    yield "huge.json", replaced("huge.json", 5 * GIGA)
    yield "bomb.xlsx", _late("bomb.xlsx", lambda: zipped(inflating("xl/sharedStrings.xml", b"<sst>", 4 * GIGA)))
    yield "odd.parquet", replaced("odd.parquet", b"PAR1" + b"\xff" * 1000)
    yield "endless.txt", replaced("endless.txt", 500 * MEGA)
    yield "device.csv", replaced("device.csv", Path("/dev/zero"))
    yield "circle", replaced("circle", Path())
    yield "upwards", replaced("upwards", Path(".."))


TABLES = Scene("table", pictures, "", _traps, optional=TABLE)
