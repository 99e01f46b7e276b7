"""A file opened so that whatever is wrong with it is told in a few words."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import UnidentifiedImageError
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from cass_cli.data.decode.facts import DecodeError, PixelRules, check_bytes
from cass_cli.data.decode.watched import Costly, WatchedFile
from cass_cli.words import shown

MAGICS = (
    *((b"\xff\xd8\xff", "JPEG"), (b"\x89PNG", "PNG"), (b"BM", "BMP")),
    *((magic, "TIFF") for magic in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")),
)
SAMPLES_PER_PIXEL = 277  # TIFF's tag


@contextmanager
def opened(path: Path, rules: PixelRules, *, alone: bool) -> Iterator[WatchedFile]:
    """Open a regular file; whatever goes wrong in the block leaves as a `DecodeError` with a short reason.

    But for what costs too much to be done in a thread: that is `Costly`, unless this process is `alone` with the file.
    """
    watched = None
    try:
        _check_regular(path, rules)
        with WatchedFile(path, alone=alone) as watched:
            try:
                yield watched
            except UnidentifiedImageError as error:
                raise DecodeError(path, _kind_of(watched)) from error
    except Exception as error:
        if isinstance(error, Costly) or (watched is not None and watched.exceeded):  # also of the same file elsewhere
            raise Costly from error
        if isinstance(error, DecodeError):
            raise
        raise DecodeError(path, _reason(error)) from error


def _check_regular(path: Path, rules: PixelRules) -> None:
    facts = path.stat()
    if not stat.S_ISREG(facts.st_mode):  # opening a pipe or a device could block for ever
        raise DecodeError(path, "a folder, not a file" if stat.S_ISDIR(facts.st_mode) else "not a regular file")
    if facts.st_size == 0:
        raise DecodeError(path, "the file is empty")
    check_bytes(path, facts.st_size, rules)


def _reason(error: Exception) -> str:
    """Say in a few words what went wrong."""
    if isinstance(error, NotImplementedError):
        return _short(str(error))
    if isinstance(error, OSError):
        reason = error.strerror or str(error)
        return _short(reason[:1].lower() + reason[1:])
    if isinstance(error, MemoryError):
        return "too little memory to decode it"
    # decoders raise almost anything on hostile bytes (struct.error, SyntaxError, IndexError, ...)
    return f"damaged ({_short(str(error) or type(error).__name__)})"


def _short(text: str) -> str:
    """Return the first line, escaped and cut at a word to about 100 characters, without a full stop."""
    line = shown((text.strip() or "unknown error").splitlines()[0]).rstrip(". ")
    return line if len(line) <= 100 else line[:100].rpartition(" ")[0] + " …"


def _kind_of(file: WatchedFile) -> str:
    """Say what a file that no decoder claims may be."""
    file.seek(0)
    head = file.read(512)
    name = next((name for magic, name in MAGICS if head.startswith(magic)), "")
    if name == "TIFF" and (channels := _tiff_channels(file)) not in (1, 3):
        return f"a TIFF with {channels} channels, which is not read: save it as .npy, and choose with --channels"
    if name:
        return f"a damaged {name} file, or a kind of {name} that cass does not read"
    if not re.search(rb"[\x00-\x08\x0e-\x1f]", head):
        return "not an image but text"
    return "not an image of a known format"


def _tiff_channels(file: WatchedFile) -> int:
    """Return the channels that the first page of a TIFF states; 1 where it does not say, or is damaged."""
    file.seek(0)
    try:
        head = file.read(8)
        tags = ImageFileDirectory_v2(head + file.read(8) if b"+" in head[2:4] else head)
        file.seek(tags.next)
        tags.load(file)
        return int(tags.get(SAMPLES_PER_PIXEL, 1))
    except Exception:  # almost anything, on hostile bytes
        return 1
