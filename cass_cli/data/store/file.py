"""The file that holds the decoded images of one table at one size.

Layout: a 4,096-byte header (magic, then JSON padded with blanks), one state byte a table row (padded to 4,096),
then the readable images in the order of their rows, uint8 [3, S, S] each. It grows as `<key>.part` under a lock and
becomes `<key>.img` in one rename. States are written after the pixels that they vouch for, so a run that was killed
leaves a prefix to go on from.

The key covers path, size and mtime of every file, the image size, how other shapes are brought to it, the window and
channels that were asked for, and the decoding rules: a changed file makes another key. The folder is private to the
user (mode 700), as the images may be of patients.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from cass_cli.config.schema import FitName
from cass_cli.data.decode.image import DECODE_RULES
from cass_cli.data.sample_table import SampleTable
from cass_cli.files import open_own

MAGIC = b"CASSIMG1"
PAGE = 4096
TODO, READ, BAD, SEVERAL_PAGES = 0, 1, 2, 3  # states of a row; SEVERAL_PAGES is READ too
ROOT_SHOWN = 500  # characters of the root kept in the header, which must stay within a page


@dataclass(frozen=True)
class Header:
    """What a cache file says of itself; two files with equal headers hold the same images."""

    key: str
    rows: int  # of the table, the unreadable ones included
    size: int  # S
    root: str  # where the images came from, for `cass cache list`

    @property
    def image_bytes(self) -> int:
        return 3 * self.size**2

    @property
    def offset(self) -> int:
        """Where the first image begins."""
        return PAGE + -(-self.rows // PAGE) * PAGE

    @property
    def most_bytes(self) -> int:
        """The length of the finished file when every image is readable."""
        return self.offset + self.rows * self.image_bytes


def header_of(table: SampleTable, size: int, fit: FitName) -> Header:
    """Return the header of the cache of `table` at S × S; reads the size and mtime of every file."""
    root = os.path.abspath(table.root)  # noqa: PTH100 - no link is followed: the path as it was given
    shape = f"{size}" if fit == "squash" else f"{size} {fit}"  # as before there was a choice: such files stay valid
    digest = hashlib.blake2b(f"{MAGIC!r} {DECODE_RULES} {shape}{table.rules.key}".encode(), digest_size=16)
    archive = table.archive_files.values() if table.archive else ()
    digest.update(os.fsencode(root) + b"\0" + b"".join(map(_stamp, archive)))
    for row, name in enumerate(table.names):
        digest.update(os.fsencode(name) + b"\0" + (b"" if table.archive else _stamp(table.path(row))))
    return Header(digest.hexdigest(), len(table), size, root[-ROOT_SHOWN:])


def _stamp(path: Path) -> bytes:
    try:
        facts = path.stat()
    except (OSError, ValueError):  # the decoder will say what is wrong with it
        return b"missing\0"
    return f"{facts.st_size} {facts.st_mtime_ns}\0".encode()


def read_header(file: BinaryIO) -> Header | None:
    """Return the header of an open cache file, or None when it is damaged or someone else's."""
    head = file.read(PAGE)
    try:
        assert head.startswith(MAGIC) and len(head) == PAGE
        return Header(**json.loads(head[len(MAGIC) :]))
    except (AssertionError, ValueError, TypeError):
        return None


def finished_states(path: Path, header: Header) -> NDArray[np.uint8] | None:
    """Return the states [N] of a finished file that is just what `header` asks for and of the right length."""
    if not path.is_file():  # a pipe would be waited for
        return None
    try:
        with path.open("rb") as file:
            found = read_header(file)
            states = np.frombuffer(file.read(header.rows), np.uint8)
            length = os.fstat(file.fileno()).st_size
    except OSError:
        return None
    if found != header or len(states) != header.rows or not np.isin(states, (READ, BAD, SEVERAL_PAGES)).all():
        return None
    return states if length == header.offset + int((states != BAD).sum()) * header.image_bytes else None


class PartialFile:
    """A cache file under construction: rows are added in order, and one that exists is gone on with.

    Hold the lock of its key while it is open. `row` is the next row to add.
    """

    def __init__(self, path: Path, header: Header) -> None:
        self.path, self.header = path, header
        self.states: NDArray[np.uint8] = np.zeros(header.rows, np.uint8)
        self.file = open(path, "r+b", buffering=0, opener=open_own)  # noqa: SIM115 - `close` does
        self.row = self._flushed = 0
        self._end = header.offset  # where the next image goes
        if read_header(self.file) == header:
            self._recover()
        else:  # new, or not to be trusted
            self.file.truncate(0)
            head = MAGIC + json.dumps(self.header.__dict__).encode()
            self._write(0, head[:PAGE].ljust(PAGE) + bytes(header.offset - PAGE))

    def _recover(self) -> None:
        """Trust the longest prefix of rows whose states are set and whose images lie within the file."""
        self.file.seek(PAGE)
        states = np.frombuffer(self.file.read(self.header.rows), np.uint8)
        self.states[: len(states)] = states
        done = int(np.argmax(np.append(self.states, TODO) == TODO))
        whole = (os.fstat(self.file.fileno()).st_size - self.header.offset) // self.header.image_bytes
        images = np.cumsum(self.states[:done] != BAD)
        self.rewind(int(np.searchsorted(images, max(whole, 0), side="right")))

    def rewind(self, row: int) -> None:
        """Forget what was added from `row` on."""
        self.states[row:] = TODO
        self.row = row
        self._flushed = min(self._flushed, row)
        self._write(PAGE, self.states.tobytes())
        self._end = self.header.offset + int((self.states[:row] != BAD).sum()) * self.header.image_bytes
        self.file.truncate(self._end)

    def add(self, state: int, pixels: NDArray[np.uint8] | None) -> None:
        """Add the next row: its image [3, S, S], or None when it is BAD. Raises OSError on a full disk."""
        if pixels is not None:
            self._write(self._end, pixels)
            self._end += self.header.image_bytes
        self.states[self.row] = state
        self.row += 1
        if self.row - self._flushed >= 64:
            self.flush()

    def flush(self) -> None:
        """Vouch for the rows added so far."""
        self._write(PAGE + self._flushed, self.states[self._flushed : self.row].tobytes())
        self._flushed = self.row

    def finish(self, path: Path) -> None:
        """Make the whole file, safely on the disk, the finished one."""
        self.flush()
        os.fsync(self.file.fileno())
        self.file.close()
        self.path.replace(path)

    def close(self) -> None:
        """Vouch for what was added, and close; does nothing after `finish`."""
        if not self.file.closed:
            with suppress(OSError):  # on a full disk the next run trusts a little less of the file
                self.flush()
            self.file.close()

    def _write(self, position: int, data: Any) -> None:
        view = memoryview(data).cast("B")
        self.file.seek(position)
        while len(view):  # an unbuffered write may be a partial one
            view = view[self.file.write(view) :]
