"""Several arms, each taught by a method of its own, on the same views: for all methods but CASS.

The losses are added up, so each arm is trained as if it were alone, while images are read and augmented once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from cass_cli.methods.method import Method, SoloMethod


class SideBySide(Method):
    """Methods of one network each (`Dino`, `Byol`, `Mae`), by arm name."""

    def __init__(self, methods: Mapping[str, SoloMethod]) -> None:
        super().__init__()
        self.methods = nn.ModuleDict(methods)
        one = next(iter(methods.values()))
        self.views, self.target_width = one.views, one.target_width

    @property
    def arms(self) -> Mapping[str, nn.Module]:
        return {arm: method.kept for arm, method in self._items()}

    @property
    def learned(self) -> Mapping[str, nn.Module]:
        return {arm: method.learned for arm, method in self._items()}

    @property
    def learners(self) -> Mapping[str, nn.Module]:
        return {arm: method.learner for arm, method in self._items()}

    @property
    def networks(self) -> tuple[nn.Module, ...]:
        return tuple(network for _, method in self._items() for network in method.networks)

    def forward(self, *views: Tensor, progress: float = 0.0) -> Tensor:
        """Return the sum of the arms' losses over `views` [B, 3, S, S], and the targets where there are any."""
        losses: list[Tensor] = [method(*views, progress=progress) for _, method in self._items()]
        return sum(losses[1:], start=losses[0])

    def after_step(self, progress: float) -> None:
        """Let each method do what follows its step."""
        for _, method in self._items():
            method.after_step(progress)

    def embed(self, arm: str, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the arm's pooled features [B, D] and what its loss compares of them [B, K]."""
        method: Any = self.methods[arm]
        features: Tensor = method.kept.forward(images)  # past torch.compile, as it is called in evaluation mode
        return features, method.outputs(features)

    def _items(self) -> list[tuple[str, Any]]:
        return list(self.methods.items())
