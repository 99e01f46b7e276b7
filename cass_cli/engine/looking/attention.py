"""What a Vision Transformer's class token attends to, read from the softmax of every block.

timm computes attention in one fused kernel that never holds the weights. For the length of a capture it is told
to take the plain path, where they pass through `attn_drop` (the identity in eval mode), and a hook reads them there.

Legend: B images, L blocks, H heads, T tokens, P = h·w patches.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Attention:
    """The attention of one batch."""

    heads: Tensor  # [B, H, h, w]: weight the last block's class token gives each patch; ≤ 1 in sum over h, w
    rollout: Tensor  # [B, h, w]: the class token's row of the rollout over all blocks
    distance: Tensor  # [B, L, H]: mean attention distance between patches, as a share of the image's side


def attends(network: nn.Module) -> bool:
    """Whether the network is built on attention at all (a pooling layer that attends does not count)."""
    names = [type(module).__name__ for module in network.modules()]
    return any("Attention" in name and "Pool" not in name for name in names)


def has_class_attention(network: nn.Module) -> bool:
    """Whether a class token that the head reads attends to a grid of patches, in blocks that can be captured.

    False for networks that pool their patches (Swin, SigLIP, BEiT): a class token there, if any, explains nothing.
    """
    model: Any = network
    blocks = list(getattr(model, "blocks", ()))
    grid = getattr(getattr(model, "patch_embed", None), "grid_size", None)
    token = getattr(model, "cls_token", None) is not None and getattr(model, "global_pool", None) == "token"
    attentions = [getattr(block, "attn", None) for block in blocks]
    plain = [hasattr(module, "fused_attn") and hasattr(module, "attn_drop") for module in attentions]
    return token and grid is not None and bool(plain) and all(plain)


@torch.no_grad()
def class_attention(network: nn.Module, images: Tensor) -> Attention:
    """Return the attention of `images` [B, 3, S, S]; `network` must satisfy `has_class_attention`.

    Distillation and register tokens stand between the class token and the patches; timm counts all three in
    `num_prefix_tokens`, and none is part of a map. Only what is returned is kept of each block's [B, H, T, T].
    """
    assert has_class_attention(network)
    model: Any = network
    grid, skip = tuple(model.patch_embed.grid_size), int(model.num_prefix_tokens)
    between = patch_distances(*grid).to(images.device)
    rollout, last = torch.empty(0), torch.empty(0)
    distance: list[Tensor] = []

    def read(_module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        nonlocal rollout, last
        weights = inputs[0].float()  # [B, H, T, T], rows sum to one
        last = weights[:, :, 0, skip:]
        rollout = rolled_out(weights, rollout if distance else None)
        distance.append(mean_distance(weights[:, :, skip:, skip:], between))

    with softmax_shown(network, read):
        network.eval()(images)
    return Attention(
        heads=last.unflatten(-1, grid),
        rollout=rollout[:, 0, skip:].unflatten(-1, grid),
        distance=torch.stack(distance, 1),
    )


def rolled_out(weights: Tensor, before: Tensor | None) -> Tensor:
    """Return the rollout [B, T, T] up to a block of `weights` [B, H, T, T], given the one `before` it.

    Attention rollout (Abnar and Zuidema 2020): the residual connection counts as half of a block's attention,
    Ā = (mean over heads + I) / 2, and the blocks multiply, Ā_L … Ā_1. Rows sum to one.
    """
    mixed = (weights.mean(dim=1) + torch.eye(weights.shape[-1], device=weights.device)) / 2
    return mixed if before is None else mixed @ before


def mean_distance(weights: Tensor, between: Tensor) -> Tensor:
    """Return [B, H]: how far patches look, averaged over querying patches (Dosovitskiy et al. 2021, D.7).

    `weights` [B, H, P, P] need not sum to one (attention to other tokens is left out); `between` is [P, P].
    """
    shares = weights / weights.sum(dim=-1, keepdim=True).clamp_min(torch.finfo(weights.dtype).tiny)
    return (shares * between).sum(dim=-1).mean(dim=-1)


def patch_distances(rows: int, columns: int) -> Tensor:
    """Return [P, P]: distances between the centres of patches, as shares of the image's longer side."""
    y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    centres = torch.stack([y.flatten(), x.flatten()], dim=1).float() / max(rows, columns)
    return torch.cdist(centres, centres, compute_mode="donot_use_mm_for_euclid_dist")


@contextmanager
def softmax_shown(network: nn.Module, read: Any) -> Iterator[None]:
    """Call `read(module, (weights,))` with the softmax of each block, first to last, while the context lasts.

    Afterwards, also after an error, fused attention is what it was, and so is the training mode.
    """
    model: Any = network
    modules = [block.attn for block in model.blocks]
    fused = [module.fused_attn for module in modules]
    training = network.training
    hooks = [module.attn_drop.register_forward_pre_hook(read) for module in modules]
    try:
        for module in modules:
            module.fused_attn = False
        yield
    finally:
        for hook in hooks:
            hook.remove()
        for module, was in zip(modules, fused, strict=True):
            module.fused_attn = was
        network.train(training)
