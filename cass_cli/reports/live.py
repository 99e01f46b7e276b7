"""What a training shows while it runs: notes, warnings, and bars at the foot of the terminal."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from cass_cli.reports.printing import Screen, print_sentence
from cass_cli.reports.streams import lasting

REDRAW_SECONDS = 0.25
PATIENCE = 2.0  # seconds of one thing before it is said how long it has taken
ROOM = 80  # characters, from which what a bar says of itself stands beside it, not below
BESIDE = 32  # characters of a bar that are not drawn
PLAIN_SECONDS = 60.0  # between two lines on how far it is, where there are no bars


class LiveDisplay:
    """Shows what it is told on stdout, or on stderr when stdout is kept for JSON; bars at a terminal only."""

    def __init__(self, *, to_stderr: bool = False) -> None:
        file = lasting(sys.stderr if to_stderr else sys.stdout)
        self.console = Screen(file=file, soft_wrap=True)
        self.live: Live | None = None
        self.narrow = self.console.width < ROOM
        self.bars = Progress(
            TextColumn("{task.description:<9}", markup=False),
            BarColumn(bar_width=max(4, min(28, self.console.width - BESIDE))),
            MofNCompleteColumn(),
            *([] if self.narrow else [TextColumn("{task.fields[status]}", markup=False)]),
            TimeRemainingColumn(compact=True),
            console=self.console,
        )
        self.decoding_task, self.fingerprint_task = self.add_bar("Decoding"), self.add_bar("Reading")
        self.noted: set[str] = set()
        self.drawn = 0.0
        self.told = time.monotonic()
        self.stage: tuple[str, float] = ("", 0.0)  # what is being done without a bar, and since when

    def __enter__(self) -> Self:
        if self.console.is_terminal and not self.console.is_dumb_terminal:  # which cannot take a line back
            # Drawn from a thread too, once a second: so what takes long is seen to go on.
            self.live = Live(
                console=self.console, get_renderable=self.foot, auto_refresh=True, refresh_per_second=1, transient=True
            )
            self.live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.live:
            self.live.stop()

    def add_bar(self, name: str, total: int | None = None) -> TaskID:
        """Add a bar, which shows itself when it first moves."""
        return self.bars.add_task(name, total=total, visible=False, status="")

    def say(self, what: str | Text, *, whole: bool = False) -> None:
        """Print what stays: sentences broken between words, a path `whole`, so that it can be copied."""
        if whole:
            self.console.print(what)
        else:
            print_sentence(self.console, what)
        self.told = time.monotonic()

    def note(self, text: str) -> None:
        """Say one thing that was found or decided, once."""
        if text not in self.noted:
            self.noted.add(text)
            self.say(Text(f"• {text}", style="dim"))

    def warn(self, text: str) -> None:
        """Say what may spoil the result."""
        self.say(Text(f"Warning: {text}", style="yellow"))

    def doing(self, what: str) -> None:
        """Show what takes its time now and cannot be counted; "" when nothing does."""
        if what != self.stage[0]:
            self.stage = (what, time.monotonic())
            self.draw(now=bool(what))

    def saved(self) -> None:
        """Say nothing: that a checkpoint is written is no news."""

    def count(self, task: TaskID, done: int, total: int) -> None:
        """Move a bar, which is gone when all is done."""
        self.bars.update(task, completed=done, total=total, visible=done < total)
        self.draw()

    def decoding(self, done: int, total: int) -> None:
        """Show how many images are decoded."""
        self.count(self.decoding_task, done, total)

    def fingerprinting(self, done: int, total: int) -> None:
        """Show of how many files the contents are recorded or compared."""
        self.count(self.fingerprint_task, done, total)

    def below_bars(self) -> list[RenderableType]:
        """Return what stands below the bars."""
        return []

    def draw(self, *, now: bool = False) -> None:
        """Draw the foot anew, unless that was done a moment ago."""
        if self.live and (now or time.monotonic() - self.drawn > REDRAW_SECONDS):
            self.drawn = time.monotonic()
            self.live.refresh()
        elif not self.live and time.monotonic() - self.told > PLAIN_SECONDS:
            self._tell()

    def foot(self) -> Group:
        """Return what stands at the foot of the terminal."""
        what, since = self.stage
        seconds = time.monotonic() - since
        stage = [Text(f"{what} …{f' {seconds:.0f} s' if seconds > PATIENCE else ''}", style="dim")] if what else []
        told = [task.fields["status"] for task in self.bars.tasks if task.visible] if self.narrow else []
        return Group(self.bars, *(Text(text, style="dim") for text in told if text), *stage, *self.below_bars())

    def _tell(self) -> None:
        """Say in a line how far it is: for a file, which has no bars."""
        self.told = time.monotonic()
        shown = [task for task in self.bars.tasks if task.visible and task.total]
        parts = [f"{task.description} {task.completed:,.4g}/{task.total:,.0f}" for task in shown]
        if parts:
            self.say(f"  {', '.join(parts)}")
