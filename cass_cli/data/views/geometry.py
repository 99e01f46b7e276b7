"""Where each output pixel comes from: 3×3 homographies, drawn and composed on the CPU, applied once.

Coordinates are normalised as `grid_sample` has them with `align_corners=False`: −1 and 1 are the outer edges
of the image (not the centres of its outermost pixels), x to the right, y downwards. A homography maps output
coordinates to input coordinates, so what is done to an image first stands leftmost in a product.

Legend: n samples, S side in pixels.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

CROP_ATTEMPTS = 10
"""Tries at a crop that fits before the whole image is taken, as in torchvision's RandomResizedCrop."""
CORNERS = ((-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0))
"""The image's corners in the order of torchvision's perspective: clockwise from the top left."""


def perspective(start: Tensor, end: Tensor) -> Tensor:
    """Homographies [n, 3, 3] that draw the input's `start` points at the output's `end` points.

    Both are [n, 4, 2] (x, y) in normalised coordinates, no three points of a set on one line.
    """
    x, y = end.unbind(-1)  # [n, 4]
    u, v = start.unbind(-1)
    one, zero = torch.ones_like(x), torch.zeros_like(x)
    to_u = torch.stack([x, y, one, zero, zero, zero, -u * x, -u * y], dim=-1)
    to_v = torch.stack([zero, zero, zero, x, y, one, -v * x, -v * y], dim=-1)
    solved = torch.linalg.solve(torch.cat([to_u, to_v], dim=1), torch.cat([u, v], dim=1))  # [n, 8]
    return torch.cat([solved, one[:, :1]], dim=1).view(-1, 3, 3)


def corner_displacement(uniform: Tensor, distortion: float) -> Tensor:
    """End points [n, 4, 2] of the corners, each drawn inwards by at most `distortion` × half the side.

    `uniform` [n, 8] lies in [0, 1). torchvision draws whole pixels; these are continuous, hence the same at
    any image size.
    """
    corners = torch.tensor(CORNERS, dtype=uniform.dtype)
    return corners * (1 - distortion * uniform.view(-1, 4, 2))


def rotation(degrees: Tensor) -> Tensor:
    """Homographies [n, 3, 3] that turn the image about its centre, clockwise as seen, by `degrees` [n]."""
    radians = torch.deg2rad(degrees)
    cos, sin = torch.cos(radians), torch.sin(radians)
    matrix = torch.zeros(len(degrees), 3, 3, dtype=degrees.dtype)
    matrix[:, 0, 0] = matrix[:, 1, 1] = cos
    matrix[:, 0, 1], matrix[:, 1, 0] = sin, -sin
    matrix[:, 2, 2] = 1
    return matrix


def mirror(horizontal: Tensor, vertical: Tensor) -> Tensor:
    """Homographies [n, 3, 3], exact: left and right swapped, top and bottom swapped, where true (bool [n])."""
    diagonal = torch.ones(len(horizontal), 3, dtype=torch.float64)
    diagonal[:, 0] -= 2 * horizontal.double()
    diagonal[:, 1] -= 2 * vertical.double()
    return torch.diag_embed(diagonal)


def window(box: Tensor) -> Tensor:
    """Homographies [n, 3, 3] that fill the output with a box [n, 4] (centre x, y, half width, half height)."""
    matrix = torch.zeros(len(box), 3, 3, dtype=box.dtype)
    matrix[:, 0, 2], matrix[:, 1, 2], matrix[:, 0, 0], matrix[:, 1, 1] = box.unbind(1)
    matrix[:, 2, 2] = 1
    return matrix


def random_boxes(uniform: Tensor, scale: tuple[float, float], ratio: tuple[float, float]) -> Tensor:
    """Boxes [n, 4] of an area share within `scale` and an aspect within `ratio`, as RandomResizedCrop's.

    `uniform` is [n, 2·CROP_ATTEMPTS + 2]: area and aspect of each attempt, then the position. The first
    attempt that fits is taken; where none does, the whole image.
    """
    area = scale[0] + (scale[1] - scale[0]) * uniform[:, :CROP_ATTEMPTS]
    log_low, log_high = math.log(ratio[0]), math.log(ratio[1])
    aspect = torch.exp(log_low + (log_high - log_low) * uniform[:, CROP_ATTEMPTS : 2 * CROP_ATTEMPTS])
    half = torch.stack([(area * aspect).sqrt(), (area / aspect).sqrt()], dim=-1)  # [n, attempts, 2]
    fits = (half <= 1).all(-1)
    first = fits.int().argmax(1)  # the first that fits; 0 where none does
    chosen = half[torch.arange(len(half)), first]
    chosen = torch.where(fits.any(1, keepdim=True), chosen, torch.ones_like(chosen))
    centre = (1 - chosen) * (2 * uniform[:, -2:] - 1)
    return torch.cat([centre, chosen], dim=1)


def warp(pixels: Tensor, homography: Tensor, *, size: int, supersample: int = 1) -> Tensor:
    """Resample float pixels [n, C, S, S] once, bilinearly, to [n, C, size, size]; black outside the image.

    With `supersample` k, k×k points are averaged for each output pixel: without it, shrinking would alias.
    """
    side = size * supersample
    # Pixel centres in normalised coordinates.
    centres = (torch.arange(side, device=pixels.device, dtype=pixels.dtype) * 2 + 1) / side - 1
    h = homography.to(pixels.dtype)[..., None, None]  # [n, 3, 3, 1, 1]
    x, y = centres[None, None, :], centres[None, :, None]
    depth = h[:, 2, 0] * x + (h[:, 2, 1] * y + h[:, 2, 2])  # [n, side, side]
    grid = torch.empty(len(pixels), side, side, 2, device=pixels.device, dtype=pixels.dtype)
    for axis in (0, 1):
        torch.div(h[:, axis, 0] * x + (h[:, axis, 1] * y + h[:, axis, 2]), depth, out=grid[..., axis])
    sampled = F.grid_sample(pixels, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return F.avg_pool2d(sampled, supersample) if supersample > 1 else sampled
