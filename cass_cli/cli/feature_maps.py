"""`cass feature-maps`: what the first layers keep of an image, before and after pretraining."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cass_cli.cli.options import (
    ARM,
    AVERAGED,
    COMPARE,
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
    RUN_,
    RUNS,
    SAMPLES,
    SPLIT,
)

LAYERS = typer.Option(help="Layers shown, in the order they run.", min=1, max=16, rich_help_panel=RUN_)


def feature_maps(
    run: Annotated[str | None, RUN] = None,
    runs: Annotated[Path, RUNS] = Path("runs"),
    arm: Annotated[str | None, ARM] = None,
    averaged: Annotated[bool, AVERAGED] = False,
    compare: Annotated[str, COMPARE] = "start",
    images: Annotated[list[Path] | None, IMAGES] = None,
    data: Annotated[Path | None, MOVED] = None,
    split: Annotated[str, SPLIT] = "test",
    samples: Annotated[int | None, SAMPLES] = None,
    layers: Annotated[int, LAYERS] = 5,
    seed: Annotated[int, DRAW_SEED] = 0,
    max_pixels: Annotated[int | None, MAX_PIXELS] = None,
    max_file_mb: Annotated[int | None, MAX_FILE_MB] = None,
    device: Annotated[str | None, DEVICE] = None,
    out: Annotated[Path | None, PICTURES] = None,
    pdf: Annotated[bool, PDF] = False,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Picture and measure what the first layers keep of an image, as the paper's Figures 4 and 5.

    Each map is the mean magnitude over a layer's channels; what is compared shares one colour scale.
    """
    from cass_cli.cli.looking import look
    from cass_cli.reports.progress import counting, working

    seen = look(
        run=run,
        runs=runs,
        arm=arm,
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
    from cass_cli.engine.looking.feature_maps import feature_maps as map_features
    from cass_cli.reports.layer_results import draw_features, show_features

    with counting("Looking") as progress:
        result = map_features(seen, layers=layers, on_progress=progress)
    with working("Drawing"):
        files = draw_features(result, out or seen.run / "figures", pdf=pdf)
    show_features(result, files, as_json=as_json)
