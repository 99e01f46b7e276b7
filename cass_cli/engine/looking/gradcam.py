"""Grad-CAM (Selvaraju et al. 2017): where the last feature map raises an output, for CNNs and for token grids.

Legend: B images, D channels, h × w the last feature map, K outputs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cass_cli.models.heads import LayerHead
from cass_cli.models.layers import layer_parts

Target = Callable[[Tensor], Tensor]  # outputs [B, K] → what is explained [B]


def chosen_class(outputs: Tensor) -> Tensor:
    """Return the logit [B] of the class that a classifier chooses."""
    return outputs.max(dim=1).values


def own_direction(outputs: Tensor) -> Tensor:
    """Return the outputs' length [B] along the direction that they have: for arms whose outputs are no classes.

    CASS compares directions only, so what lengthens an output along its own is what it was trained to agree on.
    """
    return (outputs * F.normalize(outputs.detach(), dim=1)).sum(dim=1)


def grad_cam(network: nn.Module, images: Tensor, *, target: Target, head: LayerHead | None = None) -> Tensor:
    """Return maps ≥ 0 [B, h, w] for `images` [B, 3, S, S]: ReLU(Σ_d w_d A_d), w_d the mean slope of channel d.

    A is the feature map that the pooling reads. Where a class token is read instead, the patches of the last
    layer have no slope, so A is what the last block's attention takes in (the output of its first norm).
    With a `head` over several layers, the outputs are its own, and the map shows what the last of them adds.
    """
    training = network.training
    try:
        with torch.enable_grad():
            features, outputs = _features(network.eval(), images, head)
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


def _features(network: nn.Module, images: Tensor, head: LayerHead | None) -> tuple[Tensor, Tensor]:
    """Return the features that are explained, still attached to the outputs [B, K], and these."""
    model: Any = network
    images = images.detach().requires_grad_()  # a graph is needed even where the weights are frozen
    last = getattr(next(reversed(list(getattr(model, "blocks", ()))), None), "norm1", None)
    if not (last is not None and hasattr(getattr(model, "patch_embed", None), "grid_size")):
        if head is not None:
            parts, last = layer_parts(network, images, layers=head.card.layers)
            if last is not None:
                return last, _answer(head, parts)
        features: Tensor = model.forward_features(images)
        if head is not None:
            return features, _answer(head, [model.forward_head(features, pre_logits=True).flatten(1)])
        return features, model.forward_head(features)
    seen: list[Tensor] = []
    hook = last.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    try:
        outputs: Tensor = (
            network(images) if head is None else _answer(head, layer_parts(network, images, layers=head.card.layers)[0])
        )
    finally:
        hook.remove()
    return seen[-1], outputs


def _answer(head: LayerHead, parts: list[Tensor]) -> Tensor:
    """Return the outputs [B, K] of a head that reads one arm."""
    logits: Tensor = head({head.card.arms[0]: torch.cat(parts, dim=1)})
    return logits
