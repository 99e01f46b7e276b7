from __future__ import annotations

import json
from math import isnan, nan

import numpy as np
import pytest
import sklearn.metrics as sk

from cass_cli.errors import ConfigError
from cass_cli.scores.goals import Asked, Goal, read_asked
from cass_cli.scores.operating import (
    MEASURES,
    ClassPoint,
    OperatingPoint,
    Thresholds,
    choose_thresholds,
    operating_point,
    rates,
)

SENSITIVE, SPECIFIC, YOUDEN = Goal("sensitivity", 0.95), Goal("specificity", 0.9), Goal("youden")


def at(threshold: float, classes: int = 2) -> Thresholds:
    """Thresholds as if validation had chosen them."""
    values = np.full(classes, threshold)
    return Thresholds(YOUDEN, values, dict.fromkeys(("sensitivity", "specificity"), values * nan), ())


def binary(images: int, seed: int = 0, shift: float = 1.5) -> tuple[np.ndarray, np.ndarray]:
    """Labels [N] and probabilities [N, 2] of which the second is a normal score that is `shift` higher for class 1."""
    rng = np.random.default_rng(seed)
    labels = (rng.random(images) < 0.3).astype(int)
    p = 1 / (1 + np.exp(-rng.normal(shift * labels, 1)))
    return labels, np.stack([1 - p, p], axis=1)


def point(found: OperatingPoint) -> ClassPoint:
    (one,) = found.classes.values()
    return one


def test_the_worked_example_of_altman_and_bland() -> None:
    """BMJ 1994, 308:1552 and 309:102: a liver scan of 344 patients, and the same scan where a quarter are ill."""
    labels = np.repeat([1, 1, 0, 0], [231, 27, 32, 54])
    positive = np.repeat([0.9, 0.1, 0.9, 0.1], [231, 27, 32, 54])
    p = np.stack([1 - positive, positive], axis=1)
    found = point(operating_point(at(0.5), labels, p, "ab", [1], assumed=np.array([nan, 0.25]), resamples=0))
    values = {name: round(one.value, 2) for name, one in found.measures.items()}
    assert values == {"sensitivity": 0.90, "specificity": 0.63, "ppv": 0.88, "npv": 0.67} | {
        "lr_plus": round(231 / 258 / (32 / 86), 2),
        "lr_minus": round(27 / 258 / (54 / 86), 2),
    }
    assert found.prevalence == 258 / 344
    assert {name: round(one.value, 2) for name, one in found.at_assumed.items()} == {"ppv": 0.45, "npv": 0.95}


@pytest.mark.parametrize("several", [False, True])
def test_rates_are_those_of_scikit_learn_under_every_weight(several: bool) -> None:
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(3), size=80).round(2)
    labels = rng.integers(-1, 2, (80, 3)).astype(np.int8) if several else rng.integers(3, size=80)
    thresholds, weights = np.array([0.2, 0.5, 0.34]), rng.integers(0, 3, (6, 80)).astype(float)
    found = rates(labels, p, [weights[:4], weights[4:]], thresholds)
    for c in range(3):
        shown = labels[:, c] if several else (labels == c).astype(int)
        known, chosen = shown >= 0, p[:, c] >= thresholds[c]
        for r, weight in enumerate(weights):
            y, d, w = shown[known], chosen[known], weight[known]
            plus, minus = sk.class_likelihood_ratios(y, d, sample_weight=w)
            assert {name: found[name][r, c] for name in MEASURES} == pytest.approx(
                {
                    "sensitivity": sk.recall_score(y, d, sample_weight=w),
                    "specificity": sk.recall_score(y, d, pos_label=0, sample_weight=w),
                    "ppv": sk.precision_score(y, d, sample_weight=w),
                    "npv": sk.precision_score(y, d, pos_label=0, sample_weight=w),
                    "lr_plus": plus,
                    "lr_minus": minus,
                }
            )


def test_another_prevalence_is_another_share_of_the_same_images() -> None:
    """Weighing classes so that one is as frequent as assumed gives the predictive values that Bayes gives."""
    labels, p = binary(500)
    share = 0.02
    weight = np.where(labels == 1, share / (labels == 1).sum(), (1 - share) / (labels == 0).sum())[None]
    weighed = rates(labels, p, [weight], np.full(2, 0.6))
    assumed = rates(labels, p, [np.ones((1, 500))], np.full(2, 0.6), np.array([1 - share, share]))
    for name in ("ppv", "npv"):
        np.testing.assert_allclose(assumed[f"{name}_assumed"], weighed[name])


@pytest.mark.parametrize("goal", [SENSITIVE, SPECIFIC, YOUDEN, Goal("sensitivity", 1.0)], ids=str)
def test_no_other_threshold_meets_the_goal_better(goal: Goal) -> None:
    for seed in range(12):
        labels, p = binary(60, seed)
        p = p.round(1 + seed % 3)
        chosen = choose_thresholds(goal, labels, p, "ab", [1])
        mine = chosen.reached["sensitivity"][1], chosen.reached["specificity"][1]
        every = []
        for t in np.unique([*p[:, 1], chosen.values[1]]):
            d = p[:, 1] >= t
            every.append((d[labels == 1].mean(), (~d)[labels == 0].mean()))
        assert mine in [pytest.approx(pair) for pair in every]
        if goal.measure == "youden":
            assert sum(mine) == pytest.approx(max(map(sum, every)))
        else:
            place = 0 if goal.measure == "sensitivity" else 1
            assert mine[place] >= goal.at_least
            assert mine[1 - place] == pytest.approx(
                max(pair[1 - place] for pair in every if pair[place] >= goal.at_least)
            )
        assert isnan(chosen.values[0])


def test_what_cannot_be_reached_is_said() -> None:
    labels = np.array([0] * 8 + [1] * 4)
    p = np.stack([np.linspace(0, 0.4, 12), np.full(12, 0.3), np.full(12, 0.3)], axis=1)
    p[:, 1] = np.linspace(0.9, 0.1, 12)  # what shows class 1 is least like it
    found = choose_thresholds(SPECIFIC, labels, p, "abc", [0, 1, 2])
    assert np.isnan(found.values).tolist() == [True, True, True]
    assert found.notes[0] == "Thresholds for specificity=0.9 were chosen on 12 validation images."
    assert "show 'c' in none or in all: no threshold" in found.notes[1]
    assert "For 'a', 'b' no threshold reaches specificity=0.9" in found.notes[2]
    some = choose_thresholds(Goal("specificity", 0.7), labels, p, "abc", [0])  # one of four may be alarmed at: alone
    assert np.isnan(some.values[0]) and "still finds any" in some.notes[1]
    few = choose_thresholds(SENSITIVE, labels, p, "abc", [1])
    assert few.reached["sensitivity"][1] == 1
    assert few.notes[1].endswith("asks for all of them: 'b' (4).")
    enough = choose_thresholds(Goal("sensitivity", 0.75), labels, p, "abc", [1])
    assert len(enough.notes) == 1


def test_of_no_validation_image_there_is_no_threshold_and_all_is_undefined() -> None:
    nothing = choose_thresholds(SENSITIVE, np.zeros(0, int), np.zeros((0, 2)), "ab", [1])
    labels, p = binary(40)
    found = operating_point(nothing, labels, p, "ab", [1], resamples=20)
    one = point(found)
    assert all(isnan(estimate.value) and isnan(estimate.low) for estimate in one.measures.values())
    told = json.loads(json.dumps(found.as_dict(), allow_nan=False))["classes"]["b"]
    assert told["threshold"] is None and told["measures"]["ppv"] == {"value": None, "low": None, "high": None}
    assert told["prevalence"] == pytest.approx(labels.mean())


def test_the_threshold_of_the_split_that_is_scored_does_not_matter() -> None:
    """A threshold is validation's: turned labels of the split change what it is worth, never where it lies."""
    validation, split = binary(200, 1), binary(200, 2)
    chosen = choose_thresholds(YOUDEN, *validation, "ab", [1])
    first, second = (
        point(operating_point(chosen, y, split[1], "ab", [1], resamples=0)) for y in (split[0], 1 - split[0])
    )
    assert first.threshold == second.threshold == chosen.values[1]
    assert first.validation == second.validation
    assert first.measures != second.measures


def test_infinite_likelihood_ratios_are_left_out_and_said() -> None:
    labels = np.repeat([0, 1], [30, 30])
    positive = np.r_[np.full(29, 0.1), 0.9, np.full(30, 0.9)]
    p = np.stack([1 - positive, positive], axis=1)
    found = operating_point(at(0.5), labels, p, "ab", [1], resamples=400)
    plus = point(found).measures["lr_plus"]
    assert plus.value == pytest.approx(30)  # one false alarm of thirty: in a third of the resamples there is none
    assert isnan(plus.low) and isnan(plus.high)
    assert any("LR+ has no interval where there is no false alarm in many resamples: 'b'" in n for n in found.notes)
    assert any("3/n away" in note for note in found.notes)
    p[29] = [0.9, 0.1]
    without = operating_point(at(0.5), labels, p, "ab", [1], resamples=50)
    assert isnan(point(without).measures["lr_plus"].value)
    assert point(without).measures["lr_minus"].value == 0
    assert "LR+ is not given where there is no false alarm: 'b'." in without.notes
    json.dumps(without.as_dict(), allow_nan=False)


def covered(truth: float, ends: list[tuple[float, float]]) -> float:
    return float(np.mean([low <= truth <= high for low, high in ends]))


def test_intervals_cover_what_is_true() -> None:
    """Of a normal score with a known threshold sensitivity and specificity are known: Φ(1) and Φ(0.5)."""
    ends: dict[str, list[tuple[float, float]]] = {"sensitivity": [], "specificity": [], "ppv": []}
    for seed in range(300):
        labels, p = binary(300, seed)
        found = point(operating_point(at(1 / (1 + np.exp(-0.5))), labels, p, "ab", [1], resamples=200, seed=seed))
        for name, kept in ends.items():
            kept.append((found.measures[name].low, found.measures[name].high))
    sensitivity, specificity = 0.841345, 0.691462
    ppv = sensitivity * 0.3 / (sensitivity * 0.3 + (1 - specificity) * 0.7)
    for name, truth in {"sensitivity": sensitivity, "specificity": specificity, "ppv": ppv}.items():
        assert 0.90 < covered(truth, ends[name]) < 0.98, name


def test_intervals_over_patients_cover_where_those_over_images_do_not() -> None:
    rng = np.random.default_rng(0)
    kept: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
    for seed in range(150):
        labels = np.repeat((rng.random(80) < 0.5).astype(int), 6)
        score = np.repeat(rng.normal(0, 1, 80), 6) + rng.normal(0, 0.2, 480) + labels  # images of a patient are alike
        p = 1 / (1 + np.exp(-score))
        groups = [str(i // 6) for i in range(480)]
        for grouped, ends in kept.items():
            asked = {"groups": groups if grouped else None, "resamples": 200, "seed": seed}
            found = point(operating_point(at(0.5), labels, np.stack([1 - p, p], axis=1), "ab", [1], **asked))
            ends.append((found.measures["sensitivity"].low, found.measures["sensitivity"].high))
    truth = 0.836567  # Φ(1 / √1.04)
    assert covered(truth, kept[True]) > 0.88
    assert covered(truth, kept[False]) < 0.75


def test_the_positive_class() -> None:
    asked = Asked()
    assert asked.told("ab", multilabel=False) == [1]
    assert asked.told("ab", multilabel=True) == [0, 1]
    assert asked.told("abc", multilabel=False) == [0, 1, 2]
    assert Asked(positive="a").told("abc", multilabel=False) == [0]


def test_what_is_asked_for_is_read() -> None:
    asked = read_asked(["sensitivity=0.95", "youden", "youden"], "a=b", ["a=b=0.02"])
    assert asked.goals == (SENSITIVE, YOUDEN)
    assert list(map(str, asked.goals)) == ["sensitivity=0.95", "youden"]
    assert asked.assumed(("a=b", "c"), [0]).tolist() == [0.02, pytest.approx(nan, nan_ok=True)]
    assert read_asked(["youden"], None, ["0.1"]).assumed("ab", [1])[1] == 0.1


@pytest.mark.parametrize(("given", "said"), [
    ((["0.95"], None, None), "--operating-point 0.95 is none"),
    ((["sensitivity"], None, None), "--operating-point sensitivity is none"),
    ((["sensitivity=95"], None, None), "is none"),
    ((["specificity=nan"], None, None), "is none"),
    ((["youden=1"], None, None), "is none"),
    ((None, None, ["0.02"]), "none is asked for"),
    ((["youden"], None, ["2"]), "--prevalence 2 is no share"),
    ((["youden"], None, ["a=x"]), "--prevalence a=x is no share"),
])  # fmt: skip
def test_what_cannot_be_asked_for_is_refused(given: tuple[list[str], None, list[str]], said: str) -> None:
    with pytest.raises(ConfigError) as error:
        read_asked(*given)
    assert said in str(error.value)
    assert error.value.hint


@pytest.mark.parametrize(("asked", "said"), [
    (Asked(positive="melanom"), "Did you mean 'melanoma'"),
    (Asked(prevalence={"": 0.1}), "is of one class, and 3 are told of"),
    (Asked(prevalence={"x": 0.1}), "--prevalence names 'x', which is no class"),
    (Asked(positive="nevus", prevalence={"melanoma": 0.1}), "and 'nevus' is the positive class"),
])  # fmt: skip
def test_classes_that_are_not_told_of_are_refused(asked: Asked, said: str) -> None:
    classes = ("melanoma", "nevus", "scar")
    with pytest.raises(ConfigError) as error:
        asked.assumed(classes, asked.told(classes, multilabel=False))
    assert said in str(error.value)
