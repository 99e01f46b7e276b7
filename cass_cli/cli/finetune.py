"""`cass finetune`: from pretrained arms and few labels to classifiers."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

RUN, PROTOCOL, LOSS, NEW, MACHINE = (
    partial(typer.Option, rich_help_panel=panel)
    for panel in ("Run", "Protocol", "Loss", "Without pretraining", "Machine")
)


def finetune(
    run: Annotated[str | None, RUN(help="Run: a name in --out, or its path. Default: the latest.")] = None,
    out: Annotated[Path, RUN(help="Folder that holds the runs.")] = Path("runs"),
    variant: Annotated[
        str | None,
        RUN(
            help="Name of this fine-tuning within the run. Default: the start, as in pretrained or imagenet.",
            metavar="NAME",
        ),
    ] = None,
    resume: Annotated[
        bool, RUN("--resume", help="Keep what is finished, go on with what is not; also adds seeds.")
    ] = False,
    overwrite: Annotated[bool, RUN("--overwrite", help="Replace what is there under this name.")] = False,
    as_json: Annotated[bool, RUN("--json", help="Print one JSON result on stdout, all else on stderr.")] = False,
    label_fraction: Annotated[
        str | None,
        PROTOCOL(help="Share of the training labels that may be seen, or several. Default: 1.", metavar="F[,F…]"),
    ] = None,
    arm: Annotated[
        str | None, PROTOCOL(help="Which arms. Default: both, or what the run has.", metavar="cnn|vit|both")
    ] = None,
    init_from: Annotated[
        str | None,
        PROTOCOL(
            help="Starting weights; imagenet: the transfer baseline. Default: pretrained.",
            metavar="pretrained|averaged|imagenet|random",
        ),
    ] = None,
    freeze: Annotated[bool | None, PROTOCOL("--freeze", help="Train the new head alone: a linear probe.")] = None,
    seeds: Annotated[int | None, PROTOCOL(help="Repetitions with consecutive seeds. Default: 1.")] = None,
    seed: Annotated[int | None, PROTOCOL(help="First seed: label subset, head, order. Default: 0.")] = None,
    epochs: Annotated[int | None, PROTOCOL(help="Passes over the labelled images, at most. Default: 50.")] = None,
    patience: Annotated[
        int | None, PROTOCOL(help="Epochs without a lower validation loss until an arm stops. Default: 5.")
    ] = None,
    lr: Annotated[float | None, PROTOCOL(help="Peak learning rate, falling to 0. Default: 3e-4.")] = None,
    batch_size: Annotated[int | None, PROTOCOL(help="Images an optimiser step. Default: 16.")] = None,
    class_weights: Annotated[
        str | None,
        LOSS(
            help="Of the loss. Default: effective; paper in the paper's presets.",
            metavar="paper|inverse|effective|none",
        ),
    ] = None,
    gamma: Annotated[float | None, LOSS(help="Focusing exponent; 0: cross-entropy. Default: 2.")] = None,
    loss_form: Annotated[
        str | None,
        LOSS(
            help="Focal loss over classes, or one against all. Default: softmax; sigmoid in the paper's presets.",
            metavar="softmax|sigmoid",
        ),
    ] = None,
    data: Annotated[
        Path | None, NEW(help="Folder, CSV or .npz of labelled images; with --run: where they are now.")
    ] = None,
    preset: Annotated[str | None, NEW(help="Settings of a data set, see `cass presets`.", metavar="NAME")] = None,
    labels: Annotated[Path | None, NEW(help="CSV of image, label or 0/1 columns.", metavar="CSV")] = None,
    group_column: Annotated[str | None, NEW(help="CSV column of patients or lesions.", metavar="NAME")] = None,
    image_size: Annotated[int | None, NEW(help="Side of the square, in pixels. Default: 384.")] = None,
    cnn: Annotated[str | None, NEW(help="timm model of the first arm.", metavar="NAME")] = None,
    vit: Annotated[str | None, NEW(help="timm model of the second arm.", metavar="NAME")] = None,
    weights: Annotated[
        list[str] | None,
        NEW(help="Local ImageNet weights of an arm, instead of timm's hub. Once an arm.", metavar="ARM=PATH"),
    ] = None,
    name: Annotated[str | None, NEW(help="Name of the new run. Default: data, transfer and time.")] = None,
    bad_images: Annotated[str | None, MACHINE(help="Unreadable images. Default: stop.", metavar="stop|skip")] = None,
    device: Annotated[str | None, MACHINE(help="auto, cpu, cuda or cuda:N. Default: auto.")] = None,
    precision: Annotated[
        str | None,
        MACHINE(help="Default: the run's; auto in a new run: the faster, measured on a CPU.", metavar="auto|fp32|bf16"),
    ] = None,
    cache: Annotated[
        str | None, MACHINE(help="Where decoded images are held. Default: auto.", metavar="auto|ram|disk|device|off")
    ] = None,
    workers: Annotated[int | None, MACHINE(help="Decoding threads; 0: one a core. Default: 0.")] = None,
    assignments: Annotated[
        list[str] | None,
        MACHINE("--set", help="Any setting, by its dotted name; may be repeated.", metavar="KEY.SUB=VALUE"),
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
    from cass_cli.engine.finetuning.job import finetune_job
    from cass_cli.engine.finetuning.request import plan_on_run, plan_without_run
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
