"""What the training loop asks of a self-supervised method.

Legend: B batch, S side of a view, D feature width, K output width.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from cass_cli.methods.teacher import Branch


@dataclass(frozen=True)
class View:
    """One look at each image: what `draw_view` is called with, and its side in pixels (None: the image's own)."""

    knobs: Mapping[str, Any]
    size: int | None = None


class Method(nn.Module, ABC):
    """Holds its networks, says which views of an image it wants, and is called with them for its loss:

    method(*views, progress=p) → the mean loss (a scalar) over views [B, 3, S, S], normalised, in the order of
    `views`; p runs from 0 to 1 over the run. Where it has a `target_width` K, what frozen networks know of the images,
    [B, K], follows the views.
    """

    views: Sequence[View]
    target_width: int = 0

    @property
    @abstractmethod
    def arms(self) -> Mapping[str, nn.Module]:
        """The networks that are kept and exported, by arm name."""

    @property
    def learned(self) -> Mapping[str, nn.Module]:
        """For each arm, the network within its learner: the kept one, unless that only follows."""
        return self.arms

    @property
    @abstractmethod
    def learners(self) -> Mapping[str, nn.Module]:
        """For each arm, the module whose parameters its optimiser changes."""

    @property
    @abstractmethod
    def networks(self) -> Sequence[nn.Module]:
        """The modules whose calls take the time: what `torch.compile` is for."""

    @abstractmethod
    def after_step(self, progress: float) -> None:
        """Do what follows an optimiser step: a moving average, say."""

    @abstractmethod
    def embed(self, arm: str, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the pooled features [B, D] of a kept arm, and what the loss would compare of them [B, K]."""


class SoloMethod(nn.Module, ABC):
    """As `Method`, of a single network: `SideBySide` makes a `Method` of one for each arm."""

    views: Sequence[View]
    target_width: int = 0

    @property
    @abstractmethod
    def kept(self) -> nn.Module:
        """The network that is exported."""

    @property
    def learned(self) -> nn.Module:
        """The network within the learner: the kept one, unless that only follows."""
        return self.kept

    @property
    @abstractmethod
    def learner(self) -> nn.Module:
        """The module whose parameters the optimiser changes."""

    @property
    @abstractmethod
    def networks(self) -> Sequence[nn.Module]:
        """The modules whose calls take the time."""

    @abstractmethod
    def after_step(self, progress: float) -> None:
        """Do what follows an optimiser step."""

    @abstractmethod
    def outputs(self, features: Tensor) -> Tensor:
        """Return what the loss would compare [B, K] of the kept network's pooled features [B, D]."""


class OneBranch(SoloMethod):
    """A method whose network and head both learn and nothing else: no teacher follows, nothing is done after a step."""

    branch: Branch

    @property
    def kept(self) -> nn.Module:
        return self.branch.network

    @property
    def learner(self) -> nn.Module:
        return self.branch

    @property
    def networks(self) -> tuple[nn.Module, ...]:
        return (self.branch.network,)

    def after_step(self, progress: float) -> None:
        """Nothing follows a step."""

    def outputs(self, features: Tensor) -> Tensor:
        """Return what the head makes [B, K] of pooled features [B, D]."""
        made: Tensor = self.branch.head(features)
        return made
