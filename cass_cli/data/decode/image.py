"""One image file, of any format that cass reads, → uint8 RGB pixels [H, W, 3].

- Colour, transparency, orientation and palettes: see `rgb.py`. Pixels deeper than 8 bits: see `depth.py`.
- Of several pages, frames or slices the first is read.
- Nothing is decoded before the header's width × height has been held against `max_pixels`.

The formats are a closed list: Pillow's others (EPS, PDF, ...) start interpreters or fetch more files.
"""

from __future__ import annotations

import re
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from cass_cli.config.schema import FitName
from cass_cli.data.decode.facts import (
    DEFAULT_MAX_PIXELS,
    DICOM_HEAD,
    DICOM_SUFFIXES,
    Decoded,
    DecodeError,
    ImageFacts,
    begins_as_dicom,
    check_pixels,
)
from cass_cli.data.decode.rgb import bit_depth, needs_turning, to_rgb
from cass_cli.data.decode.square import seen_size, squared
from cass_cli.words import shown

DECODE_RULES = 2  # raise it when the pixels of any format change: caches of decoded images are keyed by it
FORMATS = ("JPEG", "PNG", "TIFF", "BMP", "DIB", "WEBP", "GIF", "JPEG2000", "PPM")

Image.init()  # load all plugins now: Image.open with `formats` expects it, and threads should find it done
# Ours is checked before decoding and can be raised by the user; Pillow's own limit can't, per image or per thread.
Image.MAX_IMAGE_PIXELS = None
# Odd metadata is Pillow's to shrug off: its warnings would tear the progress display, once per image.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")


def read_image(
    path: Path, *, max_pixels: int = DEFAULT_MAX_PIXELS, size: int | None = None, fit: FitName = "squash"
) -> Decoded:
    """Return the image, brought to size × size by `fit` (bilinear, antialiased) where `size` is given.

    A JPEG of at least four times the size that it is brought to is decoded at 1/2, 1/4 or 1/8 scale, never below twice
    that size: measured on dermatoscopic images at 896 px, that is 2 to 5 times as fast and moves pixels by 0.3 to 0.5
    of 255 on average, 7 at most.
    """
    with opened(path) as file:
        if is_dicom(path, file):
            pixels, several = _dicom(path).read_dicom(path, file, max_pixels=max_pixels)
            return Decoded(pixels if size is None else squared_pixels(pixels, size, fit), several)
        image = Image.open(file, formats=FORMATS)
        check_pixels(path, image.width, image.height, max_pixels)
        if size is not None and image.format in {"JPEG", "MPO"}:
            width, height = seen_size(*image.size, size, fit)
            image.draft(None, (2 * width, 2 * height))  # not smaller than this on either side
        several = bool(getattr(image, "is_animated", False))
        rgb = to_rgb(image)
        if size is not None:
            rgb = squared(rgb, size, fit)
        return Decoded(np.asarray(rgb), several)


def describe_image(path: Path) -> ImageFacts:
    """Read the header alone; raises `DecodeError`. Pixels may still turn out to be damaged."""
    with opened(path) as file:
        if is_dicom(path, file):
            facts: ImageFacts = _dicom(path).describe_dicom(path, file)
            return facts
        image = Image.open(file, formats=FORMATS)
        width, height = reversed(image.size) if needs_turning(image) else image.size
        pages = int(getattr(image, "n_frames", 1))
        return ImageFacts(width, height, image.mode, bit_depth(image), image.format or "", pages)


def squared_pixels(pixels: NDArray[np.uint8], size: int, fit: FitName) -> NDArray[np.uint8]:
    """Bring uint8 [H, W, 3] to [size, size, 3]."""
    return np.asarray(squared(Image.fromarray(pixels), size, fit))


def is_dicom(path: Path, file: BinaryIO) -> bool:
    """Tell by how the file begins, else by the suffix."""
    head = file.read(DICOM_HEAD)
    file.seek(0)
    return begins_as_dicom(head) or path.suffix.lower() in DICOM_SUFFIXES


def _dicom(path: Path) -> ModuleType:
    """Return our reader of DICOM, which needs an optional extra; without that raises `DecodeError` for `path`."""
    try:
        from cass_cli.data.decode import dicom
    except ImportError as error:
        raise DecodeError(
            path,
            "DICOM needs an optional part: pip install 'cass-cli[dicom]'",
            hint="Run: pip install 'cass-cli[dicom]'",
        ) from error
    return dicom


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Open a regular file; whatever goes wrong in the block leaves as a `DecodeError` with a short reason."""
    try:
        _check_regular(path)
        with path.open("rb") as file:
            yield file
    except DecodeError:
        raise
    except UnidentifiedImageError as error:
        raise DecodeError(path, _kind_of(path)) from error
    except NotImplementedError as error:
        raise DecodeError(path, _short(str(error))) from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise DecodeError(path, _short(reason[:1].lower() + reason[1:])) from error
    except MemoryError as error:
        raise DecodeError(path, "too little memory to decode it") from error
    # decoders raise almost anything on hostile bytes (struct.error, SyntaxError, IndexError, ...)
    except Exception as error:
        raise DecodeError(path, f"damaged ({_short(str(error) or type(error).__name__)})") from error


def _check_regular(path: Path) -> None:
    facts = path.stat()
    if not stat.S_ISREG(facts.st_mode):  # opening a pipe or a device could block for ever
        raise DecodeError(path, "a folder, not a file" if stat.S_ISDIR(facts.st_mode) else "not a regular file")
    if facts.st_size == 0:
        raise DecodeError(path, "the file is empty")


def _short(text: str) -> str:
    """Return the first line, escaped and cut at a word to about 100 characters, without a full stop."""
    line = shown((text.strip() or "unknown error").splitlines()[0]).rstrip(". ")
    return line if len(line) <= 100 else line[:100].rpartition(" ")[0] + " …"


def _kind_of(path: Path) -> str:
    """Say what a file that no decoder claims may be."""
    with path.open("rb") as file:
        head = file.read(512)
    magics = {b"\xff\xd8\xff": "JPEG", b"\x89PNG": "PNG", b"II*\0": "TIFF", b"MM\0*": "TIFF", b"BM": "BMP"}
    for magic, name in magics.items():
        if head.startswith(magic):
            return f"a damaged {name} file, or a kind of {name} that cass does not read"
    if not re.search(rb"[\x00-\x08\x0e-\x1f]", head):
        return "not an image but text"
    return "not an image of a known format"
