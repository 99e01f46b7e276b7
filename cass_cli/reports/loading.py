"""A line that stands while PyTorch and timm are imported, which takes seconds before anything can be said."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

TEXT = "Loading PyTorch …"


@contextmanager
def loading() -> Iterator[None]:
    """Say on stderr, at a terminal only, that the program is being loaded; gone when it is."""
    if "torch" in sys.modules or not sys.stderr.isatty() or os.environ.get("RANK", "0") != "0":
        yield
        return
    plain = os.environ.get("TERM", "") in ("dumb", "unknown")  # cannot take a line back
    sys.stderr.write(TEXT + ("\n" if plain else ""))
    sys.stderr.flush()
    try:
        yield
    finally:
        sys.stderr.write("" if plain else f"\r{' ' * len(TEXT)}\r")
        sys.stderr.flush()
