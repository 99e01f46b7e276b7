"""CASS: two architectures look at one view and are asked to say the same (Sec. 3.1, Algorithm 1).

    r = cnn(x'),  t = vit(x')                       logits, x' one augmented view of each image
    loss = mean over images of 2 − 2 ⟨r / max(‖r‖, ε), t / max(‖t‖, ε)⟩          (Eq. 1, read per sample)

Gradients flow into both arms: no stop-gradient, predictor, moving average, centring or temperature. So a
constant output is a perfect solution, and a low loss alone says nothing: `engine/pretraining/collapse.py` watches.

Legend: B batch, S image side, K output width.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from cass_cli.methods.method import Method, View
from cass_cli.models.arms import embed


def cass_loss(r: Tensor, t: Tensor, *, activation: str = "none", eps: float = 1e-12) -> Tensor:
    """Return Eq. 1 for outputs `r` and `t` [B, K]: a scalar from 0 (same direction) to 4 (opposite).

    `activation` applies `softmax` (over K) or `sigmoid` to both outputs first, the ablation of B.5.
    """
    r, t = r.float(), t.float()
    if activation == "softmax":
        r, t = r.softmax(dim=1), t.softmax(dim=1)
    elif activation == "sigmoid":
        r, t = r.sigmoid(), t.sigmoid()
    cosine = (F.normalize(r, dim=1, eps=eps) * F.normalize(t, dim=1, eps=eps)).sum(dim=1)  # [B]
    return (2 - 2 * cosine).mean()


class Cass(Method):
    """The two arms and their objective."""

    def __init__(self, arms: Mapping[str, nn.Module], *, view: Mapping[str, Any], activation: str = "none") -> None:
        super().__init__()
        self.pair = nn.ModuleDict(arms)
        self.views = (View(view),)
        self.activation = activation

    @property
    def arms(self) -> Mapping[str, nn.Module]:
        return dict(self.pair.items())

    @property
    def learners(self) -> Mapping[str, nn.Module]:
        return self.arms

    @property
    def networks(self) -> tuple[nn.Module, ...]:
        return tuple(self.pair.values())

    def forward(self, view: Tensor, *, progress: float = 0.0) -> Tensor:
        """Return the loss of one `view` [B, 3, S, S] that both arms see, the same at any `progress`."""
        r, t = (arm(view) for arm in self.pair.values())
        return cass_loss(r, t, activation=self.activation)

    def after_step(self, progress: float) -> None:
        """Nothing follows a step: the arms are independent (Sec. 3.1)."""

    def embed(self, arm: str, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the arm's pooled features [B, D] and its logits [B, K]."""
        return embed(self.pair[arm], images)
