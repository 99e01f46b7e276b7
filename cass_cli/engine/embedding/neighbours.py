"""The nearest neighbours of every image, in blocks: no table of all pairs is held.

Features are standardised as a probe's are, so that each layer counts alike, and compared by their cosine.
Shapes: n images, D features, k neighbours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from cass_cli.engine.regression import standardise

CELLS = 2**25  # similarities at a time: 134 MB


@dataclass(frozen=True)
class Neighbours:
    """The nearest of each image, the nearest first."""

    index: NDArray[np.int64]  # [n, k]
    similarity: NDArray[np.float32]  # [n, k]: cosine; −1 where there is none further


def directions(values: NDArray[np.float32], widths: Sequence[int]) -> Tensor:
    """Return features fp32 [n, D], standardised over the images, as rows of unit length; what is all zero stays so."""
    mean, scale = standardise(values, widths)
    rows = (values - mean.astype(np.float32)) * scale.astype(np.float32)
    return F.normalize(torch.from_numpy(rows), dim=1)


def neighbours(
    rows: Tensor,
    groups: NDArray[np.int64],
    *,
    k: int,
    device: torch.device,
    on_progress: Callable[[int, int], None] | None = None,
) -> tuple[Neighbours, Neighbours]:
    """Return the k nearest others of each of the unit `rows` [n, D], and its k nearest of other groups.

    `groups` are numbers [n]; an image whose group is not known has a number of its own.
    """
    n, k = len(rows), min(k, len(rows) - 1)
    keys, group = rows.to(device), torch.from_numpy(groups).to(device)
    several = len(np.unique(groups)) < n
    nearest: list[tuple[Tensor, Tensor]] = []
    foreign: list[tuple[Tensor, Tensor]] = []
    for start in range(0, n, step := max(1, CELLS // n)):
        cosine = keys[start : start + step] @ keys.T  # [b, n]
        own = torch.arange(len(cosine), device=device)
        cosine[own, own + start] = -1
        nearest.append(_top(cosine, k))
        if several:
            cosine[group[start : start + step, None] == group] = -1
            foreign.append(_top(cosine, k))
        if on_progress:
            on_progress(min(start + step, n), n)
    found = _joined(nearest)
    return found, _joined(foreign) if several else found


def _top(cosine: Tensor, k: int) -> tuple[Tensor, Tensor]:
    values, index = cosine.topk(k, dim=1)
    return values.cpu(), index.cpu()


def _joined(parts: Sequence[tuple[Tensor, Tensor]]) -> Neighbours:
    values, index = (torch.cat(found).numpy() for found in zip(*parts, strict=True))
    return Neighbours(index, values)
