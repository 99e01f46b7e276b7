"""The public data sets that cass knows, as tables or JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

from rich.table import Table
from rich.text import Text

from cass_cli.data.sets.public_set import PublicSet
from cass_cli.reports.printing import Screen, print_json
from cass_cli.reports.tables import print_table

TOLD = {
    "kind": "pictures",
    "holds": "holds",
    "paper": "paper",
    "page": "to be had at",
    "licence": "licence",
    "size": "download",
    "lies": "unpacked",
    "groups": "groups",
    "split": "split",
}
"""What `cass data show` tells of a set, and in which words."""


def show_sets(sets: Sequence[PublicSet], *, as_json: bool) -> None:
    """Print the sets, a row each."""
    if as_json:
        print_json([_facts(public) for public in sets])
        return
    console = Screen()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("set", "pictures", "holds", "download"):
        table.add_column(heading, no_wrap=heading == "set", overflow="fold")
    for public in sets:
        table.add_row(*map(Text, (public.name, public.kind, public.holds, public.size)))
    print_table(console, table)
    console.print("Where one is had, its groups and its traps: cass data show NAME", style="dim")


def show_set(public: PublicSet, *, as_json: bool) -> None:
    """Print what is known of one set, and how to begin with it."""
    if as_json:
        print_json(_facts(public))
        return
    console = Screen()
    console.print(Text(public.title, style="bold"))
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, words in TOLD.items():
        table.add_row(words, Text(getattr(public, name)))
    for i, trap in enumerate(public.traps):
        table.add_row("" if i else "mind", Text(trap))
    for i, command in enumerate(commands(public)):
        table.add_row("" if i else "begin with", Text(command, style="cyan"))
    print_table(console, table)


def commands(public: PublicSet) -> tuple[str, str]:
    """Return the commands to begin with: how the files are read, and a first answer from ImageNet weights."""
    where = public.data or "FOLDER"
    return f"cass inspect {where}", f"cass finetune --data {where}"


def _facts(public: PublicSet) -> dict[str, object]:
    told = {f.name: getattr(public, f.name) for f in fields(public) if f.name not in ("read", "tables", "data")}
    return told | {"commands": list(commands(public))}
