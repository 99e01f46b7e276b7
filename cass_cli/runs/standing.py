"""How far a folder's latest run has come, told from a few small files: neither PyTorch nor NumPy is needed for that."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cass_cli.errors import CassError
from cass_cli.lock import locked
from cass_cli.reading import any_json, read_bytes
from cass_cli.runs.latest import LATEST, latest_of
from cass_cli.runs.writers import FINE_TUNING, LOCKS, WHOLE

TAIL = 65536  # bytes of a metrics.jsonl that hold its last row, and of a config.yaml that hold it all


@dataclass(frozen=True)
class TunedStanding:
    """One fine-tuning: how many of its trials are finished, and what the one that answers scores."""

    name: str
    finished: int
    begun: int
    fraction: float  # of the labels, of the trial that answers by default
    pick: str  # of the trial that answers by default; "" where none is finished
    metric: str
    test: float | None
    evaluated: bool
    latest: bool
    running: bool  # a process works on it


@dataclass(frozen=True)
class Standing:
    """The latest run of a folder."""

    path: Path
    epochs: int | None  # asked for; None where that cannot be read
    done: int  # trained
    finished: bool
    pretrained: bool  # False: the run has fine-tunings alone
    running: bool  # a process pretrains it
    fine_tunings: tuple[TunedStanding, ...]


def standing(runs: Path) -> Standing | None:
    """Return how far the latest run of the folder `runs` has come; None where there is none. Nothing is raised."""
    try:
        path = latest_of(runs)
        return _standing(path) if path and (path / "config.yaml").is_file() else None
    except (OSError, ValueError):
        return None


def _standing(path: Path) -> Standing:
    summary = _json(path / "summary.json")
    done = _whole(_last_row(path / "metrics.jsonl").get("epoch"))
    locks = path.resolve().parent / LOCKS / path.resolve().name
    tuned = _fine_tunings(path / "finetune", locks)
    pretrained = bool(summary) or done > 0 or not tuned
    epochs = _epochs(path / "config.yaml")
    finished = bool(summary) and (epochs is None or _whole(summary.get("epochs")) >= epochs)
    return Standing(path, epochs, done, finished, pretrained, _held(locks / WHOLE), tuned)


def _fine_tunings(folder: Path, locks: Path) -> tuple[TunedStanding, ...]:
    if not folder.is_dir():
        return ()
    latest = latest_of(folder)
    found = []
    for path in sorted(folder.iterdir()):
        if path.name == LATEST or path.is_symlink() or not (path / "config.yaml").is_file():
            continue
        begun = list(path.glob("*/seed*"))
        finished = sorted((trial for trial in begun if (trial / "summary.json").is_file()), key=_order)
        answering = finished[0] if finished else None
        summary = _json(answering / "summary.json") if answering else {}
        judgement = summary.get("judgement")
        pick = str(judgement.get("pick", "")) if isinstance(judgement, dict) else ""
        metric = str(summary.get("metric", ""))
        scores = summary.get("test")
        of_pick = scores.get(pick) if isinstance(scores, dict) else None
        value = of_pick.get(metric) if isinstance(of_pick, dict) else None
        found.append(
            TunedStanding(
                path.name,
                finished=len(finished),
                begun=len(begun),
                fraction=-_order(answering)[0] if answering else 0.0,
                pick=pick,
                metric=metric,
                test=float(value) if isinstance(value, int | float) and abs(value) < 10**15 else None,
                evaluated=answering is not None and (answering / "evaluation-test.json").is_file(),
                latest=latest is not None and latest.name == path.name,
                running=_held(locks / f"{FINE_TUNING}{path.name}"),
            )
        )
    return tuple(found)


def _held(lock: Path) -> bool:
    """Whether another process holds a lock."""
    if lock.is_file():
        with suppress(CassError, OSError), locked(lock, wait=0) as free:
            return not free
    return False


def _order(trial: Path) -> tuple[float, int]:
    """Return what sorts the trial that answers by default first: the largest fraction, then the lowest seed."""
    try:
        return -float(trial.parent.name), int(trial.name.removeprefix("seed"))
    except ValueError:  # a folder that is not ours
        return 0.0, 0


def _epochs(config: Path) -> int | None:
    """Return train.epochs of a config.yaml as cass writes it, without a reader of YAML."""
    text = read_bytes(config, TAIL).decode("utf-8", "replace") + "\n"
    section = re.search(r"^train:\s*\n((?:[ \t#].*\n|\n)*)", text, re.MULTILINE)
    found = re.search(r"^[ ]{2}epochs:\s*(\d{1,15})\b", section[1], re.MULTILINE) if section else None
    return int(found[1]) if found else None


def _whole(value: object) -> int:
    """Return a number of epochs, 0 for what is none."""
    return value if isinstance(value, int) and 0 <= value < 10**15 else 0


def _last_row(path: Path) -> dict[str, Any]:
    """Return the last whole row of a metrics.jsonl, {} where there is none."""
    if not path.is_file():
        return {}
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - TAIL))
        lines = file.read().split(b"\n")
    return next((row for line in reversed(lines) if (row := _parsed(line))), {})


def _json(path: Path) -> dict[str, Any]:
    try:
        return _parsed(read_bytes(path)) if path.is_file() else {}
    except ValueError:  # it is larger than any of cass
        return {}


def _parsed(text: bytes) -> dict[str, Any]:
    try:
        value = any_json(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
