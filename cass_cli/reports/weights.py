"""Files of published weights, as tables or JSON: which are needed, whether they are whole, what was fetched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.table import Table
from rich.text import Text

from cass_cli.engine.weight_files import CheckedFile, FetchedFile, NeededFile
from cass_cli.reports.printing import Screen, print_json, print_sentence
from cass_cli.reports.tables import print_table
from cass_cli.words import count, shown

WHERE = {"folder": "$CASS_WEIGHTS", "cache": "the hub's cache", "": "not here"}


def show_needed(files: Sequence[NeededFile], folder: Path | None, *, as_json: bool) -> None:
    """Print the files that are needed, a row each, where they are, and what to do where they are not."""
    if as_json:
        print_json({"folder": folder, "files": [asdict(file) for file in files]})
        return
    console = Screen()
    if not files:
        print_sentence(console, "No weights are needed: these networks start at random.")
        return
    table = _table("file", "MB", "licence", "found in")
    for file in files:
        found = Text(WHERE[file.where], style="green" if file.where else "yellow")
        table.add_row(Text(file.file), f"{file.bytes / 1e6:,.0f}", file.licence or "not told", found)
    print_table(console, table)
    console.print()
    for file in files:
        source = file.hub or file.url
        told = f"of {source}" if source else "which nobody publishes: one's own file has this name"
        for_whom = f"; presets {', '.join(file.presets)}" if file.presets else ""
        print_sentence(console, Text(f"{file.model}: {told}{for_whom}"), style="dim")
    print_sentence(console, Text(_about(folder)))
    if lacking := [file.model for file in files if not file.where and (file.hub or file.url)]:
        print_sentence(console, "Where there is a network:")
        console.print(Text(f"cass weights fetch {' '.join(lacking)}", style="cyan"), soft_wrap=True)


def _about(folder: Path | None) -> str:
    if folder is None:
        return "$CASS_WEIGHTS names no folder: cass looks in the hub's cache, then asks the hub."
    if not folder.is_dir():
        return f"$CASS_WEIGHTS names {shown(str(folder))}, which is not there."
    return f"$CASS_WEIGHTS names {shown(str(folder))}: what lies there under these names is taken by itself."


def show_checked(files: Sequence[CheckedFile], *, as_json: bool) -> None:
    """Print what became of the check, a block a file."""
    if as_json:
        print_json([asdict(file) for file in files])
        return
    console = Screen()
    for file in files:
        mark = Text("✗ ", style="bold red") if file.problem else Text("✓ ", style="green")
        console.print(mark.append(shown(file.path.name), style="bold"), soft_wrap=True)
        for line in _lines(file):
            print_sentence(console, Text(f"  {line}"))
    bad = sum(bool(file.problem) for file in files)
    print_sentence(console, f"{count(len(files), 'file')}, {bad or 'none'} with a fault.")


def _lines(file: CheckedFile) -> list[str]:
    lines = [f"sha256 {file.sha256}{', as SHA256SUMS has it' if file.listed else ''}"] if file.sha256 else []
    if file.problem:
        return [*lines, f"{file.problem}."]
    if not file.model:
        return [*lines, "Its name is that of no timm model, so it is taken only where --weights names it."]
    return [*lines, file.fits]


def show_fetched(files: Sequence[FetchedFile], folder: Path, *, as_json: bool) -> None:
    """Print what lies in the folder now."""
    if as_json:
        print_json({"folder": folder, "files": [asdict(file) for file in files]})
        return
    console = Screen()
    for file in files:
        size = "was there" if file.was_there else f"{file.bytes / 1e6:,.0f} MB"
        licence = f", licence {file.licence}" if file.licence else ""
        console.print(Text(f"{file.path.name}: {size}{licence}", style="bold"), soft_wrap=True)
        print_sentence(console, f"  sha256 {file.sha256}", style="dim")
    if not files:
        print_sentence(console, "No weights are needed: these networks start at random.")
        return
    print_sentence(console, "On the machine without a network, after copying the folder:")
    for command in ("export CASS_WEIGHTS=FOLDER", "cass weights check"):
        console.print(Text(command, style="cyan"), soft_wrap=True)


def _table(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        copied = heading == "file"  # whole
        table.add_column(heading, justify="right" if heading == "MB" else "left", no_wrap=copied)
    return table
