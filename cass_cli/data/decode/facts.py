"""What is known of an image file before and after decoding, and how one that gives no image says so."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cass_cli.errors import DataError
from cass_cli.words import shown

MOST_FRAMES = 100_000  # in a file; one that states more is damaged, or made to keep us busy
ALLOWED_PIXELS = 100_000_000
HEADER_SECONDS, SECONDS = 1.0, 5.0  # of the processor, that are given to what is read apart
MEMORY = 1_800_000_000  # bytes, likewise; all three grow with the pixels that are allowed


@dataclass(frozen=True, slots=True)
class PixelRules:
    """How files become pixels: what is too large to be read, and what of deep or many-channelled images is shown."""

    max_pixels: int = ALLOWED_PIXELS  # width × height of one image
    max_file_mb: int = 2_000  # of one file, and of one volume unpacked
    window: tuple[float, float] | None = None  # values shown black and white; None: the file's own, or percentiles
    channels: tuple[int, ...] | None = None  # one or three that are shown, from 0; None: all of one or three

    @property
    def key(self) -> str:
        """Return what tells pixels read by these rules from others; "" for those of the default."""
        window = f" window {self.window[0]!r} {self.window[1]!r}" if self.window else ""
        return window + (f" channels {','.join(map(str, self.channels))}" if self.channels else "")

    @property
    def max_bytes(self) -> int:
        return self.max_file_mb * 1_000_000

    @property
    def ease(self) -> float:
        """Return how many times as much as usual a costly image may take: more where larger ones are allowed."""
        return max(1.0, self.max_pixels / ALLOWED_PIXELS)


USUAL = PixelRules()


class DecodeError(DataError):
    """One file that gives no image; `reason` says why in a few words."""

    def __init__(self, path: Path | str, reason: str, *, hint: str = "") -> None:
        super().__init__(f"Cannot read {shown(str(path))}: {reason}.", hint=hint)
        self.reason = reason


@dataclass(frozen=True)
class Decoded:
    """An image's pixels, and whether the file holds further pages that were left out without being asked for."""

    pixels: NDArray[np.uint8]  # [H, W, 3]
    several_pages: bool


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What a file's header says; width and height are those of the decoded image."""

    width: int
    height: int
    mode: str  # Pillow's name of the pixel layout, DICOM's photometric interpretation, or numpy's of the values
    bit_depth: int  # bits per channel
    format: str
    pages: int  # pages, frames or slices
    unit: Literal["frame", "slice"] = "frame"  # what one of them is called
    volumes: int = 1  # of NIfTI: how many, in time or in channels


def check_pixels(path: Path | str, width: int, height: int, rules: PixelRules) -> None:
    """Raise `DecodeError` when the image is larger than the user allows."""
    if width * height > rules.max_pixels:
        raise DecodeError(path, f"{width} × {height} pixels, more than --max-pixels {rules.max_pixels} allows")


def check_bytes(path: Path | str, held: int, rules: PixelRules, *, what: str = "") -> None:
    """Raise `DecodeError` when the file, or what it unpacks to, is larger than the user allows."""
    if held > rules.max_bytes:
        raise DecodeError(path, f"{held / 1e6:,.1f} MB{what}, more than --max-file-mb {rules.max_file_mb} allows")


def check_frames(path: Path | str, frames: int, frame: int | None = None) -> None:
    """Raise `DecodeError` where the file states more frames than any has, or lacks the `frame` asked for."""
    if frames > MOST_FRAMES:
        raise DecodeError(path, f"damaged: it states {frames:,} frames")
    if frame is not None and frame >= frames:
        raise DecodeError(path, f"it has no frame {frame}, counted from 0, only {frames:,}")


def missing_part(path: Path | str, what: str, extra: str) -> DecodeError:
    """Return the error for a format whose reader is an optional extra that is not installed."""
    command = f"pip install 'cass-cli[{extra}]'"
    return DecodeError(path, f"{what} needs an optional part: {command}", hint=f"Run: {command}")
