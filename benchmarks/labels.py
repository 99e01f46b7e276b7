"""What is a start worth with few labels? Pretrains, fine-tunes over seeds, and tables the test scores.

    python benchmarks/labels.py --name brain_mri-10 --start transfer --start "cass-1e-5=--lr 1e-5 --epochs 3" \
        --finetune "--recipe paper --label-fraction 0.1 --seeds 3 --epochs 8" -- --data brain_mri --cnn resnet18 …

A start is `transfer` (ImageNet weights), `scratch` (random ones), or NAME=ARGUMENTS of `cass pretrain`. What follows
`--` names data and arms for all of them. Every start is fine-tuned by the same protocol, on the same label subsets.
What is finished already is only read, so that an interrupted run goes on. All results of this machine so far are
tabled in labels.md beside them.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from machine import write_result

from cass_cli.runs.compare import Comparison, compare
from cass_cli.runs.names import find
from cass_cli.runs.summary import TrialSummary

METRICS = ("macro_f1", "balanced_accuracy")
WITHOUT_PRETRAINING = {"transfer": "imagenet", "scratch": "random"}


def main() -> None:
    """Do what is not done yet, print a table for each metric, and write labels-<name>.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", required=True, help="of the fine-tuning variant and of the result")
    parser.add_argument("--start", action="append", required=True, help="transfer, scratch, or NAME=ARGUMENTS")
    parser.add_argument("--finetune", required=True, help="arguments of `cass finetune` for all starts")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder that holds the runs")
    parser.add_argument("--note", default="", help="what a reader of the figures should know")
    parser.add_argument("arguments", nargs="*", help="data and arms, for every start")
    given = parser.parse_args()
    began = time.monotonic()
    methods: dict[str, Sequence[TrialSummary]] = {}
    for start in given.start:
        name, _, pretraining = start.partition("=")
        _train(name, pretraining, given)
        variant = find(given.runs, name).fine_tuning(given.name)
        methods[name] = [trial.summary() for trial in variant.trials()]
    tables = {metric: compare(methods, metric=metric) for metric in METRICS}
    for table in tables.values():
        _show(table)
    result: dict[str, Any] = {
        "note": given.note,
        "wall_seconds_of_this_call": round(time.monotonic() - began),
        "training_seconds": {name: round(sum(s.seconds for s in found)) for name, found in methods.items()},
        "pretraining": {name: _pretraining(given.runs, name) for name in methods if name not in WITHOUT_PRETRAINING},
        **{metric: asdict(table) for metric, table in tables.items()},
    }
    path = write_result(f"labels-{given.name}", result)
    print(f"\nWritten: {path}, {_write_page(path.parent)}")


def _train(name: str, pretraining: str, given: argparse.Namespace) -> None:
    """Pretrain and fine-tune one start, unless that is done."""
    folder = ["--runs", str(given.runs)]
    done = (given.runs / name / "summary.json").exists()
    if name not in WITHOUT_PRETRAINING and not done:
        begun = (given.runs / name / "checkpoints").exists()
        how = ["--resume"] if begun else [*given.arguments, *shlex.split(pretraining)]
        _cass("pretrain", *how, *folder, "--name", name)
    tuning = [*shlex.split(given.finetune), "--variant", given.name, *folder]
    if (given.runs / name / "finetune" / given.name).exists():
        tuning.append("--resume")
    if name not in WITHOUT_PRETRAINING:
        _cass("finetune", "--run", name, *tuning)
    elif (given.runs / name / "config.yaml").exists():
        _cass("finetune", "--run", name, "--init-from", WITHOUT_PRETRAINING[name], *tuning)
    else:
        _cass("finetune", *given.arguments, "--init-from", WITHOUT_PRETRAINING[name], "--name", name, *tuning)


def _cass(*arguments: str) -> None:
    print("$ cass", shlex.join(arguments), flush=True)
    subprocess.run([sys.executable, "-m", "cass_cli", *arguments], check=True)


def _pretraining(out: Path, name: str) -> dict[str, Any]:
    summary: dict[str, Any] = json.loads(find(out, name).run.summary.read_text(encoding="utf-8"))
    return {key: summary[key] for key in ("method", "epochs", "images", "loss", "seconds", "states")}


def _show(table: Comparison) -> None:
    print(f"\n{table.metric}, test split, mean and 95 % interval over seeds")
    for cell in table.cells:
        mean, low, high = cell.summary.mean, cell.summary.low, cell.summary.high
        print(f"{cell.method:<16} {cell.candidate:<5} {cell.fraction:>5} {mean:.4f} [{low:.4f}, {high:.4f}]")


def _write_page(folder: Path) -> Path:
    """Table all labels-*.json of a folder in labels.md, and return its path."""
    lines = ["# Scores on the test split by start and label fraction", ""]
    lines += ["Mean and 95 % interval over seeds (Student t), made by `benchmarks/labels.py`. *mean*: of both arms;"]
    lines += ["*joint*: one regression on the features of both; *pick*: whichever of them validation chose."]
    lines += ["Seconds are of training, all seeds."]
    for path in sorted(folder.glob("labels-*.json")):
        result = json.loads(path.read_text(encoding="utf-8"))
        f1, accuracy = (result[metric]["cells"] for metric in METRICS)
        command = shlex.join(result["environment"]["command"])
        lines += ["", f"## {path.stem}", "", result["note"], "", f"`{command}`", ""]
        spent = {name: [f"{seconds:,} s of fine-tuning"] for name, seconds in result["training_seconds"].items()}
        for name, run in result["pretraining"].items():
            states = ", ".join(f"{arm} {state}" for arm, state in run["states"].items())
            spent[name].append(f"{run['epochs']} epochs of pretraining in {run['seconds']:,.0f} s ({states})")
        lines += [f"- {name}: {'; '.join(parts)}" for name, parts in spent.items()]
        lines += ["", "| start | arm | macro F1 | balanced accuracy |", "|---|---|---|---|"]
        lines += [
            f"| {a['method']} | {a['candidate']} | {_interval(a['summary'])} | {_interval(b['summary'])} |"
            for a, b in zip(f1, accuracy, strict=True)
        ]
    page = folder / "labels.md"
    page.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return page


def _interval(summary: dict[str, Any]) -> str:
    return f"{summary['mean']:.3f} [{summary['low']:.3f}, {summary['high']:.3f}]"


if __name__ == "__main__":
    main()
