"""Image files whose every field may lie: PNG, TIFF, JPEG, GIF, BMP, JPEG 2000, NumPy and NIfTI, and what is no file."""

from __future__ import annotations

import io
import os
import socket
import struct
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from tests.faults.forged import zeros

Write = Callable[[Path], object]
SPARSE = 1_900_000_000  # bytes, just below the limit of one file
SIDE = 9_990  # of a square that holds just fewer pixels than are allowed


def sparse(head: bytes, size: int = SPARSE) -> Write:
    """A file that begins so and goes on with zeros that no disk holds."""

    def write(path: Path) -> None:
        path.write_bytes(head)
        os.truncate(path, size)

    return write


def plain(data: bytes | Callable[[], bytes]) -> Write:
    return lambda path: path.write_bytes(data if isinstance(data, bytes) else data())


# ---- PNG


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_head(width: int, height: int, bits: int, colour: int, interlaced: int = 0) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, interlaced))


def png(
    width: int, height: int, bits: int, colour: int, *, before: bytes = b"", after: bytes = b"", interlaced: int = 0
) -> bytes:
    """A black picture; colour 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGBA."""
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    data = zeros(height * (1 + (width * channels * bits + 7) // 8))
    if colour == 3:
        before = chunk(b"PLTE", bytes(768)) + chunk(b"tRNS", bytes(256)) + before
    return (
        png_head(width, height, bits, colour, interlaced) + before + chunk(b"IDAT", data) + after + chunk(b"IEND", b"")
    )


def crumbs(kind: bytes, count: int) -> bytes:
    return chunk(kind, b"") * count


def png_of_single_bytes(side: int = 1000) -> bytes:
    rng = np.random.default_rng(0)
    rows = np.concatenate([np.zeros((side, 1), np.uint8), rng.integers(0, 256, (side, side), np.uint8)], axis=1)
    data = zlib.compress(rows.tobytes(), 0)
    return (
        png_head(side, side, 8, 0)
        + b"".join(chunk(b"IDAT", data[i : i + 1]) for i in range(len(data)))
        + chunk(b"IEND", b"")
    )


def text_bomb(kind: bytes, count: int, times: int) -> bytes:
    head = b"a\0\0" if kind == b"zTXt" else b"a\0\1\0\0\0" if kind == b"iTXt" else b"a\0\0"
    return chunk(kind, head + zeros(count)) * times


# ---- TIFF


def tiff(
    tags: Sequence[tuple[int, int, int, int]],
    data: bytes = b"",
    *,
    next_at: int = 0,
    big: bool = False,
    entries: int = 0,
) -> bytes:
    """One directory at byte 8 (16) of (tag, type, count, value or offset), then `data`."""
    count = entries or len(tags)
    if big:
        head = struct.pack("<2sHHHQ", b"II", 43, 8, 0, 16) + struct.pack("<Q", count)
        return head + b"".join(struct.pack("<HHQQ", *tag) for tag in tags) + struct.pack("<Q", next_at) + data
    head = struct.pack("<2sHI", b"II", 42, 8) + struct.pack("<H", count)
    return head + b"".join(struct.pack("<HHII", *tag) for tag in tags) + struct.pack("<I", next_at) + data


def picture_tags(
    width: int,
    height: int,
    *,
    bits: int = 8,
    compression: int = 1,
    at: int,
    size: int,
    more: Sequence[tuple[int, int, int, int]] = (),
) -> list[tuple[int, int, int, int]]:
    tags = [
        *((256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, bits), (259, 3, 1, compression), (262, 3, 1, 1)),
        *((273, 4, 1, at), (277, 3, 1, 1), (278, 4, 1, height), (279, 4, 1, size)),
    ]
    known = {tag[0] for tag in more}
    return sorted([*(tag for tag in tags if tag[0] not in known), *more])


def tiff_picture(
    width: int,
    height: int,
    *,
    bits: int,
    data: bytes,
    compression: int = 8,
    more: Sequence[tuple[int, int, int, int]] = (),
) -> bytes:
    tags = picture_tags(width, height, bits=bits, compression=compression, at=0, size=len(data), more=more)
    at = 8 + 2 + 12 * len(tags) + 4
    tags = [(tag, kind, count, at if tag == 273 else value) for tag, kind, count, value in tags]
    return tiff(tags, data)


def tiff_of_directories(count: int, *, looped: bool = False) -> bytes:
    """A picture of 4 × 4 pixels, `count` times, each in a directory of its own."""
    size = 2 + 12 * 9 + 4
    end = 8 + count * size
    tags = picture_tags(4, 4, at=end, size=16)
    one = struct.pack("<H", 9) + b"".join(struct.pack("<HHII", *tag) for tag in tags)
    nexts = [8 + size * (i + 1) for i in range(count - 1)] + [8 if looped else 0]
    return struct.pack("<2sHI", b"II", 42, 8) + b"".join(one + struct.pack("<I", at) for at in nexts) + bytes(range(16))


def tiff_of_tiles(side: int) -> bytes:
    """Uncompressed, in tiles of 16 × 16 that all lie at one place."""
    count = (-(-side // 16)) ** 2
    tags = [
        *((256, 4, 1, side), (257, 4, 1, side), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (277, 3, 1, 1)),
        *((322, 4, 1, 16), (323, 4, 1, 16), (324, 4, count, 0), (325, 4, count, 0)),
    ]
    at = 8 + 2 + 12 * len(tags) + 4
    places = struct.pack("<I", at) * count
    values = {324: at, 325: at + len(places)}
    return tiff([(t, k, c, values.get(t, v)) for t, k, c, v in tags], places + struct.pack("<I", 256) * count)


def tiff_of_strips(path: Path, count: int) -> None:
    """One row a strip, whose offsets are zeros that no disk holds."""
    more = [(273, 4, count, 4096), (278, 4, 1, 1), (279, 4, count, 4096)]
    path.write_bytes(tiff(picture_tags(1, count, at=0, size=0, more=more)))
    os.truncate(path, 4096 + 4 * count)


# ---- JPEG


def encoded(side: int, kind: str, mode: str = "L", **how: object) -> bytes:
    file = io.BytesIO()
    Image.new(mode, (side, side)).save(file, kind, **how)
    return file.getvalue()


def jpeg_of_scans(side: int, scans: int) -> bytes:
    """A progressive picture whose last scan comes over and over."""
    whole = encoded(side, "JPEG", progressive=True, quality=90)
    last = whole.rindex(b"\xff\xda")
    return whole[:-2] + whole[last:-2] * scans + b"\xff\xd9"


def jpeg_stating(side: int, *, stated: int) -> bytes:
    """A picture whose frame states another size."""
    data = bytearray(encoded(side, "JPEG"))
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", stated, stated)
    return bytes(data)


def jpeg_of_segments(count: int, size: int) -> bytes:
    whole = encoded(16, "JPEG")
    return whole[:2] + (b"\xff\xeb" + struct.pack(">H", size + 2) + bytes(size)) * count + whole[2:]


def jpeg_with_exif(ifd: bytes) -> bytes:
    whole, data = encoded(16, "JPEG"), b"Exif\0\0" + ifd
    return whole[:2] + b"\xff\xe1" + struct.pack(">H", len(data) + 2) + data + whole[2:]


# ---- GIF, BMP, PNM, WebP, JPEG 2000


def gif(width: int, height: int, frames: int, *, comment: int = 0) -> bytes:
    """Frames of one pixel on a screen of the stated size."""
    one = b"\x21\xf9\x04\0\0\0\0\0\x2c\0\0\0\0\1\0\1\0\0\2\2\x44\1\0"
    note = b"\x21\xfe" + (b"\xff" + b" " * 255) * comment + b"\0" if comment else b""
    return b"GIF89a" + struct.pack("<HH", width, height) + b"\x80\0\0\0\0\0\xff\xff\xff" + note + one * frames + b";"


def bmp(width: int, height: int, *, bits: int = 8, compression: int = 0, data: bytes = b"") -> bytes:
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, len(data), 0, 0, 256, 0)
    return b"BM" + struct.pack("<IHHI", 14 + 40 + 1024 + len(data), 0, 0, 14 + 40 + 1024) + head + bytes(1024) + data


def box(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(data), kind) + data


def siz(width: int, height: int, tile: int, components: int = 1) -> bytes:
    """The size that a JPEG 2000 codestream begins with."""
    parts = struct.pack(">HIIIIIIIIH", 0, width, height, 0, 0, tile, tile, 0, 0, components) + b"\7\1\1" * components
    return b"\xff\x4f\xff\x51" + struct.pack(">H", 2 + len(parts)) + parts


def codestream(side: int, stated: int, *, tile: int = 0, components: int = 1) -> bytes:
    """A codestream of a black picture, whose size is said to be `stated`."""
    whole = encoded(side, "JPEG2000", no_jp2=True)
    end = 4 + struct.unpack(">H", whole[4:6])[0]
    return siz(stated, stated, tile or stated, components) + whole[end:]


def jp2(width: int, height: int, stream: bytes, *, between: bytes = b"") -> bytes:
    head = box(b"ihdr", struct.pack(">IIHBBBB", height, width, 1, 7, 7, 0, 0)) + box(b"colr", b"\1\0\0\0\0\0\x11")
    kind = box(b"jP  ", b"\r\n\x87\n") + box(b"ftyp", b"jp2 \0\0\0\0jp2 ")
    return kind + between + box(b"jp2h", head) + box(b"jp2c", stream)


# ---- NumPy, NIfTI


def npy(header: str, data: bytes = b"", *, version: int = 1) -> bytes:
    text = header.encode("latin-1")
    length = struct.pack("<H", len(text)) if version == 1 else struct.pack("<I", len(text))
    return b"\x93NUMPY" + bytes([version, 0]) + length + text + data


def npy_of(shape: str, kind: str = "|u1") -> bytes:
    return npy(f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}\n")


def nifti(dims: Sequence[int], *, code: int = 2, bits: int = 8, offset: float = 352.0) -> bytes:
    """The header of a volume, without its values."""
    head = bytearray(352)
    struct.pack_into("<i", head, 0, 348)
    struct.pack_into("<8h", head, 40, len(dims), *dims, *[1] * (7 - len(dims)))
    struct.pack_into("<hh", head, 70, code, bits)
    struct.pack_into("<8f", head, 76, *[1.0] * 8)
    struct.pack_into("<ff", head, 108, offset, 1.0)
    head[344:348] = b"n+1\0"
    return bytes(head)


def gzipped(head: bytes, count: int) -> bytes:
    """A gzip of `head` and `count` zeros; its checksum is not theirs."""
    first = zlib.compressobj(9, zlib.DEFLATED, -15)
    raw = first.compress(head) + first.flush(zlib.Z_FULL_FLUSH) + zeros(count, wrapped=False)
    return b"\x1f\x8b\x08\0\0\0\0\0\2\xff" + raw + struct.pack("<II", 0, (len(head) + count) % 2**32)


# ---- files that are none


def fifo(path: Path) -> None:
    os.mkfifo(path)


def socket_file(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # its path may be longer than a socket's may
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(here)


def link_to(target: str) -> Write:
    return lambda path: path.symlink_to(target)
