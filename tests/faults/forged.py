"""Zip archives and NumPy headers in which every field may lie."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

STORED, DEFLATED, BLOCK = 0, 8, 1 << 20


@dataclass(frozen=True)
class Member:
    """A member as the zip states it: `packed` is what lies in the file, `size` what it claims to unpack to."""

    name: str
    packed: bytes
    size: int
    crc: int
    method: int = STORED
    flags: int = 0
    version: int = 20
    inner_name: str = ""  # of the local header, where it is another one


def stored(name: str, data: bytes) -> Member:
    return Member(name, data, len(data), zlib.crc32(data))


def deflated(name: str, data: bytes) -> Member:
    return replace(stored(name, data), packed=zlib.compress(data, wbits=-15), method=DEFLATED)


def inflating(name: str, head: bytes, count: int) -> Member:
    """A member that unpacks to `head` and `count` zeros, made without unpacking them; its checksum is wrong."""
    packer = zlib.compressobj(wbits=-15)
    packed = packer.compress(head) + packer.flush(zlib.Z_FULL_FLUSH) + zeros(count, wrapped=False)
    return Member(name, packed, len(head) + count, 0, DEFLATED)


def zeros(count: int, *, wrapped: bool = True) -> bytes:
    """Return what deflate would make of `count` zeros, in zlib's wrapping or without one, without packing them all."""
    last = zlib.compressobj(9, wbits=-15)
    raw = _block() * (count // BLOCK) + last.compress(bytes(count % BLOCK)) + last.flush()
    return b"\x78\xda" + raw + struct.pack(">I", count % 65521 << 16 | 1) if wrapped else raw


@cache
def _block() -> bytes:
    """Zeros, deflated, to be repeated within a stream."""
    packer = zlib.compressobj(9, wbits=-15)
    return packer.compress(bytes(BLOCK)) + packer.flush(zlib.Z_FULL_FLUSH)


def zipped(*members: Member, comment: bytes = b"", offset: int = 0) -> bytes:
    """An archive; `offset` is added to where each member is said to begin. Sizes above 32 bits become zip64."""
    body, directory, place = [], [], offset
    for member in members:
        begins = place & 0xFFFFFFFF
        name, inner = (text.encode() for text in (member.name, member.inner_name or member.name))
        fields = (member.version, member.flags, member.method, 0, 0x21, member.crc)
        wide = member.size >= 1 << 32
        sizes = (len(member.packed), 0xFFFFFFFF if wide else member.size)
        extra = struct.pack("<HHQ", 1, 8, member.size) if wide else b""
        local = struct.pack("<4s5H3L2H", b"PK\3\4", *fields, *sizes, len(inner), 0) + inner
        body += [local, member.packed]
        place += len(local) + len(member.packed)
        central = struct.pack("<4s6H3L5H2L", b"PK\1\2", 20, *fields, *sizes, len(name), len(extra), 0, 0, 0, 0, begins)
        directory += [central, name, extra]
    whole, listed, count = b"".join(body), b"".join(directory), min(len(members), 0xFFFF)
    sums = (count, count, len(listed), len(whole), len(comment) & 0xFFFF)
    return whole + listed + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, *sums) + comment


def npy(
    shape: Any, values: bytes = b"", *, descr: Any = "|u1", fortran: Any = False, version: tuple[int, int] = (1, 0)
) -> bytes:
    """An .npy of that header, whatever it says, and these values."""
    return npy_of(repr({"descr": descr, "fortran_order": fortran, "shape": shape}).encode(), values, version=version)


def npy_of(
    header: bytes, values: bytes = b"", *, version: tuple[int, int] = (1, 0), length: int | None = None
) -> bytes:
    """An .npy of that text as header, which may state another length than it has."""
    header += b"\n"
    length = len(header) if length is None else length
    return b"\x93NUMPY" + bytes(version) + struct.pack("<H" if version == (1, 0) else "<I", length) + header + values
