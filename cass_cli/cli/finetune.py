"""`cass finetune`: from pretrained arms and few labels to classifiers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

RUN, PROTOCOL, LOSS, NEW, MACHINE = "Run", "Protocol", "Loss", "Without pretraining", "Machine"


def finetune(
    run: Annotated[
        str | None,
        typer.Option(help="Run: a name in --out, or its path. Default: the latest.", rich_help_panel=RUN),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder that holds the runs.", rich_help_panel=RUN)] = Path("runs"),
    variant: Annotated[
        str | None,
        typer.Option(
            help="Name of this fine-tuning within the run. Default: the start, as in pretrained or imagenet.",
            rich_help_panel=RUN,
            metavar="NAME",
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Keep what is finished, go on with what is not; also adds seeds.", rich_help_panel=RUN
        ),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace what is there under this name.", rich_help_panel=RUN)
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON result on stdout, all else on stderr.", rich_help_panel=RUN)
    ] = False,
    label_fraction: Annotated[
        str | None,
        typer.Option(
            help="Share of the training labels that may be seen, or several. Default: 1.",
            rich_help_panel=PROTOCOL,
            metavar="F[,F…]",
        ),
    ] = None,
    arm: Annotated[
        str | None,
        typer.Option(
            help="Which arms. Default: both, or what the run has.", rich_help_panel=PROTOCOL, metavar="cnn|vit|both"
        ),
    ] = None,
    init_from: Annotated[
        str | None,
        typer.Option(
            help="Starting weights; imagenet: the transfer baseline. Default: pretrained.",
            rich_help_panel=PROTOCOL,
            metavar="pretrained|averaged|imagenet|random",
        ),
    ] = None,
    freeze: Annotated[
        bool | None,
        typer.Option("--freeze", help="Train the new head alone: a linear probe.", rich_help_panel=PROTOCOL),
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(help="Repetitions with consecutive seeds. Default: 1.", rich_help_panel=PROTOCOL)
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(help="First seed: label subset, head, order. Default: 0.", rich_help_panel=PROTOCOL),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(help="Passes over the labelled images, at most. Default: 50.", rich_help_panel=PROTOCOL),
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(
            help="Epochs without a lower validation loss until an arm stops. Default: 5.", rich_help_panel=PROTOCOL
        ),
    ] = None,
    lr: Annotated[
        float | None,
        typer.Option(help="Peak learning rate, falling to 0. Default: 3e-4.", rich_help_panel=PROTOCOL),
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(help="Images an optimiser step. Default: 16.", rich_help_panel=PROTOCOL)
    ] = None,
    class_weights: Annotated[
        str | None,
        typer.Option(
            help="Of the loss. Default: effective; paper in the paper's presets.",
            rich_help_panel=LOSS,
            metavar="paper|inverse|effective|none",
        ),
    ] = None,
    gamma: Annotated[
        float | None,
        typer.Option(help="Focusing exponent; 0: cross-entropy. Default: 2.", rich_help_panel=LOSS),
    ] = None,
    loss_form: Annotated[
        str | None,
        typer.Option(
            help="Focal loss over classes, or one against all. Default: softmax; sigmoid in the paper's presets.",
            rich_help_panel=LOSS,
            metavar="softmax|sigmoid",
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Folder, CSV or .npz of labelled images; with --run: where they are now.", rich_help_panel=NEW
        ),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(help="Settings of a data set, see `cass presets`.", rich_help_panel=NEW, metavar="NAME"),
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(help="CSV of image, label or 0/1 columns.", rich_help_panel=NEW, metavar="CSV")
    ] = None,
    group_column: Annotated[
        str | None, typer.Option(help="CSV column of patients or lesions.", rich_help_panel=NEW, metavar="NAME")
    ] = None,
    image_size: Annotated[
        int | None, typer.Option(help="Side of the square, in pixels. Default: 384.", rich_help_panel=NEW)
    ] = None,
    cnn: Annotated[
        str | None, typer.Option(help="timm model of the first arm.", rich_help_panel=NEW, metavar="NAME")
    ] = None,
    vit: Annotated[
        str | None, typer.Option(help="timm model of the second arm.", rich_help_panel=NEW, metavar="NAME")
    ] = None,
    weights: Annotated[
        list[str] | None,
        typer.Option(
            help="Local ImageNet weights of an arm, instead of timm's hub. Once an arm.",
            rich_help_panel=NEW,
            metavar="ARM=PATH",
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the new run. Default: data, transfer and time.", rich_help_panel=NEW)
    ] = None,
    bad_images: Annotated[
        str | None,
        typer.Option(help="Unreadable images. Default: stop.", rich_help_panel=MACHINE, metavar="stop|skip"),
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="auto, cpu, cuda or cuda:N. Default: auto.", rich_help_panel=MACHINE)
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(help="auto: bf16 where the hardware has it.", rich_help_panel=MACHINE, metavar="auto|fp32|bf16"),
    ] = None,
    cache: Annotated[
        str | None,
        typer.Option(
            help="Where decoded images are held. Default: auto.",
            rich_help_panel=MACHINE,
            metavar="auto|ram|disk|device|off",
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Decoding threads; 0: one a core. Default: 0.", rich_help_panel=MACHINE)
    ] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="Any setting, by its dotted name; may be repeated.",
            rich_help_panel=MACHINE,
            metavar="KEY.SUB=VALUE",
        ),
    ] = None,
) -> None:
    """Fine-tune each arm of a run on a share of the labels, and score it on the test split.

    Adam, a cosine, focal loss, patience on the validation loss, best weights kept (Sec. 4.3, C.6).
    Without a pretraining run, the transfer baseline: cass finetune --data FOLDER --init-from imagenet
    """
    from cass_cli.cli.pretrain import read_weights

    flags = {
        "data.path": data,
        "data.labels": labels,
        "data.group_column": group_column,
        "data.image_size": image_size,
        "data.bad_images": bad_images,
        "data.cache": cache,
        "data.workers": workers,
        "arms.cnn": cnn,
        "arms.vit": vit,
        "arms.weights": read_weights(weights),
        "train.device": device,
        "train.precision": precision,
        "finetune.fractions": _fractions(label_fraction),
        "finetune.arm": arm,
        "finetune.init": init_from,
        "finetune.freeze": freeze,
        "finetune.seeds": seeds,
        "finetune.seed": seed,
        "finetune.epochs": epochs,
        "finetune.patience": patience,
        "finetune.lr": lr,
        "finetune.batch_size": batch_size,
        "finetune.class_weights": class_weights,
        "finetune.gamma": gamma,
        "finetune.loss_form": loss_form,
    }
    from cass_cli.config.load import Layer, parse_assignments
    from cass_cli.engine.finetune_job import finetune_job
    from cass_cli.engine.finetune_plan import plan_on_run, plan_without_run
    from cass_cli.reports.finetuning import FinetuneDisplay, show_finetuned

    given = {key: value for key, value in flags.items() if value is not None}
    layers = [Layer("flag", given), parse_assignments(assignments or [])]
    if run is None and not resume and (data or preset):
        plan = plan_without_run(out, layers, preset=preset, name=name, variant=variant)
    else:
        plan = plan_on_run(out, run or name, layers, variant=variant, resume=resume)
    with FinetuneDisplay(to_stderr=as_json) as watch:
        result = finetune_job(
            plan.resolved,
            plan.run,
            plan.variant,
            watch=watch,
            new_run=plan.new_run,
            resume=resume,
            overwrite=overwrite,
        )
    show_finetuned(result, as_json=as_json)


def _fractions(text: str | None) -> list[float] | None:
    """Read `0.01,0.1,1`."""
    from cass_cli.errors import ConfigError

    if text is None:
        return None
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise ConfigError(
            f"--label-fraction {text!r} is no list of numbers.", hint="Example: --label-fraction 0.01,0.1,1"
        ) from None
