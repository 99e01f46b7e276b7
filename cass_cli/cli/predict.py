"""`cass predict`: class probabilities for new images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cass_cli.cli.evaluate import DEVICE, FRACTION, MACHINE, OUT, PRECISION, RUN, SEED, VARIANT, WHICH, WORKERS


def predict(
    images: Annotated[
        list[Path], typer.Argument(help="Images, folders of them, CSVs that name them, or .npz archives.")
    ],
    run: Annotated[str | None, RUN] = None,
    runs: Annotated[Path, typer.Option("--runs", help=OUT.help, rich_help_panel=WHICH)] = Path("runs"),
    variant: Annotated[str | None, VARIANT] = None,
    label_fraction: Annotated[float | None, FRACTION] = None,
    seed: Annotated[int | None, SEED] = None,
    answer_by: Annotated[
        str | None,
        typer.Option(
            help="Who answers. Default: what validation recommends.", rich_help_panel=WHICH, metavar="ARM|mean"
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="CSV that is written; - is stdout.", rich_help_panel="Output")] = Path(
        "predictions.csv"
    ),
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace --out if it exists.", rich_help_panel="Output")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON summary on stdout.", rich_help_panel="Output")
    ] = False,
    device: Annotated[str | None, DEVICE] = None,
    precision: Annotated[str | None, PRECISION] = None,
    workers: Annotated[int, WORKERS] = 0,
    max_pixels: Annotated[
        int, typer.Option(help="Largest image that is decoded, in pixels.", min=1, rich_help_panel=MACHINE)
    ] = 100_000_000,
) -> None:
    """Classify images with a fine-tuned run: probabilities, chosen class, agreement of the arms, doubt.

    Files that cannot be read are reported in the column `status` and skipped. Memory does not grow with the
    number of images.
    """
    from cass_cli.config.load import read_saved
    from cass_cli.engine.compute import choose_compute
    from cass_cli.engine.finetuning.predict import choose_candidate, find_sources
    from cass_cli.engine.finetuning.predict import predict as answer
    from cass_cli.engine.finetuning.tuned_arms import load_tuned
    from cass_cli.errors import ConfigError
    from cass_cli.reports.predictions import show_predictions, write_predictions
    from cass_cli.reports.progress import counting
    from cass_cli.runs.names import find_trial, open_variant

    if as_json and str(out) == "-":
        raise ConfigError("--json and --out - both want stdout.", hint="Name a file with --out.")
    chosen = open_variant(runs, run, variant)
    trial = find_trial(chosen, fraction=label_fraction, seed=seed)
    settings = read_saved(chosen.config).config.train
    changes = {"device": device, "precision": precision}
    compute = choose_compute(settings.model_copy(update={key: v for key, v in changes.items() if v is not None}))
    sources = find_sources(images)
    arms = load_tuned(trial, compute)
    candidate = choose_candidate(arms, answer_by)
    total = sum(len(source.table) for source in sources)
    answers = answer(
        arms,
        sources,
        candidate=candidate,
        compute=compute,
        workers=workers,
        max_pixels=max_pixels,
    )
    with counting("Predicting") as progress:
        counted = (progress(i, total) or prediction for i, prediction in enumerate(answers, start=1))
        tally = write_predictions(counted, arms, out, overwrite=overwrite)
    show_predictions(tally, arms, candidate, out, as_json=as_json)
