"""`cass cache`: list the decoded images kept on the disk, or delete them."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(help="List the decoded images kept on the disk, or delete them.", rich_markup_mode="rich")

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]


@app.callback(invoke_without_command=True)
def cache(context: typer.Context) -> None:
    """List the decoded images kept on the disk, or delete them. They are in $CASS_CACHE, else the user's cache."""
    if context.invoked_subcommand is None:
        list_()


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the cached sets: where from, images, size and last use; the last used first."""
    from cass_cli.data.store.folder import image_folder, list_caches
    from cass_cli.reports.caches import show_caches

    show_caches(list_caches(), image_folder(), as_json=as_json)


@app.command()
def clear(
    unused_days: Annotated[
        float, typer.Option(min=0, help="Only what has not been used for so many days.", metavar="DAYS")
    ] = 0,
    partial: Annotated[bool, typer.Option("--partial", help="Only what an interrupted run left unfinished.")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete cached images; runs decode them again when they need them. What a run is building now stays."""
    from cass_cli.data.store.folder import clear_caches, list_caches
    from cass_cli.reports.caches import show_cleared

    freed = clear_caches(unused_days=unused_days, partial_only=partial)
    show_cleared(freed, len(list_caches()), as_json=as_json)
