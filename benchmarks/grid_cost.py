"""What does `cass grid` itself cost where all is done: at 100 and at 1,000 finished cells?

    python benchmarks/grid_cost.py
    python benchmarks/grid_cost.py --before OTHER.json     # beside another version's figures

One cell is really done, at its smallest, by its own command lines; its files are linked under the names of all the
others, each summary with its own share of labels and seed. Ten fine-tunings stand on each pretraining. Then come the
grid again, which has nothing to do but the table, its plan, a look at how far it is, and Python with the imports alone,
in turns, each in a process of its own. Seconds are those of the processor. Writes grid_cost.json and grid_cost.md.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from machine import write_result
from PIL import Image
from turns import quartiles, take_turns

from cass_cli.cli.app import run
from cass_cli.config.grid_file import read_grid
from cass_cli.engine.grid.job import plan_grid

CELLS = (100, 1_000)
COMMANDS = {
    "imports alone": ["-c", "import cass_cli.engine.grid.job, cass_cli.reports.grid"],
    "cass grid, the table": [],
    "cass grid --dry-run": ["--dry-run"],
    "cass grid --watch": ["--watch"],
}
SETTINGS = {
    "data.image_size": 32,
    "arms": {"cnn": "test_resnet", "vit": "test_vit", "output_stride": None},
    "recipe": "paper",
    "train": {"epochs": 1, "advice": False, "device": "cpu"},
    "finetune.epochs": 1,
    "finetune.guard": False,
}


def main() -> None:
    """Make the cells, measure, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=5, help="times that each command is run")
    parser.add_argument("--before", type=Path, help="grid_cost.json of another version, to stand beside")
    parser.add_argument("--note", default="", help="what a reader of the figures should know")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)  # paths in a grid file are those of the folder
        os.environ["CASS_CACHE"] = f"{place}/cache"
        draw(Path("images"))
        contestants = {}
        for cells in CELLS:
            file = grid_of(cells)
            finish(file)
            for name, options in COMMANDS.items():
                command = options if name == "imports alone" else ["-m", "cass_cli", "grid", str(file), *options]
                contestants[f"{name}, {cells:,}"] = partial(seconds_of, command)
        seconds = {name: quartiles(told) for name, told in take_turns(contestants, turns=given.turns).items()}
        os.chdir(Path(__file__).parent)
    rows = [{"command": n, "cells": c, "seconds": seconds[f"{n}, {c:,}"]} for n in COMMANDS for c in CELLS]
    before = json.loads(given.before.read_text(encoding="utf-8"))["rows"] if given.before else []
    path = write_result("grid_cost", {"turns": given.turns, "note": given.note, "rows": rows, "before": before})
    path.with_suffix(".md").write_text(text := page(rows, before, given.note), encoding="utf-8")
    print(f"{text}\nWritten: {path}, {path.with_suffix('.md')}")


def draw(folder: Path) -> None:
    """Draw 40 images in two classes."""
    for i in range(40):
        path = folder / ("dark", "light")[i % 2] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(i).integers(0, 128, (32, 32, 3)) + 100 * (i % 2)
        Image.fromarray(pixels.astype(np.uint8)).save(path)


def grid_of(cells: int) -> Path:
    """Write a grid of so many cells: two methods, their seeds, and ten fine-tunings of each."""
    axes = {
        "data": {"images": {"preset": "demo", "path": "images"}},
        "method": ["cass", "vicreg"],
        "pretrain_seed": list(range(cells // 20)),
        "label_fraction": [0.5, 1],
        "finetune_seed": list(range(5)),
    }
    grid = {"title": f"{cells} cells", "settings": SETTINGS, "axes": axes}
    path = Path(f"cells-{cells}.yaml")
    path.write_text(yaml.safe_dump(grid | {"against": {"method": "cass"}}, sort_keys=False), encoding="utf-8")
    return path


def finish(file: Path) -> None:
    """Have all cells finished: the first by cass, the others by links to its files under their names."""
    work = plan_grid(read_grid(file), Path("runs"))
    pretraining, tuning, *_ = work.tasks
    one = tuning.all_trials()[0]
    if not one.finished:
        for command in (pretraining.command(), tuning.command()):
            if run(command):
                raise SystemExit(f"cass {' '.join(command)} failed")
    told = json.loads(one.files.summary.read_text(encoding="utf-8"))
    for task in work.tasks:
        if task.kind == "pretrain" and not task.run.path.exists():
            linked(pretraining.run.path, task.run.path, without="finetune")
        for trial in task.all_trials():
            if not trial.finished:
                linked(one.path, trial.path, without="summary.json")
                own = told | {"fraction": trial.fraction, "seed": trial.seed, "run": task.run.path.name}
                trial.files.summary.write_text(json.dumps(own, indent=2), encoding="utf-8")


def linked(source: Path, target: Path, *, without: str) -> None:
    """Copy a folder by links to its files."""
    shutil.copytree(source, target, copy_function=os.link, ignore=shutil.ignore_patterns(without, "latest"))


def seconds_of(command: list[str]) -> float:
    """Run Python with this command, and return the seconds of the processor that it took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def page(rows: list[dict[str, Any]], before: list[dict[str, Any]], note: str) -> str:
    """Return the table as Markdown."""
    kinds = {"before": before, "now": rows} if before else {"now": rows}
    heads = [f"{cells:,} cells{f', {kind}' if before else ''}" for cells in CELLS for kind in kinds]
    lines = [
        "# What `cass grid` itself costs",
        "",
        "Everything is done: a table is written, or nothing. Seconds of the processor, median (quartiles), made by",
        "`benchmarks/grid_cost.py`.",
        *([note] if note else []),
        "",
        f"| | {' | '.join(heads)} |",
        "|---|" + "---:|" * len(heads),
    ]
    for name in COMMANDS:
        cells = [told(of, name, n) for n in CELLS for of in kinds.values()]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def told(rows: list[dict[str, Any]], name: str, cells: int) -> str:
    """Return a figure of the table."""
    median, low, high = next(row["seconds"] for row in rows if (row["command"], row["cells"]) == (name, cells))
    return f"{median:.1f} ({low:.1f}–{high:.1f})"


if __name__ == "__main__":
    main()
