"""Attacks by slides: small files that claim to be endless, or whose every tile fills the memory."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from functools import partial
from importlib.util import find_spec

from tests.faults.contained import contained, outside, verdict
from tests.faults.forged import zeros
from tests.faults.forged_images import Write, encoded, plain, sparse, tiff
from tests.faults.outcome import Attack, Result
from tests.faults.world import STATES, World


def slide(side: int, tile: int, data: bytes, *, compression: int, photometric: int = 2, samples: int = 3) -> bytes:
    """A TIFF of side × side pixels whose tiles are all the same one."""
    count = (-(-side // tile)) ** 2
    tags: Sequence[tuple[int, int, int, int]] = [
        *((256, 4, 1, side), (257, 4, 1, side), (258, 3, 1, 8), (259, 3, 1, compression), (262, 3, 1, photometric)),
        *((277, 3, 1, samples), (322, 4, 1, tile), (323, 4, 1, tile), (324, 4, count, 0), (325, 4, count, 0)),
    ]
    at = 8 + 2 + 12 * len(tags) + 4
    lists = 8 * count if count > 1 else 0
    places, sizes = struct.pack("<I", at + lists) * count, struct.pack("<I", len(data)) * count
    values = {324: at, 325: at + 4 * count} if lists else {324: at, 325: len(data)}
    return tiff([(t, k, c, values.get(t, v)) for t, k, c, v in tags], (places + sizes if lists else b"") + data)


DEFLATE, JPEG, GREY, YCBCR = 8, 7, 1, 6
HOSTILE_SLIDES: dict[str, Write] = {
    "endless.tif": plain(lambda: slide(2**31 - 1, 2**24, b"x", compression=DEFLATE)),
    "claims.tif": plain(lambda: slide(2_000_000, 8_192, zeros(100), compression=DEFLATE)),
    "tile-of-7-GB.tif": plain(lambda: slide(50_000, 50_000, zeros(50_000 * 50_000 * 3), compression=DEFLATE)),
    "tile-of-1-GB.tif": plain(lambda: slide(16_384, 16_384, zeros(16_384**2 * 3), compression=DEFLATE)),
    "tile-longer.tif": plain(lambda: slide(256, 256, zeros(4_000_000_000), compression=DEFLATE)),
    "tile-jpeg-larger.tif": plain(
        lambda: slide(256, 256, encoded(9_000, "JPEG", "RGB"), compression=JPEG, photometric=YCBCR)
    ),
    "sparse.svs": sparse(b"II*\0\x08\0\0\0"),
    "entries-big.svs": sparse(tiff([], big=True, entries=2**40)),
    "nothing.svs": plain(b""),
}


def attacks(world: World, *, sample: int | None = None) -> Iterator[Attack]:
    """Tile each of them, beside nothing else."""
    if find_spec("openslide") is None:
        return
    for name in list(HOSTILE_SLIDES)[:sample]:
        run = partial(_tile, world, name, HOSTILE_SLIDES[name])
        yield Attack("hostile slide", f"slides/{name}", run, "tile")


def _tile(world: World, name: str, write: Write) -> Result:
    world.make(STATES["empty"], "empty")
    world.restore("empty")
    (world.work / "slides").mkdir()
    write(world.work / "slides" / name)
    before = outside(world)
    command = ("tile", "{work}/slides", "--out", "{work}/tiles", "--magnification", "base")
    return verdict(world, contained(world, command), before, named=[name, "tissue"])
