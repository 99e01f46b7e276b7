"""CKA between all layers of a run's arms, before and after pretraining, on test images.

Legend: N images, M layers of both arms.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cass_cli.config.schema import ArmName
from cass_cli.engine.batches import batch_bounds
from cass_cli.engine.looking.cka import SMALLEST_BATCH, Layer, arm_grams, minibatch_cka
from cass_cli.engine.looking.look import Look, Progress, part_of
from cass_cli.engine.looking.shown import Shown
from cass_cli.errors import DataError, RunError

SAMPLES = 128
BATCH = 32


@dataclass(frozen=True)
class Similarity:
    """CKA of a pair of arms."""

    label: str
    layers: tuple[Layer, ...]  # M, the first arm's before the second's
    cka: NDArray[np.float64]  # [M, M]

    @property
    def across(self) -> NDArray[np.float64]:
        """Return the block [M1, M2] between the two arms."""
        first = sum(layer.arm == self.layers[0].arm for layer in self.layers)
        return self.cka[:first, first:]


@dataclass(frozen=True)
class SimilarityResult:
    """CKA before, where there is something to compare with, and after."""

    look: Look
    models: Mapping[ArmName, str]
    pairs: tuple[Similarity, ...]
    batch: int
    notes: tuple[str, ...]


def similarity(look: Look, *, batch: int, on_progress: Progress) -> SimilarityResult:
    """Return the CKA of the arms before and after; raises when there are not two arms, or fewer than 4 images."""
    if len(look.after) < 2:
        raise RunError(f"{look.run} has one arm only: there is nothing to compare it with.")
    images = len(look.sample)
    if images < SMALLEST_BATCH:
        raise DataError(
            f"CKA needs {SMALLEST_BATCH} images at least, and there are {images}.",
            hint="Choose another --split, or name more pictures with --images.",
        )
    sides = [side for side in (look.before, look.after) if len(side) == len(look.after)]
    pairs = []
    for i, arms in enumerate(sides):
        pairs.append(_pair(arms, look, batch, part_of(on_progress, i * images, len(sides) * images)))
    models = {arm: shown.model for arm, shown in look.after.items()}
    used = f"Unbiased minibatch CKA in batches of {batch}." if images > batch else "Unbiased CKA, one batch."
    return SimilarityResult(look, models, tuple(pairs), batch, (*look.sample.notes, used))


def _pair(arms: Mapping[ArmName, Shown], look: Look, batch: int, on_progress: Callable[[int], None]) -> Similarity:
    order = torch.from_numpy(np.random.default_rng(0).permutation(len(look.sample)))  # samples are sorted by class
    layers: list[Layer] = []

    def batches() -> Iterator[Tensor]:
        for start, stop in batch_bounds(len(look.sample), batch, smallest=SMALLEST_BATCH):
            rows, grams = order[start:stop], dict[Layer, Tensor]()
            for arm, shown in arms.items():
                inputs = shown.inputs(look.sample.pixels(shown.spec)[rows], look.device)
                seen = arm_grams(shown.network.to(look.device), inputs)
                grams |= {Layer(arm, name): matrix for name, matrix in seen.items()}
            layers[:] = grams
            on_progress(stop)
            yield torch.stack(list(grams.values()))

    cka = minibatch_cka(batches()).cpu().numpy()
    labels = dict.fromkeys(shown.label for shown in arms.values())
    return Similarity(" · ".join(labels), tuple(layers), cka)
