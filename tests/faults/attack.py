"""All attacks: `python -m tests.faults.attack`, in two processes; prints how they ended, and with `--out` writes it.

A command that was attacked survived if it told what is wrong (exit 2) or came to the result of one that was not, in
the end, within 10 seconds of the processor and 2 GB where something hostile was put before it; nothing else counts.
`--kind` and `--only` run some of them; what `--out` holds of the others stays.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import re
import shutil
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from datetime import timedelta
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from typing import Any

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # before PyTorch is imported

import torch

from cass_cli.engine import fastest
from tests.faults.groups import GROUPS
from tests.faults.outcome import BAD, GOOD, Attack, Result
from tests.faults.world import World

Row = tuple[str, str, str, str, str]  # kind, name, what, how it ended, what was seen
MUTATIONS = "mutations"
OUT = Path("benchmarks/results/attacks.md")


def main() -> int:
    """Return 0 if every attack was survived."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.attack", description=__doc__)
    parser.add_argument("--kind", default="", help="only groups whose name holds this, or one of A,B,…")
    parser.add_argument("--only", default="", help="only attacks whose name holds this")
    parser.add_argument("--each", type=int, default=None, help="at most so many of each group, the same each time")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, default=None, help=f"Markdown, and JSON beside it; for all: {OUT}")
    asked = parser.parse_args()
    groups = [name for name in (MUTATIONS, *GROUPS) if any(kind in name for kind in asked.kind.split(","))]
    groups = [name for name in groups if f"{asked.only}/".startswith(f"{name}/")] or groups
    began, rows = time.monotonic(), []
    with tempfile.TemporaryDirectory() as base, ProcessPoolExecutor(asked.workers, get_context("spawn")) as pool:
        todo = [pool.submit(run_group, name, Path(base), asked.only, asked.each) for name in groups]
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
        names = {row[1] for row in rows}
        ran = [name for name in groups if not asked.only]
        others = [row for row in written(asked.out) if row[1] not in names and not any(_of(row, name) for name in ran)]
        write(asked.out, others + rows, f"The last {len(rows):,} in {took}")
    return int(any(row[3] in BAD for row in rows))


def _of(row: Row, group: str) -> bool:
    return row[1].startswith(f"{group}/") or row[1] == group


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
    lines = [["kind", "attacks", "survived", *words, "longest (s)", "most (MB)"]]
    for kind in [*kinds, "all"]:
        these = [row for row in rows if kind in ("all", row[0])]
        found = Counter(row[3] for row in these)
        numbers = (found.total(), sum(found[word] for word in GOOD), *(found[word] for word in words))
        costs = list(filter(None, map(cost, these)))
        most = [f"{max(c[0] for c in costs):.1f}", f"{max(c[1] for c in costs):,}"] if costs else ["", ""]
        lines.append([kind, *(f"{number:,}" for number in numbers), *most])
    lines.insert(1, ["---", *(["---:"] * (len(words) + 4))])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def cost(row: Row) -> tuple[float, int] | None:
    """Return the seconds of the processor and the megabytes of an attack that was measured."""
    found = re.match(r"([\d.]+) s, ([\d,]+) MB", row[4])
    return (float(found[1]), int(found[2].replace(",", ""))) if found else None


def written(path: Path) -> list[Row]:
    """Return the attacks of an earlier run."""
    found = (
        json.loads(path.with_suffix(".json").read_text(encoding="utf-8")) if path.with_suffix(".json").exists() else []
    )
    return [(row["kind"], row["name"], row["what"], row["ended"], row.get("seen", "")) for row in found]


def write(path: Path, rows: list[Row], took: str) -> None:
    """Write the table with what it was measured on, and each attack as JSON beside it."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "timm", "numpy", "safetensors"))
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    bad = [f"- {row[3]}: `{row[1]}` ({row[2]})" for row in rows if row[3] in BAD]
    text = [
        "# Attacks on runs",
        "\n`make attack`: commands are killed at operations on the disk, or refused them; their folders are changed,",
        "other processes work on them, and signals come; images, archives, tables, slides, runs and names are made to",
        "harm. Survived: it was told (exit 2), or the result is that of an uninterrupted command, to the bit, and",
        "what is hostile took less than 10 s of the processor and 2 GB. `tests/faults/` says how.\n",
        f"{len(rows):,} attacks. {took}; {machine}; {packages}.\n",
        table(rows),
        *(["", "Not survived, each by the name that `--only` takes:\n", *bad] if bad else []),
    ]
    path.write_text("\n".join(text) + "\n", encoding="utf-8")
    values: list[dict[str, Any]] = [
        dict(zip(("kind", "name", "what", "ended"), row[:4], strict=True))
        | ({"seen": "{:.1f} s, {:,} MB".format(*found)} if (found := cost(row)) else {})
        for row in rows
    ]
    lines = ",\n".join(json.dumps(value) for value in values)
    path.with_suffix(".json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
