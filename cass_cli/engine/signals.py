"""Ctrl-C and `kill` end a run in good order: finish the step, save, exit. A second signal ends it at once."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from cass_cli.errors import Interrupted


class StopRequest:
    """Remembers the first signal; the training loop asks it after every step."""

    number: int = 0

    def __bool__(self) -> bool:
        return self.number != 0


@contextmanager
def stop_on_signal() -> Iterator[StopRequest]:
    """Catch SIGINT and SIGTERM for the duration of the block."""
    request = StopRequest()

    def remember(number: int, _frame: FrameType | None) -> None:
        if request:
            os._exit(128 + number)
        request.number = number

    before = {number: signal.signal(number, remember) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def resumed_by(command: str) -> Iterator[None]:
    """Let whoever stops what is done here be told the `command` that goes on with it."""
    try:
        yield
    except Interrupted as stopped:
        stopped.resume = command
        raise
