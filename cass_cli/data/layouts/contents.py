"""The bytes of a text about the images, a table or a list, whoever may have written it."""

from __future__ import annotations

import gzip
import io
import zlib
from pathlib import Path

from cass_cli.data.layouts.records import MOST_IMAGES
from cass_cli.errors import DataError
from cass_cli.reading import read_bytes
from cass_cli.words import shown

MOST_BYTES = 200_000_000  # of a text, unpacked: some 100 for each of two million images
GZIP = b"\x1f\x8b"


def contents(path: Path) -> bytes:
    """Return what is in a regular file, unpacked where it is gzip.

    Raises DataError for one that is missing, damaged, too large, or no regular file: a pipe would block, a device never
    end. What would unpack to more is not unpacked further.
    """
    try:
        data = _unpacked(read_bytes(path, MOST_BYTES))
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{shown(str(path))} is damaged: {error}.") from error
    except OSError as error:
        raise DataError(f"Cannot read {shown(str(path))}: {error.strerror or error}.") from error
    except ValueError as error:
        raise DataError(
            f"Cannot read {shown(str(path))}: {error}.", hint="A file with one short row an image is expected."
        ) from error
    if max(data.count(b"\n"), data.count(b"\r")) > MOST_IMAGES:
        raise DataError(f"{shown(str(path))} has more than {MOST_IMAGES:,} lines.", hint="Keep one row an image.")
    return data


def _unpacked(data: bytes) -> bytes:
    if not data.startswith(GZIP):
        return data
    text = gzip.GzipFile(fileobj=io.BytesIO(data)).read(MOST_BYTES + 1)
    if len(text) > MOST_BYTES:
        raise ValueError(f"it unpacks to more than {MOST_BYTES / 1e6:g} MB")
    return text
