"""Batched augmentation in two plain steps: `draw_view` draws every sample's parameters, `apply_view` applies them.

What each sample needs is decided from its parameters, which stay on the CPU, so a device is never waited
for: untouched samples are copied or flipped, the others coloured and resampled exactly once.

Legend: n samples, S side in pixels.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from cass_cli.data.views import colour, geometry
from cass_cli.data.views.draw import ViewParameters
from cass_cli.data.views.spec import ImageSpec

PIXELS_AT_ONCE = 2**17
"""A core's share of one go on a CPU: measured best of 2¹⁵ to 2¹⁹ at 128, 224 and 384 px."""


def apply_view(images: Tensor, parameters: ViewParameters, spec: ImageSpec) -> Tensor:
    """Apply the parameters to uint8 images [n, 3, S, S] on any device: float32 [n, 3, spec.size, spec.size].

    Order: colours, one resampling (black outside the image), blur, solarise, normalise. Where a box is cut
    out, that comes first, as in DINO and BYOL, and contrast refers to the crop. Samples that are at most
    flipped keep their pixels bit for bit.
    """
    side, size = images.shape[-1], spec.size
    assert images.shape[-2] == side, "rotations are meant for square images"
    shrink = _shrinking(parameters, side, size)
    flips, changes = _plan(parameters, shrink, resized=size != side, size=size)
    scale, offset = (_upload(values, images.device) for values in colour.normalisation(spec.mean, spec.std))
    output = torch.empty(len(images), 3, size, size, device=images.device)
    for rows, changed, grey in _portions(images, changes, shrink):
        pixels = _run(flips, _take(images, rows), rows)
        if changed:
            pixels = _run(changes, (pixels[:, :1] if grey else pixels).float(), rows)
        _write_normalised(output, rows, pixels, scale, offset)
    return output


@dataclass(frozen=True)
class _Step:
    """One operation, for the samples that need it; lists, as many small tensors would cost more than the work."""

    needed: list[bool]
    operation: Callable[..., Tensor]
    """(pixels, values) → pixels, or (pixels) → pixels where there are no values; may overwrite its argument."""
    values: Tensor | None = None
    """The operation's parameter of every sample: float32 [n, …] on the CPU."""


def _shrinking(parameters: ViewParameters, side: int, size: int) -> list[int]:
    """Input pixels for each output pixel of each sample, along the longer side of its box, rounded up."""
    shrink: list[int] = torch.ceil(parameters.crop[:, 2:].amax(1) * side / size - 1e-6).clamp(min=1).int().tolist()
    return shrink


def _plan(
    parameters: ViewParameters, shrink: list[int], *, resized: bool, size: int
) -> tuple[list[_Step], list[_Step]]:
    """The steps in order: flips of whole pixels (any dtype), then what changes pixels (float)."""
    homography = parameters.resampling
    diagonal = torch.diagonal(homography, dim1=1, dim2=2)  # [n, 3]: ±1, ±1, 1 where at most flipped
    flat = (torch.diag_embed(diagonal) == homography).flatten(1).all(1) & (diagonal.abs() == 1).all(1)
    flat &= not resized
    flips = [_Step((flat & (diagonal[:, axis] < 0)).tolist(), partial(torch.flip, dims=[-1 - axis])) for axis in (0, 1)]
    warps = [
        _Step(
            [not whole and factor == own for whole, own in zip(flat.tolist(), shrink, strict=True)],
            partial(geometry.warp, size=size, supersample=factor),
            homography.float(),
        )
        for factor in sorted(set(shrink))
    ]
    sigma = parameters.sigma
    radius = colour.blur_radius(float(sigma.max()))
    last = [
        _Step((sigma > 0).tolist(), partial(colour.blur, radius=radius), sigma.float()),
        _Step((parameters.solarise <= 1).tolist(), colour.solarise_, parameters.solarise.float()),
    ]
    return flips, [
        *_colour_steps(parameters, ~parameters.cropped),
        *warps,
        *_colour_steps(parameters, parameters.cropped),
        *last,
    ]


def _colour_steps(parameters: ViewParameters, among: Tensor) -> list[_Step]:
    """Jitter, greying and hue of the samples `among` (bool [n]), clamped once."""
    coloured = (parameters.coloured & among).tolist()
    return [
        _Step(coloured, colour.recolour_, parameters.coefficients.float()),
        _Step(((parameters.hue != 0) & among).tolist(), colour.shift_hue_, parameters.hue.float()),
        _Step(coloured, colour.clamp_),
    ]


def _portions(images: Tensor, changes: list[_Step], shrink: list[int]) -> Iterator[tuple[list[int], bool, bool]]:
    """Rows to work on in one go, all of one kind, with whether they are changed at all, and in grey alone.

    All of a kind on a GPU; as many as stay in a core's cache on a CPU, which is two to three times as fast.
    """
    at_once = len(images)
    if images.device.type == "cpu":
        at_once = max(1, PIXELS_AT_ONCE // images.shape[-1] ** 2) * torch.get_num_threads()
    kinds: dict[tuple[bool, bool, int], list[int]] = defaultdict(list)
    for row, needed in enumerate(zip(*(step.needed for step in changes), strict=True)):
        changed = any(needed)
        kinds[changed, changed and _is_grey(images[row]), shrink[row]].append(row)
    for (changed, grey, _), rows in kinds.items():
        for start in range(0, len(rows), at_once):
            yield rows[start : start + at_once], changed, grey


def _is_grey(image: Tensor) -> bool:
    """Whether the channels of [3, S, S] are equal, so that one will do: X-rays and MRI then cost half.

    Not asked of a GPU, which would have to be waited for.
    """
    if image.device.type != "cpu":
        return False
    red, green, blue = image
    likely = torch.equal(red[::9, ::9], green[::9, ::9])  # settles it for nearly every colour image
    return likely and torch.equal(red, green) and torch.equal(green, blue)


def _run(steps: list[_Step], pixels: Tensor, rows: list[int]) -> Tensor:
    """Take pixels [k, C, S, S] of these k rows through the steps, each on those that need it."""
    for step in steps:
        places = [place for place, row in enumerate(rows) if step.needed[row]]
        if not places:
            continue
        values = []
        if step.values is not None:
            values = [_upload(step.values[[rows[place] for place in places]], pixels.device)]
        if len(places) == len(rows):
            pixels = step.operation(pixels, *values)
        else:
            _put_(pixels, places, step.operation(_take(pixels, places), *values))
    return pixels


def _write_normalised(output: Tensor, rows: list[int], pixels: Tensor, scale: Tensor, offset: Tensor) -> None:
    """Write pixels·scale − offset, on three channels, to these rows of the output."""
    if output.device.type == "cpu":
        for row, own in zip(rows, pixels, strict=True):
            torch.mul(own.float(), scale, out=output[row]).sub_(offset)
    else:
        _put_(output, rows, (pixels.float() * scale).sub_(offset))


def _take(pixels: Tensor, rows: list[int]) -> Tensor:
    """A copy of these rows."""
    return pixels.index_select(0, _upload(torch.tensor(rows), pixels.device))


def _put_(target: Tensor, rows: list[int], values: Tensor) -> None:
    """Write the values to these rows."""
    if target.device.type == "cpu":  # index_copy_ goes element by element there, a row's copy does not
        for row, value in zip(rows, values, strict=True):
            target[row].copy_(value)
    else:
        target.index_copy_(0, _upload(torch.tensor(rows), target.device), values)


def _upload(values: Tensor, device: torch.device) -> Tensor:
    """Copy a small CPU tensor to where the images are; from pinned memory, or the copy would wait for the GPU."""
    return values.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else values.to(device)
