"""Whether probabilities can be acted upon: Brier score and recalibration of each class, decision curves, abstention.

Nothing here is chosen or fitted for use: all of it describes answers that were fixed before. Of more than `MOST_TOLD`
classes none is told of by itself. Where a class is against the rest, an image is known to show it or not, or is left
out for that class.

Shapes: N images, K of them known, C classes, T of them told of, R weight vectors, P points of a curve.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan, nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cass_cli.data.splits import Labels
from cass_cli.scores.bootstrap import RESAMPLES, Estimate, draw_units, intervals, resample_weights
from cass_cli.scores.recalibration import slopes_and_intercepts
from cass_cli.scores.values import Floats, against_rest, confidence, decide, indicator, known_labels, ratio
from cass_cli.words import shown_list

MOST_TOLD = 30
RECALIBRATION = {  # name → title, in the order in which tables show them
    "brier": "Brier score",
    "slope": "calibration slope",
    "intercept": "calibration intercept",
}
OFTEN = 0.025  # of the resamples without a fit: beyond it an end of the interval may lie among them
DECISION_THRESHOLDS: Floats = np.arange(1, 100) / 100


@dataclass(frozen=True)
class Use:
    """What one candidate's probabilities are worth to who acts upon them."""

    per_class: dict[str, dict[str, Estimate]]  # class → by the names in RECALIBRATION, against the rest
    aurc: Estimate  # area under the risk–coverage curve; lower is better
    risk: Estimate  # share of images answered wrongly when none is refused
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON values; undefined numbers are None."""
        return {
            "per_class": {
                name: {kind: one.as_dict() for kind, one in found.items()} for name, found in self.per_class.items()
            },
            "aurc": self.aurc.as_dict(),
            "risk": self.risk.as_dict(),
            "notes": list(self.notes),
        }


def judge_use(
    labels: Labels,
    probabilities: Floats,
    classes: Sequence[str],
    told: Sequence[int],
    *,
    thresholds: Floats | None = None,
    groups: Sequence[str] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Use:
    """Return what probabilities [N, C] are worth on images with these labels, with 95 % bootstrap intervals.

    `told` are the places of the classes that are told of; thresholds [C] are those of multi-label decisions. Groups,
    resamples and seed are as in `metrics.score`.
    """
    those = list(told) if len(told) <= MOST_TOLD else []
    truth, given = against_rest(labels, those), probabilities[:, those]
    answers = answered(labels, probabilities, thresholds=thresholds)
    once = _values(truth, given, answers, np.ones((1, len(labels))))
    weights = resample_weights(draw_units(len(labels), groups), resamples=resamples, seed=seed)
    many = [_values(truth, given, answers, chunk) for chunk in weights]

    def estimates(kind: str) -> list[Estimate]:
        value = once[kind].reshape(-1)
        drawn = np.concatenate([found[kind] for found in many]).reshape(-1, len(value)) if many else None
        return list(map(Estimate, value.tolist(), *(intervals(drawn).tolist() if drawn is not None else ())))

    found = {kind: estimates(kind) if those else [] for kind in RECALIBRATION}
    lost = np.mean([np.isnan(part["slope"]).mean(axis=0) for part in many], axis=0) if many else np.zeros(len(those))
    names = [classes[c] for c in those]
    return Use(
        per_class={name: {kind: found[kind][i] for kind in RECALIBRATION} for i, name in enumerate(names)},
        aurc=estimates("aurc")[0],
        risk=estimates("risk")[0],
        notes=_notes(names, once, lost, told=len(told)),
    )


def _values(truth: NDArray[np.int8], given: Floats, answers: Answers, weights: Floats) -> dict[str, Floats]:
    """Return Brier score, slope and intercept [R, T], AURC and risk [R] under weights [R, N]."""
    known = truth >= 0
    squares = np.where(known, (given - truth) ** 2, 0.0)
    slope, intercept = np.full((2, len(weights), truth.shape[1]), nan)
    for t in range(truth.shape[1]):
        those = known[:, t]
        shown, part = truth[those, t] == 1, weights if those.all() else weights[:, those]
        if shown.any() and not shown.all():
            slope[:, t], intercept[:, t] = slopes_and_intercepts(shown, given[those, t], part)
    aurc, risk = area_and_risk(answers, weights)
    brier = ratio(weights @ squares, weights @ known.astype(np.float64))
    return {"brier": brier, "slope": slope, "intercept": intercept, "aurc": aurc, "risk": risk}


def _notes(names: Sequence[str], once: dict[str, Floats], lost: Floats, *, told: int) -> tuple[str, ...]:
    if told > MOST_TOLD:
        return (f"Calibration and use of single classes are told of up to {MOST_TOLD}, and there are {told}: "
                "name one with --positive.",)  # fmt: skip
    notes = []
    endless = [repr(name) for name, value in zip(names, once["slope"].reshape(-1), strict=True) if isnan(value)]
    rough = [repr(name) for name, share in zip(names, lost, strict=True) if share > OFTEN and repr(name) not in endless]
    if endless:
        notes.append(
            "There is no calibration slope where no image or every image shows the class, or a threshold tells them "
            f"apart without an error: {shown_list(endless)}."
        )
    if rough:
        notes.append(f"Many resamples have no calibration slope; its interval is too narrow: {shown_list(rough)}.")
    return tuple(notes)


@dataclass(frozen=True)
class Answers:
    """How sure each answer is and whether it is wrong, surest first; without images of which nothing is known."""

    images: NDArray[np.int64]  # [K], their places among all
    sure: Floats  # [K]
    wrong: NDArray[np.bool_]  # [K]


def answered(labels: Labels, probabilities: Floats, *, thresholds: Floats | None = None) -> Answers:
    """Return the answers to all images, surest first.

    Sure as in `values.confidence`: of the likeliest class, or of the least sure label when multi-label, where an
    answer is wrong when any known label is (as in the metric `accuracy`).
    """
    several, classes = labels.ndim == 2, probabilities.shape[1]
    known, truth = known_labels(labels, classes), indicator(labels, classes)
    chosen = decide(probabilities, multilabel=several, thresholds=thresholds)
    wrong = ((truth != chosen) & known).any(axis=1)
    sure = confidence(probabilities, multilabel=several)
    images = np.flatnonzero(known.any(axis=1))
    order = images[np.argsort(-sure[images], kind="stable")]
    return Answers(order, sure[order], wrong[order])


def area_and_risk(answers: Answers, weights: Floats) -> tuple[Floats, Floats]:
    """Return the area under the risk–coverage curve and the risk at full coverage, [R] each, under weights [R, N].

    The area is the mean over images of the risk among those at least as sure (Geifman et al. 2019, "Bias-Reduced
    Uncertainty Estimation for Deep Neural Classifiers", Sec. 2): images that are equally sure are refused together.
    """
    if not len(answers.images):
        return np.full(len(weights), nan), np.full(len(weights), nan)
    drawn = weights[:, answers.images]  # [R, K]
    runs = np.flatnonzero(np.r_[True, answers.sure[1:] != answers.sure[:-1]])
    errors = drawn * answers.wrong
    if len(runs) < len(answers.images):
        drawn, errors = (np.add.reduceat(of, runs, axis=1) for of in (drawn, errors))
    covered, missed = drawn.cumsum(axis=1), errors.cumsum(axis=1)
    risk = np.divide(missed, covered, out=np.zeros_like(missed), where=covered > 0)
    return ratio((drawn * risk).sum(axis=1), covered[:, -1]), ratio(missed[:, -1], covered[:, -1])


def risk_coverage(answers: Answers) -> tuple[Floats, Floats, Floats]:
    """Return threshold, coverage and risk [P], one point for each confidence that is a threshold, the highest first."""
    ends = np.flatnonzero(np.r_[answers.sure[1:] != answers.sure[:-1], True])
    covered = np.arange(1, len(answers.sure) + 1)
    return answers.sure[ends], (covered / len(covered))[ends], (answers.wrong.cumsum() / covered)[ends]


def net_benefit(shown: NDArray[np.bool_], given: Floats, thresholds: Floats) -> tuple[Floats, Floats]:
    """Return the net benefit [P] of acting on probabilities [K] at each threshold, and of acting on all.

    TP/K − FP/K · t/(1 − t): a threshold t says that one found is worth (1 − t)/t false alarms (Vickers and Elkin 2006,
    "Decision curve analysis", Med Decis Making 26:565). Acting on none is 0.
    """
    chosen = given >= thresholds[:, None]  # [P, K]
    odds = thresholds / (1 - thresholds)
    found, alarms = (chosen & shown).mean(axis=1), (chosen & ~shown).mean(axis=1)
    share = shown.mean()
    return found - odds * alarms, share - odds * (1 - share)


def precision_recall(shown: NDArray[np.bool_], given: Floats) -> tuple[Floats, Floats, Floats]:
    """Return threshold, recall and precision [P], the highest threshold first; `shown` [K] must show some.

    A point for each distinct probability, as scikit-learn's, without the one that it adds at recall 0.
    """
    order = np.argsort(-given, kind="stable")
    ordered, hits = given[order], shown[order].cumsum()
    ends = np.flatnonzero(np.r_[ordered[1:] != ordered[:-1], True])
    return ordered[ends], hits[ends] / hits[-1], hits[ends] / (ends + 1)
