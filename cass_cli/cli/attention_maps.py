"""`cass attention-maps`: where the arms look, before and after pretraining."""

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

METHOD = typer.Option(
    help="What is measured and laid over images: cls (class-token attention), rollout, or gradcam, which any arm has.",
    rich_help_panel=RUN_,
    metavar="cls|rollout|gradcam",
)


def attention_maps(
    run: Annotated[str | None, RUN] = None,
    runs: Annotated[Path, RUNS] = Path("runs"),
    arm: Annotated[str | None, ARM] = None,
    averaged: Annotated[bool, AVERAGED] = False,
    compare: Annotated[str, COMPARE] = "start",
    method: Annotated[str, METHOD] = "cls",
    images: Annotated[list[Path] | None, IMAGES] = None,
    data: Annotated[Path | None, MOVED] = None,
    split: Annotated[str, SPLIT] = "test",
    samples: Annotated[int | None, SAMPLES] = None,
    seed: Annotated[int, DRAW_SEED] = 0,
    max_pixels: Annotated[int | None, MAX_PIXELS] = None,
    max_file_mb: Annotated[int | None, MAX_FILE_MB] = None,
    device: Annotated[str | None, DEVICE] = None,
    out: Annotated[Path | None, PICTURES] = None,
    pdf: Annotated[bool, PDF] = False,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Picture and measure where the arms look, as the paper's Figures 6 to 9.

    A Transformer shows its class token's attention (last block, each head, and rolled out over all blocks);
    a CNN, or a Transformer without a class token, shows Grad-CAM.
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
    from cass_cli.engine.looking.attention_maps import attention_maps as map_attention
    from cass_cli.reports.map_results import draw_attention, show_attention

    with counting("Attending") as progress:
        result = map_attention(seen, method=method, arm_named=arm is not None, on_progress=progress)
    with working("Drawing"):
        files = draw_attention(result, out or seen.run / "figures", pdf=pdf)
    show_attention(result, files, as_json=as_json)
