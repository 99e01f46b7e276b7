"""Images and parameters that the augmentation's tests start from."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from cass_cli.data.views import colour
from cass_cli.data.views.draw import ViewParameters, unchanged
from cass_cli.data.views.spec import ImageSpec

SIDE = 48
PLAIN = ImageSpec(SIDE, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))  # so that the output is pixels in 0–1
SAME_ARITHMETIC = 2e-6
"""Tolerance, of the pixel range 0–1, where only rounding differs."""


def random_images(n: int, *, low: int = 76, high: int = 180, side: int = SIDE, seed: int = 0) -> Tensor:
    """Smooth in parts and noisy in others, uint8 [n, 3, side, side]."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(n, 3, 6, 6, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, size=side, mode="bicubic").clamp(0, 1)
    noise = torch.rand(n, 3, side, side, generator=generator)
    return (low + (high - low) * (0.7 * smooth + 0.3 * noise)).to(torch.uint8)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def doubles(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def view(n: int, **fields: Tensor) -> ViewParameters:
    return dataclasses.replace(unchanged(n), **fields)


def jitter_by(n: int, brightness: float = 1, contrast: float = 1, saturation: float = 1) -> Tensor:
    return colour.jitter(*(torch.full((n,), x, dtype=torch.float64) for x in (brightness, contrast, saturation)))


def assert_same_parameters(one: ViewParameters, other: ViewParameters) -> None:
    for field in dataclasses.fields(ViewParameters):
        assert torch.equal(getattr(one, field.name), getattr(other, field.name)), field.name
