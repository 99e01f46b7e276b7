"""An open image file that says when reading it is no longer a matter of moments.

Decoders read as much as a file tells them to: a list of 200,000 directories, boxes of eight bytes, a text of two
gigabytes. Who reads through a `WatchedFile` is stopped by `Costly` well before that can be felt, and may start again in
a process of its own that is held to limits (see `apart.py`). So nothing has to be known of the ways in which a format
can be stretched.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from time import thread_time
from typing import NoReturn

PIECES = 20_000  # reads
HEADER_SECONDS, SECONDS = 0.5, 1.0  # of the processor, between the first read and the last: of the header, and in all
HEADER, BYTES = 2**24, 2**27  # bytes, in the same way
MEMORY = 2**29  # bytes that decoding will take
PASSES = 5 * 10**8  # pixels that it will go over, each as often as it does


class Costly(Exception):  # noqa: N818 - no error: it is done elsewhere
    """What a file asks for takes too long, or too much memory, to be done beside other work."""


class WatchedFile(io.BufferedReader):
    """A binary file, read by one thread; `alone`: in a process of its own, where nothing is counted."""

    def __init__(self, path: Path, *, alone: bool) -> None:
        super().__init__(io.FileIO(path))
        self.alone = alone
        self._size = os.fstat(self.fileno()).st_size
        self._pieces = self._taken = 0
        self._most, self._until = HEADER, thread_time() + HEADER_SECONDS
        self.exceeded = False

    def read(self, size: int | None = -1) -> bytes:
        """Return up to `size` bytes, or the rest of the file; raises `Costly`."""
        if not self.alone:
            whole = size is None or size < 0
            asked = self._size - self.tell() if whole else min(size or 0, self._size)
            self._pieces += 1
            self._taken += max(0, asked)
            much = self._pieces > PIECES or self._taken > (BYTES if whole else self._most)
            if much or thread_time() > self._until:
                self.stop()
        return super().read(size)

    def header_is_read(self) -> None:
        """Let what follows take longer, and ask for more bytes, than a header may."""
        self._most, self._until = BYTES, self._until - HEADER_SECONDS + SECONDS

    def will_take(self, *, memory: int = 0, passes: int = 0) -> None:
        """Raise `Costly` where decoding will take more bytes of memory, or passes over pixels, than a thread should."""
        if (memory > MEMORY or passes > PASSES) and not self.alone:
            self.stop()

    def stop(self) -> NoReturn:
        """Raise `Costly`."""
        self.exceeded = True  # whatever a decoder makes of the exception
        raise Costly
