"""One NumPy array in an .npy file → uint8 RGB pixels.

[H, W] and [H, W, 1] are grey, [H, W, 3] is colour; so are [1, H, W] and [3, H, W] whose last axis is no 1 or 3. An
array whose last axis is the shortest has channels, of which some are chosen. uint8 passes unchanged, True is white,
other numbers follow `depth.py`. Objects are never loaded, as that could run code. The file is mapped, not read whole.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cass_cli.data.decode.channels import check_channels, chosen, in_three, to_eight_bits
from cass_cli.data.decode.facts import DecodeError, ImageFacts, PixelRules, check_pixels
from cass_cli.data.decode.watched import WatchedFile


def read_npy(path: Path, file: WatchedFile, rules: PixelRules) -> NDArray[np.uint8]:
    """Return uint8 [H, W, 3]; raises `DecodeError`."""
    shape, fortran, dtype = _header(path, file)
    height, width, channels, first = _layout(path, shape)
    check_pixels(path, width, height, rules)
    check_channels(path, channels, rules)
    needed = math.prod(shape) * dtype.itemsize
    begin, held = file.tell(), path.stat().st_size - file.tell()
    if held < needed:
        raise DecodeError(path, f"its values are cut short ({held:,} of {needed:,} bytes)")
    shown = len(rules.channels) if rules.channels else channels
    file.will_take(memory=width * height * shown * (1 if dtype.itemsize == 1 else 12 if dtype.itemsize == 2 else 32))
    values: NDArray[Any] = np.memmap(file, dtype, "r", begin, shape, "F" if fortran else "C")
    values = values[..., None] if values.ndim == 2 else np.moveaxis(values, 0, 2) if first else values
    return in_three(np.array(to_eight_bits(chosen(values, rules), rules.window)))


def describe_npy(path: Path, file: WatchedFile) -> ImageFacts:
    """Read the header alone; raises `DecodeError`."""
    shape, _, dtype = _header(path, file)
    height, width, channels, _ = _layout(path, shape)
    mode = f"{dtype.name} × {channels}" if channels > 1 else dtype.name
    bits = 1 if dtype.kind == "b" else 8 * dtype.itemsize
    return ImageFacts(width, height, mode, bits, format="NPY", pages=1)


def _header(path: Path, file: WatchedFile) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Return shape, whether the first axis runs fastest, and type; raises `DecodeError` for other than numbers."""
    try:
        version = np.lib.format.read_magic(file)
    except ValueError:
        raise DecodeError(path, "not a NumPy array") from None
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(file)
    if dtype.hasobject:
        raise DecodeError(path, "it holds Python objects, which are not loaded: they could run code")
    if dtype.kind not in "buif":
        raise DecodeError(path, f"it holds {dtype.name}, no real numbers")
    return shape, fortran, dtype


def _layout(path: Path, shape: tuple[int, ...]) -> tuple[int, int, int, bool]:
    """Return height, width, channels, and whether these come first; raises `DecodeError` for no single image."""
    if not all(size > 0 for size in shape):
        raise DecodeError(path, f"it is empty: {list(shape)}")
    if len(shape) == 2:
        return shape[0], shape[1], 1, False
    if len(shape) == 3 and (shape[2] in (1, 3) or (shape[0] not in (1, 3) and shape[2] < min(shape[:2]))):
        return *shape[:2], shape[2], False
    if len(shape) == 3 and shape[0] in (1, 3):
        return *shape[1:], shape[0], True
    raise DecodeError(path, f"{list(shape)} is no single image [H, W] or [H, W, channels]: write a file for each")
