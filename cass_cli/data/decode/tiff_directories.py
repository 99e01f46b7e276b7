"""The directories of a TIFF, one a page, looked at before anybody reads what they hold."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from cass_cli.data.decode.facts import MOST_FRAMES
from cass_cli.data.decode.watched import WatchedFile

PARTS = frozenset({273, 279, 324, 325})  # tags that list where strips or tiles lie, and how long they are
MOST_PARTS = 50_000  # of a page: of 256 pixels a side, they are 60,000 pixels wide


def count_pages(file: WatchedFile) -> int:
    """Return how many there are, up to one too many; raises `Costly` for one of very many parts."""
    pages = 0
    for parts in directories(file):
        pages += 1
        _check(parts, file)
    return max(1, pages)


def check_first(file: WatchedFile) -> None:
    """Raise `Costly` where the first page is of very many parts; the file is left where it begins."""
    for parts in directories(file):
        _check(parts, file)
        break
    file.seek(0)


def directories(file: WatchedFile) -> Iterator[int]:
    """Yield of how many strips or tiles each page is said to be.

    The chain, in which each directory says where the next one is, ends where it comes back to itself, or leads out of
    the file.
    """
    file.seek(0)
    head = file.read(16)
    if len(head) < 16:
        return
    order = "<" if head[:2] == b"II" else ">"
    big = head[2:4] in (b"+\0", b"\0+")
    number = struct.Struct(f"{order}Q" if big else f"{order}H")  # of entries
    place = struct.Struct(f"{order}Q" if big else f"{order}I")  # of a directory
    entry = struct.Struct(f"{order}HHQ8x" if big else f"{order}HHI4x")  # tag, type, count, values or where they are
    (at,) = place.unpack_from(head, 8 if big else 4)
    seen: set[int] = set()
    while at and at not in seen and len(seen) <= MOST_FRAMES:
        file.seek(at)
        if len(found := file.read(number.size)) < number.size:
            return
        seen.add(at)
        size = entry.size * number.unpack(found)[0]
        entries = file.read(size)
        yield max((count for tag, _, count in entry.iter_unpack(_even(entries, entry.size)) if tag in PARTS), default=0)
        file.seek(at + number.size + size)
        following = file.read(place.size)
        at = place.unpack(following)[0] if len(following) == place.size else 0


def _even(entries: bytes, size: int) -> bytes:
    """Return the entries that are whole."""
    return entries[: len(entries) // size * size]


def _check(parts: int, file: WatchedFile) -> None:
    if parts > MOST_PARTS and not file.alone:
        file.stop()
