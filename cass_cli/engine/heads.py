"""Heads over frozen arms, fitted on their features: one an arm, and `joint`, which reads both.

Two architectures know more together than the better one alone; `mean` averages their answers, `joint` weighs their
features against each other.

Shapes: n labelled images, D features, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from cass_cli.data.splits import Labels
from cass_cli.engine.features import ArmFeatures, Reading
from cass_cli.engine.regression import fit_regression
from cass_cli.models.heads import HeadCard, LayerHead
from cass_cli.scores.calibration import JOINT


def fit_heads(
    features: Mapping[str, ArmFeatures],
    rows: NDArray[np.int64],
    labels: Labels,
    classes: tuple[str, ...],
    reading: Reading,
    *,
    groups: Sequence[str] | None,
    joint: bool,
    seed: int,
    on_progress: Callable[[int, int], None] | None = None,
) -> dict[str, LayerHead]:
    """Return a head for each arm and, with `joint`, one over all of them where there are several.

    labels are those of `rows` of the table: class indices [n], or 0/1 [n, C] with -1 where unknown; see
    `regression.py`. `on_progress(done, total)` counts the regressions that are tried.
    """
    read_by = {name: (name,) for name in features} | ({JOINT: tuple(features)} if joint and len(features) > 1 else {})
    heads: dict[str, LayerHead] = {}

    def told(done: int, each: int) -> None:
        if on_progress:
            on_progress(len(heads) * each + done, len(read_by) * each)

    for name, arms in read_by.items():
        fitted = fit_regression(
            np.concatenate([features[arm].of(rows) for arm in arms], axis=1),
            labels,
            len(classes),
            widths=[width for arm in arms for width in features[arm].widths],
            groups=groups,
            seed=seed,
            on_progress=told,
        )
        card = HeadCard(
            arms=arms,
            layers=reading.layers,
            mirrored=reading.mirrored,
            classes=classes,
            multilabel=labels.ndim == 2,
            labels=len(labels),
            inverse_l2=fitted.inverse_l2,
        )
        found = (fitted.weight, fitted.bias, fitted.mean, fitted.scale)
        weight, bias, mean, scale = (torch.from_numpy(values).float() for values in found)
        heads[name] = LayerHead(card, weight, bias, standard=(mean, scale))
    return heads


@torch.inference_mode()
def head_logits(
    heads: Mapping[str, LayerHead], features: Mapping[str, ArmFeatures], rows: NDArray[np.int64]
) -> dict[str, NDArray[np.float64]]:
    """Return the logits fp64 [m, C] of each head for `rows` of the table."""
    read = {name: torch.from_numpy(found.of(rows)) for name, found in features.items()}
    return {name: head(read).double().numpy() for name, head in heads.items()}
