"""A Pillow image of any mode → RGB, 8 bits a channel, upright.

- Orientation (EXIF, TIFF) is applied. Grey becomes three equal channels. 8-bit pixels pass unchanged.
- Deeper pixels map to 8 bits by the rule in `depth.py`.
- Transparency is composited over black, the background of most medical images and of premultiplied pixels.
- CMYK is converted without a colour profile. Where a JPEG lacks Adobe's marker its CMYK is taken as not inverted.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from PIL import Image, ImageChops, ImageOps
from PIL.ImageFile import ImageFile

from cass_cli.data.decode.depth import to_uint8

DEEP_MODES = frozenset({"I", "F", "I;16", "I;16B", "I;16L", "I;16N"})
MODE_BITS = {"1": 1, "I": 32, "F": 32}
ORIENTATION, BITS_PER_SAMPLE, PHOTOMETRIC, PLANAR = 0x0112, 258, 262, 284  # EXIF and TIFF tags
STRIP = 2**22  # pixels
DEEP_COLOUR = re.compile(r"(RGB|RGBA|RGBX|LA);16[BLN]")  # Pillow's raw modes: big, little, native byte order


def needs_turning(image: ImageFile) -> bool:
    """Tell, from the header, whether width and height change places when the orientation is applied."""
    if image.format == "TIFF":  # Pillow turns these by itself and tells their size as turned
        return False
    if image.format == "PNG" and "exif" not in image.info:  # asking would decode the pixels
        return False
    return image.getexif().get(ORIENTATION, 1) in {5, 6, 7, 8}


def to_rgb(image: ImageFile, window: tuple[float, float] | None = None) -> Image.Image:
    """Decode and bring to mode RGB, by the rules in the module's docstring; `window` is that of `to_uint8`."""
    tags = image.tag_v2 if image.format == "TIFF" else {}  # type: ignore[attr-defined]  # TiffImageFile has it
    if tags.get(PLANAR) == 2 and bit_depth(image) > 8:
        raise NotImplementedError("16-bit colour planes stored apart are not read")  # Pillow would mix them up
    rawmodes = {_rawmode(tile) for tile in image.tile}
    if image.mode in {"RGB", "RGBA"} and rawmodes and all(map(DEEP_COLOUR.fullmatch, rawmodes)):
        return _deep_colour(image, rawmodes, window)
    white_is_zero = tags.get(PHOTOMETRIC) == 0
    inverted = image.format in {"JPEG", "MPO"} and "adobe" not in image.info  # Pillow inverts every CMYK JPEG
    ImageOps.exif_transpose(image, in_place=True)  # large images have no room for copies
    upright: Image.Image = image
    if upright.mode in DEEP_MODES:
        values = np.asarray(upright)
        if white_is_zero:
            values, window = -values.astype(np.float64), (-window[1], -window[0]) if window else None
        return Image.fromarray(to_uint8(values, window)).convert("RGB")
    if upright.mode == "CMYK" and inverted:
        upright = ImageChops.invert(upright)
    if upright.mode == "La":  # premultiplied grey has no direct way to RGBA
        upright = upright.convert("LA")
    if upright.has_transparency_data:
        return _over_black(upright)
    return upright if upright.mode == "RGB" else upright.convert("RGB")


def _over_black(image: Image.Image) -> Image.Image:
    """Return an image with transparency as RGB over black, a strip at a time."""
    opaque = Image.new("RGB", image.size)
    rows = max(1, STRIP // image.width)
    for top in range(0, image.height, rows):
        box = (0, top, image.width, min(top + rows, image.height))
        strip = image.crop(box).convert("RGBA")
        opaque.paste(Image.alpha_composite(Image.new("RGBA", strip.size, (0, 0, 0, 255)), strip).convert("RGB"), box)
    return opaque


def _deep_colour(image: ImageFile, rawmodes: set[str], window: tuple[float, float] | None) -> Image.Image:
    """Return a 16-bit colour image in 8 bits, upright.

    Pillow keeps the high byte of each sample, which leaves 12-bit data in a 16-bit file nearly black. So the file
    is decoded a second time as if its bytes were in the other order, which yields the low bytes.
    """
    assert image.fp is not None and image.format is not None
    low_bytes = Image.open(image.fp, formats=(image.format,))
    low_bytes.seek(image.tell())
    if rawmodes == {"LA;16B"}:  # grey and alpha, two bytes each, fill one RGBA pixel
        low_bytes.tile = [tile._replace(args="RGBA") for tile in low_bytes.tile]
        pair = np.asarray(ImageOps.exif_transpose(low_bytes))
        deep, alpha = np.repeat(pair[..., :1].astype(np.uint16) << 8 | pair[..., 1:2], 3, axis=2), pair[..., 2:3]
    else:
        low_bytes.tile = [tile._replace(args=_other_order(tile.args)) for tile in low_bytes.tile]
        low = np.asarray(ImageOps.exif_transpose(low_bytes))
        high = np.asarray(ImageOps.exif_transpose(image))
        deep, alpha = high[..., :3].astype(np.uint16) << 8 | low[..., :3], high[..., 3:]
    colour = to_uint8(deep, window)
    if alpha.size:  # [H, W, 1], over black
        colour = ((colour.astype(np.uint16) * alpha + 127) // 255).astype(np.uint8)
    return Image.fromarray(colour)


def _rawmode(tile: Any) -> str:
    return str(tile.args if isinstance(tile.args, str) else tile.args[0])


def _other_order(args: Any) -> Any:
    """Return a decoder's arguments with the byte order of its samples exchanged; libtiff's N is the machine's."""
    if not isinstance(args, str):
        return (_other_order(args[0]), *args[1:])
    native = "L" if np.little_endian else "B"
    order = native if args[-1] == "N" else args[-1]
    return args[:-1] + ("B" if order == "L" else "L")


def bit_depth(image: ImageFile) -> int:
    """Return the bits per channel as stored, which Pillow's mode alone doesn't tell."""
    if image.format == "TIFF":
        return int(max(image.tag_v2.get(BITS_PER_SAMPLE, (1,))))  # type: ignore[attr-defined]  # as above
    found = re.search(r";(\d+)", _rawmode(image.tile[0])) if image.tile else None
    return int(found.group(1)) if found else MODE_BITS.get(image.mode, 16 if image.mode.startswith("I;") else 8)
