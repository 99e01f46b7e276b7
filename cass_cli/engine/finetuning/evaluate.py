"""Judge a finished fine-tuning on one split: all metrics with intervals, for each arm and for their mean.

Whom to trust was decided on validation images when the fine-tuning ended; nothing is chosen here but, where they are
asked for, the thresholds of operating points. A fine-tuning does not keep what it answered to validation images, so
these are decoded and answered once more.

Shapes: N images, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from cass_cli.config.load import Resolved
from cass_cli.data.labelled_images import LabelledData, labels_told
from cass_cli.data.splits import SPLITS, Labels
from cass_cli.engine.finetuning.answers import (
    Answered,
    Answering,
    Progress,
    answer,
    check_labelled,
    find_taught,
    load_answering,
)
from cass_cli.engine.finetuning.corrupted import Corrupted, CorruptionsAsked, Forecast, score_corrupted
from cass_cli.engine.finetuning.people import (
    NOBODY,
    PatientScores,
    PeopleAsked,
    check_people,
    score_patients,
    score_subgroups,
)
from cass_cli.runs.ancestry import older_than_arms
from cass_cli.runs.compare import Cell, cells_of
from cass_cli.runs.made_from import MadeFrom, otherwise_labelled, read_made_from
from cass_cli.runs.records import ExternalRecord
from cass_cli.runs.summary import TrialSummary
from cass_cli.runs.trials import Trial, method_name
from cass_cli.scores.bootstrap import RESAMPLES
from cass_cli.scores.goals import NOTHING, Asked
from cass_cli.scores.judgement import score_candidates
from cass_cli.scores.metrics import Scores
from cass_cli.scores.operating import OperatingPoint, Thresholds, choose_thresholds, operating_point
from cass_cli.scores.subgroups import Subgroups
from cass_cli.scores.use import Use, judge_use
from cass_cli.scores.values import Floats
from cass_cli.words import count, shown_list


@dataclass(frozen=True)
class Evaluation:
    """The scores of one trial on one split, and the predictions that they were computed from."""

    trial: Trial
    summary: TrialSummary  # of the trial
    split: str
    scores: Mapping[str, Scores]  # by candidate: each arm, "mean", "joint"
    use: Mapping[str, Use]  # by candidate
    operating_points: Mapping[str, tuple[OperatingPoint, ...]]  # by candidate, as they were asked for; {}: none was
    told: tuple[int, ...]  # places of the classes that these two tell of, each against the rest
    over_seeds: tuple[Cell, ...]  # test scores of all seeds of this fraction; empty for a single seed
    images: tuple[str, ...]  # names [N]
    groups: tuple[str, ...] | None  # patients or lesions [N], where they are known
    labels: Labels
    probabilities: Mapping[str, Floats]  # [N, C] by candidate
    notes: tuple[str, ...]
    older_than_arms: tuple[str, ...]  # the arms that the run has pretrained further, or replaced, since
    patients: PatientScores | None = None  # where one answer a patient was asked for
    subgroups: Mapping[str, Mapping[str, Subgroups]] = field(default_factory=dict)  # by column and candidate
    external: ExternalRecord | None = None  # where the images are another site's
    corrupted: Corrupted | None = None  # where corrupted images were asked for

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "trial": str(self.trial.path),
            "method": method_name(self.summary),
            "fraction": self.trial.fraction,
            "seed": self.trial.seed,
            "split": self.split,
            "metric": self.summary.metric,
            "recommended": self.summary.judgement.pick,
            "judgement": self.summary.judgement.as_dict(),
            "unseen": list(self.summary.unseen),
            "scores": {name: found.as_dict() for name, found in self.scores.items()},
            "use": {name: found.as_dict() for name, found in self.use.items()},
            "operating_points": {
                name: [point.as_dict() for point in found] for name, found in self.operating_points.items()
            },
            "over_seeds": {cell.candidate: cell.summary.as_dict() for cell in self.over_seeds},
            "notes": list(self.notes),
            "older_than_arms": list(self.older_than_arms),
            **({"patients": self.patients.as_dict()} if self.patients else {}),
            "subgroups": {
                column: {name: found.as_dict() for name, found in of.items()} for column, of in self.subgroups.items()
            },
            **({"external": self.external} if self.external else {}),
            **({"corruptions": self.corrupted.as_dict()} if self.corrupted else {}),
        }


def evaluate(
    resolved: Resolved,
    trial: Trial,
    *,
    split: str = "test",
    resamples: int = RESAMPLES,
    asked: Asked = NOTHING,
    people: PeopleAsked = NOBODY,
    corruptions: CorruptionsAsked | None = None,
    on_progress: Progress | None = None,
    on_forecast: Callable[[Forecast], None] | None = None,
) -> Evaluation:
    """Score every candidate of `trial` on the images of `split`, under the settings of its variant.

    `on_progress(what, done, total)` counts what is decoded, then what is predicted, then the bootstrap's resamples.
    `on_forecast` is told how long corrupted images will take, before they are answered.
    Raises `RunError` when the classes of the data are no longer those that the arms learned, `DataError` when
    the split has no labelled image, `ConfigError` when what is `asked` is of other classes.
    """
    told = on_progress or (lambda _what, _done, _total: None)
    check_asked(asked, trial.summary())
    by = load_answering(resolved, trial)
    data, before = find_taught(by, trial), read_made_from(trial.variant.path)
    check_labelled(data, split)
    columns = check_people(people, data, data.rows[split])
    validation = answer_validation(by, data, asked, people, on_progress=told)
    used = np.union1d(data.rows[split], data.rows["val"]) if validation else data.rows[split]
    return score_answers(
        answer(by, data, split, on_progress=told),
        trial,
        split,
        asked=asked,
        people=people,
        columns=columns,
        corruptions=corruptions,
        validation=validation,
        resamples=resamples,
        notes=_relabelled(before, labels_told(data, used)),
        on_progress=told,
        on_forecast=on_forecast,
    )


def check_asked(asked: Asked, summary: TrialSummary) -> None:
    """Raise `ConfigError` where what is asked is of classes that the arms have not learned."""
    asked.assumed(summary.classes, asked.told(summary.classes, multilabel=summary.multilabel))


def answer_validation(
    by: Answering, home: LabelledData, asked: Asked, people: PeopleAsked, *, on_progress: Progress
) -> Answered | None:
    """Let the candidates answer the validation images where these shall choose thresholds; None: there is no need."""
    needed = asked.goals or (people.rule is not None and by.arms.summary.multilabel)
    if not needed or not len(home.rows["val"]):
        return None
    return answer(by, home, "val", on_progress=on_progress, what="validation")


def score_answers(
    found: Answered,
    trial: Trial,
    split: str,
    *,
    asked: Asked,
    people: PeopleAsked,
    columns: Mapping[str, Sequence[str]],
    corruptions: CorruptionsAsked | None,
    validation: Answered | None,
    resamples: int,
    notes: Sequence[str],
    on_progress: Progress,
    on_forecast: Callable[[Forecast], None] | None,
) -> Evaluation:
    """Score every candidate by its answers, at thresholds that `validation` chooses for what is `asked`.

    `columns` has a cell for each image of the table, of each column that tells groups apart.
    """
    summary, data, rows = found.by.arms.summary, found.data, found.rows
    judged, classes, labels = summary.judgement, summary.classes, found.data.labels[found.rows]
    places = asked.told(classes, multilabel=summary.multilabel)
    how: Mapping[str, Any] = {"groups": data.groups(rows), "resamples": resamples}
    resampling = partial(on_progress, "Resampling")
    scores = score_candidates(found.probabilities, labels, classes, judged, **how, on_progress=resampling)
    use: dict[str, Use] = {}
    for name, given in found.probabilities.items():
        on_progress("Recalibrating", len(use), len(found.probabilities))
        use[name] = judge_use(labels, given, classes, places, thresholds=judged.threshold(name), **how)
    on_progress("Recalibrating", len(use), len(use))
    assumed = asked.assumed(classes, places)
    points = {
        name: tuple(
            operating_point(one, labels, given, classes, places, assumed=assumed, **how)
            for one in _chosen(found, validation, name, asked, places)
        )
        for name, given in found.probabilities.items()
        if asked.goals
    }
    positive = asked.note(classes, places)
    corrupted = None
    if corruptions:
        corrupted = score_corrupted(
            found, corruptions, resamples=resamples, on_progress=on_progress, on_forecast=on_forecast
        )
    return Evaluation(
        trial=trial,
        summary=summary,
        split=split,
        scores=scores,
        use=use,
        operating_points=points,
        told=tuple(places),
        over_seeds=_over_seeds(trial, summary.metric),
        images=tuple(data.table.names[i] for i in rows),
        groups=data.groups(rows),
        labels=labels,
        probabilities=found.probabilities,
        notes=(
            *data.notes,
            *found.images.store.notes,
            *notes,
            *_split_note(split, len(rows)),
            *([positive] if positive else []),
        ),
        older_than_arms=older_than_arms(trial, summary),
        patients=score_patients(found, validation, rule=people.rule, resamples=resamples) if people.rule else None,
        subgroups=score_subgroups(found, columns, resamples=resamples, on_progress=on_progress),
        corrupted=corrupted,
    )


def _chosen(
    found: Answered, validation: Answered | None, candidate: str, asked: Asked, places: Sequence[int]
) -> list[Thresholds]:
    """Return the thresholds that validation images choose for each goal; without any of them, none."""
    classes = found.by.arms.summary.classes
    labels, given = found.data.labels[:0], np.zeros((0, len(classes)))
    if validation is not None:
        labels, given = validation.data.labels[validation.rows], validation.probabilities[candidate]
    return [choose_thresholds(goal, labels, given, classes, places) for goal in asked.goals]


def _over_seeds(trial: Trial, metric: str) -> tuple[Cell, ...]:
    summaries = [other.summary() for other in trial.variant.trials() if other.fraction == trial.fraction]
    return tuple(cells_of("", summaries, metric)) if len(summaries) > 1 else ()


def _relabelled(before: MadeFrom | None, now: Mapping[str, str]) -> tuple[str, ...]:
    """Say which of the images that are scored had other labels when the fine-tuning began."""
    other = otherwise_labelled({k: v for k, v in before.labels.items() if k in now}, now) if before else []
    what = f"{count(len(other), 'image')} labelled otherwise than when the fine-tuning began: {shown_list(other, 3)}."
    return (what,) if other else ()


def _split_note(split: str, images: int) -> tuple[str, ...]:
    notes = {
        "val": "The validation split chose the weights, the temperatures and the pick: these scores flatter.",
        "train": "The arms were trained on images of this split: these scores say nothing about others.",
    }
    one = f"The {split} split has one image" if split in SPLITS else "There is one image"
    alone = f"{one}: its scores say whether one answer was right, and no more."
    return (*((notes[split],) if split in notes else ()), *((alone,) if images == 1 else ()))


def decisions(probabilities: Floats, thresholds: Floats | None, classes: tuple[str, ...]) -> list[str]:
    """Return the chosen class of each image, or its classes joined by ";" where thresholds [C] decide."""
    if thresholds is None:
        return [classes[c] for c in probabilities.argmax(axis=1)]
    return [";".join(classes[c] for c in np.flatnonzero(row)) for row in probabilities >= thresholds]
