"""Reading a file whole, and JSON from it, with an end to both: a run may come from a stranger.

No file is larger, and none holds more values, than what cass writes.
"""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

MOST_BYTES = 64_000_000  # of a file that is read whole: the scores of 1,000 classes, or the log of 50,000 epochs
MOST_VALUES = 8_000_000  # in it: a small file of empty lists takes gigabytes once it is read


class TooMuch(ValueError):  # noqa: N818 - as of Python's own
    """JSON that is whole, or may be, and more than is read."""


def read_bytes(path: Path, most: int = MOST_BYTES) -> bytes:
    """Return what a file holds; raise `ValueError` where it has more than `most` bytes, or would never end."""
    check_size(path, most)
    return path.read_bytes()


def check_size(path: Path, most: int) -> None:
    """Raise `ValueError` where a file has more than `most` bytes, or would never end."""
    found = path.stat()
    if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):  # opening a pipe waits for who writes
        raise ValueError("it is a pipe or a device, not a file")
    if found.st_size > most:
        raise ValueError(f"it has {found.st_size / 1e6:,.1f} MB, and at most {most / 1e6:,g} MB are read")


def any_json(text: bytes, most: int = MOST_VALUES) -> Any:
    """Return any JSON value; raise `ValueError` where there is none, or too much in it or too deep."""
    check_amount(text, most)
    try:
        return json.loads(text)
    except RecursionError:
        raise TooMuch("it is nested too deeply") from None


def check_amount(text: bytes | str, most: int = MOST_VALUES) -> None:
    """Raise `TooMuch` where JSON holds more than `most` values."""
    marks = [",", "[", "{"]
    found = sum(map(text.count, marks) if isinstance(text, str) else (text.count(mark.encode()) for mark in marks))
    if found > most:
        raise TooMuch(f"it holds {found:,} values, and at most {most:,} are read")
