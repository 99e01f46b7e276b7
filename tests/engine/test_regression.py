"""The probe's regression, against scikit-learn's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, f1_score

from cass_cli.engine import regression
from cass_cli.engine.regression import STRENGTHS, USUAL, Regression, fit_regression


def features(n: int, width: int, *, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(n, width)) * np.linspace(3, 0.1, width) + 1).astype(np.float32)


def standardised(x: np.ndarray, widths: list[int]) -> np.ndarray:
    """As the module's text says it, by other means."""
    z = (x - x.mean(axis=0)) / x.std(axis=0)
    layers = np.split(z, np.cumsum(widths)[:-1], axis=1)
    return np.concatenate([layer / np.sqrt(layer.shape[1] * len(layers)) for layer in layers], axis=1)


def logits(fitted: Regression, x: np.ndarray) -> np.ndarray:
    return np.asarray(x @ fitted.weight.T + fitted.bias)


def centred(z: np.ndarray) -> np.ndarray:
    return z - z.mean(axis=1, keepdims=True)


@pytest.mark.parametrize(("n", "width"), [(150, 40), (60, 200)])
@pytest.mark.parametrize("classes", [2, 4])
def test_it_is_scikit_learns_regression(n: int, width: int, classes: int) -> None:
    x, widths = features(n, width), [width // 4, width - width // 4]
    y = x[:, :classes].argmax(axis=1)
    y[: n // 3] = 0  # uneven classes
    fitted = fit_regression(x, y, classes, widths=widths)
    z = standardised(x.astype(np.float64), widths)
    strength = fitted.inverse_l2 * (2 if classes == 2 else 1)  # theirs has one weight vector for two classes, not two
    model = LogisticRegression(C=strength, class_weight="balanced", max_iter=10_000, tol=1e-8).fit(z, y)
    theirs = model.decision_function(z)
    theirs = np.stack([-theirs / 2, theirs / 2], axis=1) if classes == 2 else theirs
    assert np.abs(centred(logits(fitted, x)) - centred(theirs)).max() < 0.01 * np.abs(theirs).max()


@pytest.mark.parametrize(("n", "width"), [(150, 40), (60, 200)])
def test_multilabel_is_a_regression_a_class(n: int, width: int) -> None:
    x = features(n, width)
    labels = (x[:, :3] > 2).astype(np.uint8)
    fitted = fit_regression(x, labels, 3, widths=[width])
    z = standardised(x.astype(np.float64), [width])
    for c in range(3):
        model = LogisticRegression(C=fitted.inverse_l2, class_weight="balanced", max_iter=10_000, tol=1e-8)
        theirs = model.fit(z, labels[:, c]).decision_function(z)
        assert np.abs(logits(fitted, x)[:, c] - theirs).max() < 0.01 * np.abs(theirs).max()


@pytest.mark.parametrize(("n", "width"), [(150, 40), (60, 200)])
def test_a_class_is_fitted_on_the_images_whose_label_is_known(n: int, width: int) -> None:
    x = features(n, width)
    labels = (x[:, :3] > 2).astype(np.int8)
    hidden = np.where(np.random.default_rng(1).random(labels.shape) < [0.1, 0.3, 0.5], -1, labels).astype(np.int8)
    fitted = fit_regression(x, hidden, 3, widths=[width])
    z = standardised(x.astype(np.float64), [width])
    for c in range(3):
        known = hidden[:, c] >= 0
        model = LogisticRegression(C=fitted.inverse_l2, class_weight="balanced", max_iter=10_000, tol=1e-8)
        theirs = model.fit(z[known], labels[known, c]).decision_function(z)
        assert np.abs(logits(fitted, x)[:, c] - theirs).max() < 0.01 * np.abs(theirs).max()


def test_folds_are_fitted_and_scored_on_known_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    x, fold = features(120, 10), np.arange(120) % 5
    labels = (x[:, :2] + np.random.default_rng(1).normal(size=(120, 2)) > 1).astype(np.int8)
    hidden = np.where(np.random.default_rng(2).random(labels.shape) < 0.3, -1, labels).astype(np.int8)
    monkeypatch.setattr(regression, "fold_numbers", lambda *_args, **_kwargs: fold)
    fitted = fit_regression(x, hidden, 2, widths=[10])
    z, precision = standardised(x.astype(np.float64), [10]), []
    for c in range(2):
        given, known = np.zeros(120), hidden[:, c] >= 0
        for k in range(5):
            model = LogisticRegression(C=10.0, class_weight="balanced", max_iter=10_000, tol=1e-8)
            seen = known & (fold != k)
            given[fold == k] = model.fit(z[seen], labels[seen, c]).decision_function(z[fold == k])
        precision.append(average_precision_score(labels[known, c], given[known]))
    assert fitted.scores[10.0] == pytest.approx(np.mean(precision), abs=0.02)


def test_a_class_of_which_nothing_is_known_is_taken_for_absent_and_disturbs_no_other() -> None:
    x = features(60, 8)
    labels = (x[:, :1] > 2).astype(np.int8)
    alone = fit_regression(x, np.concatenate([labels, 0 * labels], axis=1), 2, widths=[8])
    beside = fit_regression(x, np.concatenate([labels, 0 * labels - 1], axis=1), 2, widths=[8])
    assert np.allclose(logits(beside, x)[:, 0], logits(alone, x)[:, 0], atol=1e-3)
    assert (logits(beside, x)[:, 1] < -5).all()


def test_a_wide_layer_counts_no_more_than_a_narrow_one() -> None:
    """Doubling the columns of a layer says nothing new, so that the answers stay."""
    x = features(80, 12)
    y = (x[:, 0] + x[:, 8] > 2).astype(np.int64)
    once = fit_regression(x, y, 2, widths=[8, 4])
    doubled = np.concatenate([x[:, :8], x[:, 8:], x[:, 8:]], axis=1)
    twice = fit_regression(doubled, y, 2, widths=[8, 8])
    as_one = fit_regression(x, y, 2, widths=[12])
    answers = logits(once, x)
    little = 0.01 * np.abs(answers).max()
    assert np.abs(answers - logits(twice, doubled)).max() < little
    assert np.abs(answers - logits(as_one, x)).max() > little


def test_constant_features_and_unseen_classes_do_no_harm() -> None:
    x = features(40, 6)
    x[:, 2] = 1e6
    y = np.where(x[:, 0] > 1, 3, 1)
    fitted = fit_regression(x, y, 5, widths=[6])
    assert np.isfinite(fitted.weight).all()
    assert set(logits(fitted, x).argmax(axis=1)) <= {1, 3}
    assert not fitted.weight[:, 2].any()
    labels = np.zeros((40, 2), dtype=np.uint8)
    labels[:, 1] = 1  # a label that none and one that all images have
    answers = logits(fit_regression(x, labels, 2, widths=[6]), x)
    assert (answers[:, 0] < -5).all()
    assert (answers[:, 1] > 5).all()


def test_few_labels_keep_the_usual_strength_and_clear_differences_do_not() -> None:
    choose = regression._choose
    scores = dict.fromkeys(STRENGTHS, 0.5) | {3.0: 0.55}
    assert choose(scores, 25) == USUAL  # the standard error of .55 is .1
    assert choose(scores, 2500) == 3.0  # .01
    assert choose({}, 0) == USUAL
    assert choose(dict.fromkeys(STRENGTHS, float("nan")), 9) == USUAL


def test_the_folds_score_what_cross_validation_by_hand_does(monkeypatch: pytest.MonkeyPatch) -> None:
    x = features(120, 10)
    y = (x[:, 0] + np.random.default_rng(1).normal(size=120) > 1).astype(np.int64)
    fold = np.arange(120) % 5
    monkeypatch.setattr(regression, "fold_numbers", lambda *_args, **_kwargs: fold)
    fitted = fit_regression(x, y, 2, widths=[10])
    z, chosen = standardised(x.astype(np.float64), [10]), np.zeros(120)
    for k in range(5):
        model = LogisticRegression(C=20.0, class_weight="balanced", max_iter=10_000, tol=1e-8)
        chosen[fold == k] = model.fit(z[fold != k], y[fold != k]).predict(z[fold == k])
    assert fitted.scores[10.0] == pytest.approx(f1_score(y, chosen, average="macro"), abs=0.02)


def test_groups_are_held_out_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten copies of each image, with chance labels: only folds that part copies find them predictable."""
    rng = np.random.default_rng(0)
    x = np.repeat(features(24, 30), 10, axis=0) + rng.normal(size=(240, 30)).astype(np.float32) * 1e-3
    y = np.repeat(rng.permutation(np.arange(24) % 2), 10)
    groups = [f"g{i // 10}" for i in range(240)]
    apart = fit_regression(x, y, 2, widths=[30])
    together = fit_regression(x, y, 2, widths=[30], groups=groups)
    assert max(apart.scores.values()) > 0.9
    assert max(together.scores.values()) < 0.75


def test_of_many_images_a_few_folds_say_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    x = features(100, 5)
    y = (x[:, 0] > 1).astype(np.int64)
    seen: list[int] = []
    real: Any = regression._solve

    def watch(problem: Any, *rest: Any) -> Any:
        seen.append(problem.fits)
        return real(problem, *rest)

    monkeypatch.setattr(regression, "_solve", watch)
    fit_regression(x, y, 2, widths=[5])
    monkeypatch.setattr(regression, "ENOUGH", 30)
    fit_regression(x, y, 2, widths=[5])
    assert (seen[0], seen[-1]) == (6, 3)  # five folds, or two, and the fit on everything


def test_where_a_fold_is_much_work_one_has_to_say_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    x = features(100, 5)
    y = (x[:, 0] > 1).astype(np.int64)
    monkeypatch.setattr(regression, "MOST_WORK", 3 * 100 * 5 * 2)  # for two folds and the fit on everything
    assert regression._problem(x, y, 2, None, 0).fits == 3
    monkeypatch.setattr(regression, "MOST_WORK", 1)
    assert regression._problem(x, y, 2, None, 0).fits == 2
    assert set(fit_regression(x, y, 2, widths=[5]).scores) == set(regression.STRENGTHS)


@pytest.mark.parametrize(("n", "width"), [(150, 40), (60, 200)])
def test_many_images_of_many_features_are_fitted_without_their_axes(
    n: int, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = features(n, width)
    y = x[:, :3].argmax(axis=1)
    by_axes = logits(fit_regression(x, y, 3, widths=[width]), x)
    monkeypatch.setattr(regression, "MOST_AXES", 10)
    directly = logits(fit_regression(x, y, 3, widths=[width]), x)
    assert np.abs(by_axes - directly).max() < 0.02 * np.abs(by_axes).max()


@pytest.mark.parametrize("multilabel", [False, True])
def test_images_of_a_single_group_are_fitted_though_none_can_be_held_out(multilabel: bool) -> None:
    x = features(12, 5)
    labels: Any = (x[:, 0] > 1).astype(np.int64)
    labels = np.stack([labels, 1 - labels], axis=1).astype(np.uint8) if multilabel else labels
    fitted = fit_regression(x, labels, 2, widths=[5], groups=["one patient"] * 12)
    assert (fitted.inverse_l2, fitted.scores) == (USUAL, {})
    answers = logits(fitted, x)
    assert np.isfinite(answers).all()
    assert (answers.argmax(axis=1) == (labels.argmax(axis=1) if multilabel else labels)).mean() > 0.9


def test_one_image_a_class_can_be_fitted() -> None:
    x = features(3, 20)
    fitted = fit_regression(x, np.array([0, 1, 2]), 3, widths=[20])
    assert fitted.inverse_l2 == USUAL
    assert (logits(fitted, x).argmax(axis=1) == [0, 1, 2]).all()
