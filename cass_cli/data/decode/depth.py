"""Deep pixels (more than 8 bits, signed, or float) → 8 bits, by one rule for every format.

The rule: a window is mapped linearly onto 0..255, and what lies outside takes the nearer end.
The window is the one that the file states (DICOM); else it runs from the 0.5th to the 99.5th percentile of the
image's finite pixels, all channels together, so that a few hot pixels cost no contrast and colours keep their hue.
Where these two percentiles are equal (a mask, a nearly empty slice) it runs from the smallest value to the largest.
A constant image becomes black. NaN is black and has no say in the window; ±infinity takes the ends.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

LOW_PERCENTILE, HIGH_PERCENTILE = 0.5, 99.5


def to_uint8(values: NDArray[Any], window: tuple[float, float] | None = None) -> NDArray[np.uint8]:
    """Map `values`, of any real dtype and shape, onto 0..255 by the rule above; uint8 is mapped too, if given.

    `window` is (value shown black, value shown white); None asks for the percentiles.
    """
    # 16-bit integers are exact in float32, which halves the memory; wider ones need float64
    values = values.astype(np.float32 if values.dtype.itemsize <= 2 else np.float64)
    low, high = window if window is not None else percentile_window(values)
    if not high > low:
        return np.zeros(values.shape, np.uint8)
    with np.errstate(over="ignore"):  # in place: large images have no room for copies
        values -= low
        values *= 255.0 / (high - low)
    np.clip(values, 0.0, 255.0, out=values)
    values += 0.5  # truncation then rounds to the nearest
    np.nan_to_num(values, copy=False, nan=0.0)
    return values.astype(np.uint8)


def percentile_window(values: NDArray[Any]) -> tuple[float, float]:
    """Return (low, high) of the rule above; low = high when all finite values are equal or none is finite."""
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return 0.0, 0.0
    low, high = np.percentile(finite, (LOW_PERCENTILE, HIGH_PERCENTILE), overwrite_input=True)  # a copy of our own
    if not high > low:
        low, high = finite.min(), finite.max()
    return float(low), float(high)
