"""Do the two arms see alike? Linear CKA between all layers of both, before and after pretraining.

Centred kernel alignment (Kornblith et al. 2019) compares what two layers make of the same images. It is estimated
from minibatches by the unbiased HSIC estimator (Song et al. 2007), averaged over batches before the division, as in
Nguyen, Raghu and Kornblith 2021 (Eq. 2–4): the value does not depend on the batch size, only its noise does.

Legend: n images of a batch (at least 4), F features of a layer, M layers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from cass_cli.models.arms import embed

SMALLEST_BATCH = 4  # the unbiased estimator divides by n − 3


@dataclass(frozen=True)
class Layer:
    """One row of the comparison."""

    arm: str
    name: str


def watched_layers(network: nn.Module) -> dict[str, nn.Module]:
    """Return the layers that are compared, in the order of the network: its first convolution and every block.

    A block is the innermost member of a Sequential or ModuleList that holds weight layers and children of its own
    (Bottleneck, InvertedResidual, ViT's Block, …). The head's input is watched beside these, as "features".
    """
    first = next((name for name, m in network.named_modules() if isinstance(m, nn.Conv2d)), None)
    members = {
        f"{parent}.{name}".strip("."): module
        for parent, container in network.named_modules()
        if isinstance(container, (nn.Sequential, nn.ModuleList))
        for name, module in container.named_children()
        if _is_composite(module)
    }
    inner = {
        name: module for name, module in members.items() if not any(other.startswith(f"{name}.") for other in members)
    }
    stem = {} if first is None or any(first.startswith(f"{name}.") for name in inner) else {first: first}
    modules = dict(network.named_modules())
    return {name: modules[name] for name in [*stem, *inner]}


def _is_composite(module: nn.Module) -> bool:
    if isinstance(module, (nn.Sequential, nn.ModuleList)):
        return False
    return any(isinstance(inner, (nn.Conv2d, nn.Linear)) for inner in module.modules() if inner is not module)


@torch.no_grad()
def arm_grams(network: nn.Module, images: Tensor) -> dict[str, Tensor]:
    """Return the Gram matrix [n, n] (double) of each watched layer for `images` [n, 3, S, S].

    Features are those of all positions and channels, flattened; they are reduced as they come, so no layer's
    features outlive the forward pass.
    """
    grams: dict[str, Tensor] = {}
    with _outputs_seen(watched_layers(network), grams):
        features, _ = embed(network.eval(), images)
    return {**grams, "features": gram(features)}


@contextmanager
def _outputs_seen(layers: Mapping[str, nn.Module], grams: dict[str, Tensor]) -> Iterator[None]:
    def keep(name: str) -> Any:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            grams[name] = gram(output[0] if isinstance(output, tuple) else output)

        return hook

    hooks = [module.register_forward_hook(keep(name)) for name, module in layers.items()]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def gram(features: Tensor) -> Tensor:
    """Return the linear Gram matrix [n, n] of features [n, …], in double precision, on the CPU.

    Features are centred first: HSIC does not change by it, and large common means would cost it digits.
    """
    flat = features.flatten(1).float()
    flat = flat - flat.mean(dim=0)
    return (flat @ flat.T).cpu().double()  # MPS has no float64


def hsic(grams: Tensor) -> Tensor:
    """Return the unbiased HSIC [M, M] between all pairs of `grams` [M, n, n], n ≥ 4 (Song et al. 2007, Eq. 5)."""
    count = grams.shape[-1]
    assert count >= SMALLEST_BATCH
    hollow = grams - torch.diag_embed(torch.diagonal(grams, dim1=1, dim2=2))  # K̃: the diagonal set to zero
    rows = hollow.sum(dim=2)  # K̃ 1, [M, n]
    total = rows.sum(dim=1)  # 1ᵀ K̃ 1, [M]
    flat = hollow.flatten(1)
    terms = flat @ flat.T + torch.outer(total, total) / ((count - 1) * (count - 2)) - 2 * rows @ rows.T / (count - 2)
    return terms / (count * (count - 3))


def minibatch_cka(batches: Iterable[Tensor]) -> Tensor:
    """Return linear CKA [M, M] from batches of `grams` [M, n, n]; NaN for a layer that gives all images the same."""
    sums, batch_count = torch.zeros(()), 0
    for grams in batches:
        sums, batch_count = sums + hsic(grams), batch_count + 1
    assert batch_count, "no batch"
    own = torch.diagonal(sums)
    scale = torch.where(own > 0, own, torch.nan).sqrt()
    return sums / torch.outer(scale, scale)
