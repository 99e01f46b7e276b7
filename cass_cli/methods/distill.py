"""Distillation: from an augmented view, say what frozen networks know of the clean image.

    X_a                                             features of the N training images by frozen network a, several
                                                    layers deep, each layer centred and of variance 1 in all
    X_a = U Σ Vᵀ,   T_a ∝ U Σ^½                     its first principal axes, their variances drawn towards each other
    T = [T_1, T_2, …]                               [N, K], once, before the first step
    loss = mean over images and columns of smooth-l1(W (f(x') − f̄), T_i)    x' a view of image i, f̄ the batch's mean

The targets do not move and are spread out by construction, so nothing can collapse. With the two starting arms as the
networks, each arm is taught what both know together: CASS's idea, with targets that hold still. A larger network needs
only forward passes to teach. (Feature distillation as in Fitnets, Romero et al. 2015; targets from principal axes.)

W begins at zero, so that it learns first and the network is moved by what it has learned (as in LP-FT, Kumar et al.
2022). A random one pushes the features of all images the same way until what it makes of them is as small as the
targets. So does whatever W happens to make of f̄, of which targets around zero have no need: on 436 images of cells the
features of a ViT went from a mean cosine of .88 to .99 in an epoch. So f̄ is taken away first.

Legend: B batch, N training images, S image side, D feature width, K target width.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from cass_cli.data.views.draw import FLIP_AND_TILT
from cass_cli.methods.method import OneBranch, View
from cass_cli.methods.teacher import Branch
from cass_cli.methods.vicreg import centred

AXES = 384  # of each network, at most


def distill_loss(predicted: Tensor, targets: Tensor) -> Tensor:
    """Return the mean smooth L1 distance, a scalar, of predictions and targets, both [B, K]."""
    return F.smooth_l1_loss(predicted.float(), targets.float())


class Distill(OneBranch):
    """One network and a linear layer from its centred features to the targets."""

    def __init__(self, network: nn.Module, *, width: int, targets: int) -> None:
        """`network` maps [B, 3, S, S] to pooled features [B, `width`]; there are `targets` columns of targets."""
        super().__init__()
        head = nn.Linear(width, targets, bias=False)
        nn.init.zeros_(head.weight)
        self.branch = Branch(network, head)
        self.views = (View(FLIP_AND_TILT),)
        self.target_width = targets

    def forward(self, view: Tensor, targets: Tensor, *, progress: float = 0.0) -> Tensor:
        """Return the loss of one `view` [B, 3, S, S], B ≥ 2, and its images' `targets` [B, K], at any `progress`."""
        features, _ = centred(self.branch.network(view).float())
        return distill_loss(self.branch.head(features), targets)

    def outputs(self, features: Tensor) -> Tensor:
        """Return what the head makes [B, K] of pooled features [B, D], less the mean of these."""
        features = features.float()
        return super().outputs(features - features.mean(dim=0))
