"""Optimisers and their schedules: plain functions of the step, so that a resumed run needs no scheduler's state."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from timm.models import group_parameters
from torch import nn

from cass_cli.config.schema import Finetune, Optim


def build_optimiser(
    name: str, learner: nn.Module, optim: Optim, *, network: nn.Module | None = None, share: float = 1.0
) -> torch.optim.Optimizer:
    """Return `adam`, `adamw` or `sgd` over the parameters of `learner` that learn.

    Biases, norms and other vectors are not decayed (as in the reference implementations of DINO and MAE). The
    parameters of `network`, which is within the learner, learn at that share of the rate of all others.
    """
    learned = [p for p in learner.parameters() if p.requires_grad]
    inner = {id(p) for p in network.parameters()} if network and share != 1 else set()
    groups: list[dict[str, Any]] = [
        {"params": [p for p in learned if p.ndim > 1 and id(p) not in inner], "decayed": True},
        {"params": [p for p in learned if p.ndim <= 1 and id(p) not in inner], "decayed": False},
    ]
    if inner:
        own = [p for p in learned if id(p) in inner]
        groups += [
            {"params": [p for p in own if p.ndim > 1], "decayed": True, "scale": share},
            {"params": [p for p in own if p.ndim <= 1], "decayed": False, "scale": share},
        ]
    if name == "sgd":
        return torch.optim.SGD(groups, lr=optim.lr, momentum=optim.momentum, weight_decay=0.0, fused=True)
    kind = torch.optim.AdamW if name == "adamw" else torch.optim.Adam
    return kind(groups, lr=optim.lr, betas=optim.betas, weight_decay=0.0, fused=True)


def build_tuner(
    learner: nn.Module, settings: Finetune, *, network: nn.Module | None = None, share: float = 1.0
) -> torch.optim.Optimizer:
    """Return the optimiser of an arm that learns classes: over the parameters of `learner` that learn.

    The arm's own, those of the timm `network` within the learner (None: the learner itself), learn at `share` of the
    rate at the top, and at `layer_decay` of that from each block or stage to the one below it (Bao et al. 2022, BEiT;
    timm's coarse groups). AdamW spares biases, norms and other vectors the weight decay; Adam's is a penalty on all.
    """
    scales = _layer_scales(network or learner, settings.layer_decay, share)
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for parameter in learner.parameters():
        if parameter.requires_grad:
            decayed = settings.optimiser == "adam" or parameter.ndim > 1
            groups.setdefault((scales.get(id(parameter), 1.0), decayed), []).append(parameter)
    kind = torch.optim.AdamW if settings.optimiser == "adamw" else torch.optim.Adam
    return kind(
        [
            {"params": held, "scale": scale, "weight_decay": settings.weight_decay if decayed else 0.0}
            for (scale, decayed), held in groups.items()
        ],
        lr=settings.lr,
        fused=True,
    )


def _layer_scales(network: Any, decay: float, share: float) -> dict[int, float]:
    """Return the share of the rate of each parameter, by its id; of a network without layers, as timm sees it, one."""
    heads = network.get_classifier() if hasattr(network, "get_classifier") else ()  # learn at the rate itself
    head = {id(p) for part in (heads if isinstance(heads, (tuple, list)) else (heads,)) for p in part.parameters()}
    body = {name: p for name, p in network.named_parameters() if id(p) not in head}
    if decay == 1 or not hasattr(network, "group_matcher"):
        return {id(parameter): share for parameter in body.values()}
    layer = group_parameters(network, network.group_matcher(coarse=True), reverse=True)
    top = max(layer[name] for name in body)
    return {id(p): share * decay ** (top - layer[name]) for name, p in body.items()}


def set_rates(optimiser: torch.optim.Optimizer, *, lr: float, weight_decay: float) -> None:
    """Set what the next step uses."""
    for group in optimiser.param_groups:
        group["lr"] = lr * group.get("scale", 1.0)
        group["weight_decay"] = weight_decay if group["decayed"] else 0.0


def learning_rate(step: int, *, steps: int, optim: Optim) -> float:
    """Return the learning rate of `step` out of `steps`."""
    if optim.schedule == "cyclic":
        return cosine_lr(step, peak=optim.lr, lowest=optim.lr_min, period=optim.lr_period)
    rising = round(optim.warmup * steps)
    if step < rising:
        return optim.lr * step / rising
    if optim.schedule == "constant":
        return optim.lr
    return cosine_lr(step - rising, peak=optim.lr, lowest=optim.lr_min, period=max(1, steps - rising))


def weight_decay(step: int, *, steps: int, optim: Optim) -> float:
    """Return the weight decay of `step` out of `steps`."""
    if optim.weight_decay_end is None:
        return optim.weight_decay
    return cosine_lr(step, peak=optim.weight_decay, lowest=optim.weight_decay_end, period=steps)


def cosine_lr(step: int, *, peak: float, lowest: float, period: int) -> float:
    """Return the value at `step`: from `peak` to `lowest` in `period` steps, back again, and so on.

    It equals `torch.optim.lr_scheduler.CosineAnnealingLR(T_max=period)` stepped after every batch (C.5.3).
    """
    return lowest + (peak - lowest) * (1 + math.cos(math.pi * step / period)) / 2


@torch.no_grad()
def clip_each(parameters: Iterable[nn.Parameter], largest: float) -> None:
    """Scale down each parameter's own gradient to a norm of at most `largest` (as DINO's reference does)."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    scales = [(largest / (norm + 1e-6)).clamp(max=1.0) for norm in torch._foreach_norm(gradients)]
    torch._foreach_mul_(gradients, scales)
