"""Scores by subgroup, and what their gaps may mean."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import f1_score, roc_auc_score

from cass_cli.scores.subgroups import NOT_KNOWN, bands, subgroup_scores

CLASSES = ("benign", "malignant")


def drawn(
    rng: np.random.Generator, images: int, right: tuple[float, float], *, each: int = 1
) -> tuple[np.ndarray, np.ndarray, list[str], list[str]]:
    """Labels, probabilities, sex ("f" or "m", answered rightly as often as `right` says) and patient of images."""
    units = images // each
    sex = rng.integers(2, size=units)
    labels = rng.integers(2, size=units)
    hit = rng.random(units) < np.array(right)[sex]
    p = np.where(hit == (labels == 1), rng.uniform(0.5, 1, units), rng.uniform(0, 0.5, units))
    given = np.stack([1 - p, p], axis=1).repeat(each, axis=0)
    patients = [f"p{unit}" for unit in range(units) for _ in range(each)]
    return labels.repeat(each), given, ["fm"[s] for s in sex.repeat(each)], patients


def test_each_group_is_scored_as_scikit_learn_scores_it_alone() -> None:
    labels, given, sex, _ = drawn(np.random.default_rng(0), 400, (0.9, 0.6))
    sex[:5] = [""] * 5
    found = subgroup_scores(labels, given, CLASSES, sex, metric="macro_f1", resamples=50)
    assert list(found.groups) == ["f", "m", NOT_KNOWN]
    for name, cell in (("f", "f"), ("m", "m")):
        rows = np.array(sex) == cell
        metrics = found.groups[name].metrics
        assert found.groups[name].images == int(rows.sum())
        assert metrics["macro_f1"].value == pytest.approx(
            f1_score(labels[rows], given[rows].argmax(axis=1), average="macro")
        )
        assert metrics["auroc"].value == pytest.approx(roc_auc_score(labels[rows], given[rows, 1]))
        assert metrics["macro_f1"].low < metrics["macro_f1"].value < metrics["macro_f1"].high
    assert (found.best, found.worst) == ("f", "m")
    assert found.gap.value == pytest.approx(
        found.groups["f"].metrics["macro_f1"].value - found.groups["m"].metrics["macro_f1"].value
    )
    assert found.chance < 0.05
    assert found.groups[NOT_KNOWN].small


def test_the_worst_by_an_error_is_the_largest() -> None:
    labels, given, sex, _ = drawn(np.random.default_rng(0), 400, (0.9, 0.6))
    found = subgroup_scores(labels, given, CLASSES, sex, metric="ece", resamples=20)
    assert (found.best, found.worst) == ("f", "m")
    assert found.gap.value < 0


@pytest.mark.parametrize("each", [1, 5])
def test_without_a_difference_chance_is_as_often_small_as_it_says(each: int) -> None:
    """A permutation of images where patients are what varies would call chance a finding."""
    rng, hits, alone, runs = np.random.default_rng(3), 0, 0, 80
    for _ in range(runs):
        labels, given, sex, patients = drawn(rng, 200, (0.8, 0.8), each=each)
        found = subgroup_scores(labels, given, CLASSES, sex, metric="accuracy", units_of=patients, resamples=60)
        hits += found.chance <= 0.1
        if each > 1:
            alone += subgroup_scores(labels, given, CLASSES, sex, metric="accuracy", resamples=60).chance <= 0.1
    assert hits <= 0.2 * runs
    assert each == 1 or alone > 0.2 * runs


def test_the_interval_of_the_gap_holds_the_true_one() -> None:
    rng, held, runs = np.random.default_rng(4), 0, 80
    for _ in range(runs):
        labels, given, sex, patients = drawn(rng, 600, (0.9, 0.7), each=2)
        found = subgroup_scores(labels, given, CLASSES, sex, metric="accuracy", units_of=patients, resamples=100)
        held += found.gap.low <= 0.2 <= found.gap.high
    assert held >= 0.86 * runs


def test_small_groups_are_told_and_not_called_the_worst() -> None:
    labels, given, sex, _ = drawn(np.random.default_rng(0), 200, (0.9, 0.9))
    sex[:20] = ["x"] * 20
    given[:20] = given[:20, ::-1].copy()
    found = subgroup_scores(labels, given, CLASSES, sex, metric="accuracy", resamples=20)
    assert found.groups["x"].small
    assert "x" not in (found.best, found.worst)
    one = subgroup_scores(labels, given, CLASSES, ["a"] * 200, metric="accuracy", resamples=20)
    assert (one.best, one.worst) == ("", "")
    assert np.isnan(one.gap.value)


def test_a_group_that_lacks_a_class_says_so() -> None:
    labels, given, _, _ = drawn(np.random.default_rng(0), 200, (0.9, 0.9))
    found = subgroup_scores(labels, given, CLASSES, ["ab"[c] for c in labels], metric="accuracy", resamples=0)
    assert found.groups["a"].lacks == ("malignant",)
    assert found.groups["b"].lacks == ("benign",)
    assert np.isnan(found.gap.low)
    assert np.isnan(found.chance)


def test_bands() -> None:
    years = [str(age) for age in range(0, 90, 3)] + [""]
    assert set(bands("age", years)) == {"< 18", "18 to < 40", "40 to < 65", "≥ 65", ""}
    assert bands("age_approx", ["17.9", "18", *years])[:2] == ["< 18", "18 to < 40"]
    quarters = bands("kVp", [str(value) for value in range(100)])
    assert [quarters.count(name) for name in dict.fromkeys(quarters)] == [25, 25, 25, 25]
    assert bands("site", ["b", "a", ""]) == ["b", "a", ""]
    assert bands("grade", ["1", "2", "3"] * 9) == ["1", "2", "3"] * 9
    assert bands("code", [*map(str, range(30)), "x"]) == [*map(str, range(30)), "x"]  # not all of them numbers
