"""Bars that show how far something has come: at a terminal, on stderr, gone afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn


@contextmanager
def counting(title: str) -> Iterator[Callable[[int, int], None]]:
    """Yield a function (done, total) that moves a bar, at a terminal only."""
    with stages() as told:
        yield partial(told, title)


@contextmanager
def stages() -> Iterator[Callable[[str, int, int], None]]:
    """Yield a function (what, done, total) that moves the bar of what is being done, at a terminal only."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=28), MofNCompleteColumn())
    bars: dict[str, TaskID] = {}
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:

        def told(what: str, done: int, total: int) -> None:
            if what not in bars:
                bars[what] = progress.add_task(what, total=total)
            progress.update(bars[what], completed=done, total=total, visible=done < total)

        yield told
