"""Batched augmentation in two plain steps: `draw_view` draws every sample's parameters, `apply_view` applies them.

What each sample needs is decided from its parameters, which stay on the CPU, so a device is never waited
for: untouched samples are copied or flipped, the others coloured and resampled exactly once.

Legend: n samples, S side in pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from cass_cli.data import colour, geometry
from cass_cli.data.views import ViewParameters, draw_view, unchanged

__all__ = ["ViewParameters", "apply_view", "draw_view", "unchanged"]

PIXELS_AT_ONCE = 2**17
"""A core's share of one go on a CPU: measured best of 2¹⁵ to 2¹⁹ at 128, 224 and 384 px."""


def apply_view(
    images: Tensor,
    parameters: ViewParameters,
    *,
    mean: Sequence[float],
    std: Sequence[float],
    out_size: int | None = None,
) -> Tensor:
    """Apply the parameters to uint8 images [n, 3, S, S] on any device: float32 [n, 3, out_size, out_size].

    Order: colours, one resampling (black outside the image), blur, solarise, normalise. Where a box is cut
    out, that comes first, as in DINO and BYOL, and contrast refers to the crop. Samples that are at most
    flipped keep their pixels bit for bit.
    """
    side = images.shape[-1]
    assert images.shape[-2] == side, "rotations are meant for square images"
    size = out_size or side
    flipped, resampled = _read_geometry(parameters)
    if size != side:
        flipped, resampled = torch.zeros_like(flipped), torch.ones_like(resampled)
    changed = parameters.coloured | resampled | (parameters.sigma > 0) | (parameters.solarise <= 1)

    pixels = _flip(images, flipped)
    output = pixels.float() if size == side else torch.empty(len(images), 3, size, size, device=images.device)
    changed_rows = changed.nonzero()[:, 0]
    for rows in torch.split(changed_rows, _rows_at_once(images)) if len(changed_rows) else ():
        some = pixels.index_select(0, _upload(rows, images.device)).float()
        _put_(output, rows, _change(some, parameters[rows], resampled[rows], size))
    return colour.normalise_(output, mean, std)


def _rows_at_once(images: Tensor) -> int:
    """Samples to change in one go: all on a GPU, as many as stay in a core's cache on a CPU (2–3× faster)."""
    if images.device.type != "cpu":
        return max(1, len(images))
    return max(1, PIXELS_AT_ONCE // images.shape[-1] ** 2) * torch.get_num_threads()


def _read_geometry(parameters: ViewParameters) -> tuple[Tensor, Tensor]:
    """Which samples are flipped along x and y and no more (bool [n, 2]), and which resampled (bool [n])."""
    homography = parameters.resampling
    diagonal = torch.diagonal(homography, dim1=1, dim2=2)  # [n, 3]: ±1, ±1, 1 where at most flipped
    resampled = (torch.diag_embed(diagonal) != homography).any(2).any(1) | (diagonal.abs() != 1).any(1)
    return (diagonal[:, :2] < 0) & ~resampled[:, None], resampled


def _flip(images: Tensor, flipped: Tensor) -> Tensor:
    """The images, left and right (or top and bottom) swapped where `flipped` [n, 2] says so."""
    for axis, dimension in ((0, -1), (1, -2)):
        rows = flipped[:, axis].nonzero()[:, 0]
        if len(rows):
            swapped = images.index_select(0, _upload(rows, images.device)).flip(dimension)
            images = _put_(images.clone(), rows, swapped)
    return images


def _change(pixels: Tensor, parameters: ViewParameters, resampled: Tensor, size: int) -> Tensor:
    """Everything but plain flips and normalisation, on float pixels that may be overwritten."""
    pixels = _recolour(pixels, parameters, parameters.coloured & ~parameters.cropped)
    pixels = _resample(pixels, parameters, resampled, size)
    pixels = _recolour(pixels, parameters, parameters.coloured & parameters.cropped)
    radius = colour.blur_radius(float(parameters.sigma.max()))
    pixels = _update(pixels, parameters.sigma > 0, parameters.sigma, partial(colour.blur, radius=radius))
    return _update(pixels, parameters.solarise <= 1, parameters.solarise, colour.solarise_)


def _recolour(pixels: Tensor, parameters: ViewParameters, chosen: Tensor) -> Tensor:
    """Jitter, greying and hue of the chosen samples, clamped once."""
    if not chosen.any():
        return pixels
    pixels = _update(pixels, chosen, parameters.coefficients, colour.recolour_)
    pixels = _update(pixels, chosen & (parameters.hue != 0), parameters.hue, colour.shift_hue_)
    return pixels.clamp_(0, colour.WHITE)


def _resample(pixels: Tensor, parameters: ViewParameters, chosen: Tensor, size: int) -> Tensor:
    """The one resampling of the chosen samples; of all of them where the size changes."""
    side = pixels.shape[-1]
    homography = parameters.resampling
    if size == side:
        return _update(pixels, chosen, homography, partial(geometry.warp, size=size))
    output = pixels.new_empty(len(pixels), pixels.shape[1], size, size)
    # Input pixels for each output pixel, along the longer side of the box.
    shrink = torch.ceil(parameters.crop[:, 2:].amax(1) * side / size - 1e-6).clamp(min=1).int()
    for factor in sorted(set(shrink.tolist())):
        rows = (shrink == factor).nonzero()[:, 0]
        some = pixels.index_select(0, _upload(rows, pixels.device))
        matrices = _upload(homography[rows].float(), pixels.device)
        _put_(output, rows, geometry.warp(some, matrices, size=size, supersample=factor))
    return output


def _update(pixels: Tensor, chosen: Tensor, values: Tensor, operation: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """`operation(pixels, values)` on the chosen rows, written back in place; free where none is chosen."""
    rows = chosen.nonzero()[:, 0]
    if len(rows) == 0:
        return pixels
    uploaded = _upload(values[rows].float(), pixels.device)
    if len(rows) == len(pixels):
        return operation(pixels, uploaded)
    some = pixels.index_select(0, _upload(rows, pixels.device))
    return _put_(pixels, rows, operation(some, uploaded))


def _put_(target: Tensor, rows: Tensor, values: Tensor) -> Tensor:
    """Write `values` to the given rows (CPU indices) of `target`, in place."""
    if target.device.type == "cpu":  # index_copy_ goes element by element there, a row's copy does not
        for row, value in zip(rows.tolist(), values, strict=True):
            target[row].copy_(value)
        return target
    return target.index_copy_(0, _upload(rows, target.device), values)


def _upload(values: Tensor, device: torch.device) -> Tensor:
    """Copy a small CPU tensor to where the images are; from pinned memory, or the copy would wait for the GPU."""
    return values.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else values.to(device)
