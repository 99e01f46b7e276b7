"""What `cass evaluate` shows and writes: tables, JSON, CSVs of predictions and curves, and figures."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table
from rich.text import Text

from cass_cli.engine.finetuning.evaluate import Evaluation, decisions
from cass_cli.files import write_json
from cass_cli.reports.clinical import pick_notes, show_clinical, write_curves
from cass_cli.reports.csv_files import write_csv
from cass_cli.reports.curves import plot_confusion, plot_reliability, plot_roc, plot_training
from cass_cli.reports.external import elsewhere_table, place_of
from cass_cli.reports.people import show_people
from cass_cli.reports.printing import Screen, print_json, print_sentence
from cass_cli.reports.robustness import plot_corruptions, plot_examples, show_corruptions, write_corruptions
from cass_cli.reports.tables import print_table
from cass_cli.reports.use_plots import plot_calibration, plot_decision, plot_precision_recall, plot_risk_coverage
from cass_cli.runs.ancestry import older_note
from cass_cli.runs.names import run_flags, trial_flags
from cass_cli.runs.rows import TrialRow
from cass_cli.runs.trials import Trial, method_name
from cass_cli.scores.bootstrap import Estimate
from cass_cli.scores.calibration import ENSEMBLE, JOINT, MEAN
from cass_cli.scores.metrics import METRICS, Scores
from cass_cli.scores.over_seeds import format_summary
from cass_cli.words import count, label_share, shown

FIGURES = ("confusion", "roc", "reliability", "precision-recall", "decision", "risk-coverage", "calibration")
MOST_CLASSES = 30  # shown on the terminal one by one; of more, as many as follow
HIGHEST, LOWEST = 5, 10


def write_evaluation(found: Evaluation, *, on_progress: Callable[[int, int], None] | None = None) -> list[Path]:
    """Write JSON, the CSV of predictions and the figures of the recommended candidate into the trial.

    `on_progress(done, total)` counts these files.
    """
    folder, split, pick = found.trial.path, found.split, found.summary.judgement.pick
    classes, scores, given = found.summary.classes, found.scores[pick], found.probabilities[pick]
    judged, told, of = found.summary.judgement, found.told, f", {place_of(split)}"
    names = {kind: found.trial.figures / f"{kind}-{split}.png" for kind in FIGURES}
    limits = {name: judged.threshold(name) for name in found.probabilities}
    areas = {name: use.aurc.value for name, use in found.use.items()}
    steps = [
        partial(write_scores, found, folder / f"evaluation-{split}.json"),
        partial(write_predictions, found, folder / f"predictions-{split}.csv"),
        partial(plot_confusion, scores.confusion, classes, names["confusion"], title=f"Confusion: {pick}{of}"),
        partial(plot_roc, found.labels, given, classes, names["roc"], title=f"ROC: {pick}{of}"),
        partial(plot_reliability, found.labels, found.probabilities, names["reliability"], title=f"Reliability{of}"),
        partial(write_curves, found, folder / f"curves-{split}.csv"),
        partial(plot_precision_recall, found.labels, given, classes, told, names["precision-recall"],
                title=f"Precision and recall: {pick}{of}"),
        partial(plot_decision, found.labels, found.probabilities, classes, told, names["decision"],
                title=f"Decision curves{of}"),
        partial(plot_risk_coverage, found.labels, found.probabilities, limits, areas, names["risk-coverage"],
                title=f"Abstention{of}"),
    ]  # fmt: skip
    if found.use[pick].per_class:
        calibrated = (found.labels, given, found.use[pick], classes, told, names["calibration"])
        steps.append(partial(plot_calibration, *calibrated, title=f"Calibration: {pick}{of}"))
    else:  # of another time, when fewer classes were told of
        names["calibration"].unlink(missing_ok=True)
    worse = (
        folder / f"corruptions-{split}.csv",
        found.trial.figures / f"corruptions-{split}.png",
        folder / f"corruptions-example-{split}.png",  # a patient's image, which is not for the report
    )
    if of_worse := found.corrupted:
        steps += [
            partial(write_corruptions, of_worse, worse[0]),
            partial(plot_corruptions, of_worse, worse[1], title=f"On corrupted images{of}"),
            partial(plot_examples, of_worse.example, worse[2]),
        ]
    else:  # of another time, when they were asked for
        for path in worse:
            path.unlink(missing_ok=True)
    files = []
    for done, step in enumerate(steps):
        if on_progress:
            on_progress(done, len(steps))
        files.append(step())
    return [*files, *draw_training(found.trial, METRICS[found.summary.metric])]


def write_scores(found: Evaluation, path: Path) -> Path:
    """Write all scores of all candidates as JSON, which tells of the trial where it lies among the runs."""
    trial = found.trial.path.relative_to(found.trial.variant.run.path.parent)
    write_json(path, {**found.as_dict(), "trial": str(trial)})
    return path


def write_predictions(found: Evaluation, path: Path) -> Path:
    """Write `predictions` as a CSV. Probabilities have all their digits: other software computes the same metrics."""
    return write_csv(path, *predictions(found))


def predictions(found: Evaluation) -> tuple[list[str], list[list[Any]]]:
    """Return columns and a row an image: name, split, true and chosen class(es), and each candidate's probabilities.

    Multi-label, each class has a column of the truth too: 1, 0 or, where it is unknown, nothing.
    """
    judgement, classes, multilabel = found.summary.judgement, found.summary.classes, found.summary.multilabel
    chosen = decisions(found.probabilities[judgement.pick], judgement.threshold(judgement.pick), classes)
    truth = np.asarray(found.labels, dtype=np.float64) if multilabel else np.eye(len(classes))[found.labels]
    labels = decisions(truth, np.full(len(classes), 0.5), classes)
    told = [["" if v < 0 else int(v) for v in row] for row in truth] if multilabel else [[]] * len(truth)
    columns = [f"true:{c}" for c in classes if multilabel]
    columns += [f"{name}:{c}" for name in found.probabilities for c in classes]
    rows = [
        [
            image,
            found.split,
            labels[i],
            chosen[i],
            *told[i],
            *(float(v) for given in found.probabilities.values() for v in given[i]),
        ]
        for i, image in enumerate(found.images)
    ]
    return ["image", "split", "label", "chosen", *columns], rows


def draw_training(trial: Trial, metric: str) -> list[Path]:
    """Draw the losses and the headline metric of each epoch of a trial; nothing where it left no rows."""
    rows = trial.files.rows(TrialRow)
    if not rows:
        return []
    losses: dict[str, list[float]] = {}
    scores: dict[str, list[float]] = {}
    for name in rows[0]["arms"]:
        seen = [row["arms"][name] for row in rows if name in row["arms"]]
        losses[f"{name} training"] = [arm["loss"] for arm in seen]
        if any(arm["val_loss"] is not None for arm in seen):
            losses[f"{name} validation"] = [_number(arm["val_loss"]) for arm in seen]
            scores[name] = [_number(arm["val_score"]) for arm in seen]
    panels = {"focal loss": losses} | ({f"validation {metric}": scores} if scores else {})
    return [
        plot_training(
            panels,
            trial.figures / "training.png",
            title=f"Fine-tuning on {label_share(trial.fraction)}",
            first=rows[0]["epoch"],
        )
    ]


def show_evaluation(found: Evaluation) -> None:
    """Show the scores, the recommendation with its reason, and what they rest on."""
    console, summary = Screen(soft_wrap=True), found.summary
    first = next(iter(found.scores.values()))
    fraction = f"{label_share(found.trial.fraction, 'training labels')}, seed {found.trial.seed}"
    source = "" if found.external else f"{found.split} "
    images = f"{count(first.images, f'{source}image')}, {len(summary.classes):,} classes"
    if found.external:
        images = f"{images}, of {place_of(found.split)}"
    print_sentence(
        console, Text(method_name(summary), style="bold").append(f", {fraction}: {images}", style="not bold")
    )
    widest = max(map(len, found.scores))
    for name, what in _candidates(found).items():
        print_sentence(console, Text(f"  {name:<{widest}}  {what}", style="dim"))
    console.print()
    print_table(console, _metrics_table(found))
    console.print()
    if found.external and (table := elsewhere_table(found.external, summary.judgement.pick)):
        print_table(console, table)
        console.print()
    print_table(console, _classes_table(found))
    if len(summary.classes) > MOST_CLASSES:
        where = found.trial.path / f"evaluation-{found.split}.json"
        console.print(Text(f"All {len(summary.classes):,} classes: per_class in {where}", style="dim"))
    show_clinical(console, found, most=MOST_CLASSES)
    show_people(console, found)
    show_corruptions(console, found)
    if summary.unseen:
        print_sentence(console, Text(f"\n{summary.unseen_note}", style="yellow"))
    print_sentence(
        console,
        Text("\nRecommended: ").append(summary.judgement.pick, style="bold").append(f". {summary.judgement.reason}"),
    )
    if found.over_seeds:
        cells = ", ".join(f"{c.candidate} {format_summary(c.summary)}" for c in found.over_seeds)
        print_sentence(console, f"Over seeds (test split): {METRICS[summary.metric]} {cells}")
    for note in dict.fromkeys([*first.notes, *summary.judgement.notes, *pick_notes(found), *found.notes]):
        print_sentence(console, Text(f"• {note}", style="dim"))
    if found.older_than_arms:
        console.print(Text(f"Warning: {older_note(found.trial.variant, 1, 1)}", style="yellow"))


def show_files(found: Evaluation, files: list[Path], *, as_json: bool) -> None:
    """Show what was written and what to do next; as JSON, the scores too."""
    if as_json:
        print_json({**found.as_dict(), "files": [str(path) for path in files]})
        return
    console = Screen(soft_wrap=True)
    console.print("\nWritten:")
    for path in files:
        console.print(Text(f"  {path}", style="cyan"))
    console.print(Text(f"Next: cass report{run_flags(found.trial.variant.run, option='')}"))
    predict = f"cass predict IMAGES{trial_flags(found.trial)}"
    console.print(Text(f"      (or, for images of your own: {predict})", style="dim"))


def _candidates(found: Evaluation) -> dict[str, str]:
    """Return what each candidate is."""
    combined = {
        MEAN: "the mean of the arms' answers",
        JOINT: "one regression on the features of both arms",
        ENSEMBLE: "the average of all, by weight",
    }
    return {name: combined.get(name) or found.summary.arms[name].model for name in found.scores}


def _metrics_table(found: Evaluation) -> Table:
    summary, table = found.summary, Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("")
    for name in found.scores:
        table.add_column(Text(("→ " if name == summary.judgement.pick else "") + name), justify="right")
    for metric in dict.fromkeys([summary.metric, *METRICS]):
        cells = [_with_interval(scores.metrics[metric]) for scores in found.scores.values()]
        table.add_row(METRICS[metric], *cells, style="bold" if metric == summary.metric else None)
    return table


def _classes_table(found: Evaluation) -> Table:
    """Return a row a class, of the recommended candidate; of many classes, those with the highest and lowest F1."""
    pick = found.summary.judgement.pick
    scores = found.scores[pick]
    columns = {"f1": "F1", "precision": "precision", "recall": "recall", "auroc": "AUROC"}
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(Text(f"class ({pick})"), overflow="fold")
    for heading in ("images", *columns.values()):
        table.add_column(heading, justify="right", no_wrap=True)
    for group, rows in _classes_shown(scores).items():
        if group:
            table.add_row(Text(group, style="dim"))
        for c in rows:
            cells = [_with_interval(scores.per_class[key][c]) if key == "f1" else _plain(scores.per_class[key][c].value)
                     for key in columns]  # fmt: skip
            table.add_row(Text(shown(scores.classes[c])), f"{scores.support[c]:,}", *cells)
    return table


def _classes_shown(scores: Scores) -> dict[str, list[int]]:
    """Return the classes whose scores are shown, under a heading for each group of them; "" for no heading.

    Of equal F1 the class with more images comes first: it says more.
    """
    f1 = [estimate.value for estimate in scores.per_class["f1"]]
    if len(f1) <= MOST_CLASSES:
        return {"": list(range(len(f1)))}
    best = sorted(np.flatnonzero(~np.isnan(f1)).tolist(), key=lambda c: (-f1[c], -scores.support[c]))[:HIGHEST]
    left = set(np.flatnonzero(~np.isnan(f1)).tolist()) - {*best}
    worst = sorted(left, key=lambda c: (f1[c], -scores.support[c]))[:LOWEST]
    return {"highest F1": best, "lowest F1": worst}


def _with_interval(estimate: Estimate) -> str:
    if np.isnan(estimate.low):
        return _plain(estimate.value)
    return f"{_plain(estimate.value)} ({estimate.low:.2f}–{estimate.high:.2f})"


def _plain(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.3f}"


def _number(value: float | None) -> float:
    return np.nan if value is None else value
