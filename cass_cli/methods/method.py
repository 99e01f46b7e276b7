"""What the training loop asks of a self-supervised method.

Legend: B batch, S image side, K output width.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from torch import Tensor, nn


class Method(Protocol):
    """A module that holds its networks, says which views it wants, and returns a loss for them."""

    arms: nn.ModuleDict
    """The networks that are kept and exported, by arm name."""

    views: tuple[Mapping[str, Any], ...]
    """For each view of an image, the settings that `draw_view` is called with."""

    def __call__(self, *views: Tensor) -> Tensor:
        """Return the mean loss (a scalar) over views [B, 3, S, S], normalised."""
        ...

    def after_step(self, progress: float) -> None:
        """Do what follows an optimiser step (a moving average, say); `progress` runs from 0 to 1."""
        ...
