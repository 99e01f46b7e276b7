"""What do the recipes of fine-tuning give, with how many labels, in how many seconds? One table, over seeds.

    python benchmarks/answers.py --set "ham10000=--data ham10000 --group-column lesion_id" --set brain_mri=… -- \
        --image-size 112 --cnn tf_efficientnet_lite0 --vit …

Every set is fine-tuned from ImageNet weights (plain transfer) by each recipe on the same label subsets: the probe; the
same on the last layer alone ("pooled"), which is what a few lines of scikit-learn give; the recipe `tuned`, alone and
with images that teach without their labels ("taught"); and the paper's, without its guard. What follows `--` is for all
sets. What is finished already is only read, so that an interrupted run goes on, and `--read` trains nothing. Scores in
answers.json stay unless these runs have them too, so that its sets, recipes and seeds can be done one at a time; other
arms or settings need another --name. Writes answers.json, the page answers.md (candidates, seconds of a trial, and
paired tests of what validation picked for the probe against what it picked for the others) and the figure answers.png:
scores against labels, a line a recipe.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

from machine import read_result, write_result
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from cass_cli.runs.compare import Cell, cells_of
from cass_cli.runs.names import find
from cass_cli.runs.summary import TrialSummary
from cass_cli.runs.trials import Variant
from cass_cli.scores.over_seeds import format_summary, holm, paired_test, summarise_seeds

METRIC = "macro_f1"
RECIPES = {
    "probe": "--recipe probe",
    "pooled": "--recipe probe --set finetune.layers=1",
    "tuned": "--recipe tuned",
    "taught": "--recipe tuned --unlabelled cross-teach",
    "paper": "--recipe paper --no-guard",
}
SEEDS = {"probe": [10], "pooled": [10], "tuned": [5, 5, 2], "taught": [0, 3, 0], "paper": [3]}  # of each fraction
FIRST = "probe"


def main() -> None:
    """Do what is not done yet, print the table, and write answers.json and answers.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", action="append", default=[], help="NAME=ARGUMENTS of `cass finetune` for its data")
    parser.add_argument("--recipe", action="append", choices=RECIPES, help="only these, in this order")
    parser.add_argument("--fractions", default="0.01,0.1,1", help="of the training labels")
    parser.add_argument("--seeds", action="append", default=[], help="RECIPE=N, or RECIPE=N,N,… one a fraction")
    parser.add_argument("--first-seed", type=int, default=0, help="of those that are done now")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder that holds the runs")
    parser.add_argument("--read", action="store_true", help="train nothing: table what is there")
    parser.add_argument("--name", default="answers", help="of the files that are written: another for other arms")
    parser.add_argument("--note", default="", help="what a reader of the figures should know")
    parser.add_argument("arguments", nargs="*", help="for every set")
    given = parser.parse_args()
    sets = dict(text.split("=", 1) for text in given.set)
    asked = dict(text.split("=", 1) for text in given.seeds)
    seeds = SEEDS | {recipe: [int(number) for number in text.split(",")] for recipe, text in asked.items()}
    own: list[dict[str, Any]] = []
    for name, data in sets.items():
        for recipe in given.recipe or RECIPES:
            if not given.read:
                _finetune(name, recipe, data, seeds[recipe], given)
            trials = _trials(given.runs, name, recipe)
            found = cells_of(recipe, trials, METRIC) if trials else ()
            own += [_row(name, cell, _seconds(trials, cell.fraction)) for cell in found]
    earlier = read_result(given.name)  # only now: another process may have written meanwhile
    rows = {_key(row): row for row in earlier.get("cells", ())}
    for row in own:
        rows[_key(row)] = _joined(rows.get(_key(row)), row)
    cells = list(rows.values())
    tests = _tests(cells)
    for test, p in zip(tests, holm([test["t_p"] for test in tests]), strict=True):
        test["p_adjusted"] = p
    result = {"note": given.note or earlier.get("note", ""), "metric": METRIC, "cells": cells, "tests": tests}
    path = write_result(given.name, result)
    page = path.with_suffix(".md")
    page.write_text(_page(result), encoding="utf-8")
    print(page.read_text(encoding="utf-8"))
    _draw(cells, path.with_suffix(".png"))
    print(f"Written: {path}, {page}, {path.with_suffix('.png')}")


def _finetune(name: str, recipe: str, data: str, seeds: Sequence[int], given: argparse.Namespace) -> None:
    """Fine-tune one set by one recipe, or go on with it."""
    run, fractions = given.runs / name, given.fractions.split(",")
    for fraction, number in zip(fractions, [*seeds, *len(fractions) * seeds[-1:]], strict=False):
        begun = (run / "config.yaml").exists()
        if number:
            _cass(
                "finetune",
                *(["--run", name] if begun else [*shlex.split(data), *given.arguments, "--name", name]),
                *("--runs", str(given.runs), "--init-from", "imagenet", "--label-fraction", fraction),
                *("--variant", recipe, *shlex.split(RECIPES[recipe])),
                *("--seed", str(given.first_seed), "--seeds", str(number)),
                *(["--resume"] if (run / "finetune" / recipe).exists() else []),
            )


def _cass(*arguments: str) -> None:
    print("$ cass", shlex.join(arguments), flush=True)
    subprocess.run([sys.executable, "-m", "cass_cli", *arguments], check=True)


def _trials(runs: Path, name: str, recipe: str) -> list[TrialSummary]:
    variant = Variant(find(runs, name).run, recipe)
    return [trial.summary() for trial in variant.trials()] if variant.config.is_file() else []


def _seconds(trials: Sequence[TrialSummary], fraction: float) -> float:
    """Return the median seconds of a trial: of a probe whose features are there already, but for the first."""
    return median(trial.seconds for trial in trials if trial.fraction == fraction)


def _key(row: Mapping[str, Any]) -> tuple[str, float, str, str]:
    return row["set"], row["fraction"], row["recipe"], row["candidate"]


def _row(name: str, cell: Cell, seconds: float) -> dict[str, Any]:
    return {
        "set": name,
        "recipe": cell.method,
        "fraction": cell.fraction,
        "labels": cell.labels,
        "candidate": cell.candidate,
        "seconds": seconds,
        **_summary(cell.values),
    }


def _summary(values: Mapping[int, float]) -> dict[str, Any]:
    summary = summarise_seeds(list(values.values()))
    return {
        "values": {str(seed): value for seed, value in values.items()},
        **summary.as_dict(),
        "shown": format_summary(summary).partition(" (")[0],
    }


def _values(row: Mapping[str, Any]) -> dict[int, float]:
    return {int(seed): value for seed, value in row["values"].items()}


def _joined(earlier: Mapping[str, Any] | None, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row with the seeds that were measured before beside its own; where both have one, its own stands."""
    values = (_values(earlier) if earlier else {}) | _values(row)
    return {**row, **_summary(dict(sorted(values.items())))}


def _tests(cells: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return what validation picked for the probe against what it picked for the others, over the seeds of both."""
    sets, recipes = list(dict.fromkeys(cell["set"] for cell in cells)), list(RECIPES)
    ordered = sorted(cells, key=lambda c: (sets.index(c["set"]), recipes.index(c["recipe"]), c["fraction"]))
    picked = {(cell["set"], cell["fraction"], cell["recipe"]): cell for cell in ordered if cell["candidate"] == "pick"}
    return [
        {
            "set": name,
            "fraction": fraction,
            "against": recipe,
            **asdict(paired_test(_values(picked[name, fraction, FIRST]), _values(cell))),
        }
        for (name, fraction, recipe), cell in picked.items()
        if recipe != FIRST and (name, fraction, FIRST) in picked
    ]


def _draw(cells: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw what validation picked against the share of the labels: a panel a set, a line a recipe, 95 % intervals."""
    sets = list(dict.fromkeys(cell["set"] for cell in cells))
    figure = Figure(figsize=(4.2 * len(sets), 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, len(sets), squeeze=False)[0]
    for name, axis in zip(sets, axes, strict=True):
        picked = [cell for cell in cells if cell["set"] == name and cell["candidate"] == "pick"]
        for recipe in dict.fromkeys(cell["recipe"] for cell in picked):
            line = sorted((c for c in picked if c["recipe"] == recipe), key=lambda cell: cell["fraction"])
            means, known = [cell["mean"] for cell in line], [cell["n"] > 1 for cell in line]
            reach = [(c["high"] - c["low"]) / 2 if several else 0 for c, several in zip(line, known, strict=True)]
            axis.errorbar([100 * c["fraction"] for c in line], means, yerr=reach, marker="o", capsize=3, label=recipe)
        axis.set_xscale("log")
        axis.set_xticks(shares := sorted({100 * cell["fraction"] for cell in picked}), [f"{s:g}" for s in shares])
        axis.set(title=name, xlabel="labels seen (%)", ylabel="macro F1, test")
        axis.grid(alpha=0.3)
    axes[0].legend()
    figure.savefig(path, dpi=120)


def _page(result: Mapping[str, Any]) -> str:
    """Return the tables as Markdown."""
    cells = result["cells"]
    candidates = list(dict.fromkeys(cell["candidate"] for cell in cells))
    lines = ["# Macro F1 on the test split by recipe of fine-tuning", "", result["note"], ""]
    lines += [
        "Mean ± half of the 95 % interval over seeds (Student t), made by `benchmarks/answers.py`. *pooled*: the probe",
        "on the last layer alone; *taught*: tuned with cross-teach; *joint*: one regression on both arms' features;",
        "*ensemble*: trained arms and joint, averaged; *pick*: whichever validation chose. Seconds: median of a trial,",
        "of the seeds that were measured last; a probe's features are computed by the first that asks.",
        "",
    ]
    head = ["set", "labels", "recipe", "seeds", *candidates, "seconds"]
    lines += [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    keys = dict.fromkeys((cell["set"], cell["fraction"], cell["recipe"]) for cell in cells)
    for key in sorted(keys, key=lambda key: (list(dict.fromkeys(k[0] for k in keys)).index(key[0]), key[1])):
        row = {c["candidate"]: c for c in cells if (c["set"], c["fraction"], c["recipe"]) == key}
        first = next(iter(row.values()))
        shown = [row[name]["shown"] if name in row else "" for name in candidates]
        labels = f"{first['labels']:,} ({key[1]:.0%})"
        lines += [f"| {' | '.join([key[0], labels, key[2], str(first['n']), *shown, f'''{first['seconds']:.0f}'''])} |"]
    lines += ["", "## What validation picked for the probe, less the others", ""]
    lines += ["p: of the paired t-test; adjusted for the number of tests on this page (Holm).", ""]
    lines += ["| set | labels | against | seeds | difference | 95 % interval | p | adjusted |", f"|{'---|' * 8}"]
    for test in result["tests"]:
        interval = f"{test['low']:+.3f} to {test['high']:+.3f}"
        lines += [
            f"| {test['set']} | {test['fraction']:.0%} | {test['against']} | {test['n']} | {test['difference']:+.3f} | "
            f"{interval} | {test['t_p']:.2g} | {test['p_adjusted']:.2g} |"
        ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
