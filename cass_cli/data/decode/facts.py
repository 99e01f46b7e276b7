"""What is known of an image file before and after decoding, and how one that gives no image says so."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cass_cli.errors import DataError
from cass_cli.words import shown

DEFAULT_MAX_PIXELS = 100_000_000
DICOM_SUFFIXES = frozenset({".dcm", ".dicom", ".ima"})  # .ima: Siemens
DICOM_HEAD = 132  # bytes that `begins_as_dicom` asks for
IMAGE_SUFFIXES = DICOM_SUFFIXES | {
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".tif", ".tiff", ".bmp", ".webp"),
    *(".gif", ".jp2", ".pgm", ".ppm"),
}


class DecodeError(DataError):
    """One file that gives no image; `reason` says why in a few words."""

    def __init__(self, path: Path | str, reason: str, *, hint: str = "") -> None:
        super().__init__(f"Cannot read {shown(str(path))}: {reason}.", hint=hint)
        self.reason = reason


@dataclass(frozen=True)
class Decoded:
    """An image's pixels, and whether the file holds further pages that were left out."""

    pixels: NDArray[np.uint8]  # [H, W, 3]
    several_pages: bool


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What a file's header says; width and height are those of the decoded image."""

    width: int
    height: int
    mode: str  # Pillow's name of the pixel layout, or DICOM's photometric interpretation
    bit_depth: int  # bits per channel
    format: str
    pages: int


# The first element of a file without preamble: group 0002 or 0008, a low number, and the two letters of its type.
_TYPED_START = re.compile(rb"(?:[\x02\x08]\0[\0-\x18]\0|\0[\x02\x08]\0[\0-\x18])(?:AE|AS|CS|DA|LO|OB|SH|TM|UI|UL)")
_UNTYPED_START = re.compile(rb"[\x02\x08]\0[\0-\x18]\0(.)\0\0\0", re.DOTALL)  # a length below 256 in their place


def begins_as_dicom(head: bytes) -> bool:
    """Tell from the first DICOM_HEAD bytes of a file: by the marker behind the preamble, else by its first element.

    Where elements have no types, a second one of the same group must stand where the first one ends.
    """
    if head[128:132] == b"DICM" or _TYPED_START.match(head):
        return True
    start = _UNTYPED_START.match(head)
    return start is not None and head[8 + start[1][0] :][:2] == head[:2]


def check_pixels(path: Path | str, width: int, height: int, max_pixels: int) -> None:
    """Raise `DecodeError` when the image is larger than the user allows."""
    if width * height > max_pixels:
        raise DecodeError(path, f"{width} × {height} pixels, more than --max-pixels {max_pixels} allows")
