"""`cass tile`: whole-slide images → tiles that every other command reads."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cass_cli.cli.options import DATA, JSON, OUTPUT, WORKERS

TILES = "Tiles"


def tile(
    slides: Annotated[
        list[Path], typer.Argument(help="Whole-slide images, or folders that are searched for them at any depth.")
    ],
    out: Annotated[Path, typer.Option(help="Folder of the tiles and of tiles.csv.", rich_help_panel=OUTPUT)],
    magnification: Annotated[
        str | None,
        typer.Option(
            help="What tiles show, as 20 or 10; base: all that the slide has. Default: 20.",
            rich_help_panel=TILES,
            metavar="N|base",
        ),
    ] = None,
    mpp: Annotated[
        float | None,
        typer.Option(help="The same in µm a pixel: 0.5 is 20×.", rich_help_panel=TILES, metavar="MICROMETRES"),
    ] = None,
    size: Annotated[
        int, typer.Option(help="Side of a tile in pixels.", min=32, max=8192, rich_help_panel=TILES, metavar="PIXELS")
    ] = 224,
    tissue: Annotated[
        float,
        typer.Option(help="Least share of a tile that is tissue; 0 keeps all.", min=0, max=1, rich_help_panel=TILES),
    ] = 0.5,
    most: Annotated[
        int | None, typer.Option(help="Tiles a slide, drawn at random. Default: all.", min=1, rich_help_panel=TILES)
    ] = None,
    seed: Annotated[int, typer.Option(help="Decides which tiles --most draws.", min=0, rich_help_panel=TILES)] = 0,
    table: Annotated[
        Path | None,
        typer.Option(
            help="CSV with a row a slide: a column slide, and patient, label, split or any other.",
            rich_help_panel=DATA,
            metavar="CSV",
        ),
    ] = None,
    workers: Annotated[int, WORKERS] = 0,
    ending: Annotated[
        str, typer.Option("--format", help="PNG, without loss, or JPEG.", rich_help_panel=OUTPUT, metavar="png|jpg")
    ] = "png",
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Replace the tiles and the tiles.csv in --out.", rich_help_panel=OUTPUT),
    ] = False,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Cut whole-slide images into tiles with tissue, and a table that every command reads: patients are its groups.

    Tiles lie side by side within what was scanned; a slide scanned at less than is asked for is refused, not enlarged.
    All slides are looked at first, and the folder is filled at the end: whole, or not at all. Needs the extra `slides`.
    """

    from cass_cli.data.store.decoding import usable_cores
    from cass_cli.engine.tiling.job import TileRequest, tile_job
    from cass_cli.engine.tiling.plan import Cut
    from cass_cli.engine.tiling.request import asked_format, asked_resolution
    from cass_cli.reports.printing import Screen, print_json
    from cass_cli.reports.progress import stages
    from cass_cli.reports.tiling import show_tiled, tiled_dict

    request = TileRequest(
        slides=slides,
        out=out,
        cut=Cut(asked_resolution(magnification, mpp), size, tissue, most, seed),
        table=table,
        format=asked_format(ending),
        overwrite=overwrite,
        workers=workers or usable_cores(),
    )
    with stages(beginning="Looking at slides") as progress:
        done = tile_job(request, progress)
    if as_json:
        print_json(tiled_dict(done))
    else:
        show_tiled(done, Screen())
