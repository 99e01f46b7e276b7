"""The arrays in an .npz: what the archive states of them is held against what lies in it, before they are read.

Members are known by their names alone and never unpacked into a folder; nothing is unpickled.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import struct
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from cass_cli.data.decode.npy_header import NpyHeader, npy_header
from cass_cli.data.space import default_cache_dir, fits_in_memory
from cass_cli.errors import DataError
from cass_cli.words import shown

END, END64, LOCATOR = b"PK\5\6", b"PK\6\6", b"PK\6\7"
TAIL = 22 + 65_535 + 20 + 56  # bytes in which a zip says where its directory lies
WIDE = 0xFFFF  # of members, where zip64 counts them
MOST_DIRECTORY = 1_000_000  # bytes of it: a set has six members
MOST_DEFLATED = 1_032  # times its size is what deflate unpacks at the very most
LIKELY, SMALL = 100, 100_000_000  # times its size is what images do not unpack to, beyond so many bytes
BLOCK = 1 << 24  # bytes read at a time


@contextmanager
def opened_npz(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open an archive; whatever goes wrong in the block leaves as a `DataError` with a short reason."""
    try:
        with _regular(path) as file:
            size, stated = _directory(file)
            if size > MOST_DIRECTORY:
                raise ValueError("its directory lists far more than a few arrays")
            with zipfile.ZipFile(file) as archive:
                if stated not in (len(archive.infolist()), WIDE):
                    raise ValueError(f"it states {stated:,} arrays and lists {len(archive.infolist()):,}")
                yield archive
    except DataError:
        raise
    except Exception as error:  # zipfile and zlib raise almost anything on hostile bytes
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error) or type(error).__name__
        raise DataError(f"{shown(str(path))} cannot be read as an .npz archive: {shown(reason[:200])}.") from error


def members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Return the arrays by name; raises ValueError for what is there twice, or under another name than is listed."""
    found: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        if info.filename in found:
            raise ValueError(f"it holds {info.filename} twice")
        found[info.filename] = info
        if info.filename.endswith(".npy"):
            archive.open(info).close()  # which holds the name against the one that stands beside the data
    return found


def header_in(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> NpyHeader:
    """Return what an array's header states; raises ValueError where the archive cannot hold that, or is a bomb."""
    size, packed, name = info.file_size, info.compress_size, info.filename
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{name} is packed in a way that NumPy does not write: np.savez_compressed packs it anew")
    most = packed if info.compress_type == zipfile.ZIP_STORED else packed * MOST_DEFLATED
    if size > most or packed > size + BLOCK:
        raise ValueError(f"{name} is said to hold {size:,} bytes, which cannot be in the {packed:,} that it takes")
    if size > max(SMALL, LIKELY * packed):
        raise ValueError(f"{name} would unpack to {size:,} bytes, {size // packed:,} times its size, as no images do")
    try:
        with archive.open(info) as stream:
            return npy_header(stream, size)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def values_in(archive: zipfile.ZipFile, info: zipfile.ZipInfo, header: NpyHeader) -> NDArray[Any]:
    """Return an array, read into memory; raises ValueError or BadZipFile where its bytes are not those once packed."""
    data = np.empty(info.file_size, np.uint8)
    place = 0
    for block in _blocks(archive, info):
        data[place : place + len(block)] = np.frombuffer(block, np.uint8)
        place += len(block)
    return header.array(data[header.length :])


def placed(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo, header: NpyHeader) -> NDArray[Any]:
    """Return an array that may be larger than the memory; raises as `values_in` does, and OSError for a full disk.

    A stored one is read once, to be held against its checksum, and mapped in place. A packed one is read into memory
    where it fits, else unpacked to a temporary file in the cache folder, gone when the process ends, and mapped there.
    """
    order: Any = "F" if header.fortran else "C"
    if info.compress_type == zipfile.ZIP_STORED:
        for _ in _blocks(archive, info):
            pass
        begin = _begin(archive, info) + header.length
        return np.memmap(path, header.dtype, "r", begin, header.shape, order)
    if fits_in_memory(info.file_size):
        return values_in(archive, info, header)
    folder = default_cache_dir()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if shutil.disk_usage(folder).free < info.file_size:
        raise OSError(errno.ENOSPC, f"{folder} has no room for {info.file_size:,} bytes, unpacked")
    file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - the mapping keeps it
    for block in _blocks(archive, info):
        file.write(block)
    file.flush()
    return np.memmap(file, header.dtype, "r", header.length, header.shape, order)


def _blocks(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[bytes]:
    """Yield the bytes of a member, all that are stated; raises where they are fewer, or do not meet their checksum."""
    left = info.file_size
    with archive.open(info) as stream:
        while left:
            block = stream.read(min(BLOCK, left))
            if not block:
                raise ValueError(f"{info.filename} is cut short")
            left -= len(block)
            yield block


def _begin(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> int:
    """Return where the bytes of a stored member begin in the file."""
    file = archive.fp
    assert file is not None, "the archive is open"
    file.seek(info.header_offset + 26)  # the local header's name and extra field follow 30 bytes
    name, extra = struct.unpack("<2H", file.read(4))
    return int(info.header_offset + 30 + name + extra)


def _regular(path: Path) -> IO[bytes]:
    """Open a file; raises OSError or ValueError where it is none, as opening a pipe or a device could block."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise ValueError("it is no regular file")
    return path.open("rb")


def _directory(file: IO[bytes]) -> tuple[int, int]:
    """Return how many bytes, and members, the end of a zip states its directory to have; (0, WIDE) for no end.

    All of these bytes are read when the archive is opened. The count is not looked at then.
    """
    file.seek(0, os.SEEK_END)
    file.seek(max(0, file.tell() - TAIL))
    tail = file.read()
    at = len(tail) - 22 if tail[-22:-18] == END and tail[-2:] == b"\0\0" else tail.rfind(END)
    if at < 0 or at + 22 > len(tail):
        return 0, WIDE
    count, size = struct.unpack("<HL", tail[at + 10 : at + 16])
    if at >= 76 and tail[at - 20 : at - 16] == LOCATOR and tail[at - 76 : at - 72] == END64:
        size = max(size, int.from_bytes(tail[at - 36 : at - 28], "little"))
    return size, count
