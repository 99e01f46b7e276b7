"""Grad-CAM (Selvaraju et al. 2017): where the last feature map raises an output, for CNNs and for token grids.

Legend: B images, D channels, h × w the last feature map, K outputs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Target = Callable[[Tensor], Tensor]  # outputs [B, K] → what is explained [B]


def chosen_class(outputs: Tensor) -> Tensor:
    """Return the logit [B] of the class that a classifier chooses."""
    return outputs.max(dim=1).values


def own_direction(outputs: Tensor) -> Tensor:
    """Return the outputs' length [B] along the direction that they have: for arms whose outputs are no classes.

    CASS compares directions only, so what lengthens an output along its own is what it was trained to agree on.
    """
    return (outputs * F.normalize(outputs.detach(), dim=1)).sum(dim=1)


def grad_cam(network: nn.Module, images: Tensor, *, target: Target) -> Tensor:
    """Return maps ≥ 0 [B, h, w] for `images` [B, 3, S, S]: ReLU(Σ_d w_d A_d), w_d the mean slope of channel d.

    A is the feature map that the pooling reads. Where a class token is read instead, the patches of the last
    layer have no slope, so A is what the last block's attention takes in (the output of its first norm).
    """
    training = network.training
    try:
        with torch.enable_grad():
            features, outputs = _features(network.eval(), images)
            (slopes,) = torch.autograd.grad(target(outputs).sum(), features)
    finally:
        network.train(training)
    values, slopes = (as_grid(tensor.detach(), network) for tensor in (features, slopes))  # [B, D, h, w]
    weights = slopes.mean(dim=(2, 3), keepdim=True)
    return F.relu((weights * values).sum(dim=1))


def as_grid(features: Tensor, network: nn.Module) -> Tensor:
    """Return features as [B, D, h, w], from that, from [B, h, w, D] (Swin), or from tokens [B, T, D]."""
    model: Any = network
    if features.ndim == 3:
        grid: tuple[int, int] = tuple(model.patch_embed.grid_size)
        patches: Tensor = features[:, features.shape[1] - grid[0] * grid[1] :]  # prefix tokens come first
        return patches.transpose(1, 2).reshape(len(patches), -1, *grid)
    return features.permute(0, 3, 1, 2) if getattr(model, "output_fmt", "NCHW") == "NHWC" else features


def _features(network: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """Return the features that are explained, still attached to the outputs [B, K], and these."""
    model: Any = network
    images = images.detach().requires_grad_()  # a graph is needed even where the weights are frozen
    last = getattr(next(reversed(list(getattr(model, "blocks", ()))), None), "norm1", None)
    if not (last is not None and hasattr(getattr(model, "patch_embed", None), "grid_size")):
        features: Tensor = model.forward_features(images)
        return features, model.forward_head(features)
    seen: list[Tensor] = []
    hook = last.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    try:
        outputs: Tensor = network(images)
    finally:
        hook.remove()
    return seen[-1], outputs
