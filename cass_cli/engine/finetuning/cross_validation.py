"""What the folds of a cross-validation say together: their scores, and all their answers scored at once.

A fold is a trial as any other: its arms learn from its training images, its validation images decide all that is to be
decided, and its test images are only scored. Its classifiers are not kept, their answers are.

Shapes: N images, C classes.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from cass_cli.csv_cells import CellWriter, name_of
from cass_cli.data.folds import Folds, alike_note, folds_digest, left_alone, rare_note
from cass_cli.data.labelled_images import LabelledData, rows_digest
from cass_cli.data.layouts.contents import contents
from cass_cli.errors import RunError
from cass_cli.files import whole_text, write_json
from cass_cli.runs.compare import PICK
from cass_cli.runs.cross_validation import CrossValidation, PooledEstimate, cross_validation_path, plain
from cass_cli.runs.summary import HINT, TrialSummary
from cass_cli.runs.trials import Trial, method_name
from cass_cli.scores.metrics import METRICS
from cass_cli.scores.over_folds import pooled_scores
from cass_cli.scores.values import Floats

ANSWERS = "predictions.csv"  # of a fold's test images


def cross_validate(trials: Sequence[Trial], data: LabelledData, folds: Folds, leak: str) -> CrossValidation:
    """Put the finished folds of a label fraction together, and write down what they say.

    "pick" is, in each fold, the candidate that its validation images chose; here nothing is chosen any more.
    """
    told = {trial: trial.summary() for trial in trials}
    summaries = list(told.values())
    first, found = summaries[0], [read_answers(trial, summary, data) for trial, summary in told.items()]
    rows = np.concatenate([rows for rows, _ in found])
    judged = [s.judgement for s in summaries]
    shared = [name for name in judged[0].candidates if all(name in each.candidates for each in judged)]
    partly = sorted({name for each in judged for name in each.candidates} - {*shared})
    without = f"Not in every fold, and left out: {', '.join(partly)}." if partly else ""
    chosen = {name: [name] * len(judged) for name in shared} | {PICK: [each.pick for each in judged]}
    result = CrossValidation(
        method=method_name(first),
        fraction=first.fraction,
        seed=first.seed,
        folds=folds.count,
        digest=folds_digest(data, folds),
        classes=first.classes,
        metric=first.metric,
        tested=[s.images["test"] for s in summaries],
        trained=[len(folds.data(data, s.fold).rows["train"]) for s in summaries],
        validated=[s.images["val"] for s in summaries],
        labels=[s.labels for s in summaries],
        picks=[each.pick for each in judged],
        groups=len({*named} - {""}) if (named := data.groups(rows)) else None,
        left_alone=len(left_alone(data, None)),
        leak=leak,
        values={
            name: {
                metric: [s.test.get(own, {}).get(metric) for s, own in zip(summaries, by_fold, strict=True)]
                for metric in METRICS
            }
            for name, by_fold in chosen.items()
        },
        pooled={
            name: _pooled(by_fold, summaries, found, data, rows) if len(rows) else {}
            for name, by_fold in chosen.items()
        },
        notes=[note for note in (alike_note(folds), rare_note(data, folds), without) if note],
    )
    write_json(cross_validation_path(trials[0].variant, first.fraction), result.as_dict())
    return result


def _pooled(
    by_fold: Sequence[str],
    summaries: Sequence[TrialSummary],
    found: Sequence[tuple[NDArray[np.int64], Mapping[str, Floats]]],
    data: LabelledData,
    rows: NDArray[np.int64],
) -> dict[str, PooledEstimate]:
    """Score what the candidate that `by_fold` names of each fold answers for all its `rows` of the table."""
    limits = [
        np.broadcast_to(limit, (len(own), len(s.classes)))
        for s, name, (own, _) in zip(summaries, by_fold, found, strict=True)
        if (limit := s.judgement.threshold(name)) is not None
    ]
    scores = pooled_scores(
        data.labels[rows],
        np.concatenate([answers[name] for name, (_, answers) in zip(by_fold, found, strict=True)]),
        thresholds=np.concatenate(limits) if limits else None,
        groups=data.groups(rows),
    )
    return {metric: plain(estimate) for metric, estimate in scores.items()}


def write_answers(trial: Trial, names: Sequence[str], classes: Sequence[str], answers: Mapping[str, Floats]) -> None:
    """Write what each candidate answers, [N, C], to the fold's test images of these names, with all digits."""
    with whole_text(trial.path / ANSWERS) as file:
        writer = CellWriter(file)
        writer.writerow(_header(answers, classes))
        for i, name in enumerate(names):
            writer.writerow([name, *(float(p) for given in answers.values() for p in given[i])])


def read_answers(
    trial: Trial, summary: TrialSummary, data: LabelledData
) -> tuple[NDArray[np.int64], dict[str, Floats]]:
    """Return the rows of the table [N] that the fold tested, and what each candidate answered, [N, C].

    Raises `RunError` where the file is damaged, or of other images than the fold was scored on.
    """
    path, classes, candidates = trial.path / ANSWERS, summary.classes, summary.judgement.candidates
    text = io.StringIO(contents(path).decode("utf-8-sig", "surrogateescape"), newline="")
    place = {name: row for row, name in enumerate(data.table.names)}
    try:
        header, *lines = csv.reader(text, strict=True)
        rows = np.array([place[name_of(line[0])] for line in lines], dtype=np.int64)
        given = np.array([line[1:] for line in lines], dtype=np.float64).reshape(len(rows), len(header) - 1)
    except (csv.Error, ValueError, IndexError, KeyError) as error:
        raise RunError(f"{path} is damaged.", hint=HINT) from error
    whole = list(map(name_of, header)) == _header(candidates, classes) and np.isfinite(given).all()
    if not whole or rows_digest(data, rows) != summary.test_digest:
        raise RunError(f"{path} is damaged: it is of other images, classes or candidates.", hint=HINT)
    width = len(classes)
    return rows, {name: given[:, width * i : width * (i + 1)] for i, name in enumerate(candidates)}


def _header(candidates: Sequence[str] | Mapping[str, Floats], classes: Sequence[str]) -> list[str]:
    return ["image", *(f"{candidate}:{c}" for candidate in candidates for c in classes)]
