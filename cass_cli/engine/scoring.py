"""What each candidate (the arms and their mean) scores on a split, given what validation decided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from cass_cli.engine.judgement import Judgement, probabilities_of
from cass_cli.engine.metrics import METRICS, Scores, score
from cass_cli.engine.weighted import Floats, Labels


def split_scores(
    logits: Mapping[str, NDArray[np.float64]], labels: Labels, classes: Sequence[str], judged: Judgement
) -> dict[str, dict[str, float | None]]:
    """Return {candidate: {metric: value}} without intervals; empty for a split without images.

    logits [N, C] by arm. A metric that is undefined is None.
    """
    if len(labels) == 0:
        return {}
    candidates = probabilities_of(logits, judged.temperatures, multilabel=labels.ndim == 2)
    scores = score_candidates(candidates, labels, classes, judged, resamples=0)
    return {
        name: {metric: found.metrics[metric].as_dict()["value"] for metric in METRICS} for name, found in scores.items()
    }


def score_candidates(
    candidates: Mapping[str, Floats],
    labels: Labels,
    classes: Sequence[str],
    judged: Judgement,
    *,
    groups: Sequence[str] | None = None,
    resamples: int = 1000,
) -> dict[str, Scores]:
    """Score the probabilities [N, C] of each candidate, with the thresholds that validation set."""
    return {
        name: score(
            labels,
            given,
            classes,
            thresholds=judged.threshold(name),
            groups=groups,
            resamples=resamples,
        )
        for name, given in candidates.items()
    }
