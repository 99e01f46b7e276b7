"""`cass presets`: list them, or print one."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=False, help="List the presets, or show one.", rich_markup_mode="rich")


@app.callback(invoke_without_command=True)
def presets(context: typer.Context) -> None:
    """List the presets: data, size, metric and what the paper paid."""
    if context.invoked_subcommand is None:
        list_()


@app.command("list")
def list_() -> None:
    """List the presets: data, size, metric and what the paper paid."""
    from cass_cli.config.presets import preset_about, preset_names
    from cass_cli.reports.tables import presets_table

    presets_table({name: preset_about(name) for name in preset_names()})


@app.command()
def show(name: Annotated[str, typer.Argument(help="a name from `cass presets`")]) -> None:
    """Print a preset: a YAML file to read, copy and change."""
    from cass_cli.config.presets import preset_path

    typer.echo(preset_path(name).read_text(encoding="utf-8"), nl=False)
