"""Writers of TIFF and PNG variants that Pillow can read but not write; independent of the code under test."""

from __future__ import annotations

import struct
import zlib

import numpy as np
from numpy.typing import NDArray


def tiff_bytes(
    pixels: NDArray[np.generic],
    *,
    order: str = "<",
    tile: int | None = None,
    deflate: bool = False,
    planar: bool = False,
    photometric: int | None = None,
    extra_sample: int | None = None,
    big: bool = False,
) -> bytes:
    """Return one page: [H, W] or [H, W, C], of any dtype, in strips or square tiles; `big` gives BigTIFF."""
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    height, width, channels = pixels.shape
    kind = {"u": 1, "i": 2, "f": 3}[pixels.dtype.kind]
    planes = [pixels[..., c : c + 1] for c in range(channels)] if planar else [pixels]
    blocks = [b for plane in planes for b in (_tiles(plane, tile) if tile else [plane])]
    dtype = pixels.dtype.newbyteorder(order)
    chunks = [np.ascontiguousarray(b, dtype).tobytes() for b in blocks]
    chunks = [zlib.compress(c) for c in chunks] if deflate else chunks
    offsets = list(np.cumsum([16, *(len(c) for c in chunks)]))[:-1]
    short, long = 3, 4
    tags: dict[int, tuple[int, list[int]]] = {
        256: (long, [width]),
        257: (long, [height]),
        258: (short, [8 * pixels.dtype.itemsize] * channels),
        259: (short, [8 if deflate else 1]),
        262: (short, [photometric if photometric is not None else (1 if channels < 3 else 2)]),
        277: (short, [channels]),
        284: (short, [2 if planar else 1]),
        339: (short, [kind] * channels),
    }
    if extra_sample is not None:
        tags[338] = (short, [extra_sample])
    where, sizes = (324, 325) if tile else (273, 279)
    tags |= {where: (long, offsets), sizes: (long, [len(c) for c in chunks])}
    tags |= {322: (long, [tile]), 323: (long, [tile])} if tile else {278: (long, [height])}
    return _assemble(tags, b"".join(chunks), order, big)


def _tiles(plane: NDArray[np.generic], edge: int) -> list[NDArray[np.generic]]:
    height, width = plane.shape[:2]
    padded = np.pad(plane, ((0, -height % edge), (0, -width % edge), (0, 0)))
    return [padded[y : y + edge, x : x + edge] for y in range(0, height, edge) for x in range(0, width, edge)]


def _assemble(tags: dict[int, tuple[int, list[int]]], body: bytes, order: str, big: bool) -> bytes:
    """Return header (16 bytes), pixels, then the directory and its out-of-line values."""
    mark = b"II" if order == "<" else b"MM"
    start = 16 + len(body)
    word, entry, inline = ("Q", 20, 8) if big else ("I", 12, 4)
    count = "Q" if big else "H"
    spill_at = start + struct.calcsize("=" + count) + entry * len(tags) + struct.calcsize("=" + word)
    directory, spill = struct.pack(order + count, len(tags)), b""
    for tag, (kind, values) in sorted(tags.items()):
        data = struct.pack(f"{order}{len(values)}{'H' if kind == 3 else 'I'}", *values)
        if len(data) > inline:
            data, spill = struct.pack(order + word, spill_at + len(spill)), spill + data
        directory += struct.pack(order + "HH" + word, tag, kind, len(values)) + data.ljust(inline, b"\0")
    head = struct.pack(order + "HHHQ", 43, 8, 0, start) if big else struct.pack(order + "HI8x", 42, start)
    return mark + head + body + directory + struct.pack(order + word, 0) + spill


def png_bytes(
    pixels: NDArray[np.generic],
    *,
    depth: int,
    colour: int,
    extra: tuple[tuple[bytes, bytes], ...] = (),
    claims: tuple[int, int] | None = None,
) -> bytes:
    """Return a PNG of [H, W] or [H, W, C] at 1 to 16 bits; `colour` is PNG's colour type, `extra` chunks follow IHDR.

    `claims` puts another (width, height) into the header than the pixels have.
    """
    height, width = pixels.shape[:2]
    if depth < 8:
        flat = pixels.astype(np.uint8)[..., None] >> np.arange(depth - 1, -1, -1, dtype=np.uint8) & 1
        rows = np.packbits(flat.reshape(height, -1), axis=1)
    else:
        rows = np.ascontiguousarray(pixels, ">u2" if depth == 16 else np.uint8).reshape(height, -1)
    data = b"".join(b"\0" + row.tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", *(claims or (width, height)), depth, colour, 0, 0, 0)
    chunks = [(b"IHDR", header), *extra, (b"IDAT", zlib.compress(data)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, body) for name, body in chunks)


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
