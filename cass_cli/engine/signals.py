"""Signals end what runs in good order, or have it saved: a training finishes its step and saves, all else ends quietly.

SIGINT (Ctrl-C), SIGTERM (`kill`, a batch system), SIGHUP (the terminal is gone) and SIGXCPU (the CPU time is used up)
stop; SIGUSR1 and SIGUSR2 have a training saved, which then goes on. A HUP that nohup has ignored stays ignored.
Windows knows the first two only. Python lets the main thread alone handle signals: what runs in another is not stopped
by them, and whoever handles them in the main thread goes on doing so.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from cass_cli.errors import Interrupted

STOP = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGXCPU") if hasattr(signal, name))
SAVE = tuple(getattr(signal, name) for name in ("SIGUSR1", "SIGUSR2") if hasattr(signal, name))
BY_HAND = (signal.SIGINT, signal.SIGTERM)  # a dying terminal sends HUP twice, the kernel XCPU every further second
PASSED_ON = getattr(signal, "SIGXCPU", signal.SIGTERM)  # to a process of ours: whoever stopped us may have told it too
IMPORTING = "<frozen importlib._bootstrap>"

Handler = Callable[[int, FrameType | None], Any]


class StopRequest:
    """Remembers what signals asked for; the training loop looks at it after every step."""

    number: int = 0  # of the signal that stops
    saving: int = 0  # of the one that has a state saved
    saves: int = 0  # how often that was asked for
    before: Mapping[int, Any] = {}  # the handlers that there were

    def __bool__(self) -> bool:
        return self.number != 0

    @property
    def asked(self) -> bool:
        """Whether there is anything to do for a signal."""
        return bool(self.number or self.saving)

    def stop(self, number: int, _frame: FrameType | None) -> None:
        """Remember a signal that stops; a second one that somebody sends ends the process at once.

        In a notebook or a session of Python, a second Ctrl-C ends the cell or the line alone, as it would without cass.
        """
        if self.number in BY_HAND and number in BY_HAND:
            if self.before.get(number) is signal.default_int_handler:
                raise KeyboardInterrupt
            os._exit(128 + number)
        self.number = number if number in BY_HAND else self.number or number

    def save(self, number: int, _frame: FrameType | None) -> None:
        """Remember a signal that asks for a checkpoint."""
        self.saving = number
        self.saves += 1

    def saved(self) -> str:
        """Forget that a checkpoint was asked for; returns the name of the signal that did, or ""."""
        number, self.saving = self.saving, 0
        return signal.Signals(number).name if number else ""

    def check(self) -> None:
        """Raise `Interrupted` if a signal stops."""
        if self:
            raise Interrupted(self.number)


@contextmanager
def stop_on_signal() -> Iterator[StopRequest]:
    """Remember signals for the duration of the block, instead of being stopped by them."""
    request = StopRequest()
    request.before = _handle(STOP, request.stop) | _handle(SAVE, request.save)
    try:
        yield request
    finally:
        for number, handler in request.before.items():
            signal.signal(number, handler)


def end_on_signal() -> None:
    """Let signals end this process as Ctrl-C does, by an exception, wherever no state is at stake.

    So what is half written is removed. Not while something is imported: there an exception can get lost, or come out as
    another.
    """
    request = StopRequest()

    def end(number: int, frame: FrameType | None) -> None:
        request.stop(number, frame)
        if _importing(frame):
            with suppress(OSError):
                os.write(2, b"Interrupted: stopped.\n")
            os._exit(128 + number)
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + number)

    _handle(STOP, end)
    _handle(SAVE, lambda _number, _frame: None)  # nothing to save


def _handle(numbers: tuple[signal.Signals, ...], handler: Handler) -> dict[int, Any]:
    """Set the handler of these signals, but for an ignored HUP; returns those that they had. None but by main."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    ignored = [n for n in numbers if n.name == "SIGHUP" and signal.getsignal(n) is signal.SIG_IGN]
    return {number: signal.signal(number, handler) for number in numbers if number not in ignored}


def _importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename == IMPORTING:
            return True
        frame = frame.f_back
    return False


@contextmanager
def resumed_by(command: str) -> Iterator[None]:
    """Let whoever stops what is done here be told the `command` that goes on with it."""
    try:
        yield
    except Interrupted as stopped:
        stopped.resume = command
        raise
