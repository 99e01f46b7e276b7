"""How many images a TIFF holds: its directories are counted, without looking at what is in them."""

from __future__ import annotations

import struct
from typing import BinaryIO

from cass_cli.data.decode.facts import MOST_FRAMES


def count_pages(file: BinaryIO) -> int:
    """Return the length of the chain of directories, of which each says where the next one is, up to one too many.

    It ends where it comes back to itself, or leads out of the file.
    """
    file.seek(0)
    head = file.read(16)
    order = "<" if head[:2] == b"II" else ">"
    big = head[2:4] in (b"+\0", b"\0+")
    entries, place, entry = (f"{order}Q", f"{order}Q", 20) if big else (f"{order}H", f"{order}I", 12)
    (at,) = struct.unpack_from(place, head, 8 if big else 4)
    seen: set[int] = set()
    while at and at not in seen and len(seen) <= MOST_FRAMES:
        file.seek(at)
        number = file.read(struct.calcsize(entries))
        if len(number) < struct.calcsize(entries):
            break
        seen.add(at)
        file.seek(at + len(number) + entry * struct.unpack(entries, number)[0])
        following = file.read(struct.calcsize(place))
        at = struct.unpack(place, following)[0] if len(following) == struct.calcsize(place) else 0
    return max(1, len(seen))
