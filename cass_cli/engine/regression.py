"""L2-regularised logistic regression on features of frozen arms, its strength chosen within the labelled images.

    min over W, b    C · Σ_i w_i · loss(W x_i + b, y_i) + ½ ‖W‖²

Softmax for one class out of several, a sigmoid a class for multi-label. Classes count alike, however many images they
have: w_i = n / (classes · images of the class). An image whose label of a class is unknown has no weight there, and is
none of the n. x_i are features that are standardised on the labelled images and scaled so that each layer counts alike,
however wide it is, and ‖x_i‖² is 1 on average; so one range of C suits every arm. It is scikit-learn's
LogisticRegression(class_weight="balanced"), of two classes with twice its C, and a test holds it against that; but all
folds and the fit on everything are one problem here, each step two products of matrices.

C is the one with the best score on held-out folds, or the usual one where that is within a standard error of the best
(Breiman et al. 1984): from 25 labels cross-validation can tell little, from 2,500 more.

Legend: n labelled images, D features, r = min(n, D), C classes, F fits: the folds, and last that on all images.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from cass_cli.data.splits import Labels, fold_numbers
from cass_cli.scores.calibration import to_probabilities
from cass_cli.scores.values import metric_values

Array = NDArray[np.float64]

STRENGTHS = (3.0, 10.0, 30.0, 100.0, 300.0)  # tried values of C
USUAL = 30.0  # near the best with 1 %, 10 % and all labels of dermatoscopy and of brain MRI (held-out images)
FOLDS = 5
ENOUGH = 2500  # held-out images: more folds than give these are not fitted
MOST_WORK = 3e9  # multiplications of a step, n · r · C · F: of hundreds of classes fewer folds are fitted
MAX_ITERATIONS = 500
HISTORY = 10
TOLERANCE = 1e-4  # largest slope at the end, of the mean loss along a scaled column
CONSTANT = 1e-6  # standard deviation, as a share of the mean, below which a feature is rounding noise
MOST_AXES = 4096  # whose decomposition takes seconds, not minutes
NOISE = 1e-10  # of the largest: smaller squared lengths are rounding
CURVATURE = 0.1  # of the loss along a logit, roughly: it is at most 1/4
UNSEEN = -30.0  # logit of a class that no labelled image shows


@dataclass(frozen=True)
class Regression:
    """A fitted regression: logits = weight · features + bias, for features as they were given."""

    weight: Array  # [C, D]
    bias: Array  # [C]
    mean: Array  # [D], and
    scale: Array  # [D], with which features were made alike: (features − mean) · scale
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
    on_progress: Callable[[int, int], None] | None = None,
) -> Regression:
    """Fit features fp32 [n, D] to labels: class indices [n], or 0/1 [n, C] for multi-label, -1 where unknown.

    `widths` are the features of each layer. Images of one of the `groups` are held out together. The folds are
    scored by macro F1, for multi-label by average precision, which needs no threshold.
    `on_progress(done, total)` counts strengths.
    """
    mean, scale = standardise(features, widths)
    exact = np.float64 if min(features.shape) <= MOST_AXES else np.float32
    z, back = _principal((features - mean.astype(exact)) * scale.astype(exact))
    problem = _problem(z, labels, classes, groups, seed)
    solution = torch.zeros(z.shape[1] + 1, problem.fits, classes)
    fitted: dict[float, Array] = {}
    scores: dict[float, float] = {}
    for strength in STRENGTHS:  # rising: each begins where the last ended
        solution = _solve(problem, strength, solution)
        fitted[strength] = solution[:, -1].double().numpy()
        if on_progress:
            on_progress(len(fitted), len(STRENGTHS))
        if problem.known.any():
            scores[strength] = _score(labels[problem.known], problem.held_out(solution)[problem.known])
    strength = _choose(scores, int(problem.known.sum()))
    weight = (fitted[strength][:-1] if back is None else back @ fitted[strength][:-1]).T * scale
    bias = fitted[strength][-1] + problem.absent[-1].double().numpy() - weight @ mean
    return Regression(weight, bias, mean, scale, strength, scores)


def standardise(features: NDArray[np.float32], widths: Sequence[int]) -> tuple[Array, Array]:
    """Return mean and scale [D] with which each layer has the same mean square, and all of them 1 together."""
    mean, deviation = features.mean(axis=0, dtype=np.float64), features.std(axis=0, dtype=np.float64)
    varies = deviation > CONSTANT * np.maximum(np.abs(mean), CONSTANT)
    scale = np.divide(1.0, deviation, out=np.zeros_like(deviation), where=varies)
    layer = np.repeat(np.arange(len(widths)), widths)
    counted = np.maximum(np.bincount(layer, weights=varies, minlength=len(widths)), 1)
    return mean, scale / np.sqrt(counted[layer] * len(widths))


def _principal(x: NDArray[np.floating[Any]]) -> tuple[NDArray[np.float32], Array | None]:
    """Return z [n, r] and V [D, r] with x = z Vᵀ, z's columns orthogonal and V's orthonormal.

    The regression on z has the same answer. With fewer images than features z has as few columns, and L-BFGS needs
    fewer steps where each column is scaled by how curved the objective is along it. Where both are many,
    finding the axes takes longer than the steps that they save: then z is x, and there is no V.
    """
    n, width = x.shape
    if min(n, width) > MOST_AXES:
        return x.astype(np.float32, copy=False), None
    values, vectors = np.linalg.eigh(x @ x.T if n < width else x.T @ x)
    kept = values > values[-1] * NOISE
    if n >= width:
        back = vectors[:, kept]
        return (x @ back).astype(np.float32), back
    lengths = np.sqrt(values[kept])
    return (vectors[:, kept] * lengths).astype(np.float32), x.T @ (vectors[:, kept] / lengths)


@dataclass(frozen=True)
class _Problem:
    """Regressions that are fitted together: one a fold, on the images outside of it, and last one on all."""

    z: Tensor  # fp32 [n, r]
    targets: Tensor  # fp32 [n, 1, C], 0/1
    weights: Tensor  # fp32 [n, F, 1] or, for multi-label, [n, F, C]; each fit's (and class's) add up to 1
    images: Tensor  # [F, 1] or, for multi-label, [F, C]: that each fit sees (and knows the label of)
    absent: Tensor  # fp32 [F, C]: what is added to the logits of a class that a fit doesn't see
    fold: NDArray[np.int64]  # [n]; that of the last fit where the image is in none that is fitted
    known: NDArray[np.bool_]  # [n]: images that a fold says something of

    @property
    def fits(self) -> int:
        return self.weights.shape[1]

    def held_out(self, solution: Tensor) -> Array:
        """Return the logits [n, C] of each image by the fit of its fold."""
        logits = torch.empty(len(self.fold), solution.shape[2])
        for fit in range(self.fits):
            rows = torch.from_numpy(np.flatnonzero(self.fold == fit))
            logits[rows] = self.z[rows] @ solution[:-1, fit] + solution[-1, fit] + self.absent[fit]
        return logits.double().numpy()


def _problem(z: NDArray[np.float32], labels: Labels, classes: int, groups: Sequence[str] | None, seed: int) -> _Problem:
    multilabel = labels.ndim == 2
    shown = labels == 1 if multilabel else labels[:, None] == np.arange(classes)  # [n, C]
    told = labels >= 0 if multilabel else np.ones((len(labels), 1), dtype=bool)  # [n, C], or [n, 1]
    fold = fold_numbers(labels, groups, folds=FOLDS, seed=seed)
    folds = min(FOLDS, max(int(MOST_WORK / max(z.size * classes, 1)) - 1, 1))
    for number in range(folds):  # of many images a few folds say enough
        if (fold <= number).sum() >= ENOUGH:
            folds = number + 1
            break
    fold = np.minimum(fold, folds)
    seen = np.concatenate([fold[:, None] != np.arange(folds), np.ones((len(fold), 1), dtype=bool)], axis=1)  # [n, F]
    counts = seen.T.astype(float) @ shown  # [F, C]
    images = seen.T.astype(float) @ told  # [F, C], or [F, 1]; none where all images are of one fold
    yes, no = np.maximum(counts, 1), np.maximum(images - counts, 1)
    if multilabel:  # a decision that all images of a fit agree on is left at what `absent` says
        absent = np.where(counts == 0, UNSEEN, np.where(counts == images, -UNSEEN, 0.0))
        weights = np.where(shown[:, None], 1 / yes, 1 / no) / 2 * (seen[:, :, None] & told[:, None]) * (absent == 0)
        known = (fold < folds) & ((images[np.minimum(fold, folds)] > 0) & told).any(axis=1)
    else:
        absent = np.where(counts == 0, UNSEEN, 0.0)
        share = seen / (yes[:, labels].T * np.maximum((counts > 0).sum(axis=1), 1))  # [n, F]
        weights = share[:, :, None]
        known = (fold < folds) & (counts[np.minimum(fold, folds), labels] > 0)
        known &= ((counts > 0).sum(axis=1) > 1)[fold]
    return _Problem(
        z=torch.from_numpy(z),
        targets=torch.from_numpy(shown[:, None].astype(np.float32)),
        weights=torch.from_numpy(weights.astype(np.float32)),
        images=torch.from_numpy(np.maximum(images, 1)),
        absent=torch.from_numpy(absent).float(),
        fold=fold,
        known=known,
    )


def _solve(problem: _Problem, strength: float, start: Tensor) -> Tensor:
    """Return weights and, in the last row, biases fp32 [r + 1, F, C] that minimise the sum of all objectives, by n."""
    targets, sample = problem.targets, problem.weights
    ridge = (1 / (strength * problem.images)).float()  # [F, 1], or [F, C]
    curved = CURVATURE * problem.z.square().mean(dim=0) + ridge[-1].min()  # [r]
    scale = torch.cat([curved.rsqrt(), torch.full((1,), CURVATURE**-0.5)])[:, None, None]  # [r + 1, 1, 1]
    z, ridge = problem.z * scale[:-1, 0, 0], ridge * scale[:-1].square()
    solution = (start / scale).requires_grad_()
    optimiser = torch.optim.LBFGS(
        [solution],
        max_iter=MAX_ITERATIONS,
        tolerance_grad=TOLERANCE,
        tolerance_change=0.0,
        history_size=HISTORY,
        line_search_fn="strong_wolfe",
    )

    @torch.no_grad()
    def objective() -> float:
        weights, bias = solution[:-1], solution[-1] * scale[-1]
        logits = (z @ weights.flatten(1)).reshape(len(z), *bias.shape) + (bias + problem.absent)
        if sample.shape[2] == 1:
            loss = torch.logsumexp(logits, dim=2, keepdim=True) - (logits * targets).sum(dim=2, keepdim=True)
            slope = sample * (torch.softmax(logits, dim=2) - targets)
        else:
            loss = F.softplus(logits) - logits * targets
            slope = sample * (torch.sigmoid(logits) - targets)
        pull = (z.T @ slope.flatten(1)).reshape(weights.shape) + ridge * weights
        solution.grad = torch.cat([pull, slope.sum(dim=0, keepdim=True) * scale[-1]])
        return float((sample * loss).sum(dtype=torch.float64) + (ridge * weights**2).sum(dtype=torch.float64) / 2)

    optimiser.step(objective)
    return solution.detach() * scale


def _score(labels: Labels, logits: Array) -> float:
    multilabel = labels.ndim == 2
    probabilities = to_probabilities(logits, multilabel=multilabel)
    values = metric_values(labels, probabilities, [np.ones((1, len(labels)))], ranking=multilabel)
    return float(values["average_precision" if multilabel else "macro_f1"][0])


def _choose(scores: Mapping[float, float], images: int) -> float:
    """Return the C to use, from the score of each on so many held-out images."""
    if not scores or np.isnan(max(scores.values())):
        return USUAL
    best = max(scores.values())
    error = np.sqrt(best * (1 - best) / images)
    good = [strength for strength, score in scores.items() if score >= best - error]
    return min(good, key=lambda strength: abs(np.log(strength / USUAL)))
