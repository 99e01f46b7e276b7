"""What an image will cost to decode, told from its header and from what its compressed stream states of itself."""

from __future__ import annotations

import re
import struct
from pathlib import Path

from PIL.ImageFile import ImageFile

from cass_cli.data.decode.facts import DecodeError
from cass_cli.data.decode.rgb import bit_depth
from cass_cli.data.decode.watched import WatchedFile

SLOW = frozenset({"JPEG2000", "AVIF", "HEIF"})  # ten times as slow as the others
SCAN = b"\xff\xda"
FRAMES = frozenset({*range(0xC0, 0xD0), 0xF7}) - {0xC4, 0xC8, 0xCC}  # markers that a frame's size follows
SEGMENTS = 1000  # of a JPEG before its frame
JPEG_2000 = re.compile(rb"\xff\x4f\xff\x51....(.{32})", re.DOTALL)  # image: right, bottom, left, top; tiles: the same
MOST_TILES = 65_535  # as JPEG 2000 numbers them in 16 bits
BOXES = 2**16  # bytes of a JPEG 2000 file in which its stream begins


def memory_of(image: ImageFile) -> int:
    """Return about how many bytes it takes, at most, to bring a picture to RGB."""
    bits = bit_depth(image)
    if bits > 8:
        each = 60 if image.mode in {"RGB", "RGBA"} else 24 if bits <= 16 else 48
    else:
        each = 24 if image.format in SLOW else 12 if image.has_transparency_data else 8
    return image.width * image.height * each


def check_file(path: Path, image: ImageFile, file: WatchedFile) -> None:
    """Hold the file of a JPEG or JPEG 2000 against its header, as `check_stream` does; leaves it where it stood."""
    place = file.tell()
    file.seek(0)
    if image.format == "JPEG2000":
        check_stream(path, file, file.read(BOXES), *image.size)
    else:  # the size was read from the stream
        file.will_take(passes=image.width * image.height * file.read().count(SCAN))
    file.seek(place)


def check_stream(path: Path, file: WatchedFile, stream: bytes, width: int, height: int) -> None:
    """Raise `DecodeError` where a compressed stream states another size than the header before it, or absurd tiles.

    Raises `Costly` for a JPEG that goes over its pixels so often that it takes seconds.
    """
    stated = _jpeg_size(stream)
    if stated:
        file.will_take(passes=width * height * stream.count(SCAN))
    if found := JPEG_2000.search(stream):
        right, bottom, left, top, across, down, _, _ = struct.unpack(">8I", found[1])
        stated = right - left, bottom - top
        if not across or not down or -(-right // across) * -(-bottom // down) > MOST_TILES:
            raise DecodeError(path, "damaged: it has more tiles than JPEG 2000 knows")
    if stated and stated != (width, height):
        said = f"its pixels are {stated[0]} × {stated[1]}, its header says {width} × {height}"
        raise DecodeError(path, f"damaged: {said}")


def _jpeg_size(stream: bytes) -> tuple[int, int] | None:
    """Return (width, height) of a JPEG or JPEG-LS stream, past whatever it holds before; None for other streams."""
    at = 2
    for _ in range(SEGMENTS if stream.startswith(b"\xff\xd8") else 0):
        if stream[at : at + 1] != b"\xff" or len(stream) < at + 9:
            return None
        if stream[at + 1] in FRAMES:
            height, width = struct.unpack(">HH", stream[at + 5 : at + 9])
            return width, height
        at += 1 if stream[at + 1] == 0xFF else 2 + int.from_bytes(stream[at + 2 : at + 4], "big")
    return None
