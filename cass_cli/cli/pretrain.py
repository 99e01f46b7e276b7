"""`cass pretrain`: from a folder of images to two pretrained arms."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

DATA, ARMS, TRAINING, MACHINE, OUTPUT = (
    partial(typer.Option, rich_help_panel=panel) for panel in ("Data", "Arms and method", "Training", "Machine", "Run")
)


def pretrain(
    preset: Annotated[str | None, DATA(help="Settings of a data set, see `cass presets`.", metavar="NAME")] = None,
    data: Annotated[
        Path | None, DATA(help="Folder of images, CSV, or MedMNIST .npz. Default: $CASS_DATA/PRESET, else data/PRESET.")
    ] = None,
    labels: Annotated[
        Path | None, DATA(help="CSV of image, label or 0/1 columns, optional group and split.", metavar="CSV")
    ] = None,
    group_column: Annotated[
        str | None, DATA(help="CSV column of patients or lesions; none crosses a split.", metavar="NAME")
    ] = None,
    split_by_duplicates: Annotated[
        bool | None, DATA("--split-by-duplicates", help="Keep near-identical images in one split.")
    ] = None,
    image_size: Annotated[int | None, DATA(help="Side of the square trained on, in pixels. Default: 384.")] = None,
    bad_images: Annotated[
        str | None, DATA(help="Unreadable images: stop, or skip and record them. Default: stop.", metavar="stop|skip")
    ] = None,
    max_pixels: Annotated[
        int | None, DATA(help="Largest image that is decoded, in pixels. Default: 100 million.")
    ] = None,
    allow_outside: Annotated[
        bool | None, DATA("--allow-outside", help="Let a CSV name images outside the data folder.")
    ] = None,
    download: Annotated[bool | None, DATA("--download", help="Fetch a missing MedMNIST .npz named by --data.")] = None,
    method: Annotated[
        str | None, ARMS(help="Objective; each brings its own optimiser. Default: cass.", metavar="cass|dino|byol|mae")
    ] = None,
    arm: Annotated[
        str | None,
        ARMS(help="Which arms are trained; cass needs both, mae takes the vit. Default: both.", metavar="cnn|vit|both"),
    ] = None,
    dino_setting: Annotated[
        str | None,
        ARMS(
            help="DINO as its authors run it, or as the paper compared with it. Default: official.",
            metavar="official|paper",
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
        list[str] | None, ARMS(help="Local weight file of an arm; goes before --init. Once an arm.", metavar="ARM=PATH")
    ] = None,
    epochs: Annotated[int | None, TRAINING(help="Passes over the training split. Default: 100.")] = None,
    batch_size: Annotated[int | None, TRAINING(help="Images an optimiser step. Default: 16.")] = None,
    accumulate: Annotated[
        int | None, TRAINING(help="Forward passes a batch is split into, to save memory. Default: 1.")
    ] = None,
    gradient_checkpointing: Annotated[
        bool | None,
        TRAINING(
            "--gradient-checkpointing", help="Compute activations again in the backward pass: less memory, slower."
        ),
    ] = None,
    lr: Annotated[float | None, TRAINING(help="Peak learning rate. Default: 1e-3.")] = None,
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
    device: Annotated[str | None, MACHINE(help="auto, cpu, cuda or cuda:N. Default: auto.")] = None,
    precision: Annotated[
        str | None,
        MACHINE(
            help="auto, fp32 or bf16; auto: the faster, measured on a CPU. Default: auto.", metavar="auto|fp32|bf16"
        ),
    ] = None,
    compile_: Annotated[
        str | None,
        MACHINE(
            "--compile",
            help="torch.compile; auto: on a GPU, for 2,000 steps or more. Default: auto.",
            metavar="auto|on|off",
        ),
    ] = None,
    cache: Annotated[
        str | None,
        MACHINE(
            help="Where decoded images are held; auto: RAM when they fit, else a file. Default: auto.",
            metavar="auto|ram|disk|device|off",
        ),
    ] = None,
    workers: Annotated[int | None, MACHINE(help="Decoding threads; 0: one a core. Default: 0.")] = None,
    config: Annotated[Path | None, OUTPUT(help="YAML file of settings, over the preset's.", metavar="FILE")] = None,
    assignments: Annotated[
        list[str] | None,
        OUTPUT("--set", help="Any setting, by its dotted name; may be repeated.", metavar="KEY.SUB=VALUE"),
    ] = None,
    out: Annotated[Path, OUTPUT(help="Folder that holds the runs.")] = Path("runs"),
    name: Annotated[str | None, OUTPUT(help="Name of the run. Default: data, method and time.")] = None,
    resume: Annotated[bool, OUTPUT("--resume", help="Go on with the run --name, or the latest one.")] = False,
    overwrite: Annotated[bool, OUTPUT("--overwrite", help="Replace the run --name if there is one.")] = False,
    dry_run: Annotated[bool, OUTPUT("--dry-run", help="Show settings, memory and likely time, then stop.")] = False,
    as_json: Annotated[bool, OUTPUT("--json", help="Print one JSON result on stdout, all else on stderr.")] = False,
) -> None:
    """Pretrain a CNN and a Transformer on images alone, by CASS or, to compare, by DINO, BYOL or MAE.

    The settings come from the defaults (the paper's), then the preset, then --config, then these options.
    A first try without any data: `cass pretrain --preset demo`
    """
    flags = {
        "data.path": data,
        "data.labels": labels,
        "data.group_column": group_column,
        "data.split_by_duplicates": split_by_duplicates,
        "data.image_size": image_size,
        "data.bad_images": bad_images,
        "data.max_pixels": max_pixels,
        "data.download": download,
        "data.allow_outside": allow_outside,
        "data.cache": cache,
        "data.workers": workers,
        "method.name": method,
        "method.arm": arm,
        "method.dino_setting": dino_setting,
        "arms.cnn": cnn,
        "arms.vit": vit,
        "arms.init": init,
        "arms.weights": read_weights(weights),
        "train.epochs": epochs,
        "train.batch_size": batch_size,
        "train.accumulate": accumulate,
        "train.gradient_checkpointing": gradient_checkpointing,
        "train.seed": seed,
        "train.on_collapse": on_collapse,
        "train.probe_every": probe_every,
        "train.device": device,
        "train.precision": precision,
        "train.compile": compile_,
        "optim.lr": lr,
    }
    from cass_cli.config.recipes import asked_settings

    run = _open_run(out, name) if resume else None
    asked = asked_settings(
        flags, preset=preset, file=config, assignments=assignments or [], saved=run.config if run else None
    )
    from cass_cli.engine.distributed import world_from_environment
    from cass_cli.engine.pretraining.job import pretrain_job
    from cass_cli.engine.pretraining.request import requested_settings
    from cass_cli.reports.pretraining import PretrainDisplay, Silent, show_pretrained
    from cass_cli.runs.directory import default_name

    world = world_from_environment()
    resolved = requested_settings(asked, preset=preset, resume=run)
    if dry_run:
        _show_plan(resolved, as_json=as_json)
        return
    path = resolved.config.data.path
    stem = preset or (path.stem if path else "run")
    with PretrainDisplay(resolved.config.train.epochs, to_stderr=as_json) if world.leads else Silent() as watch:
        result = pretrain_job(
            resolved,
            out=out,
            name=name or default_name(stem, resolved.config.method.name),
            world=world,
            watch=watch,
            overwrite=overwrite,
            resume=run,
        )
    if world.leads:
        show_pretrained(result, as_json=as_json)


def _open_run(out: Path, name: str | None) -> Any:
    from cass_cli.runs.names import open_run

    return open_run(out, name)


def _show_plan(resolved: Any, *, as_json: bool) -> None:
    from cass_cli.data.dataset import find_dataset
    from cass_cli.engine.compute import choose_compute
    from cass_cli.engine.fastest import settle_compute
    from cass_cli.engine.pretraining.plan import plan_pretraining
    from cass_cli.engine.timing.forecast import forecast_run
    from cass_cli.methods.build import build_arms
    from cass_cli.reports.pretraining import show_plan

    dataset = find_dataset(resolved.config.data, seed=resolved.config.train.seed)
    compute = choose_compute(resolved.config.train)
    resolved, why = settle_compute(resolved, build_arms(resolved.config).values(), compute.device)
    plan = plan_pretraining(resolved.config, dataset, choose_compute(resolved.config.train))
    forecast = forecast_run(resolved.config, plan.images["train"])
    show_plan(resolved, plan, forecast, [*dataset.table.notes, *([why] if why else [])], as_json=as_json)


def read_weights(given: list[str] | None) -> dict[str, str] | None:
    """Read `cnn=PATH` and `vit=PATH`."""
    from cass_cli.errors import ConfigError

    if not given:
        return None
    pairs = [text.partition("=") for text in given]
    for arm, _, path in pairs:
        if arm not in ("cnn", "vit") or not path:
            raise ConfigError(f"--weights {arm} is not of the form cnn=PATH or vit=PATH.")
    return {arm: path for arm, _, path in pairs}
