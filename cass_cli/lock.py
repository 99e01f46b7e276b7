"""A lock between processes, held through a file that says who holds it."""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from cass_cli.errors import DataError
from cass_cli.files import open_own
from cass_cli.words import shown

PATIENCE = 0.2  # seconds between two looks at a lock that another run holds
LONGEST = 200  # bytes of what a holder says of itself
LOCKED_BYTE = 1 << 30  # far behind the text, which Windows would not let others read


@contextmanager
def locked(path: Path, *, wait: bool | float = True) -> Iterator[bool]:
    """Hold the lock file `path`; waits when another process has it, or yields False at once or after `wait` seconds.

    The system frees the lock when its holder dies, however it dies: there are no stale locks. Raises `DataError`
    where the file system knows no locks, `OSError` where the file is none of its own: what is locked is signed.
    """
    until = time.monotonic() + float(wait)
    while True:
        with open(path, "a+b", opener=open_own) as file:
            if _try_lock(file):
                if not _same_file(path, file):  # its last holder removed it before we got it
                    continue
                _sign(file)
                yield True
                return
        if wait is not True and time.monotonic() >= until:
            yield False
            return
        time.sleep(PATIENCE)


def holder(path: Path) -> str:
    """Return who holds the lock file `path`, as it said itself: "process 4711 on HOST since …"; "" where it did not."""
    try:
        if not path.is_file():
            return ""
        with path.open("rb") as file:
            return shown(file.read(LONGEST).decode("utf-8", "replace").strip())
    except OSError:
        return ""


def _sign(file: BinaryIO) -> None:
    since = datetime.now().strftime("%Y-%m-%d %H:%M:%S")
    said = f"process {os.getpid()} on {platform.node()} since {since}\n".encode()[:LONGEST]
    with suppress(OSError):  # a full disk: the lock holds all the same
        os.ftruncate(file.fileno(), 0)
        os.write(file.fileno(), said)  # past the buffer, which would be written, and refused, again on closing


def _same_file(path: Path, file: BinaryIO) -> bool:
    try:
        return os.path.samestat(path.lstat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


if sys.platform == "win32":
    import msvcrt

    def _try_lock(file: BinaryIO) -> bool:
        try:
            file.seek(LOCKED_BYTE)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _try_lock(file: BinaryIO) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            raise DataError(
                f"{shown(str(file.name))} cannot be locked: {error.strerror}.",
                hint="Use a folder on another file system; $CASS_CACHE names that of cached images.",
            ) from error
        return True
