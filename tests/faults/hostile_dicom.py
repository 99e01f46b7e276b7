"""DICOM files made to keep a reader busy or fill its memory; importing this needs pydicom."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
)

from tests.data.decode.dicom_files import dicom, stored
from tests.faults.forged import zeros
from tests.faults.forged_images import SIDE, SPARSE, Write, codestream, encoded, gzipped, jpeg_stating, plain

SMALL = np.zeros((16, 16), np.uint8)
PIXELS = b"\xe0\x7f\x10\0"
UNDEFINED = b"\xff\xff\xff\xff"
ITEM, ITEMS_END, SEQUENCE_END = b"\xfe\xff\x00\xe0", b"\xfe\xff\x0d\xe0" + bytes(4), b"\xfe\xff\xdd\xe0" + bytes(4)
SEQUENCE = b"\x08\0\x15\x11SQ\0\0"  # referenced series


def header(syntax: str | None = None, **elements: object) -> bytes:
    """A file of 16 × 16 pixels up to where its pixels begin."""
    data = dicom(SMALL, **elements)
    if syntax is not None:
        data.file_meta.TransferSyntaxUID = syntax
        whole = stored_as(data)
    else:
        whole = stored(data)
    return whole[: whole.rindex(PIXELS)]


def stored_as(data: object) -> bytes:
    """Write a data set whose syntax says one thing and whose bytes are plain: explicit, little endian."""
    syntax = data.file_meta.TransferSyntaxUID  # type: ignore[attr-defined]
    data.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"  # type: ignore[attr-defined]
    whole = stored(data)  # type: ignore[arg-type]
    plain_uid = b"1.2.840.10008.1.2.1\0"
    at = whole.index(plain_uid)
    said = syntax.encode() + b"\0" * (len(syntax) % 2)
    length = int.from_bytes(whole[140:144], "little") + len(said) - len(plain_uid)
    begin = at - 2
    new = whole[:begin] + struct.pack("<H", len(said)) + said + whole[at + len(plain_uid) :]
    return new[:140] + struct.pack("<I", length) + new[144:]


def native(data: bytes, **elements: object) -> bytes:
    return header(**elements) + PIXELS + b"OW\0\0" + struct.pack("<I", len(data)) + data


def fragments(syntax: str, *parts: bytes, **elements: object) -> bytes:
    """Compressed pixels, one item a part after an empty table of offsets."""
    items = b"".join(ITEM + struct.pack("<I", len(part)) + part for part in (b"", *parts))
    return header(syntax, **elements) + PIXELS + b"OB\0\0" + UNDEFINED + items + SEQUENCE_END


def deflated(count: int, **elements: object) -> bytes:
    """A data set whose deflated pixels are so many zeros."""
    whole = header(DeflatedExplicitVRLittleEndian, **elements)
    end = 144 + int.from_bytes(whole[140:144], "little")
    rest = whole[end:] + PIXELS + b"OB\0\0" + struct.pack("<I", count)
    first = gzipped(rest, 0)[10:-8]
    head = first[: first.rindex(b"\0\0\xff\xff") + 4]
    return whole[:end] + head + zeros(count, wrapped=False)


def elements(count: int) -> bytes:
    """As many short private elements, in groups."""
    per = 0xF000
    parts = [
        struct.pack("<HH2sH", 0x1001 + 2 * (i // per), 0x1000 + i % per, b"LO", 0) for i in range(min(count, 120 * per))
    ]
    return b"".join(parts)


def nested(depth: int) -> bytes:
    inner = (SEQUENCE + UNDEFINED + ITEM + UNDEFINED) * depth
    return inner + (ITEMS_END + SEQUENCE_END) * depth


def with_more(more: bytes, **values: object) -> bytes:
    whole = header(**values)
    return whole + more + PIXELS + b"OW\0\0" + struct.pack("<I", 256) + bytes(256)


def sparse_pixels(size: int = SPARSE, **values: object) -> Write:
    def write(path: Path) -> None:
        path.write_bytes(header(**values) + PIXELS + b"OW\0\0" + struct.pack("<I", size))
        os.truncate(path, path.stat().st_size + size)

    return write


def rle(times: int) -> bytes:
    """One segment that goes on for long."""
    return struct.pack("<16I", 1, 64, *[0] * 14) + b"\x81\0" * times


BIG = {"Rows": SIDE, "Columns": SIDE}
LUT = {"RedPaletteColorLookupTableDescriptor": [0, 0, 16]}
HOSTILE_DICOM: dict[str, Write] = {
    "deflated-1e9.dcm": plain(lambda: deflated(1_000_000_000)),
    "deflated-4e9.dcm": plain(lambda: deflated(4_000_000_000)),
    "deflated-allowed.dcm": plain(lambda: deflated(SIDE * SIDE, **BIG)),
    "deflated-frames.dcm": plain(lambda: deflated(4_000_000_000, NumberOfFrames=15_625_000)),
    "deflated-nothing.dcm": plain(lambda: header(DeflatedExplicitVRLittleEndian)),
    "jpeg-larger.dcm": plain(lambda: fragments(JPEGBaseline8Bit, encoded(9_000, "JPEG"))),
    "jpeg-claims.dcm": plain(lambda: fragments(JPEGBaseline8Bit, jpeg_stating(16, stated=65_500))),
    "jpeg-claims-both.dcm": plain(lambda: fragments(JPEGBaseline8Bit, jpeg_stating(16, stated=9_990), **BIG)),
    "jpeg-is-png.dcm": plain(lambda: fragments(JPEGBaseline8Bit, encoded(16, "PNG"))),
    "jpeg-colour.dcm": plain(lambda: fragments(JPEGBaseline8Bit, encoded(5_000, "JPEG", "CMYK"))),
    "j2k-larger.dcm": plain(lambda: fragments(JPEG2000Lossless, encoded(4_000, "JPEG2000", no_jp2=True))),
    "j2k-claims.dcm": plain(lambda: fragments(JPEG2000Lossless, codestream(16, 60_000))),
    "j2k-tile.dcm": plain(lambda: fragments(JPEG2000Lossless, codestream(16, 16, tile=2**31 - 1))),
    "j2k-tiles.dcm": plain(lambda: fragments(JPEG2000Lossless, codestream(16, 9_990, tile=1), **BIG)),
    "j2k-components.dcm": plain(lambda: fragments(JPEG2000Lossless, codestream(16, 9_990, components=16_384), **BIG)),
    "jpeg-ls-claims.dcm": plain(
        lambda: fragments(
            JPEGLSLossless,
            b"\xff\xd8\xff\xf7\0\x0b\x08\xff\xff\xff\xff\1\1\x11\0\xff\xda\0\x08\1\1\0\0\0\0"
            + bytes(200)
            + b"\xff\xd9",
        )
    ),
    "rle-longer.dcm": plain(lambda: fragments(RLELossless, rle(4_000_000))),
    "rle-allowed.dcm": plain(lambda: fragments(RLELossless, rle(SIDE * SIDE // 128), **BIG)),
    "fragments.dcm": plain(lambda: fragments(JPEGBaseline8Bit, *[b""] * 1_000_000)),
    "fragments-frames.dcm": plain(
        lambda: fragments(JPEGBaseline8Bit, *[b"\xff\xd8"] * 500_000, NumberOfFrames=500_000)
    ),
    "elements-100000.dcm": plain(lambda: with_more(elements(100_000))),
    "elements-2000000.dcm": plain(lambda: with_more(elements(2_000_000))),
    "nested-1000.dcm": plain(lambda: with_more(nested(1_000))),
    "nested-100000.dcm": plain(lambda: with_more(nested(100_000))),
    "items.dcm": plain(lambda: with_more(SEQUENCE + UNDEFINED + (ITEM + bytes(4)) * 1_000_000 + SEQUENCE_END)),
    "frames-claimed.dcm": plain(lambda: native(bytes(256), NumberOfFrames=2**31 - 1)),
    "claims.dcm": plain(lambda: native(bytes(256), Rows=65_535, Columns=65_535)),
    "claims-allowed.dcm": plain(lambda: native(bytes(256), **BIG)),
    "palette.dcm": plain(lambda: native(bytes(256), PhotometricInterpretation="PALETTE COLOR", **LUT)),
    "sparse.dcm": sparse_pixels(),
    "sparse-16.dcm": sparse_pixels(2 * SIDE * SIDE, **BIG, BitsAllocated=16, BitsStored=16, HighBit=15),
    "sparse-32.dcm": sparse_pixels(4 * SIDE * SIDE, **BIG, BitsAllocated=32, BitsStored=32, HighBit=31),
    "sparse-frames.dcm": sparse_pixels(1_899_999_744, NumberOfFrames=7_421_874),
    "sparse-bits.dcm": sparse_pixels(SIDE * SIDE // 8, **BIG, BitsAllocated=1, BitsStored=1, HighBit=0),
}
