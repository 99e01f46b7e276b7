"""The decoded images kept on the disk, as a table or JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from cass_cli.data.store.folder import CacheEntry
from cass_cli.reports.printing import Screen
from cass_cli.reports.tables import print_table
from cass_cli.words import shown


def show_caches(entries: Sequence[CacheEntry], folder: Path, *, as_json: bool) -> None:
    """Print what is cached, a row a file."""
    if as_json:
        caches = [asdict(entry) | {"path": str(entry.path)} for entry in entries]
        print(json.dumps({"folder": str(folder), "bytes": sum(e.bytes for e in entries), "caches": caches}, indent=2))
        return
    console = Screen()
    if not entries:
        console.print(f"No decoded images are kept in {escape(shown(str(folder)))}.")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("images of", "images", "pixels", "MB", "last used (UTC)", ""):
        table.add_column(heading, justify="right" if heading in ("images", "MB") else "left", overflow="fold")
    for entry in entries:
        table.add_row(
            escape(shown(entry.root)),
            f"{entry.images:,}",
            f"{entry.size} × {entry.size}",
            f"{entry.bytes / 1e6:,.1f}",
            f"{datetime.fromtimestamp(entry.last_used, UTC):%Y-%m-%d %H:%M}",
            "" if entry.complete else "unfinished",
        )
    print_table(console, table)
    total = sum(entry.bytes for entry in entries)
    console.print(f"{total / 1e6:,.1f} MB in {escape(shown(str(folder)))}", style="dim")


def show_cleared(freed: int, left: int, *, as_json: bool) -> None:
    """Print how many bytes were freed, and how many files are left."""
    if as_json:
        print(json.dumps({"freed_bytes": freed, "left": left}))
        return
    Screen().print(f"Freed {freed / 1e6:,.1f} MB; {left} cached set(s) left.")
