"""BYOL: predict what a slowly moving copy of the network says of another view (Grill et al. 2020).

    p_v = predictor(projector(f(v)))                online network, views v ∈ {1, 2} of each image
    z_v = projector'(f'(v))                         target network: moving average, no gradient
    loss = mean over images of (2 − 2 cos(p₁, z₂)) + (2 − 2 cos(p₂, z₁))          (Eq. 2, symmetrised)
    f', projector' ← m · themselves + (1 − m) · f, projector                      after each step

Works on pooled features, so on a CNN and a ViT alike. The paper's BYOL was the byol-pytorch package (m 0.99,
Adam 3e-4), which is the setting here; a ViT did not fit there, as its projector was built on all tokens.

Legend: B batch, S image side, D feature width, K projection width.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cass_cli.data.views.draw import FLIP_AND_JITTER, ViewKnobs
from cass_cli.methods.method import SoloMethod, View
from cass_cli.methods.teacher import Branch, follow, teacher_of

VIEWS: tuple[ViewKnobs, ViewKnobs] = (
    {**FLIP_AND_JITTER, "crop_scale": (0.08, 1.0), "blur": 1.0},
    {**FLIP_AND_JITTER, "crop_scale": (0.08, 1.0), "blur": 0.1, "solarise": 0.2},
)
"""Grill et al. 2020, appendix B."""

HIDDEN, PROJECTION = 4096, 256
MOMENTUM = 0.99


def byol_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """Return the mean over images of 2 − 2 cos(predicted, target), both [B, K]: a scalar from 0 to 4."""
    return (2 - 2 * F.cosine_similarity(predicted.float(), target.float(), dim=1)).mean()


class Byol(SoloMethod):
    """One network that teaches itself; the online network is kept."""

    def __init__(self, network: nn.Module, *, width: int, momentum: float = MOMENTUM, hidden: int = HIDDEN) -> None:
        """`network` maps [B, 3, S, S] to pooled features [B, `width`]; `momentum` is the target's."""
        super().__init__()
        self.online = Branch(network, _mlp(width, hidden, PROJECTION))
        self.predictor = _mlp(PROJECTION, hidden, PROJECTION)
        self.target = teacher_of(self.online)
        self.momentum = momentum
        self.views = tuple(View(knobs) for knobs in VIEWS)

    @property
    def kept(self) -> nn.Module:
        return self.online.network

    @property
    def learner(self) -> nn.Module:
        return nn.ModuleList([self.online, self.predictor])

    @property
    def networks(self) -> tuple[nn.Module, ...]:
        return self.online.network, self.target.network

    def forward(self, one: Tensor, two: Tensor, *, progress: float = 0.0) -> Tensor:
        """Return the symmetrised loss of two views [B, 3, S, S], the same at any `progress`."""
        both = torch.cat([one, two])
        p_one, p_two = self.predictor(self.online(both)).chunk(2)
        with torch.no_grad():
            z_one, z_two = self.target(both).chunk(2)
        return byol_loss(p_one, z_two) + byol_loss(p_two, z_one)

    def after_step(self, progress: float) -> None:
        """Let the target follow."""
        follow(self.target, self.online, self.momentum)

    def outputs(self, features: Tensor) -> Tensor:
        """Return the projections [B, K] of pooled features [B, D]."""
        projected: Tensor = self.online.head(features)
        return projected


def _mlp(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, hidden), nn.BatchNorm1d(hidden), nn.ReLU(inplace=True), nn.Linear(hidden, outputs)
    )
