"""What if gradients are never cleared? The authors' notebook calls no `zero_grad`, so each step adds to all before it.

    python benchmarks/never_cleared.py --lr 1e-3 -- --data ham10000 --cnn tf_efficientnet_lite0 …

Pretrains twice, with the gradients cleared after each step and without, and writes every epoch's gauges and probes.
What follows `--` goes to `cass pretrain`. Runs that are finished already are only read.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from machine import write_result
from torch.optim import Optimizer

from cass_cli.cli.app import run

CASES = ("cleared", "never cleared")


def main() -> None:
    """Pretrain where needed, print a table and write benchmarks/results/<machine>/never_cleared.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lr", default="1e-3", help="learning rate")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder that holds the runs")
    parser.add_argument("--note", default="", help="what a reader of the figures should know")
    parser.add_argument("arguments", nargs="*", help="arguments of `cass pretrain`")
    given = parser.parse_args()
    found: dict[str, list[dict[str, Any]]] = {}
    for case in CASES:
        folder = given.runs / case.replace(" ", "-")
        if not (folder / "summary.json").exists():
            words = [
                "--method",
                "cass",
                "--lr",
                given.lr,
                "--probe-every",
                "1",
                "--no-advice",
                "--runs",
                str(given.runs),
            ]
            with _gradients(case):
                if status := run(["pretrain", *given.arguments, *words, "--name", folder.name]):
                    raise SystemExit(status)
        found[case] = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    for case, epochs in found.items():
        headings = "  ".join(f"{arm} cosine  rank  macro F1 state   " for arm in ("cnn", "vit"))
        print(f"\nlr {given.lr}, {case}\nepoch    loss   {headings}")
        for row in epochs:
            print(f"{row['epoch']:>5} {row['loss']:>7.4f}   {_arm(row, 'cnn')}  {_arm(row, 'vit')}")
    print(f"\nWritten: {write_result('never_cleared', {'note': given.note, 'lr': given.lr, 'runs': found})}")


@contextmanager
def _gradients(case: str) -> Iterator[None]:
    """Let optimisers forget to clear gradients, where that is the case to run."""
    if case == "cleared":
        yield
        return
    with patch.object(Optimizer, "zero_grad", _forget):
        yield


def _forget(_optimiser: Optimizer, set_to_none: bool = True) -> None:
    """Do nothing in the place of `zero_grad`."""


def _arm(row: dict[str, Any], arm: str) -> str:
    gauges, probe = row["gauges"][arm], row["probes"][arm]["linear"]["macro_f1"]
    state = row["states"][arm]
    return f"{gauges['outputs']['cosine']:>10.3f} {gauges['features']['rank']:>5.0f} {probe:>9.3f} {state:<10}"


if __name__ == "__main__":
    main()
