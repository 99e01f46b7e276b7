"""Operating points: what an answer is worth as a test for one class, at a threshold that validation images chose.

Each class against the rest. Sensitivity, specificity, predictive values and likelihood ratios as in Altman and Bland
1994 (BMJ 308:1552, 309:102) and Deeks and Altman 2004 (BMJ 329:168). The threshold is frozen before the split is
looked at, so intervals hold it fixed, as they hold the trained model.

Shapes: N images, K of them known to show a class or not, C classes, R weight vectors.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isnan, nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cass_cli.data.splits import Labels
from cass_cli.scores.bootstrap import RESAMPLES, Estimate, draw_units, intervals, resample_weights
from cass_cli.scores.calibration import cuts_of
from cass_cli.scores.goals import Goal
from cass_cli.scores.values import Floats, against_rest, indicator, known_labels, ratio
from cass_cli.words import count, shown_list

MEASURES = {  # name → title, in the order in which tables show them
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "ppv": "PPV",
    "npv": "NPV",
    "lr_plus": "LR+",
    "lr_minus": "LR−",
}
ASSUMED = ("ppv", "npv")  # measures that change with the prevalence


@dataclass(frozen=True)
class Thresholds:
    """The thresholds that validation images chose for a goal, and what they reach there."""

    goal: Goal
    values: Floats  # [C]; NaN where none was asked for, or can be chosen
    reached: dict[str, Floats]  # sensitivity and specificity [C] on the validation images
    notes: tuple[str, ...]


@dataclass(frozen=True)
class ClassPoint:
    """One class against the rest at its threshold; NaN for what is undefined."""

    threshold: float  # an image is positive when the probability of the class reaches it
    validation: dict[str, float]  # sensitivity and specificity where the threshold was chosen
    prevalence: float  # of the images that are scored
    measures: dict[str, Estimate]  # by the names in MEASURES
    assumed: float  # another prevalence; NaN: none was named
    at_assumed: dict[str, Estimate]  # PPV and NPV at that one, with this sensitivity and specificity

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON values; undefined numbers are None."""
        other = {name: one.as_dict() for name, one in self.at_assumed.items()}
        return {
            "threshold": _plain(self.threshold),
            "validation": {name: _plain(value) for name, value in self.validation.items()},
            "prevalence": _plain(self.prevalence),
            "measures": {name: one.as_dict() for name, one in self.measures.items()},
            "at_prevalence": None if isnan(self.assumed) else {"prevalence": self.assumed, **other},
        }


@dataclass(frozen=True)
class OperatingPoint:
    """What one candidate is worth at the thresholds of one goal."""

    goal: str  # as it was asked for
    classes: dict[str, ClassPoint]
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        classes = {name: point.as_dict() for name, point in self.classes.items()}
        return {"goal": self.goal, "classes": classes, "notes": list(self.notes)}


def choose_thresholds(
    goal: Goal, labels: Labels, probabilities: Floats, classes: Sequence[str], told: Sequence[int]
) -> Thresholds:
    """Choose on validation images, for each class in `told`, the threshold that meets the goal.

    Any threshold between two neighbouring probabilities decides alike: 0.5 if it lies between them, else the middle.
    Where the images show the class in none or in all, or no threshold that finds any meets the goal, it is NaN.
    """
    shown, known = indicator(labels, len(classes)), known_labels(labels, len(classes))
    values = np.full(len(classes), nan)
    none, missed, few = list[str](), list[str](), list[str]()
    for c in told:
        there, given = shown[known[:, c], c], probabilities[known[:, c], c]
        if not there.any() or there.all():
            none.append(repr(classes[c]))
            continue
        values[c] = _threshold(goal, there, given)
        if isnan(values[c]):
            missed.append(repr(classes[c]))
        elif (those := _asks_for_all(goal, there)) is not None:
            few.append(f"{classes[c]!r} ({those})")
    reached = rates(labels, probabilities, [np.ones((1, len(labels)))], values)
    notes = [f"Thresholds for {goal} were chosen on {count(len(labels), 'validation image')}."]
    if none:
        notes.append(f"Validation images show {shown_list(none)} in none or in all: no threshold can be chosen there.")
    if missed:
        notes.append(f"For {shown_list(missed)} no threshold reaches {goal} on validation images and still finds any.")
    if few:
        kind = "show the class" if goal.measure == "sensitivity" else "do not show the class"
        notes.append(f"So few validation images {kind} that {goal} asks for all of them: {shown_list(few)}.")
    return Thresholds(goal, values, {name: reached[name][0] for name in ("sensitivity", "specificity")}, tuple(notes))


def _threshold(goal: Goal, shown: NDArray[np.bool_], given: Floats) -> float:
    """Return the threshold for a class that some of the images [K] show and some do not."""
    cuts = cuts_of(shown, given)
    found = {
        "sensitivity": cuts.hits / shown.sum(),
        "specificity": 1 - (cuts.chosen - cuts.hits) / (~shown).sum(),
    }
    score = found["sensitivity"] + found["specificity"]
    if goal.measure != "youden":
        other = "specificity" if goal.measure == "sensitivity" else "sensitivity"
        score = np.where(found[goal.measure] >= goal.at_least - 1e-12, found[other], -1.0)
    best = score.max()
    if best < 0 or not cuts.hits[score >= best - 1e-12].any():
        return nan
    return cuts.usual(score >= best - 1e-12)


def _asks_for_all(goal: Goal, shown: NDArray[np.bool_]) -> int | None:
    """Return how many images the goal is about, where they are so few that none may be missed; else None."""
    those = int(shown.sum()) if goal.measure == "sensitivity" else int((~shown).sum())
    return those if goal.at_least < 1 and those * (1 - goal.at_least) < 1 - 1e-9 else None


def rates(
    labels: Labels,
    probabilities: Floats,
    weights: Iterable[Floats],
    thresholds: Floats,
    assumed: Floats | None = None,
) -> dict[str, Floats]:
    """Return the MEASURES, each [R, C], under weights (chunks [r, N]) at thresholds [C].

    With a prevalence [C] that is `assumed`, also `ppv_assumed` and `npv_assumed` (Bayes). What is undefined is NaN; a
    likelihood ratio is infinite where nothing is alarmed at falsely (LR+), or nothing rightly let pass (LR−).
    """
    classes = probabilities.shape[1]
    shown, known = indicator(labels, classes), known_labels(labels, classes)
    chosen = probabilities >= thresholds
    cells = [shown & chosen, shown & ~chosen, known & ~shown & chosen, known & ~shown & ~chosen]
    undefined, chunks = np.isnan(thresholds), list[dict[str, Floats]]()
    for chunk in weights:
        hit, miss, alarm, rest = (np.where(undefined, 0.0, chunk @ cell) for cell in cells)  # [r, C]
        sensitivity, specificity = ratio(hit, hit + miss), ratio(rest, rest + alarm)
        values = {
            "sensitivity": sensitivity,
            "specificity": specificity,
            "ppv": ratio(hit, hit + alarm),
            "npv": ratio(rest, rest + miss),
            "lr_plus": _likelihood_ratio(sensitivity, 1 - specificity, alarm),
            "lr_minus": _likelihood_ratio(1 - sensitivity, specificity, rest),
        }
        if assumed is not None:
            found, alarmed = sensitivity * assumed, (1 - specificity) * (1 - assumed)
            passed, missed = specificity * (1 - assumed), (1 - sensitivity) * assumed
            values |= {"ppv_assumed": ratio(found, found + alarmed), "npv_assumed": ratio(passed, passed + missed)}
        chunks.append(values)
    return {name: np.concatenate([values[name] for values in chunks]) for name in chunks[0]} if chunks else {}


def _likelihood_ratio(numerator: Floats, denominator: Floats, images: Floats) -> Floats:
    """Return the quotient; infinite where the denominator is of no image, NaN where the numerator is 0 then too."""
    with np.errstate(divide="ignore", invalid="ignore"):
        quotient: Floats = np.where(images > 0, numerator / denominator, np.where(numerator > 0, np.inf, nan))
    return np.where(np.isnan(denominator), nan, quotient)


def operating_point(
    chosen: Thresholds,
    labels: Labels,
    probabilities: Floats,
    classes: Sequence[str],
    told: Sequence[int],
    *,
    assumed: Floats | None = None,
    groups: Sequence[str] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> OperatingPoint:
    """Score the classes in `told` at thresholds that were chosen before, with 95 % bootstrap percentile intervals.

    Labels and probabilities [N, C], groups, resamples and seed are as in `metrics.score`. `assumed` [C] is another
    prevalence of each class, NaN where none is. A likelihood ratio is left out where it is infinite, and its interval
    where that has no end.
    """
    labels, probabilities = against_rest(labels, told), probabilities[:, told]  # [N, T]
    thresholds, other = chosen.values[told], np.full(len(told), nan) if assumed is None else assumed[told]
    weights = resample_weights(draw_units(len(labels), groups), resamples=resamples, seed=seed)
    once = rates(labels, probabilities, [np.ones((1, len(labels)))], thresholds, other)
    many = rates(labels, probabilities, weights, thresholds, other)
    shares = ratio((labels == 1).sum(axis=0).astype(np.float64), (labels >= 0).sum(axis=0).astype(np.float64))
    found = {name: _estimates(once[name], many.get(name)) for name in once}
    points = {
        classes[c]: ClassPoint(
            threshold=float(thresholds[i]),
            validation={name: float(values[c]) for name, values in chosen.reached.items()},
            prevalence=float(shares[i]),
            measures={name: found[name][i] for name in MEASURES},
            assumed=float(other[i]),
            at_assumed={name: found[f"{name}_assumed"][i] for name in ASSUMED},
        )
        for i, c in enumerate(told)
    }
    return OperatingPoint(str(chosen.goal), points, (*chosen.notes, *_notes(points, resampled=bool(many))))


def _estimates(value: Floats, resampled: Floats | None) -> list[Estimate]:
    """Return a class's value with its interval, for values [1, C] and [R, C]; NaN for what has no end."""
    ends = np.full((2, value.shape[1]), nan)
    if resampled is not None:
        with np.errstate(invalid="ignore"):  # of what is infinite
            ends = intervals(resampled)
    whole = np.isfinite(value[0]) & np.isfinite(ends).all(axis=0)
    ends = np.where(whole, ends, nan)
    values = np.where(np.isfinite(value[0]), value[0], nan)
    return [Estimate(*map(float, row)) for row in zip(values, *ends, strict=True)]


def _notes(points: dict[str, ClassPoint], *, resampled: bool) -> list[str]:
    notes = []
    for kind, why in (("lr_plus", "no false alarm"), ("lr_minus", "no image without the class that passes")):
        of = {name: point.measures[kind] for name, point in points.items() if not isnan(point.threshold)}
        endless = [repr(name) for name, one in of.items() if isnan(one.value)]
        cut = [repr(name) for name, one in of.items() if resampled and isnan(one.low) and not isnan(one.value)]
        if endless:
            notes.append(f"{MEASURES[kind]} is not given where there is {why}: {shown_list(endless)}.")
        if cut:
            notes.append(f"{MEASURES[kind]} has no interval where there is {why} in many resamples: {shown_list(cut)}.")
    sure = [
        repr(name)
        for name, point in points.items()
        if any(point.measures[kind].value in (0.0, 1.0) for kind in ("sensitivity", "specificity"))
    ]
    if sure and resampled:
        notes.append(
            "A sensitivity or specificity of 0 or 1 has no width under the bootstrap, and is no certainty: of n images "
            f"the true one may be 3/n away (Hanley and Lippman-Hand 1983): {shown_list(sure)}."
        )
    return notes


def _plain(value: float) -> float | None:
    return None if isnan(value) else value
