"""A line that stands while PyTorch and timm are imported, which takes seconds before anything can be said."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

TEXT = "Loading PyTorch …"
PERIOD = 1.0  # seconds between two drawings


@contextmanager
def loading(text: str = TEXT) -> Iterator[None]:
    """Say on stderr, at a terminal only, that the program is being loaded, and for how long; gone when it is."""
    if "torch" in sys.modules or not sys.stderr.isatty() or os.environ.get("RANK", "0") != "0":
        yield
        return
    if os.environ.get("TERM", "") in ("dumb", "unknown"):  # which cannot take a line back
        sys.stderr.write(f"{text}\n")
        yield
        return
    done = Event()
    thread = Thread(target=_count, args=(done, time.monotonic(), text), daemon=True)
    sys.stderr.write(text)
    sys.stderr.flush()
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        sys.stderr.write(f"\r{' ' * (len(text) + 8)}\r")
        sys.stderr.flush()


def _count(done: Event, began: float, text: str) -> None:
    """Draw the seconds until `done`."""
    while not done.wait(PERIOD):
        sys.stderr.write(f"\r{text} {time.monotonic() - began:.0f} s")
        sys.stderr.flush()
