"""From a finished run to attention maps of its arms on test images, with numbers.

Shapes: N images, h × w the map's grid, H heads, L blocks, M measures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cass_cli.config.schema import ArmName
from cass_cli.engine.looking.attention import attends, class_attention, has_class_attention
from cass_cli.engine.looking.gradcam import chosen_class, grad_cam, own_direction
from cass_cli.engine.looking.look import Look, Progress, part_of
from cass_cli.engine.looking.measures import NAMES, mean_estimates, measure_maps
from cass_cli.engine.looking.shown import Shown
from cass_cli.errors import ConfigError, ModelError, did_you_mean
from cass_cli.scores.bootstrap import Estimate

BATCH = 8  # attention of ViT-B at 384 px takes 16 MB an image and block
ATTENTION, ROLLOUT, GRADIENT = "class-token attention", "attention rollout", "Grad-CAM"
METHODS = {"cls": ATTENTION, "rollout": ROLLOUT, "gradcam": GRADIENT}

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ModelMaps:
    """The maps of one network on all images."""

    arm: ArmName
    label: str
    model: str
    kind: str  # ATTENTION, ROLLOUT or GRADIENT
    maps: Floats  # [N, h, w] ≥ 0; ATTENTION: the mean over heads
    heads: Floats | None  # [N, H, h, w]
    rollout: Floats | None  # [N, h, w], beside ATTENTION
    distance: Floats | None  # [N, L, H], in image sides
    measures: Floats  # [N, M]
    means: tuple[Estimate, ...]  # [M]


@dataclass(frozen=True)
class AttentionResult:
    """Maps of every network asked for, and what pretraining changed."""

    look: Look
    maps: tuple[ModelMaps, ...]
    changes: Mapping[ArmName, tuple[Estimate, ...]]  # after − before, image by image
    notes: tuple[str, ...]


def attention_maps(
    look: Look, *, method: str = "cls", arm_named: bool = False, on_progress: Progress
) -> AttentionResult:
    """Return the maps of all networks of `look`, by a `method` of `METHODS`; Grad-CAM where it does not apply.

    Raises `ModelError` when no arm is built on attention, unless Grad-CAM or an arm was asked for by name.
    """
    if method not in METHODS:
        raise ConfigError(
            f"--method knows no '{method}'.{did_you_mean(method, list(METHODS))}", hint="cls, rollout or gradcam."
        )
    by_name = arm_named or method == "gradcam"
    if not by_name and not any(attends(shown.network) for shown in look.after.values()):
        names = " and ".join(shown.model for shown in look.after.values())
        raise ModelError(
            f"{look.run} has no Transformer: {names} use no attention.",
            hint="See `cass feature-maps`, or Grad-CAM of one arm with --arm cnn.",
        )
    models = look.models()
    total = len(models) * len(look.sample)
    maps = []
    for i, shown in enumerate(models):
        maps.append(
            model_maps(shown, look, METHODS[method], on_progress=part_of(on_progress, i * len(look.sample), total))
        )
    changes = {arm: _change(*(m for m in maps if m.arm == arm), groups=look.sample.table.groups) for arm in look.before}
    return AttentionResult(look, tuple(maps), changes, (*look.sample.notes, *_notes(look, maps)))


def _change(before: ModelMaps, after: ModelMaps, *, groups: Any) -> tuple[Estimate, ...]:
    return mean_estimates(after.measures - before.measures, groups)


def model_maps(shown: Shown, look: Look, kind: str, *, on_progress: Callable[[int], None]) -> ModelMaps:
    """Return maps of the `kind` asked for, or gradient-based ones where the network has no class-token attention."""
    pixels = look.sample.pixels(shown.spec)
    network = shown.network.to(look.device)
    head = None if shown.head is None else shown.head.to(look.device)
    target = chosen_class if shown.classifier else own_direction
    attention = kind != GRADIENT and has_class_attention(network)
    parts: list[tuple[torch.Tensor, ...]] = []
    for start in range(0, len(pixels), BATCH):
        inputs = shown.inputs(pixels[start : start + BATCH], look.device)
        if attention:
            seen = class_attention(network, inputs)
            parts.append((seen.heads.mean(dim=1), seen.heads, seen.rollout, seen.distance))
        else:
            parts.append((grad_cam(network, inputs, target=target, head=head),))
        on_progress(min(start + BATCH, len(pixels)))
    joined = [torch.cat(tensors).cpu().double().numpy() for tensors in zip(*parts, strict=True)]
    maps, heads, rollout, distance = joined if attention else (joined[0], None, None, None)
    if rollout is not None and kind == ROLLOUT:
        maps, rollout = rollout, None
    measures = measure_maps(maps, distance)
    return ModelMaps(
        arm=shown.arm,
        label=shown.label,
        model=shown.model,
        kind=kind if attention else GRADIENT,
        maps=maps,
        heads=heads,
        rollout=rollout,
        distance=distance,
        measures=measures,
        means=mean_estimates(measures, look.sample.table.groups),
    )


def _notes(look: Look, maps: list[ModelMaps]) -> list[str]:
    """Say what a reader could take for something else."""
    notes = []
    for m in maps:
        shown = look.after[m.arm]
        if m.label != shown.label:
            continue
        if m.kind == GRADIENT:
            lack = "has no class token that its head reads" if attends(shown.network) else "is no Transformer"
            why = "" if has_class_attention(shown.network) else f" {lack}: it"
            of = "" if shown.classifier else ", of the output along its own direction: there are no classes yet"
            notes.append(f"{m.model}{why} is shown by its gradients (Grad-CAM{of}).")
            if shown.head is not None:
                notes.append(f"{m.model} answers from several layers: Grad-CAM shows what the last of them adds.")
    for m in maps:
        empty = int(np.isnan(m.measures[:, NAMES.index("entropy")]).sum())
        if empty:
            notes.append(f"{m.arm}, {m.label}: {empty} maps are empty (no slope is positive) and are left out.")
    small = min(m.maps.shape[1] * m.maps.shape[2] for m in maps)
    if small < 36:
        notes.append(f"The coarsest grid has {small} cells: its measures are rough.")
    return notes
