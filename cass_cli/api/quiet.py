"""How the API shows nothing: what commands print is logged, and Ctrl-C raises `KeyboardInterrupt`."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

from cass_cli.engine.pretraining.collapse import ADVICE
from cass_cli.engine.pretraining.loop import EpochStats
from cass_cli.errors import Interrupted

LOG = logging.getLogger("cass_cli")


class Quiet:
    """Watches a training without a display: notes are logged as info, warnings as warnings."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None: ...

    def note(self, text: str) -> None:
        LOG.info(text)

    def warn(self, text: str) -> None:
        LOG.warning(text)

    def doing(self, what: str) -> None: ...
    def decoding(self, done: int, total: int) -> None: ...
    def fingerprinting(self, done: int, total: int) -> None: ...
    def reading(self, done: int, total: int) -> None: ...
    def fitting(self, done: int, total: int) -> None: ...
    def scoring(self, done: int, total: int) -> None: ...
    def started(self, session: Any, plan: Any, run: Any) -> None: ...
    def begins(self, trial: Any) -> None: ...
    def step(self, stats: Any) -> None: ...
    def epoch(self, stats: Any) -> None: ...
    def saved(self) -> None: ...
    def finished(self, summary: Any) -> None: ...


class QuietPretraining(Quiet):
    """The same, which also warns of an arm that has just collapsed."""

    def __init__(self) -> None:
        self.collapsed: set[str] = set()

    def epoch(self, stats: EpochStats) -> None:
        now = {arm for arm, state in stats.states.items() if state == "collapsed"}
        for arm in sorted(now - self.collapsed):
            self.warn(f"{arm} has collapsed. {ADVICE}")
        self.collapsed = now


@contextmanager
def signals_passed_on(again: str = "resume=True") -> Iterator[None]:
    """Once a training that a signal stopped is saved, let the signal do what it would have done without cass.

    So Ctrl-C raises `KeyboardInterrupt`, and SIGTERM ends a process that does not handle it.
    """
    try:
        yield
    except Interrupted as stopped:
        number = stopped.exit_code - 128
        if number != signal.SIGINT:
            signal.raise_signal(number)
        raise KeyboardInterrupt(f"Everything up to here is saved; go on with {again}.") from stopped
