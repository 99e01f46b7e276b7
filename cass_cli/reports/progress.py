"""Bars that show how far something has come: at a terminal, on stderr, gone afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from rich.progress import BarColumn, Progress, Task, TaskID, TextColumn
from rich.text import Text

from cass_cli.reports.printing import Screen, print_sentence

BEGINNING = "Beginning"  # until something can be counted


class HowFar(TextColumn):
    """What is done of what; seconds, where that cannot be counted."""

    def __init__(self) -> None:
        super().__init__("")

    def render(self, task: Task) -> Text:
        """Return it as text."""
        if task.total is None:
            return Text(f"{task.elapsed or 0:.0f} s")
        return Text(f"{task.completed:,.0f}/{task.total:,.0f}", style="progress.download")


@dataclass(frozen=True)
class Stages:
    """Moves the bar of what is being done when it is called with (what, done, total)."""

    move: Callable[[str, int, int], None]
    console: Screen  # on stderr

    def __call__(self, what: str, done: int, total: int) -> None:
        self.move(what, done, total)

    def say(self, sentence: str) -> None:
        """Leave a sentence above the bars, in a file too."""
        print_sentence(self.console, Text(sentence))


@contextmanager
def working(what: str) -> Iterator[None]:
    """Show that something goes on that cannot be counted, and for how long."""
    with stages(beginning=what):
        yield


@contextmanager
def counting(title: str) -> Iterator[Callable[[int, int], None]]:
    """Yield a function (done, total) that moves a bar, at a terminal only."""
    with stages(beginning=title) as told:
        yield partial(told, title)


@contextmanager
def stages(*, beginning: str = BEGINNING) -> Iterator[Stages]:
    """Yield what moves the bar of what is being done, at a terminal only.

    Before it is called, and when a bar is full, a line says how long `beginning`, or what follows, has taken.
    """
    console = Screen(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(bar_width=28), HowFar())
    bars: dict[str, TaskID] = {}
    if console.is_dumb_terminal and console.is_terminal:  # which cannot take a line back
        console.print(f"{beginning} …", markup=False)
        yield Stages(lambda _what, _done, _total: None, console)
        return
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal, refresh_per_second=4
    ) as progress:
        waiting = progress.add_task(beginning, total=None)

        def told(what: str, done: int, total: int) -> None:
            if what not in bars:
                bars[what] = progress.add_task(what, total=total)
            progress.update(bars[what], completed=done, total=total, visible=done < total)
            if done >= total:
                progress.reset(waiting, total=None, visible=True, description=f"{what}: finishing")
            else:
                progress.update(waiting, visible=False)

        yield Stages(told, console)
