"""Whether fine-tuning an arm was worth it: it is kept only where validation prefers it to a probe of the same arm.

Shapes: N images, C classes.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from cass_cli.data.splits import Labels
from cass_cli.scores.calibration import to_probabilities
from cass_cli.scores.metrics import METRICS
from cass_cli.scores.values import Floats, metric_values

FINE_TUNED, PROBE = "fine-tuned", "probe"


@dataclass(frozen=True)
class Guarded:
    """What was kept of an arm, and by what it was judged."""

    kept: str  # FINE_TUNED or PROBE
    metric: str
    images: int  # that it was judged on
    fine_tuned: float | None  # None: undefined, or there was nothing to judge by
    probe: float | None

    @property
    def reason(self) -> str:
        """Say what was kept and why, in one sentence."""
        if self.images == 0:
            return f"the {self.kept} arm is kept: there is no validation image that could prefer the other"
        figures = ", ".join(
            f"{name} {'undefined' if value is None else f'{value:.3f}'}"
            for name, value in ((FINE_TUNED, self.fine_tuned), (PROBE, self.probe))
        )
        return f"the {self.kept} arm is kept ({METRICS[self.metric]} on {self.images} validation images: {figures})"

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)


def guard(labels: Labels, fine_tuned: Floats, probe: Floats, *, metric: str) -> Guarded:
    """Compare the outputs [N, C] of a fine-tuned arm and of its probe on validation images.

    Only a higher score of the fine-tuned arm keeps it. Multi-label arms are compared by average precision unless
    `metric` ranks itself: their thresholds are tuned later, on all validation images.
    """
    multilabel = labels.ndim == 2
    if multilabel and metric not in ("auroc", "average_precision"):
        metric = "average_precision"
    if len(labels) == 0:
        return Guarded(PROBE, metric, 0, None, None)
    ones, ranking = [np.ones((1, len(labels)))], metric in ("auroc", "average_precision")
    first, second = (
        float(metric_values(labels, to_probabilities(given, multilabel=multilabel), ones, ranking=ranking)[metric][0])
        if np.isfinite(given).all()
        else np.nan
        for given in (fine_tuned, probe)
    )
    kept = FINE_TUNED if first > second else PROBE
    told = (None if np.isnan(value) else value for value in (first, second))
    return Guarded(kept, metric, len(labels), *told)
