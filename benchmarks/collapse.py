"""Does an arm learn or collapse, at which learning rate? Pretrains at several and writes every epoch's gauges.

    python benchmarks/collapse.py --lr 1e-3 --lr 1e-5 -- --data brain_mri --cnn tf_efficientnet_lite0 …

What follows `--` goes to `cass pretrain`. Runs that are finished already are only read.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from machine import write_result


def main() -> None:
    """Pretrain where needed, print a table and write benchmarks/results/<machine>/collapse.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lr", action="append", required=True, help="learning rate; may be repeated")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder that holds the runs")
    parser.add_argument("--note", default="", help="what a reader of the figures should know")
    parser.add_argument("arguments", nargs="*", help="arguments of `cass pretrain`")
    given = parser.parse_args()
    runs = {}
    for lr in given.lr:
        run = given.runs / f"collapse-{lr}"
        if not (run / "summary.json").exists():
            command = [sys.executable, "-m", "cass_cli", "pretrain", *given.arguments, "--lr", lr]
            subprocess.run([*command, "--runs", str(given.runs), "--name", run.name], check=True)
        runs[lr] = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    for lr, epochs in runs.items():
        print(f"\nlr {lr}\nepoch    loss  img/s   cnn cosine  rank  state       vit cosine  rank  state")
        for row in epochs:
            speed = f"{row['loss']:>7.4f} {row['images_per_second']:>6.1f}"
            print(f"{row['epoch']:>5} {speed}   {_arm(row, 'cnn')}  {_arm(row, 'vit')}")
    print(f"\nWritten: {write_result('collapse', {'note': given.note, 'runs': runs})}")


def _arm(row: dict[str, Any], arm: str) -> str:
    gauges = row["gauges"][arm]
    return f"{gauges['outputs']['cosine']:>10.3f} {gauges['features']['rank']:>5.0f}  {row['states'][arm]:<10}"


if __name__ == "__main__":
    main()
