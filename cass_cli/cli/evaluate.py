"""`cass evaluate`: what a fine-tuning is worth, with intervals."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

WHICH, MACHINE = "Which fine-tuning", "Machine"

RUN = typer.Option(
    help="Run, or path of one of its fine-tunings. Default: the latest.", rich_help_panel=WHICH, metavar="RUN"
)
OUT = typer.Option(help="Folder that holds the runs.", rich_help_panel=WHICH)
VARIANT = typer.Option(
    help="Fine-tuning of the run, as in imagenet. Default: its latest.", rich_help_panel=WHICH, metavar="NAME"
)
FRACTION = typer.Option(help="Label fraction. Default: the largest.", rich_help_panel=WHICH)
SEED = typer.Option(help="Seed. Default: the lowest.", rich_help_panel=WHICH)
DEVICE = typer.Option(help="auto, cpu, cuda or cuda:N. Default: the fine-tuning's.", rich_help_panel=MACHINE)
PRECISION = typer.Option(
    help="auto, fp32 or bf16. Default: the fine-tuning's.", rich_help_panel=MACHINE, metavar="auto|fp32|bf16"
)
WORKERS = typer.Option(help="Decoding threads; 0: one a core.", rich_help_panel=MACHINE)


def evaluate(
    run: Annotated[str | None, RUN] = None,
    out: Annotated[Path, OUT] = Path("runs"),
    variant: Annotated[str | None, VARIANT] = None,
    label_fraction: Annotated[float | None, FRACTION] = None,
    seed: Annotated[int | None, SEED] = None,
    split: Annotated[str, typer.Option(help="Which images.", rich_help_panel=WHICH, metavar="test|val|train")] = "test",
    data: Annotated[
        Path | None, typer.Option(help="Where the images are now, if they were moved.", rich_help_panel=WHICH)
    ] = None,
    resamples: Annotated[
        int, typer.Option(help="Bootstrap resamples behind the intervals; 0: none.", min=0, rich_help_panel=MACHINE)
    ] = 1000,
    device: Annotated[str | None, DEVICE] = None,
    precision: Annotated[str | None, PRECISION] = None,
    cache: Annotated[
        str | None,
        typer.Option(
            help="Where decoded images are held.", rich_help_panel=MACHINE, metavar="auto|ram|disk|device|off"
        ),
    ] = None,
    workers: Annotated[int | None, WORKERS] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON result on stdout.", rich_help_panel=MACHINE)
    ] = False,
) -> None:
    """Score a fine-tuning on the test split: both arms, their mean, and which of them validation recommends.

    All metrics come with 95 % bootstrap intervals over images, or over patients where the data name them.
    Predictions (CSV), scores (JSON) and figures are written into the fine-tuning.
    """
    from cass_cli.config.load import Layer
    from cass_cli.data.splits import SPLITS
    from cass_cli.engine.finetuning.evaluate import evaluate as score
    from cass_cli.errors import ConfigError, did_you_mean
    from cass_cli.reports.evaluation import show_evaluation, write_evaluation
    from cass_cli.reports.progress import counting
    from cass_cli.runs.directory import settings_over
    from cass_cli.runs.names import find_trial, open_variant

    if split not in SPLITS:
        raise ConfigError(
            f"There is no split '{split}'.{did_you_mean(split, SPLITS)}", hint="Splits: train, val, test."
        )
    flags = {
        "data.path": data,
        "data.cache": cache,
        "data.workers": workers,
        "train.device": device,
        "train.precision": precision,
    }
    chosen = open_variant(out, run, variant)
    trial = find_trial(chosen, fraction=label_fraction, seed=seed)
    layer = Layer("flag", {key: value for key, value in flags.items() if value is not None})
    with counting("Decoding") as progress:
        found = score(
            settings_over(chosen.config, [layer]),
            chosen,
            trial,
            split=split,
            resamples=resamples,
            on_progress=progress,
        )
    show_evaluation(found, write_evaluation(found), as_json=as_json)
