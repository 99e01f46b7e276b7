"""Tables of the paper, as they ship, on parts of other data sets at a small size: what they say, beside the paper.

    python benchmarks/tables.py --data "ham10000={path: HAM10000, group_column: lesion_id}" --data "brain-mri=…" \
        --every 5 --epochs 2 --settings "{data.image_size: 56, finetune.epochs: 3}" --work FOLDER table-3 table-8

Of each set every fifth image or lesion of each class is taken, in its split of seed 0, by a table that `cass inspect
--csv` writes; the table's file in experiments/ gets these sets, settings and seeds, and 2 epochs for the paper's 100;
`cass grid` does the rest. The paper's numbers stand beside ours at the length they stand for. The same command goes on
where it was stopped. Writes <machine>/tables/<table>.{yaml,md,csv,png} and summary.json.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import yaml
from machine import RESULTS, machine_slug, write_result

SHIPPED = Path(__file__).parent.parent / "experiments"
PAPERS_EPOCHS = 100  # Sec. 4.3
KEPT = {"table.md": ".md", "results.csv": ".csv", "figure.png": ".png"}


def main() -> None:
    """Take the parts, do each table, and copy what came of it beside the other results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", action="append", required=True, help="NAME={settings of data, as YAML}")
    parser.add_argument("--every", type=int, default=5, help="take every Nth image or group of each class")
    parser.add_argument("--epochs", type=int, default=2, help="that stand for the paper's 100")
    parser.add_argument("--seeds", type=int, default=3, help="of the pretraining")
    parser.add_argument("--settings", type=yaml.safe_load, default={}, help="of every cell, as YAML")
    parser.add_argument("--work", type=Path, required=True, help="folder for parts, grid files and runs")
    parser.add_argument("tables", nargs="+", help="as in experiments/, without .yaml")
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    sets = dict(text.split("=", 1) for text in given.data)
    parts = {name: _part(name, yaml.safe_load(how), given.every, given.work) for name, how in sets.items()}
    kept = RESULTS / machine_slug() / "tables"
    kept.mkdir(parents=True, exist_ok=True)
    for table in given.tables:
        file = given.work / f"{table}.yaml"
        file.write_text(yaml.safe_dump(_small(table, parts, given), sort_keys=False), encoding="utf-8")
        began = time.monotonic()
        _cass("grid", str(file), "--runs", str(given.work / "runs"))
        seconds = round(time.monotonic() - began)
        shutil.copyfile(file, kept / file.name)
        for name, suffix in KEPT.items():
            shutil.copyfile(given.work / "runs" / f"{table}.grid" / name, kept / f"{table}{suffix}")
        print(f"{table}: {seconds} s in this call")
    images = {name: _splits(Path(part["labels"])) for name, part in parts.items()}
    print(write_result("tables/summary", {"images": images, "settings": given.settings, "seeds": given.seeds}))


def _part(name: str, data: dict[str, Any], every: int, work: Path) -> dict[str, Any]:
    """Write the table of every Nth group of each class of a set; return the settings of data that read it."""
    whole, part = work / f"{name}-whole.csv", work / f"{name}.csv"
    if not whole.is_file():
        options = [f"--{key.replace('_', '-')}={value}" for key, value in data.items() if key != "path"]
        _cass("inspect", data["path"], *options, "--csv", str(whole))
    with whole.open(encoding="utf-8", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["status"] == "ok"]
    units = sorted({(row["label"], row["split"], row["group"] or row["image"]) for row in rows})
    taken = {unit[2] for unit in units[::every]}
    with part.open("w", encoding="utf-8", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(("image", "label", "group", "split"))
        for row in rows:
            if (row["group"] or row["image"]) in taken:
                table.writerow((row["image"], row["label"], row["group"] or row["image"], row["split"]))
    return {"path": data["path"], "labels": str(part), "group_column": "group", "split_column": "split"}


def _small(table: str, parts: dict[str, dict[str, Any]], given: argparse.Namespace) -> dict[str, Any]:
    """Return the grid of a shipped table on these parts: its methods with numbers there, fewer seeds and epochs."""
    grid = yaml.safe_load((SHIPPED / f"{table}.yaml").read_text(encoding="utf-8"))
    measured = {row["method"] for row in grid["paper"] if "method" in row}
    axes, short = grid["axes"], "train.epochs"
    axes |= {"data": parts, "pretrain_seed": list(range(given.seeds))}
    axes["method"] = [method for method in axes["method"] if not measured or method in measured]
    grid["source"] = grid["title"]
    grid["title"] = f"{table.replace('-', ' ').capitalize()} on parts of {' and '.join(parts)}"
    grid["settings"] |= {short: given.epochs} | given.settings
    for row in [*grid["paper"], grid["against"]]:
        if short in row:
            row[short] = _epochs(row[short], given.epochs)
    if short in axes:
        axes[short] = [_epochs(epochs, given.epochs) for epochs in axes[short]]
    return {key: value for key, value in grid.items() if key not in ("small", "exclude")}


def _epochs(papers: int, instead: int) -> int:
    return max(1, papers * instead // PAPERS_EPOCHS)


def _splits(part: Path) -> dict[str, int]:
    with part.open(encoding="utf-8", newline="") as stream:
        return dict(sorted(Counter(row["split"] for row in csv.DictReader(stream)).items()))


def _cass(*arguments: str) -> None:
    print("$ cass", *arguments, flush=True)
    subprocess.run([sys.executable, "-m", "cass_cli", *arguments], check=True)


if __name__ == "__main__":
    main()
