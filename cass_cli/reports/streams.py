"""stdout and stderr as they come: closed, full, a pipe whose reader has left, or unable to show every letter."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress
from typing import IO, Any, cast

LEFT = {errno.EPIPE, errno.EBADF, errno.EIO}  # nobody reads it any more, which is no error


class StreamError(Exception):
    """stdout takes no more. What is written to it from now on goes nowhere, so that no `finally` fails again.

    No OSError, as it is none of a file, and Click and Rich have ways of their own to exit on a broken pipe.
    """


class Stream:
    """stdout, of which a failure is a `StreamError`, so that it is not taken for that of a file; kept in `lost`."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self.lost: OSError | None = None

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError as error:
            raise self._lose(error) from None

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            raise self._lose(error) from None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _lose(self, error: OSError) -> StreamError:
        _to_nowhere(self._stream)
        self.lost = error
        return StreamError(str(error))


class Lasting:
    """A stream that goes on when nobody can read it any more: stderr, and what is shown while a training runs."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            self._stream.write(text)
        except (OSError, StreamError):
            _to_nowhere(self._stream)
        return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except (OSError, StreamError):
            _to_nowhere(self._stream)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def lasting(stream: IO[str]) -> IO[str]:
    """Return `stream` such that it goes on when nobody can read it any more."""
    return cast(IO[str], Lasting(stream))


def open_streams() -> None:
    """Make stdout and stderr fit to be written to: a closed one goes nowhere, what cannot be shown is replaced."""
    for number in range(3):  # else the next file that is opened would be stdout
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # as the lowest number that is free
    sys.stdout, sys.stderr = cast(IO[str], Stream(_fit(sys.stdout))), lasting(_fit(sys.stderr))


def close_streams(code: int) -> int:
    """Write out what is still held; returns the exit code: `code`, or 2 where stdout took not all of it."""
    with suppress(StreamError):
        sys.stdout.flush()
    sys.stderr.flush()
    lost: OSError | None = getattr(sys.stdout, "lost", None)
    if lost is None or lost.errno in LEFT:
        return code
    sys.stderr.write(f"Error: stdout cannot be written: {lost.strerror}.\n")
    return code or 2


def _fit(stream: IO[str] | None) -> IO[str]:
    if stream is None:  # closed when Python began
        return open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123 - it stays open
    with suppress(AttributeError):
        stream.reconfigure(errors="replace")  # type: ignore[attr-defined]
    return stream


def _to_nowhere(stream: IO[str]) -> None:
    """Let what the stream still holds, and all that follows, go nowhere."""
    with suppress(OSError, ValueError):  # one without a number
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
