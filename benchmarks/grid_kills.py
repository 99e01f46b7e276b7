"""Is a grid that is killed twenty times, at random, what it would have been? 40 cells, at their smallest.

    python benchmarks/grid_kills.py --folder FOLDER

The same grid is done twice in FOLDER: once as it is, once killed (SIGKILL) again and again after times drawn from a
seed: every other time the grid alone, whose task then goes on by itself, else both. Then it is let finish. Held against
each other: results.csv byte for byte, which runs and trials there are, and that nothing finished was made again: each
summary.json is still the file that it was when a kill first found it. Writes grid_kills.json and grid_kills.md.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml
from grid_cost import SETTINGS, draw
from machine import environment, write_result

AXES = {
    "data": {"images": {"preset": "demo", "path": "images"}},
    "method": ["transfer", "cass"],
    "pretrain_seed": [0, 1, 2, 3, 4],
    "label_fraction": [0.5, 1],
    "finetune_seed": [0, 1],
}


def main() -> None:
    """Do the grid twice, compare, and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    here = Path.cwd()
    os.chdir(given.folder)
    os.environ["CASS_CACHE"] = str(Path("cache").resolve())
    draw(Path("images"))
    Path("forty.yaml").write_text(yaml.safe_dump({"title": "Forty cells", "settings": SETTINGS, "axes": AXES}))
    finish("whole")
    states = Path("whole/forty.grid/tasks").glob("*.json")
    whole = sum(json.loads(path.read_text(encoding="utf-8"))["seconds"] for path in states)
    kills, changed = killed("killed", given.kills, random.Random(given.seed), longest=whole / given.kills)
    finish("killed")
    found = {
        "seconds_whole": round(whole, 1),
        "kills": kills,
        "cells": len(made("whole")),
        "results_equal": of("whole") == of("killed"),
        "same_runs_and_trials": sorted(made("whole")) == sorted(made("killed")),
        "made_again": sorted(changed),
    }
    os.chdir(here)
    path = write_result("grid_kills", found)
    path.with_suffix(".md").write_text(text := page(found, given.seed), encoding="utf-8")
    print(f"{text}\nWritten: {path}, {path.with_suffix('.md')}")


def command(runs: str) -> list[str]:
    """Return the command line of the grid in this folder of runs."""
    return [sys.executable, "-m", "cass_cli", "grid", "forty.yaml", "--runs", runs]


def finish(runs: str) -> None:
    """Do the grid until it is done."""
    with Path(f"{runs}.log").open("a") as log:
        subprocess.run(command(runs), check=True, stdout=log, stderr=log)


def killed(runs: str, times: int, chance: random.Random, *, longest: float) -> tuple[list[dict[str, Any]], set[str]]:
    """Begin the grid and kill it, again and again; return where it stood, and what was finished and made again."""
    kills: list[dict[str, Any]] = []
    seen: dict[str, int] = {}
    changed: set[str] = set()
    for number in range(times):
        with Path(f"{runs}.log").open("a") as log:
            process = subprocess.Popen(command(runs), stdout=log, stderr=log)
            after = chance.uniform(0.5, longest)
            with suppress(subprocess.TimeoutExpired):
                process.wait(after)
            if process.poll() == 0:
                print(f"All was done before kill {number + 1}.")
                break
            if process.poll() is not None:
                raise SystemExit(f"The grid failed before kill {number + 1}: see {runs}.log.")
            task = children(process.pid)
            for pid in [process.pid, *(task if number % 2 else [])]:
                os.kill(pid, signal.SIGKILL)
            process.wait()
        now = summaries(runs)
        changed |= {name for name, at in seen.items() if now.get(name) != at}
        seen |= now
        whom = (
            "the grid, which began or waited"
            if not task
            else "the grid and its task"
            if number % 2
            else "the grid; its task went on"
        )
        kills.append({"after": round(after, 1), "killed": whom, "finished": len(now)})
        print(f"kill {number + 1:>2} after {after:5.1f} s: {whom}, {len(now)} finished", flush=True)
    return kills, changed


def children(pid: int) -> list[int]:
    """Return the processes that one has begun, by way of Linux's /proc."""
    found: list[int] = []
    for path in Path("/proc", str(pid), "task").glob("*/children"):
        found += map(int, path.read_text().split())
    return found


def summaries(runs: str) -> dict[str, int]:
    """Return when what is finished was written: of each summary.json, in nanoseconds."""
    return {str(path.relative_to(runs)): path.stat().st_mtime_ns for path in Path(runs).rglob("summary.json")}


def made(runs: str) -> list[str]:
    """Return the trials that there are, each once."""
    return [
        str(path.parent.relative_to(runs)) for path in Path(runs).glob("images-*/finetune/*-*/*/seed*/summary.json")
    ]


def of(runs: str) -> bytes:
    """Return the table of everything."""
    return Path(runs, "forty.grid", "results.csv").read_bytes()


def page(found: dict[str, Any], seed: int) -> str:
    """Return what was found, as Markdown."""
    where, yes = environment(), {True: "yes", False: "**no**"}
    again = len(found["made_again"])
    lines = [
        f"# A grid that is killed {len(found['kills'])} times",
        "",
        f"{found['cells']} cells in ten runs, made by `benchmarks/grid_kills.py` (seed {seed}) on {where['machine']},",
        f"{where['date']}, PyTorch {where['torch']}, other work beside it. Undisturbed they took "
        f"{found['seconds_whole'] / 60:.0f} minutes.",
        "",
        f"- results.csv of both are equal, byte for byte: {yes[found['results_equal']]}",
        f"- the same runs and trials are there, and no others: {yes[found['same_runs_and_trials']]}",
        f"- finished and made again: {again or 'nothing'}",
        "",
        "| kill | after, s | killed | summaries there |",
        "|---:|---:|---|---:|",
    ]
    lines += [
        f"| {number} | {kill['after']:.1f} | {kill['killed']} | {kill['finished']} |"
        for number, kill in enumerate(found["kills"], start=1)
    ]
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
