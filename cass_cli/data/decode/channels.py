"""Values of one image with any number of channels → three 8-bit channels.

H × W pixels · C channels. Grey, C = 1, becomes three equal channels; C = 3 are red, green and blue; of any other number
the user chooses one or three. The choice is made before values are mapped, so that only what is shown has a say.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cass_cli.data.decode.depth import to_uint8
from cass_cli.data.decode.facts import DecodeError, PixelRules


def check_channels(path: Path | str, channels: int, rules: PixelRules) -> None:
    """Raise `DecodeError` for C that are neither one nor three when none are chosen, and for a choice beyond them.

    One channel stands for three equal ones: a choice for a folder's colour images leaves its grey ones as they are.
    """
    if rules.channels is None:
        if channels not in (1, 3):
            raise DecodeError(path, f"has {channels} channels: choose three (or one) with --channels 0,1,2")
    elif max(rules.channels) >= max(channels, 3 if channels == 1 else 0):
        asked = ",".join(map(str, rules.channels))
        raise DecodeError(path, f"has {channels} channels, counted from 0, and --channels {asked} asks for others")


def chosen(pixels: NDArray[Any], rules: PixelRules) -> NDArray[Any]:
    """Return the chosen channels of [H, W, C], or all, as a whole copy; C = 1 has nothing to choose from."""
    if rules.channels is None or pixels.shape[-1] == 1:
        return pixels
    return np.ascontiguousarray(pixels[..., list(rules.channels)])


def in_three(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return [H, W, 1] or [H, W, 3] as [H, W, 3]."""
    return np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else np.ascontiguousarray(pixels)


def shown_channels(path: Path | str, pixels: NDArray[np.uint8], rules: PixelRules) -> NDArray[np.uint8]:
    """Return the chosen channels of a colour image uint8 [H, W, 3]; it is the same where none are chosen."""
    if rules.channels is None:
        return pixels
    check_channels(path, 3, rules)
    return in_three(chosen(pixels, rules))


def to_eight_bits(values: NDArray[Any], window: tuple[float, float] | None) -> NDArray[np.uint8]:
    """Return uint8 as it is, True as white, and other values by the rule of `depth.py`."""
    if values.dtype == np.uint8:
        return values
    if values.dtype == np.bool_:
        return values.astype(np.uint8) * np.uint8(255)
    return to_uint8(values, window)
