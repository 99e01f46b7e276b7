"""Judge a finished fine-tuning on one split: all metrics with intervals, for each arm and for their mean.

Whom to trust was decided on validation images when the fine-tuning ended; nothing is chosen here.

Shapes: N images, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cass_cli.config.load import Resolved
from cass_cli.config.schema import Config
from cass_cli.data.labelled_images import Images, LabelledData, decode, find_labelled, labels_told
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
from cass_cli.runs.summary import TrialSummary
from cass_cli.runs.trials import Trial, method_name
from cass_cli.scores.bootstrap import RESAMPLES
from cass_cli.scores.judgement import probabilities_of, score_candidates
from cass_cli.scores.metrics import Scores
from cass_cli.scores.values import Floats
from cass_cli.words import count, shown_list


@dataclass(frozen=True)
class Answered:
    """What the candidates of a trial answer on the images of a split, and all that they were asked with."""

    config: Config  # at the size that the arms look at
    compute: Compute
    arms: TunedArms
    data: LabelledData
    images: Images  # of the split
    rows: NDArray[np.int64]  # of the table: those that could be read [N]
    probabilities: Mapping[str, Floats]  # [N, C] by candidate


@dataclass(frozen=True)
class Evaluation:
    """The scores of one trial on one split, and the predictions that they were computed from."""

    trial: Trial
    summary: TrialSummary  # of the trial
    split: str
    scores: Mapping[str, Scores]  # by candidate: each arm, "mean", "joint"
    over_seeds: tuple[Cell, ...]  # test scores of all seeds of this fraction; empty for a single seed
    images: tuple[str, ...]  # names [N]
    labels: Labels
    probabilities: Mapping[str, Floats]  # [N, C] by candidate
    notes: tuple[str, ...]
    older_than_arms: tuple[str, ...]  # the arms that the run has pretrained further, or replaced, since

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
            "over_seeds": {cell.candidate: cell.summary.as_dict() for cell in self.over_seeds},
            "notes": list(self.notes),
            "older_than_arms": list(self.older_than_arms),
        }


def answer(resolved: Resolved, trial: Trial, *, split: str, on_progress: Callable[[str, int, int], None]) -> Answered:
    """Let every candidate of `trial` answer the images of `split`, under the settings of its variant.

    Raises what `evaluate` raises.
    """
    for folder in (trial.variant.run.path, trial.variant.path):
        check_files(folder)
    config = unless_measured_elsewhere(resolved).config
    compute = choose_compute(config.train)
    arms = load_tuned(trial, compute)
    data = find_labelled(config, trial.variant.run.splits)
    summary = arms.summary
    if data.table.classes != summary.classes:
        known, learned = (shown_list(classes) for classes in (data.table.classes, summary.classes))
        differing = shown_list(sorted({*data.table.classes} ^ {*summary.classes})) or "their order"
        raise RunError(
            f"The data show the classes {known}; the arms learned {learned}. They differ in {differing}.",
            hint="Point --data to the images that the run was made from, or fine-tune on these.",
        )
    if not len(data.rows[split]):
        raise DataError(
            f"The {split} split of {data.table.root} has no labelled image.", hint="Choose another --split."
        )
    config = config.at_size(arms.spec.size)
    images = decode(data, data.rows[split], config, device=compute.device, on_progress=partial(on_progress, "Decoding"))
    rows = images.readable(data.rows[split])
    logits = store_logits(
        arms.readers,
        images.store,
        images.of(rows),
        spec=arms.spec,
        compute=compute,
        heads=arms.heads,
        on_progress=partial(on_progress, "Predicting"),
    )
    candidates = probabilities_of(
        logits, summary.judgement.temperatures, summary.judgement.weights, multilabel=summary.multilabel
    )
    return Answered(config, compute, arms, data, images, rows, candidates)


def evaluate(
    resolved: Resolved,
    trial: Trial,
    *,
    split: str = "test",
    resamples: int = RESAMPLES,
    on_progress: Callable[[str, int, int], None] | None = None,
) -> Evaluation:
    """Score every candidate of `trial` on the images of `split`, under the settings of its variant.

    `on_progress(what, done, total)` counts what is decoded, then what is predicted, then the bootstrap's resamples.
    Raises `RunError` when the classes of the data are no longer those that the arms learned, `DataError` when
    the split has no labelled image.
    """
    told = on_progress or (lambda _what, _done, _total: None)
    found = answer(resolved, trial, split=split, on_progress=told)
    data, rows, summary, before = found.data, found.rows, found.arms.summary, read_made_from(trial.variant.path)
    labels: NDArray[Any] = data.labels[rows]
    return Evaluation(
        trial=trial,
        summary=summary,
        split=split,
        scores=score_candidates(
            found.probabilities,
            labels,
            summary.classes,
            summary.judgement,
            groups=data.groups(rows),
            resamples=resamples,
            on_progress=partial(told, "Resampling"),
        ),
        over_seeds=_over_seeds(trial, summary.metric),
        images=tuple(data.table.names[i] for i in rows),
        labels=labels,
        probabilities=found.probabilities,
        notes=(
            *data.notes,
            *found.images.store.notes,
            *_relabelled(before, labels_told(data, data.rows[split])),
            *_split_note(split, len(rows)),
        ),
        older_than_arms=older_than_arms(trial, summary),
    )


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
