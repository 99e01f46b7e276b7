"""What a regression on frozen features says of images that it was not fitted to, by grouped, stratified folds.

Shapes: n labelled images, D features, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from cass_cli.data.splits import Labels, fold_numbers
from cass_cli.engine.regression import FOLDS, fit_regression
from cass_cli.scores.calibration import to_probabilities
from cass_cli.scores.values import Floats


def out_of_fold(
    features: NDArray[np.float32],
    labels: Labels,
    classes: int,
    *,
    widths: Sequence[int],
    groups: Sequence[str] | None,
    seed: int,
    on_progress: Callable[[int, int], None],
) -> tuple[Floats, NDArray[np.bool_]]:
    """Return probabilities fp64 [n, C] by fits that have not seen the image, nor its group, and what is judged.

    Each fit chooses its strength within what it sees. A label is judged, bool [n] or for multi-label [n, C], where the
    fit saw its class, for multi-label with and without it. `on_progress(done, total)` counts folds.
    """
    multilabel = labels.ndim == 2
    probabilities = np.zeros((len(labels), classes))
    judged = np.zeros(labels.shape, dtype=bool)
    fold = fold_numbers(labels, groups, folds=FOLDS, seed=seed)
    for number in range(FOLDS):
        held, seen = np.flatnonzero(fold == number), np.flatnonzero(fold != number)
        shown = _shown(labels[seen], classes)
        if len(held) and shown.sum() >= (1 if multilabel else 2):
            fitted = fit_regression(
                features[seen],
                labels[seen],
                classes,
                widths=widths,
                groups=None if groups is None else [groups[i] for i in map(int, seen)],
                seed=seed,
            )
            logits = features[held] @ fitted.weight.T + fitted.bias
            probabilities[held] = to_probabilities(logits, multilabel=multilabel)
            judged[held] = shown & (labels[held] >= 0) if multilabel else shown[labels[held]]
        on_progress(number + 1, FOLDS)
    return probabilities, judged


def _shown(labels: Labels, classes: int) -> NDArray[np.bool_]:
    """Return of which classes [C] these labels tell something; for multi-label, that they are there and that not."""
    if labels.ndim == 2:
        return np.asarray((labels == 1).any(axis=0) & (labels == 0).any(axis=0))
    return np.asarray(np.bincount(labels, minlength=classes) > 0)
