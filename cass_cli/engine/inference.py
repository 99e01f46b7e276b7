"""Forward passes without gradients, for all arms of a run in one pass over the images.

Shapes: N images, C classes, S image side.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cass_cli.data.store.store import ImageStore
from cass_cli.data.views.apply import apply_view
from cass_cli.data.views.draw import unchanged
from cass_cli.data.views.spec import ImageSpec
from cass_cli.engine.batches import prefetch
from cass_cli.engine.compute import Compute
from cass_cli.models.heads import LayerHead, read

BATCH = 64  # images at once: large enough for a GPU, small enough for a ViT-B at 384 px on a laptop


@torch.inference_mode()
def batch_logits(
    networks: Mapping[str, nn.Module],
    pixels: Tensor,
    *,
    spec: ImageSpec,
    compute: Compute,
    heads: Mapping[str, LayerHead] | None = None,
) -> dict[str, Tensor]:
    """Return the outputs fp32 [B, C] of each network, in evaluation mode, for uint8 images [B, 3, S, S].

    Networks that one of the `heads` reads answer by that, each by a head of its own name, several by one of another.
    """
    images = apply_view(pixels, unchanged(len(pixels)), spec)
    images = images.contiguous(memory_format=compute.memory_format)
    return answers_of(networks, images, compute=compute, heads=heads)


def answers_of(
    networks: Mapping[str, nn.Module],
    images: Tensor,
    *,
    compute: Compute,
    heads: Mapping[str, LayerHead] | None = None,
) -> dict[str, Tensor]:
    """Return the same for images fp32 [B, 3, S, S] as networks take them."""
    heads = heads or {}
    cards = {name: head.card for head in heads.values() for name in head.card.arms}
    with compute.autocast():
        features = {name: read(cards[name], network, images) for name, network in networks.items() if name in cards}
        outputs = {name: network(images).float() for name, network in networks.items() if name not in cards}
    outputs |= {name: head(features) for name, head in heads.items()}
    return {name: outputs[name] for name in dict.fromkeys([*networks, *heads]) if name in outputs}


def store_logits(
    networks: Mapping[str, nn.Module],
    store: ImageStore,
    rows: Tensor,
    *,
    spec: ImageSpec,
    compute: Compute,
    heads: Mapping[str, LayerHead] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> dict[str, NDArray[np.float64]]:
    """Return the outputs fp64 [N, C] of each network and head for the images `rows` of the store, in that order.

    The networks lie on the device; they are put into evaluation mode and back as they were.
    `on_progress(done, total)` counts images.
    """
    if not len(rows):
        return {name: np.empty((0, int(getattr(network, "num_classes", 1)))) for name, network in networks.items()}
    were_training = {name: [m for m in network.modules() if m.training] for name, network in networks.items()}
    for network in networks.values():
        network.eval()
    parts: dict[str, list[Tensor]] = {}
    batches = prefetch(lambda part: store.batch(part, compute.device), rows.split(BATCH), device=compute.device)
    for number, pixels in enumerate(batches):
        for name, logits in batch_logits(networks, pixels, spec=spec, compute=compute, heads=heads).items():
            parts.setdefault(name, []).append(logits)
        if on_progress:
            on_progress(number * BATCH + len(pixels), len(rows))
    for modules in were_training.values():
        for module in modules:
            module.training = True
    return {name: torch.cat(part).cpu().double().numpy() for name, part in parts.items()}
