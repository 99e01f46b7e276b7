"""Attacks by .npz archives: forged headers, lying directories, other ways to pack, bombs, and 160 mutations."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from random import Random

import numpy as np

from tests.faults.forged import Member, deflated, inflating, npy, npy_of, stored, zipped
from tests.faults.traps import Scene, Trap, Write, mutated, replaced

FILE, IMAGES, LABELS = "a.npz", "train_images.npy", "train_labels.npy"
SHAPE, ROWS = (12, 8, 8, 3), 12
PACKED = {"stored": 0, "deflated": 8, "bzip2": 12, "lzma": 14}
MUTATIONS = 40  # of each
GIGA = 1 << 30
CODE = b"__import__('os').system('touch ../victim/attacked')"


@cache
def _members() -> dict[str, bytes]:
    """The members of a small MedMNIST archive."""
    random, found = np.random.default_rng(0), {}
    for part, rows in (("train", ROWS), ("val", 4), ("test", 4)):
        images = random.integers(0, 256, (rows, *SHAPE[1:]), dtype=np.uint8)
        for what, values in (("images", images), ("labels", np.arange(rows)[:, None] % 2)):
            file = io.BytesIO()
            np.save(file, values)
            found[f"{part}_{what}.npy"] = file.getvalue()
    return found


def packed(method: int) -> bytes:
    """The archive, packed so."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in _members().items():
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return file.getvalue()


def _with(*members: Member | Callable[[], Member], comment: bytes = b"", offset: int = 0, more: bool = False) -> Write:
    """Return what writes the archive with these members in place of its own, or besides (`more`)."""

    def write(folder: Path) -> None:
        made = [member() if callable(member) else member for member in members]
        names = set() if more else {member.name for member in made}
        own = [deflated(name, data) for name, data in _members().items() if name not in names]
        (folder / FILE).write_bytes(zipped(*own, *made, offset=offset, comment=comment))

    return write


def _unsound(folder: Path) -> str:
    """Return which member of an archive that was read is not what it was."""
    try:
        with zipfile.ZipFile(folder / FILE) as archive:
            changed = [name for name, data in _members().items() if not archive.read(name).endswith(data[128:])]
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return f"{changed} are not what they were" if changed else ""


def _traps() -> Iterator[Trap]:
    for name, write in (*_headers(), *_labels(), *_directories(), *_bombs(), *_other_files(), *_mutations()):
        yield Trap(name, write, ("a.npz",))


def _headers() -> Iterator[tuple[str, Write]]:
    values = _members()[IMAGES][128:]
    shapes = {
        "10^12 rows": (10**12, *SHAPE[1:]),
        "10^12 rows of one pixel": (10**12, 1, 1),
        "10^30 rows": (10**30, *SHAPE[1:]),
        "rows of no pixel": (10**9, 0, 0),
        "images of no width": (10**10, 8, 0, 3),
        "-1 rows": (-1, *SHAPE[1:]),
        "two negative sides": (12, -8, -8, 3),
        "a row more": (13, *SHAPE[1:]),
        "a row fewer": (11, *SHAPE[1:]),
        "a flag as a side": (True, *SHAPE[1:]),
        "a list of sides": list(SHAPE),
        "half a side": (12.5, *SHAPE[1:]),
        "no sides": (),
        "five sides": (12, 1, 8, 8, 3),
        "a side that overflows": (2**62, 8, 8, 3),
        "sides that overflow together": (2**32, 2**32, 3),
    }
    for name, shape in shapes.items():
        for what, keep in ((IMAGES, values), (LABELS, _members()[LABELS][128:])):
            text = npy(shape, keep, descr="|u1" if what == IMAGES else "<i8")
            yield f"header with {name} of {what[6:12]}", _with(deflated(what, text))
            if what == IMAGES:
                yield f"header with {name}, stored", _with(stored(what, text))
    kinds: dict[str, object] = {
        "objects": "|O",
        "letters of 4 GB": "<U1000000000",
        "raw bytes of 2 GB": "|V2147483647",
        "dates": "<M8[ns]",
        "complex": "<c16",
        "fields": [("a", "|u1"), ("b", "|O")],
        "blocks": ("|u1", (1000, 1000)),
        "fields within fields": [("a", [("b", [("c", "|O")])])],
        "no type": "zzz",
        "a number for a type": 7,
    }
    for name, kind in kinds.items():
        for what in (IMAGES, LABELS):
            yield f"header of {name} as {what[6:12]}", _with(deflated(what, npy(SHAPE, values, descr=kind)))
    good = repr({"descr": "|u1", "fortran_order": False, "shape": SHAPE}).encode()
    texts = {
        "code": CODE,
        "code as shape": good.replace(b"(12, 8, 8, 3)", CODE),
        "nothing": b"",
        "zeros": bytes(64),
        "brackets 4,000 deep": b"(" * 4000 + b")" * 4000,
        "minuses 9,000 deep": good.replace(b"12", b"-" * 9000 + b"12"),
        "a number of 9,000 digits": good.replace(b"12", b"9" * 9000),
        "an open string": good.replace(b"'shape'", b"'''shape"),
        "an open bracket": good[:-1],
        "keys twice": good[:-1] + b", 'shape': (1, 1, 1)}",
        "a key more": good[:-1] + b", 'more': 1}",
        "indents": b"  {\n\t'descr':\n  1",
        "a long of Python 2": good.replace(b"12", b"12L"),
        "letters that are none": good + b"\xff\xfe",
    }
    for name, text in texts.items():
        yield f"header text {name}", _with(deflated(IMAGES, npy_of(text, values)))
    for version in ((2, 0), (3, 0), (9, 9), (0, 0)):
        yield f"header version {version[0]}", _with(deflated(IMAGES, npy(SHAPE, values, version=version)))
    yield "header in another order", _with(deflated(IMAGES, npy(SHAPE, values, fortran="x")))
    for length in (0, 10, 60_000, 0xFFFFFFFF):
        version = (2, 0) if length > 65535 else (1, 0)
        text = npy_of(good, values, version=version, length=length)
        yield f"header states {length} bytes", _with(deflated(IMAGES, text))
    yield (
        "header of 1.5 GB",
        _with(partial(inflating, IMAGES, npy_of(b"", version=(2, 0), length=3 * GIGA // 2), 2 * GIGA)),
    )


def _labels() -> Iterator[tuple[str, Write]]:
    huge = np.full((ROWS, 1), 10**12)
    cases = {
        "10^12 classes": npy(huge.shape, huge.tobytes(), descr="<i8"),
        "2^63 classes": npy((ROWS,), (2**63 + np.arange(ROWS, dtype="<u8")).tobytes(), descr="<u8"),
        "negative classes": npy((ROWS,), np.full(ROWS, -(2**63)).tobytes(), descr="<i8"),
        "500,000 columns": npy((ROWS, 500_000), bytes(6_000_000)),
        "no columns": npy((ROWS, 0)),
        "a pickle": b"\x80\x04cos\nsystem\n(S'touch ../victim/attacked'\ntR.",
        "objects": npy((ROWS,), b"cos\nsystem\n(S'touch ../victim/attacked'\ntR.", descr="|O"),
        "nothing": b"",
        "half": _members()[LABELS][:160],
    }
    for name, data in cases.items():
        yield f"labels of {name}", _with(deflated(LABELS, data))
    yield "labels without images", _with(deflated("train_imagez.npy", b""), replace(deflated(IMAGES, b""), name="x"))
    yield "labels of 40 GB", _with(partial(inflating, LABELS, npy((ROWS, 3 * GIGA)), 36 * GIGA))


def _directories() -> Iterator[tuple[str, Write]]:
    data = _members()[IMAGES]
    good, plain = deflated(IMAGES, data), stored(IMAGES, data)
    for kind, member in (("deflated", good), ("stored", plain)):
        states = {
            "a wrong checksum": replace(member, crc=1),
            "encrypted": replace(member, flags=1),
            "strongly encrypted": replace(member, flags=0x41),
            "patched": replace(member, flags=0x20),
            "another local name": replace(member, inner_name="other_images.npy"),
            "a version of the future": replace(member, version=99),
            "one byte more": replace(member, size=member.size + 1),
            "one byte fewer": replace(member, size=member.size - 1),
            "100 bytes": replace(member, size=100),
            "no bytes": replace(member, size=0),
            "4 GB": replace(member, size=2**32 - 2),
            "2^62 bytes": replace(member, size=2**62),
            "half of it there": replace(member, packed=member.packed[: len(member.packed) // 2]),
        }
        for method in (1, 6, 9, 12, 14, 93, 95, 98, 99):
            states[f"method {method}"] = replace(member, method=method)
        for name, forged in states.items():
            yield f"directory states {name}, {kind}", _with(forged)
    yield "directory of other offsets", _with(offset=1000)
    yield "directory of offsets beyond 32 bits", _with(offset=-1000)
    yield "directory with a long comment", _with(comment=b"PK\5\6" * 20_000)
    yield "directory with images twice", _with(deflated(IMAGES, npy((3, 8, 8), bytes(192))), more=True)
    yield "directory with labels twice", _with(deflated(LABELS, npy((ROWS,), bytes(ROWS))), more=True)
    names = ("../../victim/theirs.csv", "/etc/passwd", "a/../train_images.npy", "C:\\x.npy", "\x1b[31mx", "x" * 60_000)
    for number, name in enumerate(names):
        yield f"directory with an odd name, {number}", _with(stored(name, b"x"), more=True)
    yield (
        "directory with 300,000 members",
        _with(*(partial(stored, f"{i}.npy", b"") for i in range(300_000)), more=True),
    )


def _bombs() -> Iterator[tuple[str, Write]]:
    for size in (2, 20, 60):
        side = 1024
        rows = size * GIGA // side**2
        yield f"bomb of {size} GB", _with(partial(inflating, IMAGES, npy((rows, side, side)), size * GIGA))
    yield "bomb of 200 million images", _with(partial(inflating, IMAGES, npy((200 << 20, 1, 1)), 200 << 20))
    yield "bomb behind the array", _with(partial(inflating, IMAGES, _members()[IMAGES], 4 * GIGA))
    yield "bomb in another member", _with(partial(inflating, "other.npy", b"", 4 * GIGA), more=True)


def _other_files() -> Iterator[tuple[str, Write]]:
    good = packed(8)
    contents = {
        "nothing": b"",
        "a pickle": b"\x80\x04cos\nsystem\n(S'touch ../victim/attacked'\ntR.",
        "an array": _members()[IMAGES],
        "a picture": b"\x89PNG\r\n\x1a\n" + bytes(100),
        "an end alone": zipped(),
        "an archive within": zipped(stored("a.npz", good)),
        "an archive behind zeros": bytes(10_000) + good,
        "an archive before zeros": good + bytes(10_000),
        "two archives": good + good,
    }
    for name, data in contents.items():
        yield f"file is {name}", replaced(FILE, data)
    for share in (0.01, 0.3, 0.6, 0.9, 0.99, 0.999):
        yield f"file cut to {share}", replaced(FILE, good[: int(len(good) * share)])
    yield "file is 50 GB of zeros", replaced(FILE, 50 * GIGA)
    yield "file is a device", replaced(FILE, Path("/dev/zero"))
    yield "file is a circle", replaced(FILE, Path(FILE))
    yield "file is a pipe", lambda folder: ((folder / FILE).unlink(), os.mkfifo(folder / FILE))
    yield "file is a folder", lambda folder: ((folder / FILE).unlink(), (folder / FILE).mkdir())


def _mutations() -> Iterator[tuple[str, Write]]:
    """Seeded; half of them near headers."""
    for kind, method in PACKED.items():
        data, random = packed(method), Random(kind)
        places = [at for at in range(len(data)) if data[at : at + 2] == b"PK" or data[at : at + 6] == b"\x93NUMPY"]
        for number in range(MUTATIONS):
            changed = mutated(data, random, places if number % 2 else ())
            yield f"mutation {number} of {kind}", replaced(FILE, changed)


NPZ = Scene("npz archive", replaced(FILE, packed(8)), FILE, _traps, _unsound)
