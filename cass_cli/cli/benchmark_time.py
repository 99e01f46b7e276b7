"""`cass benchmark-time`: what pretraining costs on this machine, method beside method."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cass_cli.cli.options import MAX_FILE_MB, MAX_PIXELS

WHAT, SIZE, MACHINE, OUTPUT = "What", "Size", "Machine", "Output"


def benchmark_time(
    preset: Annotated[
        str,
        typer.Option(help="Data set whose size and arms are taken, or all four.", rich_help_panel=WHAT, metavar="NAME"),
    ] = "all",
    methods: Annotated[
        str,
        typer.Option(
            help="Of cass, dino, byol, mae, vicreg and distill.", rich_help_panel=WHAT, metavar="NAME[,NAME…]"
        ),
    ] = "cass,dino",
    dino_setting: Annotated[
        str,
        typer.Option(
            help="DINO as the paper compared with it, or as its authors run it.",
            rich_help_panel=WHAT,
            metavar="paper|official",
        ),
    ] = "paper",
    data: Annotated[
        Path | None,
        typer.Option(help="Images to train on; without, noise is, which costs the same.", rich_help_panel=WHAT),
    ] = None,
    max_pixels: Annotated[int | None, MAX_PIXELS] = None,
    max_file_mb: Annotated[int | None, MAX_FILE_MB] = None,
    epochs: Annotated[
        int | None, typer.Option(help="Epochs that are projected. Default: the preset's.", rich_help_panel=SIZE, min=1)
    ] = None,
    steps: Annotated[int, typer.Option(help="Steps that are timed.", rich_help_panel=SIZE, min=1)] = 5,
    warmup: Annotated[
        int, typer.Option(help="Steps before those, which don't count.", rich_help_panel=SIZE, min=1)
    ] = 2,
    batch_size: Annotated[
        int | None,
        typer.Option(help="Images a step. Default: the preset's; 4 without a GPU.", rich_help_panel=SIZE),
    ] = None,
    image_size: Annotated[
        int | None,
        typer.Option(help="Side in pixels. Default: the preset's; 96 without a GPU.", rich_help_panel=SIZE),
    ] = None,
    sweep: Annotated[
        str | None,
        typer.Option(
            help="Several batch or image sizes, one after the other.",
            rich_help_panel=SIZE,
            metavar="batch-size=8,16,32",
        ),
    ] = None,
    cnn: Annotated[
        str | None, typer.Option(help="timm model of the first arm.", rich_help_panel=SIZE, metavar="NAME")
    ] = None,
    vit: Annotated[
        str | None, typer.Option(help="timm model of the second arm.", rich_help_panel=SIZE, metavar="NAME")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.", rich_help_panel=MACHINE)] = "auto",
    precision: Annotated[
        str,
        typer.Option(help="auto: bf16 on a GPU, fp32 on a CPU.", rich_help_panel=MACHINE, metavar="auto|fp32|bf16"),
    ] = "auto",
    compile_: Annotated[
        str,
        typer.Option(
            "--compile", help="torch.compile, for all methods or none.", rich_help_panel=MACHINE, metavar="on|off"
        ),
    ] = "off",
    hourly_cost: Annotated[
        float | None,
        typer.Option(help="Price of an hour of this machine, in any currency.", rich_help_panel=OUTPUT, min=0),
    ] = None,
    out: Annotated[
        Path, typer.Option(help="Folder for benchmark-time-<time>/: JSON, CSV and a chart.", rich_help_panel=OUTPUT)
    ] = Path("runs"),
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Print one JSON result on stdout, all else on stderr.", rich_help_panel=OUTPUT),
    ] = False,
) -> None:
    """Measure what pretraining costs here, against DINO, BYOL and MAE: the paper's Table 2 on this machine.

    A few steps of each method are timed, in turn, and projected on the sizes of the paper's data sets; no data is
    needed. Without a GPU the sizes are reduced, and the ratio is what to read.
    """
    from cass_cli.reports.loading import loading

    with loading():
        from cass_cli.engine.timing.job import PAPER_PRESETS, benchmark_job, parse_sweep
        from cass_cli.reports.benchmark import BenchmarkDisplay, save_benchmark, show_benchmark

    asked = {
        "method.dino_setting": dino_setting,
        "train.batch_size": batch_size,
        "data.image_size": image_size,
        "data.max_pixels": max_pixels,
        "data.max_file_mb": max_file_mb,
        "arms.cnn": cnn,
        "arms.vit": vit,
        "train.device": device,
        "train.precision": precision,
        "train.compile": compile_,
    }
    with BenchmarkDisplay(steps, to_stderr=as_json) as display:
        benchmark = benchmark_job(
            PAPER_PRESETS if preset == "all" else [preset],
            [method.strip() for method in methods.split(",")],
            {key: value for key, value in asked.items() if value is not None},
            steps=steps,
            warmup=warmup,
            epochs=epochs,
            sweep=parse_sweep(sweep) if sweep else None,
            data=data,
            on_step=display.step,
        )
    folder = save_benchmark(benchmark, out, hourly_cost=hourly_cost)
    show_benchmark(benchmark, folder, hourly_cost=hourly_cost, as_json=as_json)
