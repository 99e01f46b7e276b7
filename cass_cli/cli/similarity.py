"""`cass similarity`: how alike the layers of both arms are, before and after pretraining."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cass_cli.cli.options import (
    AVERAGED,
    COMPARE,
    DATA,
    DEVICE,
    DRAW_SEED,
    IMAGES,
    JSON,
    MAX_FILE_MB,
    MAX_PIXELS,
    MOVED,
    PDF,
    PICTURES,
    RUN,
    RUNS,
    SPLIT,
)

SAMPLES = typer.Option(help="Images drawn in the split's class distribution.", min=4, rich_help_panel=DATA)
BATCH = typer.Option(help="Images compared at a time; memory grows with it.", min=4, rich_help_panel=DATA)


def similarity(
    run: Annotated[str | None, RUN] = None,
    runs: Annotated[Path, RUNS] = Path("runs"),
    averaged: Annotated[bool, AVERAGED] = False,
    compare: Annotated[str, COMPARE] = "start",
    images: Annotated[list[Path] | None, IMAGES] = None,
    data: Annotated[Path | None, MOVED] = None,
    split: Annotated[str, SPLIT] = "test",
    samples: Annotated[int, SAMPLES] = 128,
    batch_size: Annotated[int, BATCH] = 32,
    seed: Annotated[int, DRAW_SEED] = 0,
    max_pixels: Annotated[int | None, MAX_PIXELS] = None,
    max_file_mb: Annotated[int | None, MAX_FILE_MB] = None,
    device: Annotated[str | None, DEVICE] = None,
    out: Annotated[Path | None, PICTURES] = None,
    pdf: Annotated[bool, PDF] = False,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Measure how alike all layers of both arms are: linear CKA, by minibatches and without bias."""
    from cass_cli.cli.looking import look
    from cass_cli.reports.progress import counting, working

    seen = look(
        run=run,
        runs=runs,
        averaged=averaged,
        compare=compare,
        images=images,
        data=data,
        split=split,
        samples=samples,
        seed=seed,
        max_pixels=max_pixels,
        max_file_mb=max_file_mb,
        device=device,
    )
    from cass_cli.engine.looking.similarity import similarity as compare_layers
    from cass_cli.reports.layer_results import draw_similarity, show_similarity

    with counting("Comparing") as progress:
        result = compare_layers(seen, batch=batch_size, on_progress=progress)
    with working("Drawing"):
        files = draw_similarity(result, out or seen.run / "figures", pdf=pdf)
    show_similarity(result, files, as_json=as_json)
