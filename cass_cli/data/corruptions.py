"""Images made worse in known steps, as by a camera, a scanner or an archive: six kinds, five strengths of each.

The strengths are those of ImageNet-C (Hendrycks and Dietterich, ICLR 2019, and their code), where no kind is drawn at
random but noise; those of colour are MedMNIST-C's for stained tissue (Di Salvo et al. 2024, "saturate" of PathMNIST),
as ImageNet-C's do not grow worse from step to step. They are of images of 224 pixels a side: a blur scales with the
side, so that it covers the same part of the picture (below 100 pixels the weakest is less than half a pixel, and shows
hardly); noise is of single pixels, and JPEG's blocks are of 8, so that both weigh more in smaller images. ImageNet-C
saves its images as JPEG of quality 85 afterwards, which is left out here.

Every image is corrupted by itself, in NumPy: it comes out the same in any batch, on any device, for any arm.
Legend: S image side; pixels are uint8 [3, S, S], shares of white x = pixels / 255.
"""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]

WHITE = 255.0
SIDE = 224  # of the images that the strengths were chosen for
STRENGTHS = (1, 2, 3, 4, 5)
KINDS = {  # name → in words
    "noise": "Gaussian noise",
    "blur": "Gaussian blur",
    "brightness": "brighter",
    "contrast": "less contrast",
    "jpeg": "JPEG compression",
    "colour": "more saturation",
}
AMOUNTS: dict[str, tuple[float, ...]] = {  # name → by strength
    "noise": (0.08, 0.12, 0.18, 0.26, 0.38),  # standard deviation
    "blur": (1, 2, 3, 4, 6),  # standard deviation in pixels, of SIDE
    "brightness": (0.1, 0.2, 0.3, 0.4, 0.5),  # added to the value of HSV
    "contrast": (0.4, 0.3, 0.2, 0.1, 0.05),  # of the distance from the channel's mean, what is left
    "jpeg": (25, 18, 15, 10, 7),  # quality
    "colour": (0.05, 0.10, 0.15, 0.20, 0.25),  # added to the saturation of HSV
}
REACH = 4.0  # standard deviations to which a blur reaches, as scikit-image's, which ImageNet-C uses


def corrupt(pixels: Pixels, kind: str, strength: int, *, seed: int) -> Pixels:
    """Return the image uint8 [3, S, S] with this corruption; of chance, which noise alone has, `seed` decides."""
    amount = AMOUNTS[kind][strength - 1]
    if kind == "jpeg":
        return jpeg(pixels, round(amount))
    x = pixels / WHITE
    if kind == "noise":
        x = x + np.random.default_rng(seed).normal(scale=amount, size=x.shape)
    else:
        x = _CHANGES[kind](x, amount)
    worse: Pixels = np.rint(x.clip(0, 1) * WHITE).astype(np.uint8)
    return worse


def blur(x: Floats, sigma: float) -> Floats:
    """Return x blurred by a Gaussian of `sigma` pixels at SIDE; the edge is repeated beyond it."""
    side = x.shape[-1]
    sigma *= side / SIDE
    steps = np.arange(-int(REACH * sigma + 0.5), int(REACH * sigma + 0.5) + 1)
    weights = np.exp(-0.5 * (steps / sigma) ** 2)
    along = np.zeros((side, side))  # a row a pixel that comes out
    places = (np.arange(side)[:, None] + steps).clip(0, side - 1)
    np.add.at(along, (np.arange(side)[:, None], places), weights / weights.sum())
    blurred: Floats = along @ x @ along.T
    return blurred


def brighten(x: Floats, more: float) -> Floats:
    """Return x with `more` added to its value V = max(r, g, b), at the same hue and saturation."""
    value = x.max(axis=0)
    brighter = np.minimum(value + more, 1)
    bright: Floats = np.where(value > 0, x * (brighter / np.where(value > 0, value, 1)), brighter)
    return bright


def flatten(x: Floats, left: float) -> Floats:
    """Return x with what is `left` of each channel's distances from its mean."""
    means = x.mean(axis=(1, 2), keepdims=True)
    flat: Floats = (x - means) * left + means
    return flat


def saturate(x: Floats, more: float) -> Floats:
    """Return x with `more` added to its saturation 1 − min(r, g, b) / V, at the same hue and value; grey stays grey.

    (scikit-image takes grey for a red without saturation, and would make it red.)
    """
    value, least = x.max(axis=0), x.min(axis=0)
    coloured = value > least
    saturation = np.where(coloured, 1 - least / np.where(value > 0, value, 1), 1)
    vivid: Floats = np.where(coloured, value - (value - x) * (np.minimum(saturation + more, 1) / saturation), x)
    return vivid


def jpeg(pixels: Pixels, quality: int) -> Pixels:
    """Return the image as a JPEG file of this quality shows it, colours at half the resolution."""
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0))).save(file, "JPEG", quality=quality)
    with Image.open(file) as image:
        return np.asarray(image).transpose(2, 0, 1)


def is_grey(pixels: Pixels) -> bool:
    """Whether all of these images uint8 [..., 3, S, S] have equal channels: then there is no colour to change."""
    return bool((pixels == pixels[..., :1, :, :]).all())


_CHANGES: dict[str, Callable[[Floats, float], Floats]] = {
    "blur": blur,
    "brightness": brighten,
    "contrast": flatten,
    "colour": saturate,
}
