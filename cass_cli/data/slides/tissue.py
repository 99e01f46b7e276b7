"""What of a slide is tissue: stain is colour, glass is not.

The threshold is Otsu's (IEEE Trans. SMC 9:62, 1979) on the saturation of a small picture of the whole slide, held
between two bounds: on empty glass Otsu parts dust from glass, on a slide full of tissue pale tissue from dark.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

DARK = 20  # of 255: darker is no tissue but a frame or pen, and its saturation is noise
LEAST, MOST = 15, 40  # of 255: nothing paler is tissue, whatever is more coloured is


def saturation(pixels: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Return of RGBA [H, W, 4] the saturation [H, W] as in HSV, and which pixels were scanned and are not black."""
    colours = pixels[..., :3]
    high, low = colours.max(axis=2), colours.min(axis=2)
    of_255 = (high - low).astype(np.uint16) * 255 // np.maximum(high, 1)
    return of_255.astype(np.uint8), (pixels[..., 3] >= 128) & (high >= DARK)


def tissue(saturations: NDArray[np.uint8], scanned: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which pixels are tissue."""
    least = min(max(otsu(saturations[scanned]), LEAST), MOST)
    return np.asarray(scanned & (saturations > least))


def otsu(values: NDArray[np.uint8]) -> int:
    """Return the threshold t that parts values into ≤ t and > t with the largest variance between the two; 0 for none.

    σ²(t) = (μ ω(t) − μ(t))² / (ω(t) (1 − ω(t))), ω and μ the sums of shares and of values times shares up to t.
    """
    shares = np.bincount(values, minlength=256) / max(values.size, 1)
    omega, mu = shares.cumsum(), (shares * np.arange(256)).cumsum()
    parted = omega * (1 - omega)
    between = np.where(parted > 1e-12, (mu[-1] * omega - mu) ** 2 / np.maximum(parted, 1e-12), 0.0)
    return int(between.argmax())
