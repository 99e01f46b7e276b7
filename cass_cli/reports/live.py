"""What a training shows while it runs: notes, warnings, and bars at the foot of the terminal."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from cass_cli.reports.streams import lasting

REDRAW_SECONDS = 0.25


class LiveDisplay:
    """Shows what it is told on stdout, or on stderr when stdout is kept for JSON; bars at a terminal only."""

    def __init__(self, *, to_stderr: bool = False) -> None:
        file = lasting(sys.stderr if to_stderr else sys.stdout)
        self.console = Console(file=file, highlight=False, soft_wrap=True)
        self.live = Live(console=self.console, auto_refresh=False, transient=True)
        self.bars = Progress(
            TextColumn("{task.description:<9}"),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TextColumn("{task.fields[status]}"),
            TimeRemainingColumn(compact=True),
            console=self.console,
        )
        self.decoding_task, self.fingerprint_task = self.add_bar("Decoding"), self.add_bar("Reading")
        self.noted: set[str] = set()
        self.drawn = 0.0

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self.live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.live.stop()

    def add_bar(self, name: str, total: int | None = None) -> TaskID:
        """Add a bar, which shows itself when it first moves."""
        return self.bars.add_task(name, total=total, visible=False, status="")

    def note(self, text: str) -> None:
        """Say one thing that was found or decided, once."""
        if text not in self.noted:
            self.noted.add(text)
            self.console.print(Text(f"• {text}", style="dim"))

    def warn(self, text: str) -> None:
        """Say what may spoil the result."""
        self.console.print(Text(f"Warning: {text}", style="yellow"))

    def decoding(self, done: int, total: int) -> None:
        """Show how many images are decoded."""
        self.bars.update(self.decoding_task, completed=done, total=total, visible=done < total)
        self.draw()

    def fingerprinting(self, done: int, total: int) -> None:
        """Show of how many files the contents are recorded or compared."""
        self.bars.update(self.fingerprint_task, completed=done, total=total, visible=done < total)
        self.draw()

    def below_bars(self) -> list[RenderableType]:
        """Return what stands below the bars."""
        return []

    def draw(self, *, now: bool = False) -> None:
        """Draw the foot anew, unless that was done a moment ago."""
        if self.console.is_terminal and (now or time.monotonic() - self.drawn > REDRAW_SECONDS):
            self.drawn = time.monotonic()
            self.live.update(Group(self.bars, *self.below_bars()), refresh=True)
