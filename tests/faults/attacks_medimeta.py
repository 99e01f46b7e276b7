"""Attacks by a set as MedIMeta ships it: its info.yaml, and the arrays and lists that this names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tests.faults.attacks_tables import TABLE, N, pictures, places
from tests.faults.forged import deflated, npy, npy_of, zipped
from tests.faults.traps import Scene, Trap, replaced

INFO, TASK = "info.yaml", "task_labels/t.npy"


def _medimeta(folder: Path) -> None:
    pictures(folder)
    (folder / TABLE).unlink()
    for name in ("images", "task_labels", "splits"):
        (folder / name).mkdir()
    for i in range(N):
        (folder / f"p{i:02d}.png").rename(folder / f"images/{i:06d}.tiff")
    np.save(folder / TASK, np.arange(N) % 2)
    (folder / INFO).write_text(_info("{0: a, 1: b}"))


def _info(labels: str, before: str = "") -> str:
    task = f"  - {{task_name: t, task_target: MULTICLASS_CLASSIFICATION, labels: {labels}}}"
    return "\n".join([before, "id: x", "name: X", "tasks:", task, "splits_num_samples: {train: 14}"])


def _medimeta_traps() -> Iterator[Trap]:
    laughs = "\n".join([f"l{i}: &l{i} [{', '.join([f'*l{i - 1}' if i else 'ha'] * 9)}]" for i in range(12)])
    merges = "\n".join(
        [f"m{i}: &m{i} {{'<<': [{', '.join([f'*m{i - 1}'] * 9 if i else [])}], a{i}: 1}}" for i in range(12)]
    )
    infos = {
        "laughs": _info("{0: *l11, 1: b}", laughs),
        "merges": _info("{0: a, 1: b}", merges.replace("'<<'", "<<")),
        "a list that holds itself": _info("{0: *r, 1: b}", "r: &r [*r]"),
        "brackets 20,000 deep": "[" * 20_000,
        "code": _info("{0: !!python/object/apply:os.system ['touch ../victim/attacked'], 1: b}"),
        "a number of 9,000 digits": _info("{0: a, 1: b}", "n: " + "9" * 9_000),
        "a number to the base of 60": _info("{0: a, 1: b}", "n: " + "1" + ":59" * 20_000),
        "a fraction to the base of 60": _info("{0: a, 1: b}", "n: " + "1" + ":59" * 2_000 + ".5"),
        "a date that is none": _info("{0: a, 1: b}", "n: 2020-99-99"),
        "escapes": _info("{0: a, 1: b}").replace("name: X", 'name: "\\e[31mX"'),
        "a task elsewhere": _info("{0: a, 1: b}").replace("name: t", "name: ../../victim/theirs"),
        "zeros": "\0" * 100,
    }
    named = ("info", "image", "task_labels", "t.npy", "class")
    for name, text in infos.items():
        yield Trap(f"info of {name}", replaced(INFO, text.encode()), named)
    for name, write in places(INFO).items():
        yield Trap(f"info is {name}", write, named)
    arrays = {
        "10^12 rows": npy((10**12,), bytes(N)),
        "10^9 rows of nothing": npy((10**9, 0)),
        "objects": npy((N,), b"cos\nsystem\n(S'touch ../victim/attacked'\ntR.", descr="|O"),
        "a header of 4 GB": npy_of(b"", version=(2, 0), length=0xFFFFFFFF),
        "a pickle": b"\x80\x04cos\nsystem\n(S'touch ../victim/attacked'\ntR.",
        "2^63": npy((N,), np.full(N, 2**63, "<u8").tobytes(), descr="<u8"),
        "a zip": zipped(deflated("t.npy", npy((N,), bytes(N)))),
    }
    for name, data in arrays.items():
        yield Trap(f"task of {name}", replaced(TASK, data), named)
    for name, write in places(TASK).items():
        yield Trap(f"task is {name}", write, named)
    for name, write in places("splits/train.txt").items():
        yield Trap(f"list of a set is {name}", write, (*named, "train.txt"))


MEDIMETA = Scene("table", _medimeta, "", _medimeta_traps, optional=INFO)
