"""What distill learns: the principal axes of what frozen networks know of the training images (`methods/distill.py`).

Legend: N training images, D features of a network, K target width.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cass_cli.config.schema import Config, NetworkName
from cass_cli.data.store.store import ImageStore
from cass_cli.data.views.spec import spec_of
from cass_cli.engine.batches import prefetch
from cass_cli.engine.checkpoint import load_checkpoint, save_checkpoint
from cass_cli.engine.compute import Compute
from cass_cli.engine.features import BATCH, Reading, read_batch
from cass_cli.errors import ConfigError, DataError, RunError
from cass_cli.methods.distill import AXES
from cass_cli.models.arms import Arm, arm_options, build_arm
from cass_cli.runs.directory import Run

LAYERS = 6  # as the probe reads
CHUNK = 4096  # columns that are multiplied in fp64 at once
NOISE = 1e-10  # of the largest: smaller squared lengths are rounding


def check_teachers(config: Config) -> None:
    """Raise `ModelError` where distill would learn from no model, `ConfigError` from one that knows nothing."""
    method, arms = config.method, config.arms
    if method.name != "distill":
        return
    if "targets" in method.teachers:
        arm_options(method.targets, image_size=config.data.image_size, outputs=0)
    untaught = [name for name in method.teachers if name not in arms.weights]
    if untaught and arms.init == "random":
        raise ConfigError(
            f"distill teaches what networks know, and random weights ({', '.join(untaught)}) know nothing.",
            hint="Start from --init imagenet or --weights, or learn from the images alone: --method vicreg.",
        )


def build_teachers(config: Config) -> dict[NetworkName, Arm]:
    """Build the networks that teach, with their weights: starting arms, or the one that `method.targets` names.

    There are none where the method is not distill.
    """
    if config.method.name != "distill":
        return {}
    names = {"cnn": config.arms.cnn, "vit": config.arms.vit, "targets": config.method.targets}
    return {
        name: build_arm(
            names[name],
            image_size=config.data.image_size,
            outputs=0,
            init=config.arms.init,
            weights=config.arms.weights.get(name),
            output_stride=config.arms.output_stride if name == "cnn" else None,
        )
        for name in config.method.teachers
    }


class Watcher(Protocol):
    """Told what teaches, and how far it has read."""

    def note(self, text: str) -> None: ...
    def reading(self, done: int, total: int) -> None: ...


def begin_targets(
    config: Config,
    teachers: Mapping[NetworkName, Arm],
    store: ImageStore,
    compute: Compute,
    run: Run,
    watch: Watcher,
) -> Tensor | None:
    """Return what distill learns of the images or, without `teachers`, began to learn in `run`; else None."""
    if config.method.name != "distill":
        return None
    if not teachers:
        return load_targets(run.targets, len(store))
    for name, arm in teachers.items():
        watch.note(f"Targets: {arm.name}, {arm.weights}" if name == "targets" else f"Targets: the starting {name}")
    return make_targets(config, teachers, store, compute, on_progress=watch.reading)


def make_targets(
    config: Config,
    teachers: Mapping[NetworkName, Arm],
    store: ImageStore,
    compute: Compute,
    *,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Tensor:
    """Return the targets fp32 [N, K] of the images in `store`, which each teacher reads once.

    `on_progress(done, total)` counts batches. Raises `RunError` where a teacher gives what is not finite.
    """
    reading = Reading(spec_of(config.data), LAYERS, mirrored=False)
    batches = torch.arange(len(store)).split(BATCH)
    done, found = 0, []
    for name, arm in teachers.items():
        network = compute.place(arm.model).eval()
        parts = []
        for pixels in prefetch(lambda rows: store.batch(rows, compute.device), batches, device=compute.device):
            values, widths = read_batch(network, pixels, reading, compute)
            parts.append(values)
            done += 1
            on_progress(done, len(batches) * len(teachers))
        features = np.concatenate(parts)
        del parts
        if not np.isfinite(features).all():
            raise RunError(
                f"The network {name} gives training images features that are not finite.",
                hint="Try --precision fp32 if this was bf16, or other weights.",
            )
        found.append(principal_targets(features, widths))
    return torch.from_numpy(np.concatenate(found, axis=1))


def principal_targets(features: NDArray[np.float32], widths: list[int], *, axes: int = AXES) -> NDArray[np.float32]:
    """Return the first `axes` principal components [N, K] of features [N, D] of layers of these `widths`.

    Each layer is centred and scaled to a variance of 1 in all; component k has a variance in proportion to its singular
    value, not to its square, and the mean square over all of them is 1. Takes `features` apart.
    """
    x = features
    x -= x.mean(axis=0, dtype=np.float64).astype(np.float32)
    layer = np.repeat(np.arange(len(widths)), widths)
    spread = np.bincount(layer, weights=np.einsum("nd,nd->d", x, x, dtype=np.float64), minlength=len(widths)) / len(x)
    constant = spread <= NOISE
    x *= np.where(constant, 0.0, 1 / np.sqrt(np.where(constant, 1.0, spread)))[layer].astype(np.float32)
    few = len(x) < x.shape[1]
    rows = x if few else x.T
    parts = np.array_split(rows, max(1, rows.shape[1] // CHUNK), axis=1)
    values, vectors = np.linalg.eigh(sum(np.matmul(part, part.T, dtype=np.float64) for part in parts))
    values, vectors = values[::-1][:axes], vectors[:, ::-1][:, :axes]
    kept = values > max(values[0] * NOISE, NOISE)
    singular, vectors = np.sqrt(values[kept]), vectors[:, kept]
    scores = vectors * np.sqrt(singular) if few else x @ (vectors / np.sqrt(singular)).astype(np.float32)
    if not scores.size:
        raise DataError("All training images look the same to a network that teaches.", hint="Is it the right folder?")
    targets: NDArray[np.float32] = (scores / np.sqrt(np.square(scores).mean())).astype(np.float32)
    return targets


def save_targets(path: Path, targets: Tensor) -> None:
    """Write the targets of a run to `path`: resuming, it learns what it began to learn."""
    save_checkpoint(path, {"targets": targets})


def load_targets(path: Path, images: int) -> Tensor:
    """Return the targets fp32 [N, K] that `save_targets` wrote, of so many `images`; raise `RunError` otherwise."""
    hint = "Put it back, or start the run again."
    if not path.is_file():
        raise RunError(f"{path} is gone, which the run learns from.", hint=hint)
    targets: object = load_checkpoint(path).get("targets")
    if not isinstance(targets, Tensor) or targets.dtype != torch.float32 or targets.shape[:1] != (images,):
        raise RunError(f"{path} does not hold the targets of {images} images.", hint=hint)
    return targets
