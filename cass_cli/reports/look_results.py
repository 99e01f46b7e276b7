"""What all that looks into the arms shows alike: which images, how they are named, and how the answer ends."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from cass_cli.engine.looking.look import Look
from cass_cli.engine.looking.sample import ImageSample
from cass_cli.reports.pictures import drawn
from cass_cli.reports.printing import print_json


def shown_rows(sample: ImageSample, most: int) -> list[int]:
    """Return up to `most` rows of the sample, one of each class in turn."""
    seen: dict[str, int] = {}
    turns = []
    for row in range(len(sample)):
        label = sample.label(row)
        turns.append((seen.get(label, 0), row))
        seen[label] = seen.get(label, 0) + 1
    return sorted(row for _, row in sorted(turns)[:most])


def pictures_of(look: Look, rows: list[int]) -> tuple[Any, list[str]]:
    largest = max((shown.spec for shown in look.after.values()), key=lambda spec: spec.size)
    pictures = look.sample.pixels(largest)[rows].permute(0, 2, 3, 1).numpy()
    names = [Path(look.sample.table.names[row]).name for row in rows]
    return pictures, [drawn(look.sample.label(row) or name) for row, name in zip(rows, names, strict=True)]


def show_end(console: Console, notes: Sequence[str], files: Sequence[Path]) -> None:
    console.print()
    for note in dict.fromkeys(notes):
        console.print(f"• {escape(note)}", style="dim")
    console.print("Intervals: 95 %, bootstrap over images (patients where known).", style="dim")
    console.print()
    for file in files:
        console.print(escape(str(file)), soft_wrap=True)


def print_look_json(look: Look, files: Sequence[Path], notes: Sequence[str], **values: Any) -> None:
    print_json(
        {
            "run": str(look.run),
            "split": look.split or None,
            "images": len(look.sample),
            **values,
            "notes": list(dict.fromkeys(notes)),
            "files": [str(file) for file in files],
        }
    )
