"""Cases one after another, each written into one JSON as soon as it ends, for as long as the minutes last."""

from __future__ import annotations

import gc
import json
import math
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

FRAMES = 6  # of a traceback, the last ones

Difference = tuple[float, float]
"""How far two results are apart, and how far they may be."""


class SkipError(Exception):
    """Raised by a case that cannot be run here; says what it lacks."""


@dataclass(frozen=True)
class Case:
    """Something to do, and the seconds that it typically takes on a GPU.

    `work` returns what was found. Under "differences" it may return a `Difference` by name: where one is larger than
    it may be, or NaN, the case has failed. It raises `SkipError` for what this machine lacks.
    """

    name: str
    seconds: float
    work: Callable[[], dict[str, Any]]


@dataclass
class Record:
    """What was found so far, on disk as well. `began` is what `time.monotonic` said when the minutes began."""

    path: Path
    minutes: float
    began: float
    result: dict[str, Any] = field(default_factory=dict)

    def note(self, **values: Any) -> None:
        """Add values of the whole run."""
        self.result |= values
        self.write()

    def run(self, section: str, cases: Iterable[Case]) -> None:
        """Run the cases that there is time for; whatever one of them raises, the next one is run."""
        entries: dict[str, Any] = self.result.setdefault("sections", {}).setdefault(section, {})
        self.write()
        gc.collect()
        gc.freeze()  # what was imported stays; to look through all of it takes .3 s, after each case
        for case in cases:
            left = 60 * self.minutes - (time.monotonic() - self.began)
            entry = self._run(case) if left >= case.seconds else _left_out(case, left)
            entries[case.name] = entry
            self.write()
            print(_line(case.name, entry), flush=True)

    def write(self) -> None:
        """Replace the file by what is known now: whoever reads it finds the old one or the new one, whole."""
        self.result["seconds"] = time.monotonic() - self.began
        self.path.parent.mkdir(parents=True, exist_ok=True)
        part = self.path.with_name(self.path.name + ".part")
        part.write_text(json.dumps(self.result, indent=2) + "\n", encoding="utf-8")
        part.replace(self.path)

    def entries(self, section: str) -> Mapping[str, Any]:
        """Return what the cases of a section found, by their names."""
        found: Mapping[str, Any] = self.result.get("sections", {}).get(section, {})
        return found

    def names(self, status: str, section: str) -> list[str]:
        """Return the names of the section's cases that ended so: passed, failed, measured, skipped or left out."""
        return [name for name, entry in self.entries(section).items() if entry["status"] == status]

    def _run(self, case: Case) -> dict[str, Any]:
        began = time.monotonic()
        try:
            found = case.work()
            entry = {"status": _verdict(found), **found}
        except SkipError as reason:
            return {"status": "skipped", "skipped": str(reason)}
        except Exception as error:  # the other cases are worth having whatever went wrong here
            entry = {"status": "failed", "error": first_line(error), "traceback": _frames(error)}
        with suppress(RuntimeError):  # a GPU that has failed answers nothing any more
            gc.collect()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
        return {**entry, "seconds": time.monotonic() - began}


def first_line(error: BaseException) -> str:
    """Return type and first line of an error."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}"


def _verdict(found: Mapping[str, Any]) -> str:
    differences: Mapping[str, Difference] | None = found.get("differences")
    if differences is None:
        return "measured"
    return "passed" if all(value <= allowed for value, allowed in differences.values()) else "failed"


def _left_out(case: Case, left: float) -> dict[str, Any]:
    reason = f"takes about {case.seconds:.0f} s, and {max(0.0, left):.0f} s of the minutes were left"
    return {"status": "left out", "left_out": reason}


def _frames(error: BaseException) -> list[str]:
    """Return where an error came from, the innermost last."""
    frames = traceback.extract_tb(error.__traceback__)[-FRAMES:]
    return [f"{'/'.join(Path(f.filename).parts[-2:])}:{f.lineno} {f.name}: {f.line}" for f in frames]


def _line(name: str, entry: Mapping[str, Any]) -> str:
    """Return what is printed of a case: its verdict, its seconds, and the difference nearest to its limit."""
    differences: Mapping[str, Difference] = entry.get("differences", {})
    note = entry.get("error") or entry.get("skipped") or entry.get("left_out") or ""
    if differences:
        what, (value, allowed) = max(differences.items(), key=_share_of_limit)
        note = f"{what}: {value:.1e} (at most {allowed:.0e})"
    seconds = f"{entry['seconds']:.1f} s" if "seconds" in entry else ""
    return f"{name:34} {entry['status']:9} {seconds:>8}  {note}".rstrip()


def _share_of_limit(item: tuple[str, Difference]) -> float:
    value, allowed = item[1]
    if math.isnan(value):
        return math.inf
    return value / allowed if allowed else (math.inf if value else 0.0)
