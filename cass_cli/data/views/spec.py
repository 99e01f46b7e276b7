"""How networks take images: what a view is at its end."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class ImageSpec:
    """Square images of `size` pixels a side; of a channel, 0 … 1, its mean is subtracted, then it is divided by std."""

    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def at(self, size: int | None) -> ImageSpec:
        """Return the same at another size; None: as it is."""
        return replace(self, size=size) if size else self
