"""The bytes of a text about the images, a table or a list, whoever may have written it."""

from __future__ import annotations

import gzip
import io
import stat
import zlib
from pathlib import Path

from cass_cli.data.layouts.records import MOST_IMAGES
from cass_cli.errors import DataError
from cass_cli.words import shown

MOST_BYTES = 200_000_000  # of a text, unpacked: some 100 for each of two million images
GZIP = b"\x1f\x8b"


def contents(path: Path) -> bytes:
    """Return what is in a regular file, unpacked where it is gzip.

    Raises DataError for one that is missing, damaged, too large, or no regular file: a pipe would block, a device never
    end. What would unpack to more is not unpacked further.
    """
    try:
        data = _unpacked(_whole(path))
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{shown(str(path))} is damaged: {error}.") from error
    except OSError as error:
        raise DataError(f"Cannot read {shown(str(path))}: {error.strerror or error}.") from error
    if len(data) > MOST_BYTES:
        raise DataError(
            f"{shown(str(path))} holds more than {MOST_BYTES:,} bytes.", hint="Keep one short row an image."
        )
    if max(data.count(b"\n"), data.count(b"\r")) > MOST_IMAGES:
        raise DataError(f"{shown(str(path))} has more than {MOST_IMAGES:,} lines.", hint="Keep one row an image.")
    return data


def _whole(path: Path) -> bytes:
    """Return the bytes of a regular file, or so many that it is known to be too large."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise DataError(f"{shown(str(path))} is no regular file.", hint="Copy what it holds into one.")
    with path.open("rb") as file:
        return file.read(MOST_BYTES + 1)


def _unpacked(data: bytes) -> bytes:
    return gzip.GzipFile(fileobj=io.BytesIO(data)).read(MOST_BYTES + 1) if data.startswith(GZIP) else data
