"""`cass finetune`: from pretrained arms and few labels to classifiers."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from cass_cli.cli.options import (
    ALLOW_OUTSIDE,
    BAD_IMAGES,
    CACHE,
    CHANNELS,
    CLASS_LEVEL,
    CONFIG,
    DATA,
    DEVICE,
    DOWNLOAD,
    FIT,
    FRAMES,
    GROUP_COLUMN,
    GROUP_PATTERN,
    IMAGE_COLUMN,
    IMAGE_SIZE,
    JSON,
    LABEL_COLUMN,
    LABEL_SEPARATOR,
    LABELS,
    LAYOUT,
    MAX_FILE_MB,
    MAX_PIXELS,
    MISSING,
    OUTPUT,
    PRECISION,
    PRESET,
    RUN,
    RUN_,
    RUNS,
    SET,
    SLICES,
    SPLIT_BY_DUPLICATES,
    SPLIT_COLUMN,
    SPLIT_LIST,
    SPLIT_VALUES,
    TRACK,
    UNCERTAIN,
    VERIFY,
    WINDOW,
    WORKERS,
)

IN_RUN, PROTOCOL, LOSS, IN_DATA, NEW, IN_OUTPUT = (
    partial(typer.Option, rich_help_panel=panel)
    for panel in (RUN_, "Protocol", "Loss", DATA, "Without pretraining", OUTPUT)
)


def finetune(
    run: Annotated[str | None, RUN] = None,
    runs: Annotated[Path, RUNS] = Path("runs"),
    variant: Annotated[
        str | None,
        IN_RUN(
            help="Name of this fine-tuning within the run. Default: start and recipe, as in pretrained-probe.",
            metavar="NAME",
        ),
    ] = None,
    resume: Annotated[
        bool, IN_RUN("--resume", help="Keep what is finished, go on with what is not; also adds seeds.")
    ] = False,
    verify: Annotated[bool, VERIFY] = False,
    overwrite: Annotated[bool, IN_RUN("--overwrite", help="Replace what is there under this name.")] = False,
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
            help="Starting weights; imagenet: the transfer baseline; best: pretrained or imagenet, for each arm by the "
            "labels seen. Default: pretrained, imagenet without a run.",
            metavar="pretrained|best|averaged|imagenet|random",
        ),
    ] = None,
    recipe: Annotated[
        str | None,
        PROTOCOL(
            help="probe: one pass, then a regression on frozen features; tuned: every weight, from that; paper: every "
            "weight, as the paper. Default: probe; paper in its presets, and with --epochs and the like.",
            metavar="probe|tuned|paper",
        ),
    ] = None,
    unlabelled: Annotated[
        str | None,
        PROTOCOL(
            help="Recipe tuned: training images whose labels are not shown, or that have none. cross-teach: each arm "
            "learns what the other says of them. Default: unused.",
            metavar="unused|cross-teach",
        ),
    ] = None,
    probe_size: Annotated[
        int | None,
        PROTOCOL(help="Side of the images that the probe reads. Default: the run's image size.", metavar="PIXELS"),
    ] = None,
    mirrored: Annotated[
        bool | None, PROTOCOL("--mirrored", help="The probe averages features with the mirrored image's.")
    ] = None,
    no_guard: Annotated[
        bool, PROTOCOL("--no-guard", help="Keep a fine-tuned arm even where validation prefers its probe.")
    ] = False,
    freeze: Annotated[bool | None, PROTOCOL("--freeze", help="Recipe paper: train the new head alone.")] = None,
    seeds: Annotated[int | None, PROTOCOL(help="Repetitions with consecutive seeds. Default: 1.")] = None,
    seed: Annotated[int | None, PROTOCOL(help="First seed: label subset, head, order; folds. Default: 0.")] = None,
    folds: Annotated[
        int | None,
        PROTOCOL(
            help="Cross-validation: test every labelled image outside the publisher's test split once, in one of K "
            "folds. Default: the run's own split.",
            metavar="K",
        ),
    ] = None,
    pretrain_once: Annotated[
        bool | None,
        PROTOCOL(
            "--pretrain-once", help="With --folds: take a run's arms, though pretrained on images that are tested."
        ),
    ] = None,
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
    sampling: Annotated[
        str | None,
        LOSS(
            help="Each image once an epoch, or every class equally often: an alternative to class weights. "
            "Default: shuffled.",
            metavar="shuffled|balanced",
        ),
    ] = None,
    logit_adjustment: Annotated[
        float | None,
        LOSS(
            help="Add TAU times the log of its frequency to a class's logit in the loss, never in the answers: "
            "another alternative, with TAU 1. Default: 0.",
            metavar="TAU",
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
        Path | None, IN_DATA(help="Folder, CSV or .npz of labelled images; with --run: where they are now.")
    ] = None,
    preset: Annotated[str | None, PRESET] = None,
    labels: Annotated[Path | None, LABELS] = None,
    layout: Annotated[str | None, LAYOUT] = None,
    image_column: Annotated[str | None, IMAGE_COLUMN] = None,
    label_column: Annotated[str | None, LABEL_COLUMN] = None,
    group_column: Annotated[str | None, GROUP_COLUMN] = None,
    split_column: Annotated[str | None, SPLIT_COLUMN] = None,
    class_level: Annotated[int | None, CLASS_LEVEL] = None,
    label_separator: Annotated[str | None, LABEL_SEPARATOR] = None,
    uncertain: Annotated[str | None, UNCERTAIN] = None,
    group_pattern: Annotated[str | None, GROUP_PATTERN] = None,
    split_values: Annotated[str | None, SPLIT_VALUES] = None,
    split_list: Annotated[list[str] | None, SPLIT_LIST] = None,
    missing: Annotated[str | None, MISSING] = None,
    split_by_duplicates: Annotated[bool | None, SPLIT_BY_DUPLICATES] = None,
    image_size: Annotated[int | None, IMAGE_SIZE] = None,
    fit: Annotated[str | None, FIT] = None,
    bad_images: Annotated[str | None, BAD_IMAGES] = None,
    frames: Annotated[str | None, FRAMES] = None,
    slices: Annotated[int | None, SLICES] = None,
    window: Annotated[str | None, WINDOW] = None,
    channels: Annotated[str | None, CHANNELS] = None,
    max_pixels: Annotated[int | None, MAX_PIXELS] = None,
    max_file_mb: Annotated[int | None, MAX_FILE_MB] = None,
    allow_outside: Annotated[bool | None, ALLOW_OUTSIDE] = None,
    download: Annotated[bool | None, DOWNLOAD] = None,
    cnn: Annotated[str | None, NEW(help="timm model of the first arm.", metavar="NAME")] = None,
    vit: Annotated[str | None, NEW(help="timm model of the second arm.", metavar="NAME")] = None,
    weights: Annotated[
        list[str] | None,
        NEW(help="Local ImageNet weights of an arm, instead of timm's hub. Once an arm.", metavar="ARM=PATH"),
    ] = None,
    name: Annotated[str | None, NEW(help="Name of the new run. Default: data, transfer and time.")] = None,
    device: Annotated[str | None, DEVICE] = None,
    precision: Annotated[str | None, PRECISION] = None,
    cache: Annotated[str | None, CACHE] = None,
    workers: Annotated[int | None, WORKERS] = None,
    config: Annotated[Path | None, CONFIG] = None,
    assignments: Annotated[list[str] | None, SET] = None,
    dry_run: Annotated[
        bool, IN_OUTPUT("--dry-run", help="Show settings, labels, memory and likely time, then stop.")
    ] = False,
    track: Annotated[list[str] | None, TRACK] = None,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Make classifiers of a run's arms from a share of the labels, and score them on the test split.

    Recipe probe: a logistic regression on several layers of each frozen arm, one on both.
    Recipe tuned: every weight learns on from there, gently.
    Recipe paper: Adam, a cosine, focal loss, patience on the validation loss (Sec. 4.3, C.6).
    On K folds rather than one split: cass finetune --data FOLDER --folds 5
    Without a pretraining run, from ImageNet weights: cass finetune --data FOLDER
    """
    from cass_cli.config.flags import check_verify, label_fractions, split_files, weight_files

    flags = {
        "data.path": data,
        "data.labels": labels,
        "data.layout": layout,
        "data.image_column": image_column,
        "data.label_column": label_column,
        "data.group_column": group_column,
        "data.split_column": split_column,
        "data.class_level": class_level,
        "data.label_separator": label_separator,
        "data.uncertain": uncertain,
        "data.group_pattern": group_pattern,
        "data.split_values": split_values,
        "data.split_lists": split_files(split_list),
        "data.missing": missing,
        "data.split_by_duplicates": split_by_duplicates,
        "data.image_size": image_size,
        "data.fit": fit,
        "data.bad_images": bad_images,
        "data.frames": frames,
        "data.slices": slices,
        "data.window": window,
        "data.channels": channels,
        "data.max_pixels": max_pixels,
        "data.max_file_mb": max_file_mb,
        "data.allow_outside": allow_outside,
        "data.download": download,
        "data.cache": cache,
        "data.workers": workers,
        "arms.cnn": cnn,
        "arms.vit": vit,
        "arms.weights": weight_files(weights),
        "train.device": device,
        "train.precision": precision,
        "train.track": track or None,
        "finetune.fractions": label_fractions(label_fraction),
        "finetune.arm": arm,
        "finetune.init": init_from,
        "finetune.recipe": recipe,
        "finetune.unlabelled": unlabelled,
        "finetune.probe_size": probe_size,
        "finetune.mirrored": mirrored,
        "finetune.guard": False if no_guard else None,
        "finetune.freeze": freeze,
        "finetune.seeds": seeds,
        "finetune.seed": seed,
        "finetune.folds": folds,
        "finetune.pretrain_once": pretrain_once,
        "finetune.epochs": epochs,
        "finetune.patience": patience,
        "finetune.lr": lr,
        "finetune.batch_size": batch_size,
        "finetune.class_weights": class_weights,
        "finetune.sampling": sampling,
        "finetune.logit_adjustment": logit_adjustment,
        "finetune.gamma": gamma,
        "finetune.loss_form": loss_form,
    }
    from cass_cli.config.load import asked_layers
    from cass_cli.reports.loading import loading
    from cass_cli.runs.names import run_to_tune

    check_verify(verify=verify, resume=resume)
    layers = asked_layers(flags, file=config, assignments=assignments or [])
    named = run_to_tune(runs, run, layers, preset=preset, name=name, resume=resume)
    with loading():
        from cass_cli.engine.finetuning.job import finetune_job
        from cass_cli.engine.finetuning.request import requested_plan
        from cass_cli.engine.finetuning.shared import memory_settings
        from cass_cli.engine.memory import memory_for
        from cass_cli.reports.finetuning import FinetuneDisplay, show_finetuned, show_implied
        from cass_cli.reports.trackers.tracked import tracked_finetuning
        from cass_cli.reports.trackers.tracker import check_trackers

    plan = requested_plan(
        named, layers, runs=runs, preset=preset, name=name, variant=variant, resume=resume, overwrite=overwrite
    )
    show_implied(plan.resolved)
    track_by = plan.resolved.config.train.track
    check_trackers(track_by)
    enough_memory = memory_for(memory_settings(plan.resolved.config.finetune))
    how: dict[str, bool] = {"new_run": plan.new_run, "resume": resume, "overwrite": overwrite}
    if dry_run:
        from cass_cli.engine.timing.finetune_forecast import foresee_finetuning
        from cass_cli.reports.finetuning_plan import show_finetuning_plan
        from cass_cli.reports.progress import working

        with enough_memory, working("Looking for images, timing on noise"):
            foreseen = foresee_finetuning(plan.resolved, plan.run, plan.variant, **how)
        show_finetuning_plan(foreseen, as_json=as_json)
        return
    with (
        FinetuneDisplay(to_stderr=as_json) as display,
        enough_memory,
        tracked_finetuning(display, track_by, plan.variant) as watch,
    ):
        result = finetune_job(plan.resolved, plan.run, plan.variant, watch=watch, verify=verify, **how)
    show_finetuned(result, as_json=as_json)
