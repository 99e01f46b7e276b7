"""All attacks: `python -m tests.faults.attack`, in two processes; prints how they ended, and with `--out` writes it.

A command that was attacked survived if it told what is wrong (exit 2) or came to the result of one that was not, in
the end; nothing else counts. `--only NAME` runs the attacks again whose name holds NAME.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import shutil
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from datetime import timedelta
from functools import partial
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from typing import Any

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # before PyTorch is imported

import torch

from cass_cli.engine import fastest
from tests.faults import attacks_changed, attacks_disk, attacks_names, attacks_privacy, attacks_processes
from tests.faults.outcome import BAD, GOOD, Attack, Result
from tests.faults.world import JOBS, READERS, World

Row = tuple[str, str, str, str, str]  # kind, name, what, how it ended, what was seen
GROUPS: dict[str, Callable[..., Iterator[Attack]]] = {
    **{f"changed/{of}": partial(attacks_changed.attacks, of=of) for of in attacks_changed.SCENES},
    "signals": attacks_processes.signals,
    "pairs": attacks_processes.pairs,
    **{f"disk/{job.name}": partial(attacks_disk.attacks, job=job) for job in (*JOBS, *READERS)},
    **{f"names/{of}": partial(attacks_names.attacks, of=of) for of in attacks_names.CLASSES},
    "names/options": attacks_names.options,
    "names/runs": attacks_names.foreign,
    "privacy": attacks_privacy.attacks,
}
MUTATIONS = "mutations"
OUT = Path("benchmarks/results/attacks.md")


def main() -> int:
    """Return 0 if every attack was survived."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.attack", description=__doc__)
    parser.add_argument("--kind", default="", help="only groups whose name holds this")
    parser.add_argument("--only", default="", help="only attacks whose name holds this")
    parser.add_argument("--quick", action="store_true", help="a few of each group")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, default=None, help=f"Markdown, and JSON beside it; for all: {OUT}")
    asked = parser.parse_args()
    groups = [name for name in (MUTATIONS, *GROUPS) if asked.kind in name]
    groups = [name for name in groups if f"{asked.only}/".startswith(f"{name}/")] or groups
    began, rows = time.monotonic(), []
    with tempfile.TemporaryDirectory() as base, ProcessPoolExecutor(asked.workers, get_context("spawn")) as pool:
        todo = [pool.submit(run_group, name, Path(base), asked.only, 4 if asked.quick else None) for name in groups]
        for done in as_completed(todo):
            name, found = done.result()
            rows += found
            counts = Counter(row[3] for row in found)
            print(f"{name}: {', '.join(f'{count} {word}' for word, count in counts.items())}", flush=True)
            for row in found:
                if row[3] in BAD:
                    print(f"  {row[3]}: {row[1]} ({row[2]})\n    {row[4][:600]}", flush=True)
    took = timedelta(seconds=round(time.monotonic() - began))
    print(f"\n{table(rows)}\n\n{len(rows):,} attacks in {took}")
    if asked.out:
        write(asked.out, rows, took)
    return int(any(row[3] in BAD for row in rows))


def run_group(name: str, base: Path, only: str, sample: int | None) -> tuple[str, list[Row]]:
    """Run the attacks of a group in a folder of this process."""
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    fastest.other_ways = lambda train: []  # noqa: ARG005 - every run computes in the usual way
    folder = base / str(os.getpid())
    folder.mkdir(exist_ok=True)
    os.environ |= {"CASS_CACHE": str(folder / "cache"), "HF_HUB_OFFLINE": "1"}
    if name == MUTATIONS:
        return name, list(_mutations(folder / name, only, every=40 if sample else 1))
    world = World(folder)
    rows = []
    for attack in GROUPS[name](world, sample=sample):
        if only in attack.name:
            result = _result(attack)
            rows.append((attack.kind, attack.name, attack.what, result.word, result.seen.replace(str(base), "")))
    return name, rows


def _result(attack: Attack) -> Result:
    try:
        return attack.run()
    except (Exception, SystemExit) as error:  # of the attack itself
        return Result("lost", f"the attack failed: {type(error).__name__}: {error}")


def _mutations(folder: Path, only: str, *, every: int) -> Iterator[Row]:
    """The attacks on files of a run folder, in the words of the others."""
    if find_spec("tests.faults.mutations") is None:
        return
    damaged: Any = import_module("tests.faults.mutations")
    words = {"told": "told", "shown": "told", "whole": "equal", "silent": "silent difference", "vague": "lost"}
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    field = damaged.Field(damaged.make_runs(folder))
    for attack in list(damaged.attacks(field.pristine))[::every]:
        if only in f"mutations/{attack.name}":
            for outcome in damaged.run_attack(field, attack):
                word = words.get(outcome.kind, outcome.kind)
                yield "damaged run", f"mutations/{attack.name}", outcome.command, word, outcome.said


def table(rows: list[Row]) -> str:
    """Return how the attacks ended, by kind, as Markdown."""
    kinds = list(dict.fromkeys(row[0] for row in sorted(rows)))
    words = [*GOOD, *BAD]
    lines = [["kind", "attacks", "survived", *words]]
    for kind in [*kinds, "all"]:
        found = Counter(row[3] for row in rows if kind in ("all", row[0]))
        numbers = (found.total(), sum(found[word] for word in GOOD), *(found[word] for word in words))
        lines.append([kind, *(f"{number:,}" for number in numbers)])
    lines.insert(1, ["---", *(["---:"] * (len(words) + 2))])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def write(path: Path, rows: list[Row], took: timedelta) -> None:
    """Write the table with what it was measured on, and each attack as JSON beside it."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "timm", "numpy", "safetensors"))
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    bad = [f"- {row[3]}: `{row[1]}` ({row[2]})" for row in rows if row[3] in BAD]
    text = [
        "# Attacks on runs",
        "\n`make attack`: commands are killed at operations on the disk, or refused them; their folders are changed,",
        "other processes work on them, and signals come. Survived: it was told (exit 2), or the result is that of an",
        "uninterrupted command, to the bit. `tests/faults/` says how.\n",
        f"{len(rows):,} attacks in {took}; {machine}; {packages}.\n",
        table(rows),
        *(["", "Not survived, each by the name that `--only` takes:\n", *bad] if bad else []),
    ]
    path.write_text("\n".join(text) + "\n", encoding="utf-8")
    values: list[dict[str, Any]] = [dict(zip(("kind", "name", "what", "ended"), row[:4], strict=True)) for row in rows]
    lines = ",\n".join(json.dumps(value) for value in values)
    path.with_suffix(".json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
