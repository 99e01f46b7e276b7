"""VICReg: two views of an image agree, while no dimension of the batch may die and no two may say the same.

    z, z′ = projector(f(x)), projector(f(x′))       [B, K], views x and x′ of each image
    invariance   s(z, z′) = mean over images and dimensions of (z − z′)²
    variance     v(z) = mean over dimensions of max(0, 1 − √(Var z_k + ε))
    covariance   c(z) = Σ over k ≠ l of Cov(z)²_kl / K
    loss = λ s(z, z′) + μ (v(z) + v(z′)) / 2 + ν (c(z) + c(z′))          (Bardes, Ponce and LeCun 2022, Eq. 6)

λ 25, μ 25, ν 1, and the halves of v, are those of its authors' code (facebookresearch/vicreg). A constant output costs
μ, so nothing can collapse; and nothing slowly moving is held beside the network. Their projector has three layers of
8,192 for ImageNet; a batch of 32 medical images fills no such space, so here it has two of 1,024. With `--accumulate`
variance and covariance are those of each part of a batch, as the statistics of batch norm are.

Legend: B batch, S image side, D feature width, K projection width.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from cass_cli.data.views.draw import FLIP_AND_TILT
from cass_cli.methods.method import OneBranch, View
from cass_cli.methods.teacher import Branch

PROJECTION = 1024
INVARIANCE, VARIANCE, COVARIANCE = 25.0, 25.0, 1.0
EPSILON = 1e-4


def vicreg_loss(one: Tensor, two: Tensor) -> Tensor:
    """Return the loss, a scalar, of projections of two views of the same images, both [B, K], B ≥ 2.

    Variance and covariance are those over the images of all processes, of which each has its share.
    """
    one, two = one.float(), two.float()
    first, second = covariance_of(one), covariance_of(two)
    variance = (variance_term(first) + variance_term(second)) / 2
    covariance = covariance_term(first) + covariance_term(second)
    return INVARIANCE * F.mse_loss(one, two) + VARIANCE * variance + COVARIANCE * covariance


def covariance_of(z: Tensor) -> Tensor:
    """Return the covariance fp32 [K, K] over the images of all processes, for this one's `z` fp32 [B, K]."""
    deviations, images = centred(z)
    return _over_processes(deviations.T @ deviations) / (images - 1)


def centred(z: Tensor) -> tuple[Tensor, Tensor]:
    """Return `z` fp32 [B, K] less its mean over the images of all processes, and their number, a scalar."""
    images = _over_processes(torch.full((), float(len(z)), device=z.device))
    return z - _over_processes(z.sum(dim=0)) / images, images


def _over_processes(value: Tensor) -> Tensor:
    """Return the sum over all processes, through which gradients flow back to each."""
    if not dist.is_initialized():
        return value
    total: Tensor = _Sum.apply(value)
    return total


class _Sum(torch.autograd.Function):
    """A sum over processes: what each asks of it, all ask of every part."""

    @staticmethod
    def forward(_context: Any, value: Tensor) -> Tensor:
        total = value.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(_context: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total


def variance_term(covariance: Tensor) -> Tensor:
    """Return how far the standard deviations are below 1, on average, for a covariance fp32 [K, K]."""
    return F.relu(1 - (covariance.diagonal() + EPSILON).sqrt()).mean()


def covariance_term(covariance: Tensor) -> Tensor:
    """Return the sum of the squared covariances of different dimensions, over K, for a covariance fp32 [K, K]."""
    return (covariance.square().sum() - covariance.diagonal().square().sum()) / len(covariance)


def projector(width: int, projection: int = PROJECTION) -> nn.Sequential:
    """Return the head that maps pooled features [B, `width`] to projections [B, `projection`]."""
    return nn.Sequential(
        nn.Linear(width, projection, bias=False),
        nn.BatchNorm1d(projection),
        nn.ReLU(inplace=True),
        nn.Linear(projection, projection, bias=False),
    )


class VicReg(OneBranch):
    """One network under the three terms."""

    def __init__(self, network: nn.Module, *, width: int, projection: int = PROJECTION) -> None:
        """`network` maps [B, 3, S, S] to pooled features [B, `width`]."""
        super().__init__()
        self.branch = Branch(network, projector(width, projection))
        self.views = (View(FLIP_AND_TILT), View(FLIP_AND_TILT))

    def forward(self, one: Tensor, two: Tensor, *, progress: float = 0.0) -> Tensor:
        """Return the loss of two views [B, 3, S, S], the same at any `progress`."""
        return vicreg_loss(*self.branch(torch.cat([one, two])).chunk(2))
