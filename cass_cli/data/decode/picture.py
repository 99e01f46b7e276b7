"""What Pillow reads, and HEIC through the optional extra `cass-cli[heic]` → uint8 RGB pixels.

The formats are a closed list: Pillow's others (EPS, PDF, ...) start interpreters or fetch more files. A JPEG with
previews behind it (MPO, as cameras write it) holds one image.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, features
from PIL.ImageFile import ImageFile

from cass_cli.data.decode.channels import shown_channels
from cass_cli.data.decode.cost import check_file, memory_of
from cass_cli.data.decode.facts import (
    Decoded,
    DecodeError,
    ImageFacts,
    PixelRules,
    check_frames,
    check_pixels,
    missing_part,
)
from cass_cli.data.decode.kinds import HEAD
from cass_cli.data.decode.rgb import bit_depth, needs_turning, to_rgb
from cass_cli.data.decode.square import seen_size, squared
from cass_cli.data.decode.tiff_directories import check_first, count_pages
from cass_cli.data.decode.watched import WatchedFile

if TYPE_CHECKING:  # importing it takes half a second
    from cass_cli.config.schema import FitName

FORMATS = ("JPEG", "PNG", "TIFF", "BMP", "DIB", "WEBP", "GIF", "JPEG2000", "PPM")
AVIF = features.check("avif")

Image.init()  # load all plugins now: Image.open with `formats` expects it, and threads should find it done
# Ours is checked before decoding and can be raised by the user; Pillow's own limit can't, per image or per thread.
Image.MAX_IMAGE_PIXELS = None
# Odd metadata is Pillow's to shrug off: its warnings would tear the progress display, once per image.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")


def read_picture(
    path: Path,
    file: WatchedFile,
    *,
    heic: bool,
    frame: int | None,
    rules: PixelRules,
    size: int | None,
    fit: FitName,
) -> Decoded:
    """Return the image, or its `frame`, as `read_image` does; raises `DecodeError`, and all that Pillow raises."""
    image = _open(path, file, heic=heic)
    several = _holds_several(image)
    if frame:
        _seek(path, image, frame)
    check_pixels(path, image.width, image.height, rules)
    if image.format in {"JPEG", "MPO", "JPEG2000"}:
        check_file(path, image, file)
    if size is not None and image.format in {"JPEG", "MPO"}:
        width, height = seen_size(*image.size, size, fit)
        image.draft(None, (2 * width, 2 * height))  # not smaller than this on either side
    file.will_take(memory=memory_of(image))
    rgb = to_rgb(image, rules.window)
    if size is not None:
        rgb = squared(rgb, size, fit)
    return Decoded(shown_channels(path, np.asarray(rgb), rules), several and frame is None)


def describe_picture(path: Path, file: WatchedFile, *, heic: bool) -> ImageFacts:
    """Read the header alone; raises `DecodeError`, and all that Pillow raises."""
    image = _open(path, file, heic=heic)
    width, height = reversed(image.size) if needs_turning(image) else image.size
    mode, depth, kind = image.mode, bit_depth(image), image.format or ""
    frames = count_pages(file) if kind == "TIFF" else _frames_of(image)
    check_frames(path, frames)
    return ImageFacts(width, height, mode, depth, kind, frames)


def _holds_several(image: ImageFile) -> bool:
    """Tell whether there is more than one image, without going through them all."""
    if image.format == "MPO":
        return False
    tags: Any = getattr(image, "tag_v2", None)
    return bool(tags.next if tags is not None else getattr(image, "is_animated", False))


def _frames_of(image: ImageFile) -> int:
    """Return how many images the file holds, for which some formats are read to the end."""
    return 1 if image.format == "MPO" else int(getattr(image, "n_frames", 1))


def _open(path: Path, file: WatchedFile, *, heic: bool) -> ImageFile:
    if heic:
        try:
            from pillow_heif import register_heif_opener
        except ImportError as error:
            raise missing_part(path, "HEIC", "heic") from error
        register_heif_opener(thumbnails=False)  # once or often, it is the same
        return _header_read(Image.open(file, formats=("HEIF",)), file)
    head = file.read(HEAD)
    if not AVIF and head[4:11] == b"ftypavi":
        raise DecodeError(path, "this build of Pillow reads no AVIF")
    file.seek(0)
    if head.startswith((b"II", b"MM")):
        check_first(file)
    return _header_read(Image.open(file, formats=(*FORMATS, "AVIF") if AVIF else FORMATS), file)


def _header_read(image: ImageFile, file: WatchedFile) -> ImageFile:
    file.header_is_read()
    return image


def _seek(path: Path, image: ImageFile, frame: int) -> None:
    try:
        image.seek(frame)
    except EOFError as error:
        raise DecodeError(path, f"it has no frame {frame}, counted from 0") from error
