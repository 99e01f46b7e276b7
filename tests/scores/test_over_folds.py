"""Means over folds with the interval of Nadeau and Bengio (2003), tests on the same folds, and pooled scores."""

from __future__ import annotations

from math import isnan, nan, sqrt

import numpy as np
import pytest
from scipy import stats
from scipy.special import ndtr
from sklearn import metrics

from cass_cli.scores.over_folds import describe_fold_difference, paired_folds, pooled_scores, summarise_folds
from cass_cli.scores.over_seeds import summarise_seeds


def test_the_interval_is_the_corrected_t_interval() -> None:
    values, ratio = [0.81, 0.84, 0.79, 0.86, 0.80], 0.25
    found = summarise_folds(values, ratio)
    # by hand: t(0.975, 4) = 2.776, s = 0.029155, √(1/5 + 1/4) = 0.67082, so ± 0.054302
    assert (found.n, found.mean, found.std) == (5, pytest.approx(0.82), pytest.approx(0.029155, abs=1e-6))
    assert found.high - found.mean == pytest.approx(0.054302, abs=1e-5)
    scale = np.std(values, ddof=1) * sqrt(1 / 5 + ratio)
    assert (found.low, found.high) == pytest.approx(stats.t.interval(0.95, 4, loc=0.82, scale=scale))
    assert summarise_folds(values, 0.0) == summarise_seeds(values)  # without the correction


def test_the_paired_test_is_the_corrected_one_on_common_folds() -> None:
    first = {1: 0.81, 2: 0.84, 3: 0.79, 4: 0.86, 5: nan}
    second = {1: 0.78, 2: 0.80, 3: 0.78, 4: 0.85, 5: 0.5}
    found = paired_folds(first, second, 0.25)
    d = np.array([0.03, 0.04, 0.01, 0.01])
    t = d.mean() / (d.std(ddof=1) * sqrt(1 / 4 + 0.25))
    assert (found.n, found.difference) == (4, pytest.approx(d.mean()))
    assert found.t_p == pytest.approx(2 * stats.t.sf(t, 3))
    assert (found.low > 0) == (found.t_p < 0.05)
    assert found.t_p > stats.ttest_1samp(d, 0).pvalue, "the uncorrected test finds too much"


def test_what_cannot_be_tested_is_said() -> None:
    assert isnan(summarise_folds([0.7, nan], 0.25).low)
    assert isnan(summarise_folds([], 0.25).mean)
    same = paired_folds({1: 0.5, 2: 0.5}, {1: 0.5, 2: 0.5}, 0.25)
    assert same.t_p == 1
    assert "same macro F1 on all 2 folds" in describe_fold_difference(same, "A", "B", metric="macro F1", p=1)
    spreadless = paired_folds({1: 0.6, 2: 0.7}, {1: 0.5, 2: 0.6}, 0.25)
    assert "no test is possible" in describe_fold_difference(spreadless, "A", "B", metric="F1", p=spreadless.t_p)
    assert "no fold" in describe_fold_difference(paired_folds({}, {}, 1), "A", "B", metric="F1", p=nan)
    one = paired_folds({1: 0.6}, {1: 0.5}, 0.25)
    assert "allows no conclusion" in describe_fold_difference(one, "A", "B", metric="F1", p=nan)
    clear = paired_folds({1: 0.9, 2: 0.91, 3: 0.92}, {1: 0.5, 2: 0.52, 3: 0.51}, 0.5)
    assert "A is higher" in describe_fold_difference(clear, "A", "B", metric="F1", p=clear.t_p)
    assert "not distinguishable" in describe_fold_difference(clear, "A", "B", metric="F1", p=0.3)


def test_the_interval_covers_what_such_training_scores_where_the_plain_one_does_not() -> None:
    """Nearest means of two classes in 20 dimensions, 100 images, 5 folds: the true accuracy follows from the means."""
    rng = np.random.default_rng(0)
    folds, images, dimensions, sets = 5, 100, 20, 500
    labels = np.tile([0, 1], images // 2)
    fold = np.repeat(np.arange(folds), images // folds)
    shift = np.full(dimensions, 0.5 / sqrt(dimensions))
    scores, truth = np.empty((2, sets, folds))
    for i in range(sets):
        x = rng.normal(size=(images, dimensions)) + np.where(labels, 1, -1)[:, None] * shift
        for k in range(folds):
            train, test = fold != k, fold == k
            means = [x[train & (labels == c)].mean(axis=0) for c in (0, 1)]
            w, b = means[1] - means[0], -(means[1] - means[0]) @ (means[0] + means[1]) / 2
            scores[i, k] = ((x[test] @ w + b > 0) == labels[test]).mean()
            truth[i, k] = ndtr((w @ shift + np.array([b, -b])) / np.linalg.norm(w)).mean()
    target = truth.mean()

    def covered(ratio: float) -> float:
        found = [summarise_folds(list(values), ratio) for values in scores]
        return float(np.mean([one.low <= target <= one.high for one in found]))

    assert 0.93 <= covered(1 / (folds - 1)) <= 0.99
    assert covered(0.0) < covered(1 / (folds - 1)) - 0.04


def test_pooled_scores_are_those_of_all_answers_at_once() -> None:
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 3, 90)
    given = rng.dirichlet([1, 1, 1], 90) + np.eye(3)[labels] * 0.4
    given /= given.sum(axis=1, keepdims=True)
    found = pooled_scores(labels, given, resamples=200)
    assert found["macro_f1"].value == pytest.approx(metrics.f1_score(labels, given.argmax(axis=1), average="macro"))
    assert found["auroc"].value == pytest.approx(metrics.roc_auc_score(labels, given, multi_class="ovr"))
    assert found["macro_f1"].low < found["macro_f1"].value < found["macro_f1"].high
    alone = pooled_scores(labels, given, groups=["one"] * 90, resamples=200)
    assert isnan(alone["macro_f1"].low), "one group cannot vary"


def test_pooled_decisions_are_by_the_thresholds_of_each_images_fold() -> None:
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 2, (80, 3)).astype(np.int8)
    given = rng.random((80, 3))
    limits = np.where(np.arange(80) < 40, 0.3, 0.7)[:, None] * np.ones(3)
    found = pooled_scores(labels, given, thresholds=limits, resamples=50)
    assert found["macro_f1"].value == pytest.approx(metrics.f1_score(labels, given >= limits, average="macro"))
    assert found["macro_f1"].value != pytest.approx(metrics.f1_score(labels, given >= 0.5, average="macro"))
    right = pooled_scores((given >= limits).astype(np.int8), given, thresholds=limits, resamples=50)["macro_f1"]
    assert (right.low, right.value, right.high) == (1, 1, 1), "resamples are decided by them too"
