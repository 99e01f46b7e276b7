"""The options that `attention-maps`, `feature-maps` and `similarity` share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

WHICH, PICTURES, OUTPUT = "Arms", "Images", "Output"
RUNS = Path("runs")

RUN = typer.Option(
    help="A name in runs/, the path of a run, or that of a fine-tuning in it. Default: the latest run.",
    rich_help_panel=WHICH,
    metavar="RUN",
)
ARM = typer.Option(help="Only this arm. Default: both.", rich_help_panel=WHICH, metavar="cnn|vit")
AVERAGED = typer.Option("--averaged", help="The averaged arms (SWA) instead of the last.", rich_help_panel=WHICH)
COMPARE = typer.Option(
    help="With: start (what the training began with), imagenet, random, another run or fine-tuning, or none.",
    rich_help_panel=WHICH,
    metavar="WHAT",
)
IMAGES = typer.Option(
    help="Own pictures, or folders of them, instead of the run's; may be repeated.",
    rich_help_panel=PICTURES,
    metavar="PATH",
)
SPLIT = typer.Option(help="Split that images are drawn from.", rich_help_panel=PICTURES, metavar="test|val|train")
SEED = typer.Option(help="Decides which images are drawn.", min=0, rich_help_panel=PICTURES)
DEVICE = typer.Option(help="auto, cpu, cuda or cuda:N.", rich_help_panel=OUTPUT)
OUT = typer.Option(help="Folder of the pictures. Default: figures/ in the run.", rich_help_panel=OUTPUT)
PDF = typer.Option("--pdf", help="Write each figure as a PDF too.", rich_help_panel=OUTPUT)
JSON = typer.Option("--json", help="Print one JSON result on stdout.", rich_help_panel=OUTPUT)


def look(
    *, run: str | None, images: list[Path] | None, split: str, samples: int | None, seed: int, **settings: Any
) -> Any:
    """Open the run and load what the options name, as a `Look`."""
    from cass_cli.data.splits import SPLITS
    from cass_cli.engine.looking.look import look_at
    from cass_cli.engine.looking.sample import SampleRequest
    from cass_cli.errors import ConfigError, did_you_mean
    from cass_cli.runs.names import open_run, trial_at

    if split not in SPLITS:
        raise ConfigError(
            f"There is no split '{split}'.{did_you_mean(split, SPLITS)}", hint="Splits: train, val, test."
        )
    trial = trial_at(RUNS, run) if run else None
    opened = trial.variant.run if trial else open_run(RUNS, run)
    asked = SampleRequest(tuple(images or ()), split, samples, seed)
    return look_at(trial or opened, asked, out=opened.path.parent, **settings)
