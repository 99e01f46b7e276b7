"""A lock between processes, held through a file."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from cass_cli.errors import DataError
from cass_cli.words import shown

PATIENCE = 0.2  # seconds between two looks at a lock that another run holds


@contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[bool]:
    """Hold the lock file `path`; yields False at once, or waits, when another process has it.

    The system frees the lock when its holder dies, however it dies: there are no stale locks. Raises `DataError`
    where the file system knows no locks.
    """
    while True:
        with path.open("a+b") as file:
            if _try_lock(file):
                if not _same_file(path, file):  # its last holder removed it before we got it
                    continue
                yield True
                return
        if not wait:
            yield False
            return
        time.sleep(PATIENCE)


def _same_file(path: Path, file: BinaryIO) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


if sys.platform == "win32":
    import msvcrt

    def _try_lock(file: BinaryIO) -> bool:
        try:
            file.seek(0)
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
