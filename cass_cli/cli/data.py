"""`cass data`: the public sets that cass knows by their files, or one of them."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(help="List the public data sets that cass reads as they are shipped, or show one.")

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]


@app.callback(invoke_without_command=True)
def data(context: typer.Context) -> None:
    """List the public data sets that cass reads as their publishers ship them."""
    if context.invoked_subcommand is None:
        list_()


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the sets: what they show and hold, and the size of the download."""
    from cass_cli.data.sets.catalogue import SETS
    from cass_cli.reports.sets import show_sets

    show_sets(list(SETS.values()), as_json=as_json)


@app.command()
def show(name: Annotated[str, typer.Argument(help="a name from `cass data list`")], as_json: AsJson = False) -> None:
    """Show where a set is had, how it must lie, what tells patients and splits, its traps, and how to begin."""
    from cass_cli.data.sets.catalogue import named_set
    from cass_cli.reports.sets import show_set

    show_set(named_set(name), as_json=as_json)
