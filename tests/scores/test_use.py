from __future__ import annotations

import json
from math import isnan

import numpy as np
import pytest
import sklearn.metrics as sk
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from cass_cli.scores.recalibration import CLIP, slopes_and_intercepts
from cass_cli.scores.use import (
    MOST_TOLD,
    answered,
    area_and_risk,
    judge_use,
    net_benefit,
    precision_recall,
    risk_coverage,
)


def forty() -> tuple[np.ndarray, np.ndarray]:
    """Outcomes and probabilities [40] by a rule, so that other software can be given the same."""
    i = np.arange(40)
    p = np.round((i * 17 % 40 + 0.5) / 41, 3)
    return (i * i * 7 % 11) / 11 < 0.1 + 0.8 * p, p


def test_slope_and_intercept_are_those_of_statsmodels() -> None:
    """statsmodels 0.15.0: GLM of the binomial family on the logit, and on a constant with the logit as an offset.

    The second time with weights 0, 1, 2, 3, 0, … as its `freq_weights`.
    """
    shown, p = forty()
    weights = np.stack([np.ones(40), np.arange(40) % 4])
    for one in (slice(0, 1), slice(1, 2)):  # each alone is fitted to the end
        slope, intercept = slopes_and_intercepts(shown, p, weights[one])
        assert slope[0] == pytest.approx([0.43862142792623077, 1.1199011438849351][one.start], rel=1e-8)
        assert intercept[0] == pytest.approx([-0.5195845242464845, -0.2425925529443702][one.start], rel=1e-8)
    both = slopes_and_intercepts(shown, p, np.repeat(weights, 3, axis=0))  # resamples, far nearer than they differ
    np.testing.assert_allclose(both[0][[0, -1]], [0.4386214, 1.1199011], atol=1e-4)
    np.testing.assert_allclose(both[1][[0, -1]], [-0.5195845, -0.2425926], atol=1e-4)


def test_slopes_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    for scale, shift in ((0.3, 0), (2, -3), (6, 2)):
        x = rng.normal(shift, scale, 400)
        shown = rng.random(400) < expit(0.4 + 0.7 * x)
        reference = LogisticRegression(C=np.inf, tol=1e-12, max_iter=10_000).fit(x[:, None], shown)
        slope, intercept = slopes_and_intercepts(shown, expit(x), np.ones((1, 400)))
        assert slope[0] == pytest.approx(reference.coef_[0, 0], rel=1e-4)
        assert expit(x + intercept[0]).sum() == pytest.approx(shown.sum(), rel=1e-9)  # what defines it


def test_a_slope_that_has_no_end_is_undefined() -> None:
    p = np.array([0.0, 0.2, 0.4, 0.6, 0.8, 1.0])
    for shown in (p > 0.5, p < 0.5):
        slope, intercept = slopes_and_intercepts(shown, p, np.ones((1, 6)))
        assert isnan(slope[0]) and np.isfinite(intercept[0])
    slope, intercept = slopes_and_intercepts(np.ones(6, bool), p, np.ones((1, 6)))
    assert isnan(slope[0]) and isnan(intercept[0])
    slope, intercept = slopes_and_intercepts(p > 0.3, np.full(6, 0.5), np.ones((1, 6)))  # nothing to go by
    assert isnan(slope[0]) and intercept[0] == pytest.approx(logit(4 / 6))
    mixed = np.array([True, False] * 3)
    weights = np.array([[1, 1, 1, 1, 1, 1], [0, 0, 0, 0, 1, 1], [0, 1, 1, 0, 0, 1], [1, 0, 1, 0, 1, 0]], dtype=float)
    slope, intercept = slopes_and_intercepts(mixed, p, weights)  # all; apart; overlapping; of one outcome
    assert np.isnan(slope).tolist() == [False, True, False, True]
    assert np.isnan(intercept).tolist() == [False, False, False, True]
    assert CLIP > 0


def three(images: int = 300, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels [N] of three classes, and probabilities [N, 3] that are as they should be."""
    rng = np.random.default_rng(seed)
    p = rng.dirichlet((1.2, 0.8, 0.5), size=images)
    return (rng.random((images, 1)) > p.cumsum(axis=1)).sum(axis=1), p


def test_of_probabilities_that_are_right_slope_is_1_and_intercept_0() -> None:
    labels, p = three(40_000)
    found = judge_use(labels, p, "abc", [0, 1, 2], resamples=0)
    for one in found.per_class.values():
        assert one["slope"].value == pytest.approx(1, abs=0.04)
        assert one["intercept"].value == pytest.approx(0, abs=0.05)
    extreme = p**2 / (p**2).sum(axis=1, keepdims=True)
    assert all(
        one["slope"].value < 0.8 for one in judge_use(labels, extreme, "abc", [0, 1, 2], resamples=0).per_class.values()
    )


def test_each_class_against_the_rest_is_a_binary_answer() -> None:
    labels, p = three()
    whole = judge_use(labels, p, "abc", [0, 1, 2], resamples=50)
    for c, name in enumerate("abc"):
        assert whole.per_class[name]["brier"].value == pytest.approx(sk.brier_score_loss(labels == c, p[:, c]))
        other = judge_use((labels == c).astype(int), np.stack([1 - p[:, c], p[:, c]], axis=1), "xy", [1], resamples=50)
        for kind, one in other.per_class["y"].items():
            assert vars(one) == pytest.approx(vars(whole.per_class[name][kind]), rel=1e-6)


def test_unknown_labels_are_left_out() -> None:
    rng = np.random.default_rng(0)
    p = rng.random((200, 2))
    labels = (rng.random((200, 2)) < p).astype(np.int8)
    labels[:50, 0], labels[40:60, 1] = -1, -1
    found = judge_use(labels, p, "ab", [0, 1], resamples=0)
    assert found.per_class["a"]["brier"].value == pytest.approx(sk.brier_score_loss(labels[50:, 0], p[50:, 0]))
    alone = judge_use(labels[50:, :1], p[50:, :1], "a", [0], resamples=0)
    assert alone.per_class["a"]["slope"].value == pytest.approx(found.per_class["a"]["slope"].value)
    wrong = ((p >= 0.5) != (labels == 1)) & (labels >= 0)
    known = (labels >= 0).any(axis=1)
    assert found.risk.value == pytest.approx(wrong.any(axis=1)[known].mean())


def test_net_benefit_is_that_of_dcurves() -> None:
    """dcurves 1.1.7, `dca` at thresholds .1, .25, .5 and .75."""
    shown, p = forty()
    model, everyone = net_benefit(shown, p, np.array([0.1, 0.25, 0.5, 0.75]))
    np.testing.assert_allclose(model, [0.288889, 0.216667, 0.05, 0.025], atol=1e-6)
    np.testing.assert_allclose(everyone, [0.333333, 0.2, -0.2, -1.4], atol=1e-6)


@pytest.mark.parametrize("digits", [1, 9])
def test_precision_and_recall_are_those_of_scikit_learn(digits: int) -> None:
    labels, p = three()
    threshold, recall, precision = precision_recall(labels == 0, p[:, 0].round(digits))
    theirs = sk.precision_recall_curve(labels == 0, p[:, 0].round(digits))
    np.testing.assert_allclose(precision[::-1], theirs[0][:-1])
    np.testing.assert_allclose(recall[::-1], theirs[1][:-1])
    np.testing.assert_allclose(threshold[::-1], theirs[2])


def geifman(sure: np.ndarray, wrong: np.ndarray) -> float:
    """Geifman et al. 2019, Sec. 2: the mean over thresholds, one an image, of the risk of those that reach it."""
    return float(np.mean([wrong[sure >= threshold].mean() for threshold in sure]))


@pytest.mark.parametrize("digits", [1, 9])
def test_the_area_is_the_mean_risk_over_images_and_weights_are_repetitions(digits: int) -> None:
    labels, p = three(60)
    p = p.round(digits)
    weights = np.random.default_rng(1).integers(0, 3, (5, 60))
    area, risk = area_and_risk(answered(labels, p), weights.astype(float))
    for r, times in enumerate(weights):
        rows = np.repeat(np.arange(60), times)
        wrong = p[rows].argmax(axis=1) != labels[rows]
        assert area[r] == pytest.approx(geifman(p[rows].max(axis=1), wrong))
        assert risk[r] == pytest.approx(wrong.mean())


def test_the_curve_ends_at_the_risk_of_all_and_holds_the_area() -> None:
    labels, p = three(500)
    _, coverage, risk = risk_coverage(answered(labels, p))
    found = judge_use(labels, p, "abc", [0, 1, 2], resamples=0)
    assert (coverage[0], coverage[-1]) == (1 / 500, 1)
    assert risk[-1] == pytest.approx(found.risk.value) == pytest.approx(1 - sk.accuracy_score(labels, p.argmax(axis=1)))
    assert risk.mean() == pytest.approx(found.aurc.value)  # without ties
    assert found.aurc.value < found.risk.value  # it knows when it does not know


def test_intervals_cover_what_is_true() -> None:
    """A class whose logit is 1.4 times as large as it should be, and 0.5 too high: slope 1 / 1.4, and its intercept."""
    rng = np.random.default_rng(0)
    far = rng.normal(0, 1.5, 400_000)
    told = expit(1.4 * far + 0.5)
    truth = {
        "slope": 1 / 1.4,
        "intercept": float(
            slopes_and_intercepts(rng.random(len(far)) < expit(far), told, np.ones((1, len(far))))[1][0]
        ),
    }
    truth["brier"] = float((expit(far) * (1 - told) ** 2 + (1 - expit(far)) * told**2).mean())
    order = np.argsort(-np.maximum(told, 1 - told))
    wrong = np.where(told > 0.5, 1 - expit(far), expit(far))[order]
    truth["aurc"] = float((wrong.cumsum() / np.arange(1, len(far) + 1)).mean())
    held = dict.fromkeys(truth, 0)
    for seed in range(200):
        x = rng.normal(0, 1.5, 300)
        p = expit(1.4 * x + 0.5)
        y = (rng.random(300) < expit(x)).astype(int)
        found = judge_use(y, np.stack([1 - p, p], axis=1), "ab", [1], resamples=200, seed=seed)
        estimates = found.per_class["b"] | {"aurc": found.aurc}
        for name, value in truth.items():
            held[name] += estimates[name].low <= value <= estimates[name].high
    assert all(0.88 < count / 200 < 0.99 for count in held.values()), held


def test_what_is_undefined_or_rough_is_said_and_json_is_plain() -> None:
    labels, p = np.array([0] * 20 + [1] * 20), np.r_[np.linspace(0.1, 0.5, 20), np.linspace(0.49, 0.9, 20)]
    both = np.stack([1 - p, p, np.zeros(40)], axis=1)
    found = judge_use(labels, both, "abc", [0, 1, 2], resamples=200)
    assert isnan(found.per_class["c"]["slope"].value) and not isnan(found.per_class["b"]["slope"].value)
    assert "without an error: 'c'" in found.notes[0]
    assert "its interval is too narrow: 'a', 'b'" in found.notes[1]
    assert json.loads(json.dumps(found.as_dict(), allow_nan=False))["per_class"]["c"]["slope"]["value"] is None
    many = judge_use(
        labels, both[:, [0, 1] + [2] * MOST_TOLD], [str(i) for i in range(MOST_TOLD + 2)], range(MOST_TOLD + 2)
    )
    assert many.per_class == {} and "--positive" in many.notes[0]
    one = judge_use(labels[:1], both[:1], "abc", [0, 1, 2])
    assert one.risk.value == 0 and isnan(one.risk.low)
