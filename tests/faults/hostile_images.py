"""Image files made to keep a reader busy or fill its memory: sparse, or a few kilobytes that claim, or unpack to, much.

Each builder writes one file; `HOSTILE` names them all. `zeros` makes gigabytes of packed zeros without packing them.
"""

from __future__ import annotations

import io
import os
import socket
import struct
import zlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

Write = Callable[[Path], object]
SPARSE = 1_900_000_000  # bytes, just below the limit of one file
SIDE = 9_990  # of a square that holds just fewer pixels than are allowed


def zeros(count: int, *, wrapped: bool = True) -> bytes:
    """Return what deflate would make of `count` zeros, in zlib's wrapping or without one."""
    block, step = zlib.compressobj(9, zlib.DEFLATED, -15), 1 << 20
    one = block.compress(bytes(step)) + block.flush(zlib.Z_FULL_FLUSH)
    last = zlib.compressobj(9, zlib.DEFLATED, -15)
    raw = one * (count // step) + last.compress(bytes(count % step)) + last.flush()
    return b"\x78\xda" + raw + struct.pack(">I", count % 65521 << 16 | 1) if wrapped else raw


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


SQUARE = (SIDE, SIDE)
RASTER = SIDE * SIDE
LOOP = b"II*\0\x08\0\0\0\1\0\x69\x87\4\0\1\0\0\0\x08\0\0\0\x08\0\0\0"  # EXIF whose directory is inside itself
RGB_TAGS = [(258, 3, 1, 8), (262, 3, 1, 2), (277, 3, 1, 3)]
HOSTILE: dict[str, Write] = {
    # PNG
    "sparse.png": sparse(png_head(64, 64, 8, 2)),
    "sparse-text.png": sparse(png_head(64, 64, 8, 2) + struct.pack(">I4s", SPARSE - 60, b"tEXt")),
    "sparse-profile.png": sparse(png_head(64, 64, 8, 2) + struct.pack(">I4s", SPARSE - 60, b"iCCP") + b"a\0\0"),
    "sparse-exif.png": sparse(png_head(64, 64, 8, 2) + struct.pack(">I4s", SPARSE - 60, b"eXIf")),
    "sparse-pixels.png": sparse(png_head(64, 64, 8, 2) + struct.pack(">I4s", SPARSE - 60, b"IDAT")),
    "sparse-unknown.png": sparse(png_head(64, 64, 8, 2) + struct.pack(">I4s", SPARSE - 60, b"puTs")),
    "text-bomb.png": plain(lambda: png(64, 64, 8, 2, before=text_bomb(b"zTXt", 900_000_000, 1))),
    "text-bombs.png": plain(lambda: png(64, 64, 8, 2, before=text_bomb(b"zTXt", 1_000_000, 2000))),
    "international-bombs.png": plain(lambda: png(64, 64, 8, 2, before=text_bomb(b"iTXt", 1_000_000, 2000))),
    "profile-bomb.png": plain(lambda: png(64, 64, 8, 2, before=text_bomb(b"iCCP", 900_000_000, 1))),
    "profile-bombs.png": plain(lambda: png(64, 64, 8, 2, before=text_bomb(b"iCCP", 1_000_000, 2000))),
    "crumbs-before.png": plain(lambda: png(64, 64, 8, 2, before=crumbs(b"puTs", 2_000_000))),
    "crumbs-after.png": plain(lambda: png(64, 64, 8, 2, after=crumbs(b"puTs", 2_000_000))),
    "empty-pixels.png": plain(lambda: png(64, 64, 8, 2, before=crumbs(b"IDAT", 2_000_000))),
    "single-bytes.png": plain(png_of_single_bytes),
    "claims.png": plain(lambda: png_head(2**31 - 1, 2**31 - 1, 16, 6) + chunk(b"IDAT", b"x") + chunk(b"IEND", b"")),
    "black-1.png": plain(lambda: png(*SQUARE, 1, 0)),
    "black-8.png": plain(lambda: png(*SQUARE, 8, 0)),
    "black-16.png": plain(lambda: png(*SQUARE, 16, 0)),
    "black-rgb.png": plain(lambda: png(*SQUARE, 8, 2)),
    "black-rgb-16.png": plain(lambda: png(*SQUARE, 16, 2)),
    "black-palette.png": plain(lambda: png(*SQUARE, 8, 3)),
    "black-alpha.png": plain(lambda: png(*SQUARE, 8, 4)),
    "black-alpha-16.png": plain(lambda: png(*SQUARE, 16, 4)),
    "black-rgba.png": plain(lambda: png(*SQUARE, 8, 6)),
    "black-rgba-16.png": plain(lambda: png(*SQUARE, 16, 6)),
    "interlaced.png": plain(lambda: png(*SQUARE, 8, 6, interlaced=1)),
    "one-row.png": plain(lambda: png(RASTER, 1, 8, 2)),
    "one-column.png": plain(lambda: png(1, RASTER, 8, 2)),
    "longer-than-said.png": plain(
        lambda: png_head(8, 8, 8, 0) + chunk(b"IDAT", zeros(4_000_000_000)) + chunk(b"IEND", b"")
    ),
    "animation.png": plain(
        lambda: png(64, 64, 8, 2, before=chunk(b"acTL", struct.pack(">II", 2**31 - 1, 0)), after=crumbs(b"fdAT", 100))
    ),
    # TIFF
    "sparse.tif": sparse(b"II*\0\x08\0\0\0"),
    "directories-20000.tif": plain(lambda: tiff_of_directories(20_000)),
    "directories-200000.tif": plain(lambda: tiff_of_directories(200_000)),
    "directories-looped.tif": plain(lambda: tiff_of_directories(3, looped=True)),
    "directory-itself.tif": plain(lambda: tiff(picture_tags(4, 4, at=0, size=16), bytes(16), next_at=8)),
    "entries.tif": sparse(tiff([], entries=65_535), 2_000_000),
    "entries-big.tif": sparse(tiff([], big=True, entries=2**40)),
    "entries-big-texts.tif": sparse(tiff([(270, 2, 2**40, 0)] * 20, big=True)),
    "profile.tif": sparse(tiff([*picture_tags(4, 4, at=8, size=16), (34675, 7, SPARSE - 4096, 4096)])),
    "text.tif": sparse(tiff(picture_tags(4, 4, at=8, size=16, more=[(270, 2, SPARSE - 4096, 4096)]))),
    "numbers.tif": sparse(tiff([*picture_tags(4, 4, at=8, size=16), (50000, 4, SPARSE // 4 - 4096, 4096)])),
    "fractions.tif": sparse(tiff([*picture_tags(4, 4, at=8, size=16), (50000, 5, SPARSE // 8 - 4096, 4096)])),
    "strips-1e6.tif": partial(tiff_of_strips, count=1_000_000),
    "strips-99e6.tif": partial(tiff_of_strips, count=99_000_000),
    "tiles.tif": plain(lambda: tiff_of_tiles(9_984)),
    "black-8.tif": plain(lambda: tiff_picture(*SQUARE, bits=8, data=zeros(RASTER))),
    "black-16.tif": plain(lambda: tiff_picture(*SQUARE, bits=16, data=zeros(2 * RASTER))),
    "black-32.tif": plain(lambda: tiff_picture(*SQUARE, bits=32, data=zeros(4 * RASTER))),
    "black-float.tif": plain(lambda: tiff_picture(*SQUARE, bits=32, data=zeros(4 * RASTER), more=[(339, 3, 1, 3)])),
    "packbits.tif": plain(
        lambda: tiff_picture(*SQUARE, bits=8, data=b"\x81\0" * (RASTER // 128 + 1), compression=32773)
    ),
    "longer-than-said.tif": plain(lambda: tiff_picture(8, 8, bits=8, data=zeros(4_000_000_000))),
    "turned.tif": plain(lambda: tiff_picture(*SQUARE, bits=8, data=zeros(RASTER), more=[(274, 3, 1, 6)])),
    "cut.tif": plain(lambda: tiff_picture(*SQUARE, bits=8, data=zeros(1000))),
    # JPEG
    "sparse.jpg": sparse(b"\xff\xd8\xff"),
    "sparse-segment.jpg": sparse(b"\xff\xd8\xff\xe1\xff\xffExif\0\0"),
    "filled.jpg": plain(lambda: b"\xff\xd8" + b"\xff" * 20_000_000),
    "segments.jpg": plain(lambda: jpeg_of_segments(2_000_000, 0)),
    "profiles.jpg": plain(lambda: jpeg_of_segments(1000, 60_000)),
    "scans-100.jpg": plain(lambda: jpeg_of_scans(8_000, 100)),
    "scans-1000.jpg": plain(lambda: jpeg_of_scans(8_000, 1000)),
    "scans-20000.jpg": plain(lambda: jpeg_of_scans(2_000, 20_000)),
    "claims.jpg": plain(lambda: jpeg_stating(16, stated=65_500)),
    "claims-less.jpg": plain(lambda: jpeg_stating(16, stated=9_990)),
    "black-grey.jpg": plain(lambda: encoded(SIDE, "JPEG")),
    "black-rgb.jpg": plain(lambda: encoded(SIDE, "JPEG", "RGB")),
    "black-cmyk.jpg": plain(lambda: encoded(SIDE, "JPEG", "CMYK")),
    "black-progressive.jpg": plain(lambda: encoded(SIDE, "JPEG", "RGB", progressive=True)),
    "exif-loop.jpg": plain(lambda: jpeg_with_exif(LOOP)),
    "exif-entries.jpg": plain(
        lambda: jpeg_with_exif(b"II*\0\x08\0\0\0\xff\xff" + b"\x12\1\3\0\1\0\0\0\6\0\0\0" * 5000)
    ),
    # GIF
    "sparse.gif": sparse(b"GIF89a\x10\0\x10\0\x80\0\0"),
    "frames-1000000.gif": plain(lambda: gif(16, 16, 1_000_000)),
    "screen.gif": plain(lambda: gif(65_535, 65_535, 1)),
    "screen-allowed.gif": plain(lambda: gif(9_990, 9_990, 200)),
    "comment.gif": plain(lambda: gif(16, 16, 1, comment=200_000)),
    # WebP, AVIF, HEIC
    "sparse.webp": sparse(
        b"RIFF" + struct.pack("<I", SPARSE - 8) + b"WEBPVP8L" + struct.pack("<I", SPARSE - 20) + b"\x2f"
    ),
    "sparse-lies.webp": sparse(b"RIFF\xff\xff\xff\xffWEBPVP8X\x0a\0\0\0\2\0\0\0\xff\xff\0\xff\xff\0"),
    "black.webp": plain(lambda: encoded(SIDE, "WEBP", "RGB", lossless=True, quality=0, method=0)),
    "sparse.avif": sparse(b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf"),
    "sparse.heic": sparse(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"),
    "boxes.heic": plain(lambda: b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + box(b"free", b"") * 2_000_000),
    # BMP and PNM
    "sparse.bmp": sparse(bmp(30_000, 60_000)),
    "sparse-allowed.bmp": sparse(bmp(10_000, 9_999, bits=32), 401_000_000),
    "runs.bmp": plain(lambda: bmp(*SQUARE, compression=1, data=b"\xff\0" * 400_000 + b"\0\1")),
    "jumps.bmp": plain(lambda: bmp(*SQUARE, compression=1, data=b"\0\2\xff\xff" * 4_000_000)),
    "upside-down.bmp": plain(lambda: bmp(16, -(2**31), data=bytes(4096))),
    "sparse.ppm": sparse(b"P6 9990 9990 65535\n"),
    "spaces.ppm": plain(b"P6" + b" " * 20_000_000 + b"16 16 255\n"),
    "comment.ppm": plain(b"P6 #" + b"x" * 20_000_000 + b"\n16 16 255\n"),
    "words.ppm": plain(lambda: b"P3 9990 9990 255\n" + b"0 " * 10_000_000),
    "claims.pgm": plain(b"P5 99999999999 99999999999 255\n"),
    # JPEG 2000
    "sparse.jp2": sparse(box(b"jP  ", b"\r\n\x87\n") + box(b"ftyp", b"jp2 \0\0\0\0jp2 ")),
    "boxes.jp2": plain(lambda: jp2(16, 16, codestream(16, 16), between=box(b"free", b"") * 3_000_000)),
    "larger-inside.jp2": plain(lambda: jp2(16, 16, codestream(16, 60_000))),
    "larger-tile.jp2": plain(lambda: jp2(16, 16, codestream(16, 16, tile=2**31 - 1))),
    "claims.j2k": plain(lambda: codestream(16, 2**31 - 1)),
    "tiles.j2k": plain(lambda: codestream(16, 9_990, tile=1)),
    "components.j2k": plain(lambda: codestream(16, 9_990, components=16_384)),
    "black.jp2": plain(lambda: encoded(SIDE, "JPEG2000")),
    # NumPy
    "claims.npy": plain(npy_of("(1000000, 1000000)")),
    "claims-many.npy": plain(npy_of("(" + "100000, " * 60 + ")")),
    "negative.npy": plain(npy_of("(-5, 10)")),
    "texts.npy": plain(npy_of("(4, 4)", "<U1000000000")),
    "nested.npy": plain(npy("(" * 60_000 + ")" * 5000)),
    "header.npy": sparse(b"\x93NUMPY\2\0\xff\xff\xff\x70"),
    "power.npy": plain(npy("{'descr': '|u1', 'fortran_order': False, 'shape': (9**9**9, 2)}\n")),
    "sparse-8.npy": sparse(npy_of("(9990, 9990, 19)")),
    "sparse-64.npy": sparse(npy_of("(9990, 9990)", "<f8")),
    "sparse-fortran.npy": sparse(npy("{'descr': '<f8', 'fortran_order': True, 'shape': (9990, 9990)}\n")),
    # NIfTI
    "claims.nii": plain(nifti([32_767] * 7)),
    "bomb.nii.gz": plain(lambda: gzipped(nifti([1000, 1000, 1900]), 1_900_000_000)),
    "bomb-time.nii.gz": plain(lambda: gzipped(nifti([1000, 1000, 10, 190]), 1_900_000_000)),
    "bomb-float.nii.gz": plain(lambda: gzipped(nifti([1000, 1000, 230], code=64, bits=64), 1_840_000_000)),
    "bomb-offset.nii.gz": plain(lambda: gzipped(nifti([16, 16, 16], offset=6e7), 1_900_000_000)),
    "longer-than-said.nii.gz": plain(lambda: gzipped(nifti([16, 16, 16]), 4_000_000_000)),
    "sparse.nii": sparse(nifti([1000, 1000, 230], code=64, bits=64)),
    "slices.nii": sparse(nifti([1, 1, 32_767, 32_767])),
    # what is no file
    "fifo.png": fifo,
    "socket.png": socket_file,
    "zero.png": link_to("/dev/zero"),
    "random.png": link_to("/dev/urandom"),
    "itself.png": link_to("itself.png"),
    "process.png": link_to("/proc/self/mem"),
    "folder.png": lambda path: path.mkdir(),
}
