"""Is an arm learning, or does it give every image the same answer?

Three gauges on a fixed set of training images, without augmentation and in evaluation mode, for both what
the loss sees (the outputs) and what is kept (the pooled features). With z the L2-normalised embeddings:

    spread          std of z over images, root mean square over dimensions, × √d        (0 collapsed, 1 uniform)
    cosine          mean of ⟨z_i, z_j⟩ over pairs i ≠ j                                 (1 collapsed, 0 uniform)
    effective rank  exp of the entropy of the normalised singular values of the centred embeddings
                    (Roy and Vetterli 2007)                                            (1: one direction left)

Legend: N monitored images, D embedding width.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

COLLAPSED_COSINE = 0.95  # the angle between two images is about 18 degrees
COLLAPSED_SPREAD = 0.1  # and here about 8


@dataclass(frozen=True)
class Gauge:
    """How far apart an arm puts different images."""

    spread: float
    cosine: float
    rank: float

    @classmethod
    def of(cls, embeddings: Tensor) -> Gauge:
        """Measure `embeddings` [N, D], N ≥ 2."""
        z = F.normalize(embeddings.cpu().double(), dim=1)  # [N, D]; MPS has neither float64 nor singular values
        n, d = z.shape
        spread = z.std(dim=0, correction=0).square().mean().sqrt() * d**0.5
        cosine = (z.sum(dim=0).square().sum() - n) / (n * (n - 1))  # Σ_{i≠j} ⟨z_i, z_j⟩ = ‖Σz‖² − n
        singular = torch.linalg.svdvals(z - z.mean(dim=0))
        share = singular / singular.sum().clamp_min(1e-12)
        rank = torch.exp(-(share * share.clamp_min(1e-12).log()).sum())
        return cls(float(spread), float(cosine), float(rank) if float(singular.sum()) > 1e-9 else 1.0)


@dataclass(frozen=True)
class ArmGauges:
    """One arm's gauges."""

    outputs: Gauge
    features: Gauge

    def state(self, start: ArmGauges) -> str:
        """Return `healthy`, `shrinking` or `collapsed`, judged against the gauges before training.

        Shrinking: the spread is below half of what it was. Collapsed: also the mean cosine is at least 0.95;
        or the spread is below 0.1 whatever it was, unless it grows (random weights may start there).
        """
        pairs = ((self.outputs, start.outputs), (self.features, start.features))
        if any(_collapsed(now, then) for now, then in pairs):
            return "collapsed"
        return "shrinking" if any(now.spread < then.spread / 2 for now, then in pairs) else "healthy"

    @classmethod
    def from_dict(cls, values: Mapping[str, Mapping[str, Any]]) -> ArmGauges:
        """Read what `dataclasses.asdict` wrote."""
        return cls(Gauge(**values["outputs"]), Gauge(**values["features"]))


def _collapsed(now: Gauge, then: Gauge) -> bool:
    if now.spread < COLLAPSED_SPREAD:
        return now.spread < 1.25 * then.spread
    return now.cosine >= COLLAPSED_COSINE and now.spread < then.spread / 2


ADVICE = (
    "Its images get nearly the same embedding, so a low loss means nothing. Try a lower learning rate "
    "(--lr 1e-5), fewer epochs, or start from ImageNet weights; `--on-collapse stop` ends such a run."
)
