"""`cass pretrain`: from a folder of images to two pretrained arms."""

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
    MACHINE,
    MAX_FILE_MB,
    MAX_PIXELS,
    MISSING,
    OUTPUT,
    PRECISION,
    PRESET,
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

IN_DATA, ARMS, TRAINING, ON_MACHINE, IN_RUN, IN_OUTPUT = (
    partial(typer.Option, rich_help_panel=panel)
    for panel in (DATA, "Arms and method", "Training", MACHINE, RUN_, OUTPUT)
)


def pretrain(
    preset: Annotated[str | None, PRESET] = None,
    data: Annotated[
        Path | None,
        IN_DATA(
            help="Folder of images, CSV, or MedMNIST .npz; with --resume: where they are now. "
            "Default: $CASS_DATA/PRESET, else data/PRESET."
        ),
    ] = None,
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
    method: Annotated[
        str | None,
        ARMS(
            help="Objective; each brings its own optimiser. Default: vicreg, or cass with a preset or --init random.",
            metavar="cass|dino|byol|mae|vicreg|distill",
        ),
    ] = None,
    arm: Annotated[
        str | None,
        ARMS(help="Which arms are trained; cass needs both, mae takes the vit. Default: both.", metavar="cnn|vit|both"),
    ] = None,
    objective: Annotated[
        str | None,
        ARMS(
            help="cass: the paper's loss, which a constant answer solves, or VICReg's terms across the arms. "
            "Default: paper.",
            metavar="paper|vicreg",
        ),
    ] = None,
    dino_setting: Annotated[
        str | None,
        ARMS(
            help="DINO as its authors run it, or as the paper compared with it. Default: official.",
            metavar="official|paper",
        ),
    ] = None,
    targets: Annotated[
        str | None,
        ARMS(
            help="distill: what teaches, the starting cnn, vit or both, or a timm model (with --weights targets=PATH). "
            "Default: joint.",
            metavar="joint|cnn|vit|NAME",
        ),
    ] = None,
    cnn: Annotated[str | None, ARMS(help="timm model of the first arm. Default: resnet50.", metavar="NAME")] = None,
    vit: Annotated[
        str | None, ARMS(help="timm model of the second arm. Default: vit_base_patch16_384.", metavar="NAME")
    ] = None,
    init: Annotated[
        str | None,
        ARMS(help="Starting weights: imagenet (timm's hub) or random. Default: imagenet.", metavar="imagenet|random"),
    ] = None,
    weights: Annotated[
        list[str] | None,
        ARMS(help="Local weight file of an arm; goes before --init. Once an arm.", metavar="ARM=PATH"),
    ] = None,
    epochs: Annotated[
        int | None, TRAINING(help="Passes over the training split. Default: 100; 6 with vicreg or distill.")
    ] = None,
    batch_size: Annotated[
        int | None, TRAINING(help="Images an optimiser step. Default: 16; 32 with vicreg or distill.")
    ] = None,
    accumulate: Annotated[
        int | None, TRAINING(help="Forward passes a batch is split into, to save memory. Default: 1.")
    ] = None,
    gradient_checkpointing: Annotated[
        bool | None,
        TRAINING(
            "--gradient-checkpointing", help="Compute activations again in the backward pass: less memory, slower."
        ),
    ] = None,
    lr: Annotated[float | None, TRAINING(help="Peak learning rate. Default: 1e-3, or the method's.")] = None,
    seed: Annotated[
        int | None, TRAINING(help="Decides splits, augmentation, order and initialisation. Default: 0.")
    ] = None,
    on_collapse: Annotated[
        str | None, TRAINING(help="When an arm collapses: warn or stop. Default: warn.", metavar="warn|stop")
    ] = None,
    probe_every: Annotated[
        int | None,
        TRAINING(
            help="Epochs between kNN and linear probes on validation images, where labels exist. Default: 0, none."
        ),
    ] = None,
    advice: Annotated[
        bool | None,
        TRAINING(
            "--advice/--no-advice",
            help="At the end, where labels exist, compare each arm with its start on validation images. Default: do.",
        ),
    ] = None,
    device: Annotated[str | None, DEVICE] = None,
    precision: Annotated[str | None, PRECISION] = None,
    compile_: Annotated[
        str | None,
        ON_MACHINE(
            "--compile",
            help="torch.compile; auto: on a GPU, for 2,000 steps or more. Default: auto.",
            metavar="auto|on|off",
        ),
    ] = None,
    cache: Annotated[str | None, CACHE] = None,
    workers: Annotated[int | None, WORKERS] = None,
    config: Annotated[Path | None, CONFIG] = None,
    assignments: Annotated[list[str] | None, SET] = None,
    runs: Annotated[Path, RUNS] = Path("runs"),
    name: Annotated[str | None, IN_RUN(help="Name of the run. Default: data, method and time.")] = None,
    resume: Annotated[bool, IN_RUN("--resume", help="Go on with the run --name, or the latest one.")] = False,
    verify: Annotated[bool, VERIFY] = False,
    overwrite: Annotated[bool, IN_RUN("--overwrite", help="Replace the run --name if there is one.")] = False,
    dry_run: Annotated[bool, IN_OUTPUT("--dry-run", help="Show settings, memory and likely time, then stop.")] = False,
    track: Annotated[list[str] | None, TRACK] = None,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Pretrain a CNN and a Transformer on images alone: by CASS, VICReg, distillation, DINO, BYOL or MAE.

    The settings come from the defaults (the paper's), then the preset, then --config, then these options. Where neither
    these nor a preset choose a method, it is VICReg, with its settings: the better start in pilots (docs/how-good.md).
    A first try without any data: `cass pretrain --preset demo`
    """
    from cass_cli.config.flags import check_verify, split_files, weight_files
    from cass_cli.config.schema import NETWORK_NAMES

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
        "data.download": download,
        "data.allow_outside": allow_outside,
        "data.cache": cache,
        "data.workers": workers,
        "method.name": method,
        "method.arm": arm,
        "method.objective": objective,
        "method.dino_setting": dino_setting,
        "method.targets": targets,
        "arms.cnn": cnn,
        "arms.vit": vit,
        "arms.init": init,
        "arms.weights": weight_files(weights, networks=NETWORK_NAMES),
        "train.epochs": epochs,
        "train.batch_size": batch_size,
        "train.accumulate": accumulate,
        "train.gradient_checkpointing": gradient_checkpointing,
        "train.seed": seed,
        "train.on_collapse": on_collapse,
        "train.probe_every": probe_every,
        "train.advice": advice,
        "train.device": device,
        "train.precision": precision,
        "train.compile": compile_,
        "train.track": track or None,
        "optim.lr": lr,
    }
    from cass_cli.config.recipes import asked_settings

    check_verify(verify=verify, resume=resume)
    run = None
    if resume:
        from cass_cli.runs.names import run_to_resume  # only here: a wrong setting is told before what this imports

        run = run_to_resume(runs, name)
    asked = asked_settings(
        flags, preset=preset, file=config, assignments=assignments or [], saved=run.config if run else None
    )
    from cass_cli.reports.loading import loading

    with loading():
        from cass_cli.engine.distributed import world_from_environment
        from cass_cli.engine.memory import memory_for
        from cass_cli.engine.pretraining.job import pretrain_job
        from cass_cli.engine.pretraining.plan import memory_settings
        from cass_cli.engine.pretraining.request import requested_settings
        from cass_cli.reports.pretraining import PretrainDisplay, Silent, show_plan, show_pretrained
        from cass_cli.reports.trackers.tracked import tracked_pretraining
        from cass_cli.reports.trackers.tracker import check_trackers
    from cass_cli.runs.directory import default_name

    world = world_from_environment()
    resolved = requested_settings(asked, preset=preset, resume=run)
    train = resolved.config.train
    check_trackers(train.track)
    enough_memory = memory_for(memory_settings(train))
    if dry_run:
        from cass_cli.engine.timing.forecast import foresee
        from cass_cli.reports.progress import working

        with enough_memory, working("Looking for images, timing on noise"):
            foreseen = foresee(resolved, resume=run)
        show_plan(foreseen, as_json=as_json)
        return
    with (
        PretrainDisplay(train.epochs, to_stderr=as_json) if world.leads else Silent() as display,
        enough_memory,
        tracked_pretraining(display, train.track if world.leads else ()) as watch,
    ):
        result = pretrain_job(
            resolved,
            out=runs,
            name=name or default_name(preset, resolved.config.data.path, resolved.config.method.title),
            world=world,
            watch=watch,
            overwrite=overwrite,
            resume=run,
            verify=verify,
        )
    if world.leads:
        show_pretrained(result, as_json=as_json)
