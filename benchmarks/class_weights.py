"""Which class weights, or what in their place, work better where classes are uneven? Scores each on validation images.

    python benchmarks/class_weights.py \
        --finetune "--recipe paper --no-guard --label-fraction 0.1 --seeds 3 --epochs 10" -- --data ham10000 …

Plain transfer, the same label subsets for all; what follows `--` names data and arms. Validation scores decide, as
a default must not be chosen on test images. What is finished already is only read.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from machine import write_result

from cass_cli.runs.names import find
from cass_cli.scores.over_seeds import paired_test, summarise_seeds

# What is shown as the name → arguments of `cass finetune`.
SCHEMES = {scheme: ["--class-weights", scheme] for scheme in ("effective", "inverse", "none", "paper")} | {
    "balanced sampling": ["--class-weights", "none", "--sampling", "balanced"],
    "logit adjustment 1": ["--class-weights", "none", "--logit-adjustment", "1"],
}
METRICS = ("macro_f1", "balanced_accuracy", "accuracy")


def main() -> None:
    """Fine-tune where needed, print validation scores, and write class_weights.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--finetune", required=True, help="arguments of `cass finetune` for all schemes")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder that holds the runs")
    parser.add_argument("--note", default="", help="what a reader of the figures should know")
    parser.add_argument("arguments", nargs="*", help="data and arms")
    given = parser.parse_args()
    scores: dict[str, Any] = {}
    for scheme in SCHEMES:
        _finetune(scheme, given)
        variant = find(given.runs, "class-weights").fine_tuning(_variant(scheme))
        scores[scheme] = [trial.summary() for trial in variant.trials()]
    rows = []
    for metric in METRICS:
        for arm in scores["none"][0].arms:
            values = {
                scheme: {s.seed: float(s.validation[arm][metric]) for s in found} for scheme, found in scores.items()
            }
            for scheme, by_seed in values.items():
                summary, gap = summarise_seeds(list(by_seed.values())), paired_test(by_seed, values["none"])
                rows.append(
                    {"metric": metric, "arm": arm, "scheme": scheme, **asdict(summary), "less_none": asdict(gap)}
                )
                print(
                    f"{metric:<18} {arm} {scheme:<18} {summary.mean:.4f} [{summary.low:.4f}, {summary.high:.4f}]  "
                    f"less none {gap.difference:+.4f} [{gap.low:+.4f}, {gap.high:+.4f}]"
                )
    print(f"\nWritten: {write_result('class_weights', {'note': given.note, 'rows': rows})}")


def _finetune(scheme: str, given: argparse.Namespace) -> None:
    """Fine-tune with one scheme, or go on with it."""
    run = given.runs / "class-weights"
    what = ["--run", run.name] if (run / "config.yaml").exists() else [*given.arguments, "--name", run.name]
    done = ["--resume"] if (run / "finetune" / _variant(scheme)).exists() else []
    how = ["--init-from", "imagenet", *SCHEMES[scheme], "--variant", _variant(scheme), *done]
    command = ["finetune", *what, "--runs", str(given.runs), *how, *shlex.split(given.finetune)]
    print("$ cass", shlex.join(command), flush=True)
    subprocess.run([sys.executable, "-m", "cass_cli", *command], check=True)


def _variant(scheme: str) -> str:
    """Return the name of its fine-tuning."""
    return scheme.replace(" ", "-")


if __name__ == "__main__":
    main()
