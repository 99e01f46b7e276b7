"""One image of one file, of any format that cass reads, → uint8 RGB pixels [H, W, 3].

- Colour, transparency, orientation and palettes: see `rgb.py`. Pixels deeper than 8 bits: see `depth.py`. More than
  three channels: see `channels.py`.
- Of several pages or frames the first is read, of several slices the middle one, unless another is asked for.
- Nothing is decoded before the header's width × height has been held against the limit.
- What turns out to be costly is done over in a process of its own, within limits of time and memory: see `apart.py`.
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cass_cli.data.decode.apart import describe_apart, read_apart
from cass_cli.data.decode.channels import shown_channels
from cass_cli.data.decode.facts import USUAL, Decoded, ImageFacts, PixelRules, check_frames, missing_part
from cass_cli.data.decode.kinds import HEAD, Kind, kind_of
from cass_cli.data.decode.npy import describe_npy, read_npy
from cass_cli.data.decode.opening import opened
from cass_cli.data.decode.picture import describe_picture, read_picture
from cass_cli.data.decode.square import squared
from cass_cli.data.decode.watched import Costly, WatchedFile

if TYPE_CHECKING:  # importing it takes half a second
    from cass_cli.config.schema import FitName

DECODE_RULES = 2  # raise it when the pixels of any format change: caches of decoded images are keyed by it


def read_image(
    path: Path,
    *,
    frame: int | None = None,
    rules: PixelRules = USUAL,
    size: int | None = None,
    fit: FitName = "squash",
) -> Decoded:
    """Return the image, brought to size × size by `fit` (bilinear, antialiased) where `size` is given.

    `frame` counts pages, frames or slices from 0; None is the first, of a volume the middle one. Raises `DecodeError`.

    A JPEG of at least four times the size that it is brought to is decoded at 1/2, 1/4 or 1/8 scale, never below twice
    that size: measured on dermatoscopic images at 896 px, that is 2 to 5 times as fast and moves pixels by 0.3 to 0.5
    of 255 on average, 7 at most.
    """
    try:
        return read_here(path, frame=frame, rules=rules, size=size, fit=fit)
    except Costly:
        return read_apart(path, frame=frame, rules=rules, size=size, fit=fit)


def describe_image(path: Path, rules: PixelRules = USUAL) -> ImageFacts:
    """Read the header alone; raises `DecodeError`. Pixels may still turn out to be damaged."""
    try:
        return describe_here(path, rules)
    except Costly:
        return describe_apart(path, rules)


def read_here(
    path: Path, *, frame: int | None, rules: PixelRules, size: int | None, fit: FitName, alone: bool = False
) -> Decoded:
    """Do what `read_image` does in this thread; raises `Costly`, too, unless the process is `alone` with the image."""
    with opened(path, rules, alone=alone) as file:
        kind = _told(path, file)
        if kind in {"picture", "heic"}:
            return read_picture(path, file, heic=kind == "heic", frame=frame, rules=rules, size=size, fit=fit)
        decoded = _read(kind, path, file, frame, rules)
        return decoded if size is None else Decoded(squared_pixels(decoded.pixels, size, fit), decoded.several_pages)


def _read(kind: Kind, path: Path, file: WatchedFile, frame: int | None, rules: PixelRules) -> Decoded:
    """Return an image that Pillow has no part in, of its own size."""
    if kind == "npy":
        check_frames(path, 1, frame)
        return Decoded(read_npy(path, file, rules), several_pages=False)
    if kind == "nifti":
        found: Decoded = _nifti(path).read_nifti(path, file, frame=frame, rules=rules)
        return found
    pixels, several = _dicom(path).read_dicom(path, file, frame=frame or 0, rules=rules)
    return Decoded(shown_channels(path, pixels, rules), several and frame is None)


def describe_here(path: Path, rules: PixelRules, *, alone: bool = False) -> ImageFacts:
    """Do what `describe_image` does in this thread; raises `Costly`, too, as `read_here` does."""
    with opened(path, rules, alone=alone) as file:
        kind = _told(path, file)
        if kind in {"picture", "heic"}:
            return describe_picture(path, file, heic=kind == "heic")
        if kind == "npy":
            return describe_npy(path, file)
        facts: ImageFacts = (
            _nifti(path).describe_nifti(path, file) if kind == "nifti" else _dicom(path).describe_dicom(path, file)
        )
        return facts


def squared_pixels(pixels: NDArray[np.uint8], size: int, fit: FitName) -> NDArray[np.uint8]:
    """Bring uint8 [H, W, 3] to [size, size, 3]."""
    return np.asarray(squared(Image.fromarray(pixels), size, fit))


def _told(path: Path, file: WatchedFile) -> Kind:
    """Return the kind of file, told by how it begins, else by the suffix; the file is left where it begins."""
    head = file.read(HEAD)
    file.seek(0)
    return kind_of(path.name, head)


def _dicom(path: Path) -> ModuleType:
    """Return our reader of DICOM, which needs an optional extra; without that raises `DecodeError` for `path`."""
    try:
        from cass_cli.data.decode import dicom
    except ImportError as error:
        raise missing_part(path, "DICOM", "dicom") from error
    return dicom


def _nifti(path: Path) -> ModuleType:
    """Return our reader of NIfTI, as `_dicom` does its own."""
    try:
        from cass_cli.data.decode import nifti
    except ImportError as error:
        raise missing_part(path, "NIfTI", "nifti") from error
    return nifti
