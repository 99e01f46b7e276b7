"""How networks take images: what a view is at its end."""

from __future__ import annotations

from dataclasses import dataclass, replace

from cass_cli.config.schema import Data, FitName


@dataclass(frozen=True)
class ImageSpec:
    """Square images of `size` pixels a side; of a channel, 0 … 1, its mean is subtracted, then it is divided by std.

    `fit` is how files of another shape become that square: see `decode/square.py`.
    """

    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    fit: FitName = "squash"

    def at(self, size: int | None) -> ImageSpec:
        """Return the same at another size; None: as it is."""
        return replace(self, size=size) if size else self


def spec_of(data: Data) -> ImageSpec:
    """Return how the networks of a run with these settings take images."""
    return ImageSpec(data.image_size, data.mean, data.std, data.fit)
