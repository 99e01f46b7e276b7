"""`cass weights`: which files of starting weights are needed, whether they are whole, and fetching them for a stick."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="List, check or fetch the files of weights that networks start from.", rich_markup_mode="rich")

Models = Annotated[list[str] | None, typer.Argument(help="timm models, as resnet50 or resnet50.a2_in1k")]
Preset = Annotated[str | None, typer.Option(help="What this preset needs. Default: all presets.", metavar="NAME")]
Cnn = Annotated[str | None, typer.Option(help="timm model of the first arm.", metavar="NAME")]
Vit = Annotated[str | None, typer.Option(help="timm model of the second arm.", metavar="NAME")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]


@app.callback(invoke_without_command=True)
def weights(context: typer.Context) -> None:
    """List, check or fetch the files of weights that networks start from. cass looks in $CASS_WEIGHTS first."""
    if context.invoked_subcommand is None:
        list_()


@app.command("list")
def list_(
    models: Models = None, preset: Preset = None, cnn: Cnn = None, vit: Vit = None, as_json: AsJson = False
) -> None:
    """List the files that the presets, or these models, start from: name, size, licence, and where they are now."""
    from cass_cli.reports.loading import loading

    with loading():
        from cass_cli.engine.weight_files import list_weights, needed_models
        from cass_cli.models.published import weights_folder
        from cass_cli.reports.weights import show_needed

    needed = needed_models(models or (), preset=preset, cnn=cnn, vit=vit)
    show_needed(list_weights(needed), weights_folder(), as_json=as_json)


@app.command()
def check(
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Files, or folders of them. Default: the folder of $CASS_WEIGHTS.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check that files can be read, fit the models of their names, are finite, and are those that SHA256SUMS tells of.

    Exits with 2 where one is not.
    """
    from cass_cli.reports.loading import loading

    with loading():
        from cass_cli.engine.weight_files import check_weights
        from cass_cli.reports.weights import show_checked

    found = check_weights(paths or ())
    show_checked(found, as_json=as_json)
    if any(file.problem for file in found):
        raise typer.Exit(2)


@app.command()
def fetch(
    models: Models = None,
    preset: Preset = None,
    cnn: Cnn = None,
    vit: Vit = None,
    to: Annotated[
        Path | None, typer.Option(help="Where to. Default: the folder of $CASS_WEIGHTS.", metavar="FOLDER")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Fetch the files from timm's hub into a folder, as safetensors, with their SHA256SUMS: for a stick."""
    from cass_cli.reports.loading import loading

    with loading():
        from cass_cli.engine.weight_files import asked_folder, fetch_weights, needed_models
        from cass_cli.reports.weights import show_fetched

    folder = to or asked_folder("it with --to")
    found = fetch_weights(needed_models(models or (), preset=preset, cnn=cnn, vit=vit), folder)
    show_fetched(found, folder, as_json=as_json)
