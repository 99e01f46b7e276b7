"""Which pretraining makes the better start? Every method on every set, judged by probes on the test split, over seeds.

    python benchmarks/starts.py --set "ham10000=--data ham10000 --group-column lesion_id" --set brain_mri=… \
        --start transfer --start "vicreg=--method vicreg" --start … -- --image-size 112 --cnn tf_efficientnet_lite0 …

Each start is pretrained on the training images of each set, once or with several seeds, then judged by the probes of
`cass finetune` on the same label subsets: each arm, the mean of both, one regression on both (joint), and whichever
validation picks. What follows `--` is for all sets. What is finished already is only read, so that an interrupted run
goes on, and `--read` trains nothing. Scores in starts.json stay unless these runs have them too, so that its sets,
starts and pretrainings can be done one at a time. Writes starts.json, the page starts.md and, of runs that were probed
after every epoch, the figure starts.png: validation scores against seconds of pretraining. `--split val` makes the same
tables of the validation images, by which defaults are chosen.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from itertools import product
from pathlib import Path
from statistics import fmean
from typing import Any

from machine import read_result, write_result

from cass_cli.runs.compare import cells_of
from cass_cli.runs.directory import Run
from cass_cli.runs.trials import Variant
from cass_cli.scores.over_seeds import format_summary, holm, paired_test, summarise_seeds

METRIC = "macro_f1"
TRANSFER = "transfer"
OR_TRANSFER = " or transfer"  # of each arm the start that the shown labels prefer: --init-from best
CANDIDATES = ("cnn", "vit", "mean", "joint", "pick")
ALL = 1.0  # of the labels: seeds then differ in the folds only, so there is one


def main() -> None:
    """Do what is not done yet, print the table, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", action="append", default=[], help="NAME=ARGUMENTS of `cass pretrain` for its data")
    parser.add_argument("--start", action="append", default=[], help="NAME[*SEEDS]=ARGUMENTS of `cass pretrain`")
    parser.add_argument("--fractions", default="0.01,0.1,1", help="of the training labels")
    parser.add_argument("--seeds", type=int, default=10, help="of label subsets, where not all labels are shown")
    parser.add_argument("--first-seed", type=int, default=0, help="of the pretrainings that are done now")
    parser.add_argument("--from", dest="starts_from", default="pretrained", help="or best, or both: pretrained,best")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder that holds the runs")
    parser.add_argument("--read", action="store_true", help="train nothing: table what is there")
    parser.add_argument("--split", choices=("test", "val"), default="test", help="whose scores are read")
    parser.add_argument("--name", default="starts", help="of the files that are written: another for other arms")
    parser.add_argument("--note", default="", help="what a reader of the figures should know")
    parser.add_argument("arguments", nargs="*", help="for every set")
    given = parser.parse_args()
    own: list[dict[str, Any]] = []
    drawn: list[dict[str, Any]] = []
    for text in given.set:
        name, data = text.split("=", 1)
        for asked in given.start:
            label, _, how = asked.partition("=")
            label, _, seeds = label.partition("*")
            first = given.first_seed if label != TRANSFER else 0  # which nothing was pretrained for
            many = range(first, first + int(seeds or 1))
            runs = {seed: _run(name, label, how, data, seed, given) for seed in many}
            runs = {seed: run for seed, run in runs.items() if run.config.is_file()}
            for start in _starts(label, given):
                own += _rows(name, label + (OR_TRANSFER if start == "best" else ""), runs, start, given.split)
            drawn += [_curve(name, label, run) for run in list(runs.values())[:1] if given.split == "test"]
    earlier = read_result(given.name)  # only now: another process may have written meanwhile
    found = {_key(row): row for row in earlier.get("rows", ())}
    for row in own:
        found[_key(row)] = _joined(found.get(_key(row)), row)
    curves = {(curve["set"], curve["start"]): curve for curve in [*earlier.get("curves", ()), *filter(None, drawn)]}
    rows = list(found.values())
    tests = _tests(rows)
    note = given.note or earlier.get("note", "")
    result = {
        "note": note,
        "metric": METRIC,
        "split": given.split,
        "rows": rows,
        "tests": tests,
        "curves": list(curves.values()),
    }
    path = write_result(given.name, result)
    page = path.with_suffix(".md")
    page.write_text(_page(result), encoding="utf-8")
    print(page.read_text(encoding="utf-8"))
    if result["curves"]:
        _draw(path.with_suffix(".png"), result["curves"])
    print(f"Written: {path}, {page}")


def _run(name: str, label: str, how: str, data: str, seed: int, given: argparse.Namespace) -> Run:
    """Pretrain and probe one start with one seed, or go on with it; return its run."""
    stem = f"{name}-{label.replace(' ', '-')}"
    run, first = Run(given.runs / f"{stem}-{seed}"), given.runs / f"{stem}-0" / "splits.csv"
    if seed and not first.is_file():  # a seed draws splits as well: all are judged on the images of seed 0
        sys.exit(f"{first} is not there, whose splits seed {seed} shares: do seed 0 first.")
    if seed and run.splits.is_file() and run.splits.read_bytes() != first.read_bytes():
        sys.exit(f"{run.splits} differs from {first}: scores on other images are not averaged with these.")
    if given.read:
        return run
    words = [*shlex.split(data), *given.arguments, "--runs", str(given.runs), "--name", run.path.name]
    words += ["--set", f"data.splits={first.resolve()}"] if seed else []
    here = ["--runs", str(given.runs), "--run", run.path.name]
    if label != TRANSFER and not run.summary.is_file():
        going_on = ["--resume", "--runs", str(given.runs), "--name", run.path.name]
        new = [*words, *shlex.split(how), "--seed", str(seed), "--no-advice"]
        _cass("pretrain", *(going_on if run.checkpoint.is_file() else new))
    for start, fraction in product(_starts(label, given), map(float, given.fractions.split(","))):
        done = (run.path / "finetune" / f"{start}-probe").is_dir()
        what = here if run.config.is_file() else words
        many = "1" if fraction == ALL else str(given.seeds)
        asked = ["--label-fraction", f"{fraction:g}", "--seeds", many, *(["--resume"] if done else [])]
        _cass("finetune", *what, "--init-from", start, "--recipe", "probe", *asked)
    return run


def _starts(label: str, given: argparse.Namespace) -> list[str]:
    """Return what fine-tunings of a run begin with, as `cass finetune --init-from` names it."""
    return ["imagenet"] if label == TRANSFER else given.starts_from.split(",")


def _cass(*arguments: str) -> None:
    print("$ cass", shlex.join(arguments), flush=True)
    subprocess.run([sys.executable, "-m", "cass_cli", *arguments], check=True)


def _key(row: Mapping[str, Any]) -> tuple[str, float, str, str]:
    return row["set"], row["fraction"], row["start"], row["candidate"]


def _rows(name: str, label: str, runs: Mapping[int, Run], start: str, split: str) -> list[dict[str, Any]]:
    """Return a row for each fraction and candidate, with the scores of each pretraining by seeds of the labels."""
    rows: dict[tuple[float, str], dict[str, Any]] = {}
    for pretraining, run in runs.items():
        trials = [trial.summary() for trial in Variant(run, f"{start}-probe").trials()]
        if split == "val":
            trials = [replace(trial, test=trial.validation) for trial in trials]
        seconds = json.loads(run.summary.read_text())["seconds"] if run.summary.is_file() else 0.0
        for cell in cells_of(label, trials, METRIC) if trials else ():
            fixed = {"set": name, "start": label, "fraction": cell.fraction, "labels": cell.labels}
            of_none = {**fixed, "candidate": cell.candidate, "of_each": {}, "seconds_of_each": {}}
            row = rows.setdefault((cell.fraction, cell.candidate), of_none)
            row["of_each"][str(pretraining)] = {str(seed): value for seed, value in cell.values.items()}
            row["seconds_of_each"][str(pretraining)] = seconds
    return list(rows.values())


def _joined(earlier: Mapping[str, Any] | None, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row with the pretrainings that were measured before beside its own, and the summary of all of them.

    Its values are over the seeds of the labels, each the mean over pretrainings; with all labels over pretrainings.
    """
    both = {key: ({**earlier[key]} if earlier else {}) | row[key] for key in ("of_each", "seconds_of_each")}
    of_each = both["of_each"]
    shared = sorted(set.intersection(*map(set, of_each.values())), key=int)
    values = {seed: fmean(of_one[seed] for of_one in of_each.values()) for seed in shared}
    if row["fraction"] == ALL:  # one label set: what varies is the pretraining
        values = {seed: of_each[seed]["0"] for seed in sorted(of_each, key=int)}
    counts = {"pretrainings": len(of_each), "seconds": fmean(both["seconds_of_each"].values())}
    return {**row, **both, **counts, "values": values, **summarise_seeds(list(values.values())).as_dict()}


def _tests(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return each start less transfer, over the label seeds; with all labels there is nothing to pair."""
    tests = []
    for row in rows:
        key = (row["set"], row["fraction"], row["candidate"])
        other = [r for r in rows if (r["set"], r["fraction"], r["candidate"]) == key and r["start"] == TRANSFER]
        if row["start"] == TRANSFER or row["fraction"] == ALL or not other:
            continue
        first, second = ({int(s): v for s, v in r["values"].items()} for r in (row, other[0]))
        tests.append({"set": key[0], "fraction": key[1], "candidate": key[2], "start": row["start"]})
        tests[-1].update(asdict(paired_test(first, second)))
    for test, p in zip(tests, holm([test["t_p"] for test in tests]), strict=True):
        test["p_adjusted"] = p
    return tests


def _curve(name: str, label: str, run: Run) -> dict[str, Any]:
    """Return validation scores of an arm's linear probe by seconds of training; {} where no epoch was probed."""
    if not run.metrics.is_file():
        return {}
    rows = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    arms = {arm for row in rows for arm in row["probes"]}
    seconds = [sum(row["seconds"] for row in rows[: i + 1]) for i in range(len(rows))]
    scores = {
        arm: [[s, row["probes"][arm]["linear"][METRIC]] for s, row in zip(seconds, rows, strict=True) if row["probes"]]
        for arm in sorted(arms)
    }
    return {"set": name, "start": label, "scores": scores} if scores else {}


def _page(result: Mapping[str, Any]) -> str:
    """Return the tables as Markdown."""
    rows = result["rows"]
    where = {"test": "the test split", "val": "the validation images"}[result.get("split", "test")]
    lines = [f"# Macro F1 of probes on {where} by start", "", result["note"], ""]
    lines += [
        "Mean ± half of the 95 % interval over label subsets (Student t), each the mean over pretrainings; with all"
    ]
    lines += [
        "labels there is one subset, and the interval is over pretrainings. *joint*: one regression on both arms'"
    ]
    lines += ["features; *pick*: whichever validation chose. Made by `benchmarks/starts.py`.", ""]
    lines += [*_short(rows), ""]
    head = ["set", "labels", "start", "pretrainings", "seconds", *CANDIDATES]
    lines += [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for name, fraction in dict.fromkeys(sorted((row["set"], row["fraction"]) for row in rows)):
        of = [row for row in rows if (row["set"], row["fraction"]) == (name, fraction)]
        for start in dict.fromkeys(row["start"] for row in of):
            found = {row["candidate"]: row for row in of if row["start"] == start}
            first = next(iter(found.values()))
            shown = [_shown(found[c]) if c in found else "" for c in CANDIDATES]
            labels = f"{first['labels']:,} ({fraction:.0%})"
            told = [name, labels, start, str(first["pretrainings"]), f"{first['seconds']:.0f}", *shown]
            lines += [f"| {' | '.join(told)} |"]
    lines += [
        "",
        "## Less transfer",
        "",
        "p: of the paired t-test over label subsets; adjusted: Holm, over this page.",
        "",
    ]
    lines += ["| set | labels | start | candidate | difference | 95 % interval | p | adjusted |", f"|{'---|' * 8}"]
    for test in result["tests"]:
        lines += [
            f"| {test['set']} | {test['fraction']:.0%} | {test['start']} | {test['candidate']} | "
            f"{test['difference']:+.3f} | {test['low']:+.3f} to {test['high']:+.3f} | {test['t_p']:.2g} | "
            f"{test['p_adjusted']:.2g} |"
        ]
    return "\n".join(lines) + "\n"


def _short(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the means alone, a row a start, with all fractions of the labels in a cell."""
    fractions = sorted({row["fraction"] for row in rows})
    means = {_key(row): f"{row['mean']:.3f}".removeprefix("0") for row in rows}
    lines = [f"Means with {' / '.join(f'{f:.0%}' for f in fractions)} of the labels:", ""]
    lines += [f"| set | start | {' | '.join(reversed(CANDIDATES))} |", f"|{'---|' * (2 + len(CANDIDATES))}"]
    for name, start in dict.fromkeys(sorted((row["set"], row["start"]) for row in rows)):
        cells = [" / ".join(means.get((name, f, start, c), "–") for f in fractions) for c in reversed(CANDIDATES)]
        lines += [f"| {name} | {start} | {' | '.join(cells)} |"]
    return lines


def _shown(row: Mapping[str, Any]) -> str:
    if row["n"] == 1:
        return f"{row['mean']:.3f}"
    return format_summary(summarise_seeds(list(row["values"].values()))).partition(" (")[0]


def _draw(path: Path, curves: Sequence[Mapping[str, Any]]) -> None:
    """Draw a panel for each set and arm: the score of its probe on validation images against seconds."""
    import matplotlib.pyplot as plt

    panels = list(dict.fromkeys((curve["set"], arm) for curve in curves for arm in curve["scores"]))
    figure, axes = plt.subplots(1, len(panels), figsize=(4 * len(panels), 3.4), squeeze=False)
    for axis, (name, arm) in zip(axes[0], panels, strict=True):
        for curve in curves:
            if curve["set"] == name and arm in curve["scores"]:
                seconds, scores = zip(*curve["scores"][arm], strict=True)
                axis.plot(seconds, scores, marker="o", markersize=3, label=curve["start"])
        axis.set(title=f"{name}, {arm}", xlabel="seconds of pretraining", ylabel="macro F1 (validation)")
    axes[0][0].legend(frameon=False, fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
