"""How much each answer counts in an average of several: as much as validation images say, if there are many.

    max over w     Σ_i v_i log Σ_k w_k p_k(y_i | x_i) + PRIOR · Σ_k log w_k,      Σ_k w_k = 1

A mixture's weights by expectation-maximisation, under a Dirichlet prior: without images they are equal, with hundreds
the images decide. Classes count alike, as in the scores: v_i = n / (classes · images of the class).

Shapes: N images, C classes, K answers.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from cass_cli.data.splits import Labels
from cass_cli.scores.values import Floats

PRIOR = 100.0  # images that each answer is taken to have explained beforehand
STEPS = 200  # of expectation-maximisation; the objective is concave, and flat long before


def mixture_weights(labels: Labels, answers: Mapping[str, Floats]) -> dict[str, float]:
    """Return the weight of each of the calibrated `answers` [N, C] in their average; they add up to 1.

    labels are class indices [N], or 0/1 [N, C] with -1 where unknown: then each known label counts, and 1/C of it.
    """
    given = np.stack(list(answers.values()))  # [K, N, C]
    count = len(given)
    if labels.ndim == 2:
        known = labels >= 0
        fits = np.where(labels == 1, given, 1 - given)[:, known]  # [K, known labels]
        value = np.full(fits.shape[1], 1 / labels.shape[1])
    else:
        fits = given[:, np.arange(len(labels)), labels]  # [K, N]
        images = np.bincount(labels) if len(labels) else np.ones(1)
        value = len(labels) / ((images > 0).sum() * images[labels])
    weights = np.full(count, 1 / count)
    for _ in range(STEPS if fits.size else 0):
        shares = weights[:, None] * np.maximum(fits, np.finfo(float).tiny)
        explained = (value * shares / shares.sum(axis=0)).sum(axis=1)
        weights = (explained + PRIOR) / (explained.sum() + count * PRIOR)
    return dict(zip(answers, weights.tolist(), strict=True))


def weighted(answers: Mapping[str, Floats], weights: Mapping[str, float]) -> Floats:
    """Return the average [N, C] of the answers that have a weight."""
    return np.asarray(sum(weights[name] * answers[name] for name in weights))
