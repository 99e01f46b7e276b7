"""L2-regularised logistic regression on features of frozen arms, its strength chosen within the labelled images.

    min over W, b    C · Σ_i w_i · loss(W x_i + b, y_i) + ½ ‖W‖²

Softmax for one class out of several, a sigmoid a class for multi-label. Classes count alike, however many images they
have: w_i = n / (classes · images of the class). x_i are features that are standardised on the labelled images and
scaled so that each layer counts alike, however wide it is, and ‖x_i‖² is 1 on average; so one range of C suits
every arm. Fitted by scikit-learn (L-BFGS).

C is the one with the best score on held-out folds, or the usual one where that is within a standard error of the best
(Breiman et al. 1984): from 25 labels cross-validation can tell little, from 2,500 more.

Legend: n labelled images, D features, r their rank, C classes.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from cass_cli.data.splits import Labels, fold_numbers
from cass_cli.scores.calibration import to_probabilities
from cass_cli.scores.values import metric_values

Array = NDArray[np.float64]

STRENGTHS = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0)  # tried values of C
USUAL = 30.0  # near the best with 1 % and 10 % of the labels of dermatoscopy and of brain MRI (validation images)
FOLDS = 5
ENOUGH = 2500  # held-out images: more folds than give these are not fitted
MAX_ITERATIONS = 500
TOLERANCE = 1e-3
CONSTANT = 1e-6  # standard deviation, as a share of the mean, below which a feature is rounding noise
UNSEEN = -30.0  # logit of a class that no labelled image shows


@dataclass(frozen=True)
class Regression:
    """A fitted regression: logits = weight · features + bias, for features as they were given."""

    weight: Array  # [C, D]
    bias: Array  # [C]
    inverse_l2: float  # scikit-learn's C
    scores: dict[float, float]  # of each C on held-out folds; {} where nothing could be held out


def fit_regression(
    features: NDArray[np.float32],
    labels: Labels,
    classes: int,
    *,
    widths: Sequence[int],
    groups: Sequence[str] | None = None,
    seed: int = 0,
) -> Regression:
    """Fit features fp32 [n, D] to labels: class indices [n], or 0/1 [n, C] for multi-label.

    `widths` are the features of each layer. Images of one of the `groups` are held out together. The folds are
    scored by macro F1, for multi-label by average precision, which needs no threshold.
    """
    mean, scale = _standardise(features, widths)
    x = (features - mean) * scale
    z, back = _row_space(x)
    strength, scores = _choose(z, labels, classes, groups, seed)
    weight, bias = _fit(z, labels, classes, strength)
    weight = weight @ back.T if back is not None else weight
    weight = weight * scale
    return Regression(weight, bias - weight @ mean, strength, scores)


def _standardise(features: NDArray[np.float32], widths: Sequence[int]) -> tuple[Array, Array]:
    """Return mean and scale [D] with which each layer has the same mean square, and all of them 1 together."""
    mean, deviation = features.mean(axis=0, dtype=np.float64), features.std(axis=0, dtype=np.float64)
    varies = deviation > CONSTANT * np.maximum(np.abs(mean), CONSTANT)
    scale = np.divide(1.0, deviation, out=np.zeros_like(deviation), where=varies)
    layer = np.repeat(np.arange(len(widths)), widths)
    counted = np.maximum(np.bincount(layer, weights=varies, minlength=len(widths)), 1)
    return mean, scale / np.sqrt(counted[layer] * len(widths))


def _row_space(x: Array) -> tuple[NDArray[np.float32], Array | None]:
    """Return z [n, r] and V [D, r] with x = z Vᵀ, or x itself and None where that has no fewer columns.

    With fewer images than features the best W lies in the span of the images, so that the regression on z has the
    same answer, and D no longer counts.
    """
    n, width = x.shape
    if n >= width:
        return x.astype(np.float32), None
    values, left = np.linalg.eigh(x @ x.T)
    kept = values > max(values[-1], 0.0) * 1e-10
    lengths = np.sqrt(values[kept])
    return (left[:, kept] * lengths).astype(np.float32), x.T @ (left[:, kept] / lengths)


def _choose(
    z: NDArray[np.float32], labels: Labels, classes: int, groups: Sequence[str] | None, seed: int
) -> tuple[float, dict[float, float]]:
    """Return the C to use, and the score of each C on held-out folds."""
    known = np.zeros(len(z), dtype=bool)
    held_out = {strength: np.zeros((len(z), classes)) for strength in STRENGTHS}
    fold = fold_numbers(labels, groups, folds=min(FOLDS, len(z)), seed=seed)
    for number in range(FOLDS):
        train, test = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        if labels.ndim == 1:  # a class that is held out whole can't be known
            test = test[np.isin(labels[test], labels[train])]
        if len(test) == 0 or len(np.unique(labels[train], axis=0)) < 2:
            continue
        for strength, (weight, bias) in zip(STRENGTHS, _fits(z[train], labels[train], classes), strict=True):
            held_out[strength][test] = z[test] @ weight.T + bias
        known[test] = True
        if known.sum() >= ENOUGH:
            break
    if not known.any():
        return USUAL, {}
    scores = {strength: _score(labels[known], logits[known]) for strength, logits in held_out.items()}
    best = max(scores.values())
    if np.isnan(best):
        return USUAL, {}
    error = np.sqrt(max(best * (1 - best), 0.0) / known.sum())
    good = [strength for strength, score in scores.items() if score >= best - error]
    return min(good, key=lambda strength: abs(np.log(strength / USUAL))), scores


def _score(labels: Labels, logits: Array) -> float:
    multilabel = labels.ndim == 2
    probabilities = to_probabilities(logits, multilabel=multilabel)
    values = metric_values(labels, probabilities, [np.ones((1, len(labels)))], ranking=multilabel)
    return float(values["average_precision" if multilabel else "macro_f1"][0])


def _fit(z: NDArray[np.float32], labels: Labels, classes: int, strength: float) -> tuple[Array, Array]:
    return next(_fits(z, labels, classes, (strength,)))


def _fits(
    z: NDArray[np.float32], labels: Labels, classes: int, strengths: Sequence[float] = STRENGTHS
) -> Iterator[tuple[Array, Array]]:
    """Yield weight [C, r] and bias [C] for each of the rising `strengths`, each fit beginning where the last ended."""
    columns = labels.T if labels.ndim == 2 else labels[None]
    models = [
        LogisticRegression(
            class_weight="balanced", max_iter=MAX_ITERATIONS, tol=TOLERANCE, warm_start=True, solver="lbfgs"
        )
        for _ in columns
    ]
    for strength in strengths:
        parts = [_part(model.set_params(C=strength), z, column) for model, column in zip(models, columns, strict=True)]
        if labels.ndim == 2:
            yield np.concatenate([weight for weight, _ in parts]), np.concatenate([bias for _, bias in parts])
            continue
        weight, bias = np.zeros((classes, z.shape[1])), np.full(classes, UNSEEN)
        shown = np.unique(labels)
        if len(shown) == 2:  # scikit-learn gives the difference of two logits: each class gets half of it
            half, offset = parts[0][0][0] / 2, parts[0][1][0] / 2
            weight[shown], bias[shown] = np.stack([-half, half]), np.stack([-offset, offset])
        else:
            weight[shown], bias[shown] = parts[0]
        yield weight, bias


def _part(model: LogisticRegression, z: NDArray[np.float32], column: NDArray[np.generic]) -> tuple[Array, Array]:
    """Return the weights and biases of one regression; a decision that all labels agree on is constant."""
    if (column == column[0]).all():
        return np.zeros((1, z.shape[1])), np.array([-UNSEEN if column[0] else UNSEEN])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # one that is nearly there serves as well
        model.fit(z, column)
    return np.asarray(model.coef_, dtype=np.float64), np.asarray(model.intercept_, dtype=np.float64)
