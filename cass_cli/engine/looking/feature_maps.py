"""What the first layers of a network keep of an image (C.3, Figures 4 and 5).

The paper draws one map a layer. Here it is the mean magnitude over channels: a mean with signs would let channels
cancel. "Retains more detail" becomes a number: how well the map's edges follow the image's.

Shapes: N images, K layers, D channels; a layer's map is h × w.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from cass_cli.config.schema import ArmName
from cass_cli.engine.looking.gradcam import as_grid
from cass_cli.engine.looking.look import Look, Progress, part_of
from cass_cli.engine.looking.measures import mean_estimates
from cass_cli.engine.looking.shown import Shown
from cass_cli.scores.bootstrap import Estimate

LAYERS = 5  # C.3
BATCH = 8
SMALLEST_GRID = 4  # below, there are no edges to speak of
SHORTCUTS = ("downsample", "shortcut")  # the detour of a residual block, no layer of its own

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class FeatureMaps:
    """The first layers of one network on all images."""

    arm: ArmName
    label: str
    model: str
    layers: tuple[str, ...]  # K names
    maps: tuple[Floats, ...]  # K of [N, h, w] ≥ 0
    intensity: Floats  # [N, K] mean of the map
    edges: Floats  # [N, K] correlation of its edges with the image's, −1 … 1
    intensities: tuple[Estimate, ...]  # [K] over images
    edge_means: tuple[Estimate, ...]  # [K]


@dataclass(frozen=True)
class FeatureResult:
    """Feature maps of every network asked for."""

    look: Look
    maps: tuple[FeatureMaps, ...]
    notes: tuple[str, ...]


def feature_maps(look: Look, *, layers: int, on_progress: Progress) -> FeatureResult:
    """Return the maps of the first `layers` layers of all networks of `look`."""
    models = look.models()
    total = len(models) * len(look.sample)
    maps = []
    for i, shown in enumerate(models):
        maps.append(_maps_of(shown, look, layers, part_of(on_progress, i * len(look.sample), total)))
    return FeatureResult(look, tuple(maps), look.sample.notes)


def _maps_of(shown: Shown, look: Look, layers: int, on_progress: Callable[[int], None]) -> FeatureMaps:
    pixels = look.sample.pixels(shown.spec)
    network = shown.network.to(look.device)
    batches: list[dict[str, Tensor]] = []
    for start in range(0, len(pixels), BATCH):
        inputs = shown.inputs(pixels[start : start + BATCH], look.device)
        batches.append(first_maps(network, inputs, layers=layers))
        on_progress(min(start + BATCH, len(pixels)))
    names = tuple(batches[0])
    joined = {name: torch.cat([batch[name] for batch in batches]).cpu() for name in names}
    grey = pixels.float().mean(dim=1)  # [N, S, S]
    intensity = np.stack([joined[name].mean(dim=(1, 2)).numpy().astype(np.float64) for name in names], axis=1)
    edges = np.stack([edge_agreement(joined[name], grey) for name in names], axis=1)
    groups = look.sample.table.groups
    return FeatureMaps(
        arm=shown.arm,
        label=shown.label,
        model=shown.model,
        layers=names,
        maps=tuple(joined[name].double().numpy() for name in names),
        intensity=intensity,
        edges=edges,
        intensities=mean_estimates(intensity, groups),
        edge_means=mean_estimates(edges, groups),
    )


@torch.no_grad()
def first_maps(network: nn.Module, images: Tensor, *, layers: int) -> dict[str, Tensor]:
    """Return the mean magnitude over channels [B, h, w] of the first `layers` layers, in the order they run.

    Layers are convolutions (shortcuts and those on pooled features aside); in a Vision Transformer, the patch
    embedding and the blocks' patch tokens.
    """
    model: Any = network
    watched = {n: m for n, m in network.named_modules() if isinstance(m, nn.Conv2d) and not _is_shortcut(n)}
    if hasattr(getattr(model, "patch_embed", None), "grid_size") and hasattr(model, "blocks"):
        watched |= {f"blocks.{i}": block for i, block in enumerate(model.blocks)}
    seen: dict[str, Tensor] = {}

    def keep(name: str, _module: nn.Module, _inputs: Any, output: Tensor) -> None:
        grid = as_grid(output, network) if output.ndim == 3 else output  # [B, D, h, w]
        if len(seen) < layers and grid.shape[-1] > 1:
            seen[name] = grid.abs().mean(dim=1)

    hooks = [module.register_forward_hook(partial(keep, name)) for name, module in watched.items()]
    try:
        network.eval()(images)
    finally:
        for hook in hooks:
            hook.remove()
    return seen


def _is_shortcut(name: str) -> bool:
    return any(part in name for part in SHORTCUTS)


def edge_agreement(maps: Tensor, grey: Tensor) -> Floats:
    """Return the correlation [N] between the edge strength of maps [N, h, w] and that of grey images [N, S, S].

    Images are averaged down to the maps' grid first. NaN for a flat map or image, and on grids below 4 × 4.
    """
    if min(maps.shape[1:]) < SMALLEST_GRID:
        return np.full(len(maps), np.nan)
    small = F.adaptive_avg_pool2d(grey.unsqueeze(1), (maps.shape[1], maps.shape[2])).squeeze(1)
    first, second = (_edges(tensor) for tensor in (maps, small))
    scale = first.norm(dim=1) * second.norm(dim=1)
    together = (first * second).sum(dim=1)
    agreement: Floats = torch.where(scale > 0, together / scale, torch.nan).numpy()
    return agreement


def _edges(maps: Tensor) -> Tensor:
    """Return the gradient magnitudes, centred, [N, h·w]."""
    down, across = torch.gradient(maps.double(), dim=(1, 2))
    strength = torch.hypot(down, across).flatten(1)
    return strength - strength.mean(dim=1, keepdim=True)
