"""What several layers of an arm know of an image: the input of a probe.

The last layer is made for the task that an arm was pretrained on; textures and shapes that another task needs lie a
few layers below (Caron et al. 2021 and Oquab et al. 2023 probe the last four blocks of a ViT for that reason).

Legend: B images, S image side, D features.
"""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor, nn

from cass_cli.models.arms import embed


def arm_features(model: nn.Module, images: Tensor, *, layers: int, mirrored: bool = False) -> tuple[Tensor, list[int]]:
    """Return fp32 features [B, D] of `images` [B, 3, S, S] from the last `layers` layers, and how many each part has.

    With `mirrored` they are the mean of those of the images and of their mirror images.
    """
    parts = layer_parts(model, images, layers=layers)[0]
    if mirrored:
        others = layer_parts(model, images.flip(3), layers=layers)[0]
        parts = [(part + other) / 2 for part, other in zip(parts, others, strict=True)]
    return torch.cat(parts, dim=1), [part.shape[1] for part in parts]


def layer_count(model: nn.Module) -> int:
    """Return how many layers `layer_parts` can give of a timm network."""
    network: Any = model
    if not hasattr(network, "forward_intermediates"):
        return 1
    return len(network.blocks) if _has_tokens(network) else 1 + len(network.feature_info)


def layer_parts(model: nn.Module, images: Tensor, *, layers: int) -> tuple[list[Tensor], Tensor | None]:
    """Return the features fp32 [B, d] of each of the last `layers` layers of a timm network, the last one first.

    A Transformer gives the class token and the mean of the patches after each of its last blocks, its final norm
    applied; any other network what its head reads and, for `layers` above 1, the mean of each of its last stages'
    feature maps. A network gives as many layers as it has, one whose layers timm can't tell apart its last alone.
    Also returns the last feature map that the head reads, where there is one.
    """
    network: Any = model
    if not hasattr(network, "forward_intermediates"):
        return [embed(model, images)[0].float()], None
    if _has_tokens(network):
        found = network.forward_intermediates(
            images,
            indices=min(layers, len(network.blocks)),
            norm=True,
            return_prefix_tokens=True,
            intermediates_only=True,
        )
        return [part.float() for layer in reversed(found) for part in _summaries(layer)], None
    stages = min(layers - 1, len(network.feature_info))
    last, found = network.forward_intermediates(images, indices=max(stages, 1))
    maps = [_mean(stage) for stage in reversed(found[len(found) - stages :])]
    head = network.forward_head(last, pre_logits=True).flatten(1)
    return [part.float() for part in (head, *maps)], last


def _has_tokens(network: Any) -> bool:
    """Whether the network's blocks pass on tokens, of a class and of patches."""
    asked = inspect.signature(network.forward_intermediates).parameters
    return "return_prefix_tokens" in asked and hasattr(network, "blocks")


def _summaries(layer: Tensor | tuple[Tensor, Tensor]) -> list[Tensor]:
    """Return the class token [B, d], where there is one, and the mean of the patches [B, d] after a block."""
    if isinstance(layer, Tensor):
        return [_mean(layer)]
    patches, prefix = layer
    return [prefix[:, 0], _mean(patches)] if prefix.shape[1] else [_mean(patches)]


def _mean(maps: Tensor) -> Tensor:
    """Return the mean [B, d] of maps [B, d, h, w]."""
    return maps.mean(dim=(2, 3))
