"""A file opened so that whatever is wrong with it is told in a few words."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from PIL import UnidentifiedImageError
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from cass_cli.data.decode.facts import DecodeError, PixelRules, check_bytes
from cass_cli.words import shown

MAGICS = (
    *((b"\xff\xd8\xff", "JPEG"), (b"\x89PNG", "PNG"), (b"BM", "BMP")),
    *((magic, "TIFF") for magic in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")),
)
SAMPLES_PER_PIXEL = 277  # TIFF's tag


@contextmanager
def opened(path: Path, rules: PixelRules) -> Iterator[BinaryIO]:
    """Open a regular file; whatever goes wrong in the block leaves as a `DecodeError` with a short reason."""
    try:
        _check_regular(path, rules)
        with path.open("rb") as file:
            yield file
    except DecodeError:
        raise
    except UnidentifiedImageError as error:
        raise DecodeError(path, _kind_of(path)) from error
    except NotImplementedError as error:
        raise DecodeError(path, _short(str(error))) from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise DecodeError(path, _short(reason[:1].lower() + reason[1:])) from error
    except MemoryError as error:
        raise DecodeError(path, "too little memory to decode it") from error
    # decoders raise almost anything on hostile bytes (struct.error, SyntaxError, IndexError, ...)
    except Exception as error:
        raise DecodeError(path, f"damaged ({_short(str(error) or type(error).__name__)})") from error


def _check_regular(path: Path, rules: PixelRules) -> None:
    facts = path.stat()
    if not stat.S_ISREG(facts.st_mode):  # opening a pipe or a device could block for ever
        raise DecodeError(path, "a folder, not a file" if stat.S_ISDIR(facts.st_mode) else "not a regular file")
    if facts.st_size == 0:
        raise DecodeError(path, "the file is empty")
    check_bytes(path, facts.st_size, rules)


def _short(text: str) -> str:
    """Return the first line, escaped and cut at a word to about 100 characters, without a full stop."""
    line = shown((text.strip() or "unknown error").splitlines()[0]).rstrip(". ")
    return line if len(line) <= 100 else line[:100].rpartition(" ")[0] + " …"


def _kind_of(path: Path) -> str:
    """Say what a file that no decoder claims may be."""
    with path.open("rb") as file:
        head = file.read(512)
        name = next((name for magic, name in MAGICS if head.startswith(magic)), "")
        if name == "TIFF" and (channels := _tiff_channels(file)) not in (1, 3):
            return f"a TIFF with {channels} channels, which is not read: save it as .npy, and choose with --channels"
    if name:
        return f"a damaged {name} file, or a kind of {name} that cass does not read"
    if not re.search(rb"[\x00-\x08\x0e-\x1f]", head):
        return "not an image but text"
    return "not an image of a known format"


def _tiff_channels(file: BinaryIO) -> int:
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
