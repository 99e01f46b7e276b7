"""Build the cache file of a table, or finish, mend or just open the one that is there."""

from __future__ import annotations

import errno
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cass_cli.data.store.decoding import BadImage, DecodeJob, Planes
from cass_cli.data.store.file import BAD, READ, SEVERAL_PAGES, Header, PartialFile, finished_states, header_of
from cass_cli.data.store.folder import FINISHED, LOCK, PARTIAL, image_folder
from cass_cli.errors import DataError
from cass_cli.files import FULL
from cass_cli.lock import locked
from cass_cli.words import shown

ReadRows = Callable[[NDArray[np.int64], NDArray[np.uint8]], None]  # rows [B], and where to put them [B, 3, S, S]


class CacheFolderError(DataError):
    """The folder of the cache files cannot be made, written or locked; which is not to say that its disk is full."""


@dataclass(frozen=True)
class CacheFile:
    """A finished cache file, open: it stays readable when it is deleted meanwhile (not on Windows)."""

    path: Path
    header: Header
    states: NDArray[np.uint8]  # [rows of the table]
    bad: tuple[BadImage, ...]
    notes: tuple[str, ...]
    images: NDArray[np.uint8]  # [K, 3, S, S] of the readable rows, mapped
    read: ReadRows


def state_of(result: Planes | BadImage) -> int:
    """Return the state byte of a decoded row."""
    if isinstance(result, BadImage):
        return BAD
    return SEVERAL_PAGES if result.several_pages else READ


def cached_file(job: DecodeJob) -> CacheFile:
    """Return the cache file of the job's images; a second run that asks meanwhile waits, then opens the same file.

    Raises `DataError` when the disk is too small, `CacheFolderError` when the directory cannot be used; what was
    written of the file stays, and the next run goes on with it. Unreadable images are tried again each time.
    """
    header, folder = header_of(job.table, job.size, job.fit), image_folder()
    path = folder / (header.key + FINISHED)
    with ExitStack() as stack:
        with _disk_errors(folder, header):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            stack.enter_context(locked(path.with_suffix(LOCK)))
        found = finished_states(path, header)
        notes = ("A damaged cache file was built anew.",) if found is None and path.exists() else ()
        bad, first_mended = _retried(job, found) if found is not None else ([], None)
        if found is None or first_mended is not None:
            found, bad = _built(job, path, header, first_mended)
        with _disk_errors(folder, header):
            with suppress(PermissionError):
                os.utime(path)  # what `cass cache list` calls the last use
            return _opened(path, header, found, bad, notes)


def existing_file(job: DecodeJob) -> CacheFile | None:
    """Return the cache file of the job's images if it is there, valid, and knows of no unreadable image."""
    header = header_of(job.table, job.size, job.fit)
    path = image_folder() / (header.key + FINISHED)
    states = finished_states(path, header)
    if states is None or (states == BAD).any():
        return None
    try:
        return _opened(path, header, states, [], ())
    except OSError:  # gone, or not ours to read
        return None


def _opened(
    path: Path, header: Header, states: NDArray[np.uint8], bad: list[BadImage], notes: tuple[str, ...]
) -> CacheFile:
    shape = (int((states != BAD).sum()), 3, header.size, header.size)
    images: NDArray[np.uint8] = np.empty(shape, np.uint8)
    if shape[0]:  # "c": nothing is ever written to it, but torch warns of arrays that are read-only
        images = np.memmap(path, np.uint8, "c", header.offset, shape)
    return CacheFile(path, header, states, tuple(bad), notes, images, _reader(path, header))


def _reader(path: Path, header: Header) -> ReadRows:
    """Return a function that reads images by their place in the file.

    It reads rather than maps: only the batch takes memory, however much of the file has been seen.
    """
    file = path.open("rb", buffering=0)
    position = threading.Lock()

    def read(rows: NDArray[np.int64], out: NDArray[np.uint8]) -> None:
        with position:
            for row, place in zip(rows.tolist(), out, strict=True):
                view = memoryview(place).cast("B")
                file.seek(header.offset + row * header.image_bytes)
                while len(view):
                    count = file.readinto(view)
                    if not count:
                        raise DataError(f"The cache file {shown(str(path))} has been cut short. Start again.")
                    view = view[count:]

    return read


def _retried(job: DecodeJob, states: NDArray[np.uint8]) -> tuple[list[BadImage], int | None]:
    """Decode the rows known as bad again; returns those still bad, and the first that now reads, if any.

    The file is the same, but not the rest: the pixel limit may be higher, a DICOM decoder installed.
    """
    bad: list[BadImage] = []
    for row, result in job.results(np.flatnonzero(states == BAD).tolist()):
        if not isinstance(result, BadImage):
            return bad, row
        bad.append(result)
    return bad, None


def _built(
    job: DecodeJob, path: Path, header: Header, mend_from: int | None
) -> tuple[NDArray[np.uint8], list[BadImage]]:
    """Write the file, from `mend_from` on where that is given; hold its lock. Returns states and bad images."""
    part = path.with_suffix(PARTIAL)
    with _disk_errors(path.parent, header):
        if mend_from is not None:
            path.replace(part)
        _check_room(part, header)
        partial = PartialFile(part, header)
        if mend_from is not None:
            partial.rewind(mend_from)
    try:
        bad, first_mended = _retried(job, partial.states)
        if first_mended is not None:
            partial.rewind(first_mended)
        job.on_progress(partial.row, header.rows)
        for row, result in job.results(range(partial.row, header.rows)):
            with _disk_errors(path.parent, header):
                partial.add(state_of(result), None if isinstance(result, BadImage) else result.pixels)
            if isinstance(result, BadImage):
                bad.append(result)
            job.on_progress(row + 1, header.rows)
        with _disk_errors(path.parent, header):
            partial.finish(path)
    finally:
        partial.close()
    return partial.states, bad


def _check_room(part: Path, header: Header) -> None:
    """Raise ENOSPC before any work is done when the file, less what is there of it, won't fit."""
    written = part.stat().st_size if part.exists() else 0
    if header.most_bytes - written > shutil.disk_usage(part.parent).free:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@contextmanager
def _disk_errors(folder: Path, header: Header) -> Iterator[None]:
    """Turn what the file system refuses into a `DataError` that says how much was needed, and where."""
    try:
        yield
    except OSError as error:
        where = shown(str(folder))
        if error.errno not in FULL:
            raise CacheFolderError(
                f"The cache directory {where} cannot be used: {error.strerror or error}.",
                hint="Name another with $CASS_CACHE, or do without: --cache ram or --cache off.",
            ) from error
        with suppress(OSError):
            where += f", where {shutil.disk_usage(folder).free / 1e9:.2f} GB are free"
        raise DataError(
            f"The disk is too full: the decoded images need {header.most_bytes / 1e9:.2f} GB in {where}.",
            hint="Make room (cass cache clear empties the cache), name another directory with $CASS_CACHE, or do "
            "without: --cache ram or --cache off. What is written already is used by the next run.",
        ) from error
