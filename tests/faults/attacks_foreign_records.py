"""A stranger's records: what a run tells of itself, and what lies where it should."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tests.faults.attacks_foreign import PAPER, TUNE, broken_json
from tests.faults.attacks_foreign_settings import GO_ON, REPORT
from tests.faults.foreign import RUN, TUNED, Change, Foreign, holes, on_json, pipe, text, unrecorded

COMPARE = ("compare", "{runs}/p")
HUGE = 10**4000
AFTERWARDS = ("a deep row more", "a long line", "ten million lines")  # rows behind the checkpoint, which are cut off
SPLITS = "image,split,label,group,status\n"


def _rows(*more: str) -> Change:
    return lambda path: path.write_text(path.read_text() + "".join(more))


def _row(**values: Any) -> Change:
    """Return a change of the last row of a log."""

    def change(path: Path) -> None:
        *lines, last = path.read_text().splitlines()
        path.write_text("\n".join([*lines, json.dumps(json.loads(last) | values)]) + "\n")

    return change


def _named(name: str) -> Change:
    """Return a change of splits.csv: another image in the place of the first."""

    def change(path: Path) -> None:
        (path.parent / "manifest.json").unlink(missing_ok=True)
        first, row, *others = path.read_text().splitlines()
        path.write_text("\n".join([first, f'"{name}",{row.partition(",")[2]}', *others]) + "\n")

    return change


def records() -> Iterator[Foreign]:
    """JSON that tells how it went."""
    summary = f"{TUNED}/summary.json"
    for name, change in broken_json().items():
        yield Foreign(f"summary {name}", summary, change, COMPARE, "summary.json")
        yield Foreign(f"run's summary {name}", f"{RUN}/summary.json", change, (), fine=True)
        if "deep" in name or name in ("of lists", "of three gigabytes", "a pipe"):
            yield Foreign(f"manifest {name}", f"{RUN}/manifest.json", change, GO_ON, "manifest.json")
            yield Foreign(f"images {name}", f"{RUN}/images.json", unrecorded(change), GO_ON)
    values: dict[str, dict[str, Any]] = {
        "epochs of 4000 digits": {"epochs": HUGE},
        "a seed of 4000 digits": {"seed": HUGE},
        "a fraction of nothing": {"fraction": float("nan")},
        "a fraction without end": {"fraction": float("inf")},
        "seconds of a lifetime": {"seconds": 1e308},
        "images of 4000 digits": {"images": {"val": HUGE, "test": HUGE}},
        "members elsewhere": {"members": {"a": {"place": "../../../victim/1/seed0", "digest": "0"}}},
        "members of itself": {"members": {"a": {"place": "pretrained-paper/1/seed0", "digest": "0"}}},
        "arms elsewhere": {"arms__../../../../../victim/kept": {"model": "m", "weights": "w", "best_epoch": 1}},
        "a best epoch of 4000 digits": {"arms__cnn__best_epoch": HUGE},
        "a temperature of nothing": {"judgement__temperatures": {"cnn": 0.0, "vit": 0.0}},
        "temperatures that are no numbers": {"judgement__temperatures": {"cnn": float("nan"), "vit": 1.0}},
    }
    for name, value in values.items():
        command = COMPARE if "nothing" in name else PAPER
        fine = name == "seconds of a lifetime"
        yield Foreign(f"summary {name}", summary, on_json(**value), command, fine=fine)
    whole = {"epochs": HUGE}, {"epochs": "x"}, {"epochs": [1]}, {"epochs": float("inf")}
    for number, value in enumerate(whole):
        yield Foreign(f"run's summary {number} in the guide", f"{RUN}/summary.json", on_json(**value), (), fine=True)
    for name in ("../../../victim/kept.json", "/etc/passwd", "/dev/zero", "../p/config.yaml", "a\0b", ""):
        change = on_json(files={name: ["0" * 64]})
        shown = name.replace("/", " ").encode("unicode_escape").decode()
        yield Foreign(f"manifest of {shown}", f"{RUN}/manifest.json", change, GO_ON, "manifest.json")
    for place in (f"{RUN}/environment.json", f"{TUNED}/evaluation-test.json"):
        for name in ("nested deep", "of three gigabytes", "of lists"):
            change = broken_json()[name]
            yield Foreign(f"{Path(place).stem} {name}", place, change, REPORT, fine=True)


def logs() -> Iterator[Foreign]:
    """Rows: of epochs, of images."""
    place = f"{RUN}/metrics.jsonl"
    for command in (REPORT, GO_ON, ()):
        told = bool(command) and command[0] != "report"
        for name, change in {
            "a gigabyte of zeros": holes(10**9),
            "three gigabytes": holes(3 * 10**9, b'{"epoch": 1}\n'),
            "nested deep": text(lambda: "[" * 10**5 + "\n"),
            "a deep row more": _rows('{"epoch": ' * 10**5 + "\n"),
            "of 4000 digits": _row(epoch=HUGE),
            "a loss of nothing": _row(loss=float("nan")),
            "images of 4000 digits": _row(images=HUGE),
            "a long line": _rows('{"epoch": 3, "a": "' + "a" * 3 * 10**7 + '"}\n'),
            "a pipe": pipe,
            "ten million lines": _rows("\n" * 10**7),
        }.items():
            of = command[0] if command else "guide"
            if not command and name not in ("three gigabytes", "of 4000 digits", "a deep row more", "a long line"):
                continue
            yield Foreign(f"log {name} for {of}", place, change, command, fine=not told or name in AFTERWARDS)
    images = {
        "above": "../../victim/kept.json",
        "of the system": "/etc/passwd",
        "of a device": "/dev/zero",
        "with escapes": "\x1b[31m\x07.png",
        "with a zero": "a\0.png",
        "of a formula": "=cmd|' /C calc'!A0",
        "long": "a" * 10**5,
        "of the class": "dark/../dark/00.png",
    }
    for name, image in images.items():
        for command in (PAPER, TUNE) if name in ("above", "of the system") else (TUNE,):
            yield Foreign(f"image {name} for {command[0]}", f"{RUN}/splits.csv", _named(image), command)
    for name, change in {
        "of three gigabytes": holes(3 * 10**9, SPLITS.encode()),
        "of one line": text(lambda: SPLITS + '"' + "a" * 10**7),
        "a pipe": pipe,
        "of a hundred thousand rows": text(lambda: SPLITS + "".join(f"{i}.png,train,a,,ok\n" for i in range(10**5))),
        "of many columns": text(lambda: ",".join(f"c{i}" for i in range(10**6)) + "\n"),
    }.items():
        yield Foreign(f"splits {name}", f"{RUN}/splits.csv", unrecorded(change), PAPER)
        yield Foreign(f"splits {name} for report", f"{RUN}/splits.csv", unrecorded(change), REPORT, fine=True)
    yield Foreign("features that unpack", f"{RUN}/features", _features, TUNE, fine=True)


def _features(path: Path) -> None:
    """Replace each file of features by one that unpacks to gigabytes."""
    for file in path.rglob("*.npz"):
        with np.load(file) as found:
            rows = found["rows"]
        np.savez_compressed(file, rows=rows, values=np.zeros((len(rows), 10**7), np.float32), widths=np.array([10**7]))
