"""Judge a finished fine-tuning on one split: all metrics with intervals, for each arm and for their mean.

Whom to trust was decided on validation images when the fine-tuning ended; nothing is chosen here but, where they are
asked for, the thresholds of operating points. A fine-tuning does not keep what it answered to validation images, so
these are decoded and answered once more.

Shapes: N images, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cass_cli.config.load import Resolved
from cass_cli.config.schema import Config
from cass_cli.data.labelled_images import LabelledData, decode, find_labelled, labels_told
from cass_cli.data.splits import Labels
from cass_cli.engine.compute import Compute, choose_compute
from cass_cli.engine.fastest import unless_measured_elsewhere
from cass_cli.engine.finetuning.tuned_arms import TunedArms, load_tuned
from cass_cli.engine.inference import store_logits
from cass_cli.errors import DataError, RunError
from cass_cli.runs.ancestry import older_than_arms
from cass_cli.runs.compare import Cell, cells_of
from cass_cli.runs.made_from import MadeFrom, otherwise_labelled, read_made_from
from cass_cli.runs.manifest import check_files
from cass_cli.runs.records import ExternalRecord
from cass_cli.runs.summary import TrialSummary
from cass_cli.runs.trials import Trial, method_name
from cass_cli.scores.bootstrap import RESAMPLES
from cass_cli.scores.goals import NOTHING, Asked
from cass_cli.scores.judgement import probabilities_of, score_candidates
from cass_cli.scores.metrics import Scores
from cass_cli.scores.operating import OperatingPoint, Thresholds, choose_thresholds, operating_point
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
    external: ExternalRecord | None = None  # where the images are another site's

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
            **({"external": self.external} if self.external else {}),
        }


def evaluate(
    resolved: Resolved,
    trial: Trial,
    *,
    split: str = "test",
    resamples: int = RESAMPLES,
    asked: Asked = NOTHING,
    on_progress: Callable[[str, int, int], None] | None = None,
) -> Evaluation:
    """Score every candidate of `trial` on the images of `split`, under the settings of its variant.

    `on_progress(what, done, total)` counts what is decoded, then what is predicted, then the bootstrap's resamples.
    Raises `RunError` when the classes of the data are no longer those that the arms learned, `DataError` when
    the split has no labelled image, `ConfigError` when what is `asked` is of other classes.
    """
    check_asked(asked, trial.summary())
    for folder in (trial.variant.run.path, trial.variant.path):
        check_files(folder)
    config = unless_measured_elsewhere(resolved).config
    compute = choose_compute(config.train)
    arms = load_tuned(trial, compute)
    data = find_labelled(config, trial.variant.run.splits)
    summary, before = arms.summary, read_made_from(trial.variant.path)
    if data.table.classes != summary.classes:
        known, taught = (shown_list(classes) for classes in (data.table.classes, summary.classes))
        differing = shown_list(sorted({*data.table.classes} ^ {*summary.classes})) or "their order"
        raise RunError(
            f"The data show the classes {known}; the arms learned {taught}. They differ in {differing}.",
            hint="Point --data to the images that the run was made from, or fine-tune on these.",
        )
    if not len(data.rows[split]):
        raise DataError(
            f"The {split} split of {data.table.root} has no labelled image.", hint="Choose another --split."
        )
    chosen = chosen_thresholds(config, arms, data, asked, compute, on_progress=on_progress)
    used = np.union1d(data.rows[split], data.rows["val"]) if chosen else data.rows[split]
    return score_rows(
        config,
        trial,
        arms,
        data,
        split,
        asked=asked,
        chosen=chosen,
        compute=compute,
        resamples=resamples,
        notes=_relabelled(before, labels_told(data, used)),
        on_progress=on_progress,
    )


def check_asked(asked: Asked, summary: TrialSummary) -> None:
    """Raise `ConfigError` where what is asked is of classes that the arms have not learned."""
    asked.assumed(summary.classes, asked.told(summary.classes, multilabel=summary.multilabel))


def chosen_thresholds(
    config: Config,
    arms: TunedArms,
    data: LabelledData,
    asked: Asked,
    compute: Compute,
    *,
    on_progress: Callable[[str, int, int], None] | None = None,
) -> dict[str, tuple[Thresholds, ...]]:
    """Return by candidate the thresholds that the validation images of `data` choose for each goal; {}: no goal."""
    if not asked.goals:
        return {}
    classes = arms.summary.classes
    places = asked.told(classes, multilabel=arms.summary.multilabel)
    rows, answers = data.rows["val"], {name: np.zeros((0, len(classes))) for name in arms.candidates}
    if len(rows):
        rows, answers, _ = _answers(config, arms, data, rows, compute, "validation", on_progress)
    return {
        name: tuple(choose_thresholds(goal, data.labels[rows], given, classes, places) for goal in asked.goals)
        for name, given in answers.items()
    }


def score_rows(
    config: Config,
    trial: Trial,
    arms: TunedArms,
    data: LabelledData,
    split: str,
    *,
    asked: Asked,
    chosen: Mapping[str, tuple[Thresholds, ...]],
    compute: Compute,
    resamples: int,
    notes: Sequence[str] = (),
    on_progress: Callable[[str, int, int], None] | None = None,
) -> Evaluation:
    """Let the arms answer for the images that `data` has under the name `split`, and score every candidate."""
    summary, told = arms.summary, on_progress or (lambda _what, _done, _total: None)
    judged, classes = summary.judgement, summary.classes
    places = asked.told(classes, multilabel=summary.multilabel)
    rows, candidates, read = _answers(config, arms, data, data.rows[split], compute, "", on_progress)
    labels = data.labels[rows]
    how: Mapping[str, Any] = {"groups": data.groups(rows), "resamples": resamples}
    scores = score_candidates(candidates, labels, classes, judged, **how, on_progress=partial(told, "Resampling"))
    use: dict[str, Use] = {}
    for name, given in candidates.items():
        told("Recalibrating", len(use), len(candidates))
        use[name] = judge_use(labels, given, classes, places, thresholds=judged.threshold(name), **how)
    assumed = asked.assumed(classes, places)
    points = {
        name: tuple(operating_point(e, labels, candidates[name], classes, places, assumed=assumed, **how) for e in each)
        for name, each in chosen.items()
    }
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
        probabilities=candidates,
        notes=(
            *data.notes,
            *read,
            *notes,
            *_split_note(split, len(rows)),
            *filter(None, [asked.note(classes, places)]),
        ),
        older_than_arms=older_than_arms(trial, summary),
    )


def _answers(
    config: Config,
    arms: TunedArms,
    data: LabelledData,
    rows: NDArray[np.int64],
    compute: Compute,
    what: str,
    on_progress: Callable[[str, int, int], None] | None,
) -> tuple[NDArray[np.int64], dict[str, Floats], Sequence[str]]:
    """Return those of the rows that can be read, what each candidate answers to them [N, C], and notes on reading."""
    told, judged = on_progress or (lambda _what, _done, _total: None), arms.summary.judgement
    at_size = config.at_size(arms.spec.size)
    stages = [partial(told, f"{doing} {what}".strip()) for doing in ("Decoding", "Predicting")]
    images = decode(data, rows, at_size, device=compute.device, on_progress=stages[0])
    rows = images.readable(rows)
    logits = store_logits(
        arms.readers,
        images.store,
        images.of(rows),
        spec=arms.spec,
        compute=compute,
        heads=arms.heads,
        on_progress=stages[1],
    )
    multilabel = arms.summary.multilabel
    given = probabilities_of(logits, judged.temperatures, judged.weights, multilabel=multilabel)
    return rows, given, images.store.notes


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
    alone = f"The {split} split has one image: its scores say whether one answer was right, and no more."
    return (*((notes[split],) if split in notes else ()), *((alone,) if images == 1 else ()))


def decisions(probabilities: Floats, thresholds: Floats | None, classes: tuple[str, ...]) -> list[str]:
    """Return the chosen class of each image, or its classes joined by ";" where thresholds [C] decide."""
    if thresholds is None:
        return [classes[c] for c in probabilities.argmax(axis=1)]
    return [";".join(classes[c] for c in np.flatnonzero(row)) for row in probabilities >= thresholds]
