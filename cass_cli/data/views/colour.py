"""What happens to a pixel's values: jitter, hue, blur, solarise, normalise; each with a parameter per sample.

Pixels are float32 [n, 3, S, S], or [n, 1, S, S] where all are grey, between 0 and 255 (no pass is spent on
dividing what normalisation scales anyway); parameters are [n] or [n, k] on the same device. Functions whose
name ends in an underscore change their argument.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

LUMA = (0.299, 0.587, 0.114)
"""Grey of a pixel (ITU-R 601). torchvision's tensor operations use .2989, a sum of .9999."""
WHITE = 255.0


def jitter(brightness: Tensor, contrast: Tensor, saturation: Tensor) -> Tensor:
    """Coefficients [n, 3] (a, b, k) of brightness, then contrast, then saturation, as one affine colour map:

        x′ = a·x + b·grey(x) + k·mean(grey(image))

    that is, the 3×4 matrix (a·I + b·1·lumaᵀ | k·mean). The factors [n] are torchvision's: 1 changes nothing,
    contrast 0 leaves the mean grey of the image, saturation 0 the grey of the pixel. torchvision shuffles the
    order of the operations and clamps after each; here the order is fixed and values are clamped once, last.
    """
    return torch.stack(
        [
            saturation * contrast * brightness,
            (1 - saturation) * contrast * brightness,
            (1 - contrast) * brightness,
        ],
        dim=1,
    )


def compose(first: Tensor, then: Tensor) -> Tensor:
    """Coefficients [n, 3] of one colour map after another (grey and mean are linear, and grey of grey is grey)."""
    a1, b1, k1 = first.unbind(1)
    a2, b2, k2 = then.unbind(1)
    return torch.stack([a2 * a1, a2 * b1 + b2 * (a1 + b1), (a2 + b2) * k1 + k2 * (a1 + b1 + k1)], dim=1)


def greyed(coefficients: Tensor, where: Tensor) -> Tensor:
    """The colour maps [n, 3] with saturation 0 at last, for the rows of `where` (bool [n])."""
    a, b, k = coefficients.unbind(1)
    return torch.where(where[:, None], torch.stack([torch.zeros_like(a), a + b, k], dim=1), coefficients)


def recolour_(pixels: Tensor, coefficients: Tensor) -> Tensor:
    """Apply the colour maps [n, 3] of `jitter`, in place; not clamped."""
    a, b, k = coefficients.unbind(1)
    if pixels.shape[1] == 1:
        grey = pixels[:, 0].clone()  # [n, S, S]
    else:
        red, green, blue = pixels.unbind(1)
        grey = (red * LUMA[0]).add_(green, alpha=LUMA[1]).add_(blue, alpha=LUMA[2])
    mean = grey.mean((1, 2))
    shift = grey.mul_(b[:, None, None]).add_((k * mean)[:, None, None])
    return pixels.mul_(a[:, None, None, None]).add_(shift[:, None])


def shift_hue_(pixels: Tensor, turns: Tensor) -> Tensor:
    """Turn the hue of HSV by `turns` [n] (−½ to ½, torchvision's hue factor), in place.

    With V the largest and m the smallest channel, C = V − m and H the hue in sixths of a turn, red at 0 and
    in [−3, 3], channel i of the result is V − C·clip(2 − |wrap(H + δ + sᵢ)|, 0, 1): δ the shift, s = 3, 1, −1
    for red, green, blue, wrap to [−3, 3]. All is kept multiplied by C: C·|H| = g + b − r + V − 2m with the
    sign of g − b, so nothing is divided, grey pixels need no exception, and no mask is made (masks cost ten
    arithmetic passes each on a CPU).
    """
    if pixels.shape[1] == 1:
        return pixels
    red, green, blue = pixels.unbind(1)  # [n, S, S]
    largest = torch.maximum(red, green)
    torch.maximum(largest, blue, out=largest)
    smallest = torch.minimum(red, green)
    torch.minimum(smallest, blue, out=smallest)
    chroma = largest - smallest
    hue = (green + blue).sub_(red).add_(chroma).sub_(smallest).copysign_(green - blue)  # C·H
    top = largest + chroma  # V − 2C + 3C
    for channel, start in zip((red, green, blue), (3.0, 1.0, -1.0), strict=True):
        offset = torch.remainder(6 * turns + start + 3, 6) - 3  # in [−3, 3), so the sum is in [−6, 6)
        distance = torch.addcmul(hue, chroma, offset[:, None, None]).abs_()  # from 0 to 6 C
        distance.sub_(chroma, alpha=3).abs_()  # |wrap(u)| = 3 − ||u| − 3|
        torch.clamp(torch.sub(top, distance, out=distance), smallest, largest, out=channel)
    return pixels


def solarise_(pixels: Tensor, threshold: Tensor) -> Tensor:
    """Invert what is at least `threshold` [n] (0 to 1), in place."""
    limit = threshold[:, None, None, None] * WHITE
    return pixels.copy_(torch.where(pixels >= limit, WHITE - pixels, pixels))


def blur_radius(sigma: float) -> int:
    """Pixels each side that a Gaussian of `sigma` pixels reaches: three sigma, beyond which lies .3 %."""
    return math.ceil(3 * sigma)


def blur(pixels: Tensor, sigma: Tensor, *, radius: int) -> Tensor:
    """Gaussian blur of `sigma` [n] pixels (> 0), edges reflected; `radius` = `blur_radius` of the largest.

    Each kernel ends at its own three sigma, so a sample does not depend on its neighbours in the batch.
    """
    count, channels, height, width = pixels.shape
    steps = torch.arange(-radius, radius + 1, device=pixels.device, dtype=pixels.dtype)
    sigma = sigma.to(pixels.dtype)[:, None]
    kernel = torch.exp(-0.5 * (steps / sigma) ** 2) * (steps.abs() <= torch.ceil(3 * sigma))
    kernel = (kernel / kernel.sum(1, keepdim=True)).repeat_interleave(channels, 0)  # [n·C, 2·radius + 1]
    planes = F.pad(pixels, (radius, radius, radius, radius), mode="reflect").flatten(0, 1)[None]
    planes = F.conv2d(planes, kernel[:, None, None, :], groups=count * channels)
    planes = F.conv2d(planes, kernel[:, None, :, None], groups=count * channels)
    return planes.view(count, channels, height, width)


def clamp_(pixels: Tensor) -> Tensor:
    """Limit to black and white, in place."""
    return pixels.clamp_(0, WHITE)


def normalisation(mean: Sequence[float], std: Sequence[float]) -> tuple[Tensor, Tensor]:
    """Scale and offset, each [3, 1, 1], such that pixels·scale − offset = (pixels/255 − mean)/std."""
    centre, spread = (torch.tensor(values, dtype=torch.float64).view(-1, 1, 1) for values in (mean, std))
    return (1 / (WHITE * spread)).float(), (centre / spread).float()
