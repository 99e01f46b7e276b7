"""`cass errors`: the answers of a trial that are worth a look, each with what the arms looked at.

Shapes: N images of the split, C classes, S side in pixels, h × w a map's grid.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cass_cli.config.load import Resolved
from cass_cli.config.schema import ArmName
from cass_cli.data.splits import labelled
from cass_cli.engine.finetuning.answers import Answered, Progress, answer_split
from cass_cli.engine.finetuning.evaluate import decisions
from cass_cli.engine.finetuning.predict import choose_candidate
from cass_cli.engine.looking.attention_maps import ATTENTION, ModelMaps, model_maps
from cass_cli.engine.looking.look import Look
from cass_cli.engine.looking.sample import sample_of_decoded
from cass_cli.engine.looking.shown import arms_of_run
from cass_cli.engine.reviewing.label_check import LabelCheck, check_labels
from cass_cli.errors import ModelError, RunError
from cass_cli.runs.ancestry import older_than_arms
from cass_cli.runs.summary import TrialSummary
from cass_cli.runs.trials import Trial
from cass_cli.scores.calibration import arms_among
from cass_cli.scores.cases import Case, disagreements, sort_answers
from cass_cli.scores.values import Floats

COUNT = 12  # images of each kind


@dataclass(frozen=True)
class Shown:
    """One image, what is said of it, and what was looked at."""

    image: str  # name, within the data's folder
    given: str  # class, or classes joined by ";"
    chosen: str
    about: str  # class that the probabilities are of, besides the one given
    value: float  # why it is here, see `Case`
    probabilities: Mapping[str, Mapping[str, float]]  # by candidate, of each class that is told
    pixels: NDArray[np.uint8]  # [3, S, S]
    maps: Mapping[str, Floats]  # [h, w] ≥ 0, by arm


@dataclass(frozen=True)
class Review:
    """The answers of a trial on one split that are worth a look."""

    trial: Trial
    summary: TrialSummary
    split: str
    candidate: str  # whose answers these are
    images: int
    answered_wrong: int
    wrong: tuple[Shown, ...]  # the surest first
    doubtful: tuple[Shown, ...]  # right answers, the least sure first
    apart: tuple[Shown, ...]  # the arms disagree most on the first
    kinds: Mapping[str, str]  # by arm: what its maps are
    labels: LabelCheck | None  # None: not asked for, or not to be had, which a note says
    notes: tuple[str, ...]
    data_folder: Path | None
    older_than_arms: tuple[str, ...]


def review(
    resolved: Resolved,
    trial: Trial,
    *,
    split: str = "test",
    candidate: str | None = None,
    most: int = COUNT,
    label_check: bool = True,
    on_progress: Progress,
) -> Review:
    """Find the answers of `candidate` (else of the recommended one) that are worth a look, `most` of each kind.

    `on_progress(what, done, total)` counts images and folds. Raises what `evaluate` raises, and `ConfigError` for a
    candidate that the trial has not.
    """
    asked = answer_split(resolved, trial, split, on_progress=on_progress)
    summary, labels = asked.by.arms.summary, asked.data.labels[asked.rows]
    name = choose_candidate(asked.by.arms, candidate)
    sorted_ones = sort_answers(labels, asked.probabilities[name], summary.judgement.threshold(name))
    arms = arms_among(asked.probabilities)
    apart = disagreements([asked.probabilities[arm] for arm in arms], multilabel=summary.multilabel)
    kinds = (sorted_ones.wrong[:most], sorted_ones.right[:most], apart[:most])
    maps, notes = _maps(trial, asked, sorted({case.row for cases in kinds for case in cases}), on_progress)
    wrong, doubtful, disputed = (_shown(cases, asked, name, maps) for cases in kinds)
    checked: LabelCheck | None = None
    if label_check:
        try:
            checked = check_labels(trial, asked, most=most, on_progress=on_progress)
        except ModelError as error:
            notes.append(f"Training labels were not checked: {error.what}")
    if len(arms) < 2:
        notes.append(f"{arms[0]} is the only arm: there is none to disagree with.")
    return Review(
        trial=trial,
        summary=summary,
        split=split,
        candidate=name,
        images=int(labelled(labels).sum()),
        answered_wrong=len(sorted_ones.wrong),
        wrong=wrong,
        doubtful=doubtful,
        apart=disputed,
        kinds={arm: found.kind for arm, (found, _) in maps.items()},
        labels=checked,
        notes=(*asked.data.notes, *asked.images.store.notes, *notes),
        data_folder=asked.by.config.data.path,
        older_than_arms=older_than_arms(trial, summary),
    )


Maps = Mapping[ArmName, tuple[ModelMaps, Mapping[int, int]]]  # by arm, with where the map of a row of N is


def _maps(trial: Trial, asked: Answered, rows: Sequence[int], on_progress: Progress) -> tuple[Maps, list[str]]:
    """Return where each arm looks on these rows of N, and what is to be said of it."""
    if not rows:
        return {}, []
    try:
        arms = arms_of_run(trial.files, averaged=False)
    except RunError as error:  # of an average
        return {}, [f"There are no maps: {error.what} {error.hint}"]
    table = asked.data.table.select(asked.rows[list(rows)])
    pixels = asked.images.store.batch(asked.images.of(asked.rows[list(rows)]), asked.by.compute.device).cpu()
    sample = sample_of_decoded(table, asked.by.config.data, pixels, asked.by.arms.spec)
    look = Look(trial.path, sample, {}, arms, asked.by.compute.device, "")
    place = {row: i for i, row in enumerate(rows)}
    found = {
        arm: (
            model_maps(shown, look, ATTENTION, on_progress=partial(_told, on_progress, f"Maps of {arm}", len(rows))),
            place,
        )
        for arm, shown in arms.items()
    }
    several = [arm for arm, shown in arms.items() if shown.head is not None]
    notes = [f"{arm} answers from several layers: its map shows what the last of them sees." for arm in several]
    return found, notes


def _told(on_progress: Progress, what: str, total: int, done: int) -> None:
    on_progress(what, done, total)


def _shown(cases: Sequence[Case], asked: Answered, candidate: str, maps: Maps) -> tuple[Shown, ...]:
    """Return what a page shows of these cases."""
    if not cases:
        return ()
    summary, labels = asked.by.arms.summary, asked.data.labels
    classes, rows = summary.classes, asked.rows[[case.row for case in cases]]
    pixels = asked.images.store.batch(asked.images.of(rows), asked.by.compute.device).cpu().numpy()
    of = asked.probabilities[candidate][[case.row for case in cases]]
    chosen = decisions(of, summary.judgement.threshold(candidate), classes)
    found = []
    for i, case in enumerate(cases):
        label = labels[rows[i]]
        given = ";".join(classes[c] for c in np.flatnonzero(label == 1)) if summary.multilabel else classes[label]
        told = dict.fromkeys([classes[case.about], *([] if summary.multilabel else [given])])
        candidates = dict.fromkeys([*arms_among(asked.probabilities), candidate])
        found.append(
            Shown(
                image=asked.data.table.names[rows[i]],
                given=given,
                chosen=chosen[i],
                about=classes[case.about],
                value=case.value,
                probabilities={
                    name: {c: float(asked.probabilities[name][case.row, classes.index(c)]) for c in told}
                    for name in candidates
                },
                pixels=pixels[i],
                maps={arm: found_.maps[place[case.row]] for arm, (found_, place) in maps.items()},
            )
        )
    return tuple(found)
