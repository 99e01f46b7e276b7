"""JSON for machines, durations for people."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from cass_cli.words import printable


class Screen(Console):
    """A console that escapes what would act upon the terminal: all that cass shows people goes through one."""

    def __init__(self, **options: Any) -> None:
        super().__init__(highlight=False, emoji=False, **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        """Yield the segments of a renderable, their text fit for a terminal."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(printable(segment.text), segment.style)


def print_json(value: Any) -> None:
    """Print `value` as the one JSON document on stdout, in ASCII: other letters are escaped, as JSON has it."""
    print(json.dumps(value, indent=2, default=str))


def print_sentence(console: Console, said: str | Text, *, style: str | None = None) -> None:
    """Print a sentence, broken between words where a terminal is narrower; in a file it stays one line.

    Paths and commands are not printed so: a terminal breaks them where they can still be copied whole.
    """
    console.print(said, style=style, soft_wrap=not console.is_terminal)


def duration(seconds: float) -> str:
    """Return a time as people say it, in its two largest units."""
    seconds = round(seconds)
    for unit, name, part, rest in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if seconds >= unit:
            return f"{seconds // unit} {name} {seconds % unit // part:02d} {rest}"
    return f"{seconds} s"
