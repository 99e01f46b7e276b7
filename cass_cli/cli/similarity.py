"""`cass similarity`: how alike the layers of both arms are, before and after pretraining."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cass_cli.cli.looking import AVERAGED, COMPARE, DEVICE, IMAGES, JSON, OUT, PDF, RUN, SEED, SPLIT

SAMPLES = typer.Option(help="Images drawn in the split's class distribution.", min=4, rich_help_panel="Images")
BATCH = typer.Option(help="Images compared at a time; memory grows with it.", min=4, rich_help_panel="Images")


def similarity(
    run: Annotated[str | None, RUN] = None,
    averaged: Annotated[bool, AVERAGED] = False,
    compare: Annotated[str, COMPARE] = "start",
    images: Annotated[list[Path] | None, IMAGES] = None,
    split: Annotated[str, SPLIT] = "test",
    samples: Annotated[int, SAMPLES] = 128,
    batch_size: Annotated[int, BATCH] = 32,
    seed: Annotated[int, SEED] = 0,
    device: Annotated[str, DEVICE] = "auto",
    out: Annotated[Path | None, OUT] = None,
    pdf: Annotated[bool, PDF] = False,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Measure how alike all layers of both arms are: linear CKA, by minibatches and without bias."""
    from cass_cli.cli.looking import look
    from cass_cli.engine.looking.similarity import similarity as compare_layers
    from cass_cli.reports.layer_results import draw_similarity, show_similarity
    from cass_cli.reports.progress import progress_bar

    seen = look(
        run=run,
        averaged=averaged,
        compare=compare,
        images=images,
        split=split,
        samples=samples,
        seed=seed,
        device=device,
    )
    with progress_bar("Comparing") as progress:
        result = compare_layers(seen, batch=batch_size, on_progress=progress)
    files = draw_similarity(result, out or seen.run / "figures", pdf=pdf)
    show_similarity(result, files, as_json=as_json)
