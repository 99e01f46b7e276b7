"""A picture of any shape → the square that networks take, in one of three ways.

- `squash`: both sides are stretched to the square. All is seen, and what is round becomes oval.
- `pad`: the longer side is brought to the square's; beside the shorter one, bars of the picture's own edge.
- `crop`: the shorter side is brought to the square's, and what lies beyond, at both ends alike, is left out.

A square picture is the same in all three, to the bit.

The bars have the median colour of the two edges that they continue. MRI, CT and most X-rays have black edges and so get
black bars. On a blood smear, a tissue section or skin, black bars would be the strongest contrast in the picture, and
how much of it they fill would tell its format. A median passes over burnt-in letters, rulers and hairs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:  # importing it takes half a second
    from cass_cli.config.schema import FitName


SMOOTH = Image.Resampling.BILINEAR  # antialiased where it shrinks, as in the paper's loader


def squared(image: Image.Image, size: int, fit: FitName) -> Image.Image:
    """Return an RGB picture as size × size pixels."""
    if fit == "crop":
        return image.resize((size, size), SMOOTH, box=_middle(*image.size))
    inner = image.resize(seen_size(*image.size, size, fit), SMOOTH)
    return inner if inner.size == (size, size) else _padded(inner, size)


def seen_size(width: int, height: int, size: int, fit: FitName) -> tuple[int, int]:
    """Return to what width and height a picture of `width` × `height` is brought, bars and what is cut off aside."""
    if fit != "pad":
        return size, size
    longer = max(width, height)
    return max(1, round(size * width / longer)), max(1, round(size * height / longer))


def _middle(width: int, height: int) -> tuple[float, float, float, float]:
    """Return the box (left, top, right, bottom) of the largest square about the centre, to the half pixel."""
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    return left, top, left + side, top + side


def _padded(inner: Image.Image, size: int) -> Image.Image:
    pixels = np.asarray(inner)  # [h, w, 3]
    edges = pixels[[0, -1]] if inner.width > inner.height else pixels[:, [0, -1]]
    red, green, blue = (int(value) for value in np.median(edges.reshape(-1, 3), axis=0))
    square = Image.new("RGB", (size, size), (red, green, blue))
    square.paste(inner, ((size - inner.width) // 2, (size - inner.height) // 2))
    return square
