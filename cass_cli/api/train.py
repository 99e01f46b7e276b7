"""`cass pretrain` and `cass finetune` as functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cass_cli.api.load import AnyPath, AnyRun, name_of
from cass_cli.api.quiet import LOG, Quiet, QuietPretraining, signals_passed_on
from cass_cli.api.views import FinetuningView, RunView, finetuning_view
from cass_cli.config.flags import check_verify
from cass_cli.config.load import asked_layers
from cass_cli.config.recipes import IMPLIED, asked_settings
from cass_cli.engine.distributed import world_from_environment
from cass_cli.engine.finetuning.job import finetune_job
from cass_cli.engine.finetuning.request import requested_plan
from cass_cli.engine.finetuning.shared import memory_settings as finetuning_memory
from cass_cli.engine.job_step import join_step
from cass_cli.engine.memory import memory_for
from cass_cli.engine.pretraining.job import pretrain_job
from cass_cli.engine.pretraining.plan import memory_settings as pretraining_memory
from cass_cli.engine.pretraining.request import requested_settings
from cass_cli.reports.finetuning import FinetuneDisplay
from cass_cli.reports.pretraining import PretrainDisplay, Silent
from cass_cli.reports.trackers.tracked import tracked_finetuning, tracked_pretraining
from cass_cli.reports.trackers.tracker import check_trackers
from cass_cli.runs.directory import default_name
from cass_cli.runs.names import run_to_resume, run_to_tune


def pretrain(
    data: AnyPath | None = None,
    *,
    preset: str | None = None,
    labels: AnyPath | None = None,
    image_size: int | None = None,
    fit: str | None = None,
    frames: str | int | None = None,
    slices: int | None = None,
    window: tuple[float, float] | None = None,
    channels: Sequence[int] | None = None,
    method: str | None = None,
    arm: str | None = None,
    objective: str | None = None,
    cnn: str | None = None,
    vit: str | None = None,
    init: str | None = None,
    weights: Mapping[str, AnyPath] | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    lr: float | None = None,
    seed: int | None = None,
    device: str | None = None,
    precision: str | None = None,
    track: str | Sequence[str] | None = None,
    settings: Mapping[str, Any] | None = None,
    config: AnyPath | None = None,
    runs: AnyPath = "runs",
    name: str | None = None,
    resume: bool = False,
    verify: bool = False,
    overwrite: bool = False,
    progress: bool = False,
) -> RunView:
    """Pretrain a CNN and a Transformer on images alone, and return the finished run, as `cass pretrain` does.

    `data` is a folder of images, a CSV that names them, or a MedMNIST .npz. Every argument is the option of the same
    name, None its default, and `settings` holds what `--set` takes, as in {"optim.warmup": 0.1}: `cass pretrain
    --dry-run` lists all. Sizes are in pixels, `batch_size` in images a step, `lr` is the peak rate. `weights` maps cnn
    and vit to local files.

    It prints nothing, unless `progress`; the logger `cass_cli` is told of warnings, as of an arm that collapses, and
    of notes (info). Ctrl-C, or a notebook's interrupt, saves and raises `KeyboardInterrupt`: `resume=True` goes on, bit
    for bit, with the run `name`, or the latest. Under `torchrun` and `srun` every process calls it, the first writes.

    Raises `cass_cli.errors.CassError` (`ConfigError`, `DataError`, `ModelError`, `RunError`) for all that the user can
    mend: `error.what` says what is wrong, `error.hint` what to try.

    >>> small = {"cnn": "test_resnet", "vit": "test_vit", "image_size": 32}
    >>> run = pretrain(preset="demo", epochs=1, name="tour", **small)
    >>> run.history["states.cnn"].tolist()
    ['healthy']
    """
    flags = {
        "data.path": data,
        "data.labels": labels,
        "data.image_size": image_size,
        "data.fit": fit,
        "data.frames": frames,
        "data.slices": slices,
        "data.window": window,
        "data.channels": channels,
        "method.name": method,
        "method.arm": arm,
        "method.objective": objective,
        "arms.cnn": cnn,
        "arms.vit": vit,
        "arms.init": init,
        "arms.weights": dict(weights) if weights else None,
        "train.epochs": epochs,
        "train.batch_size": batch_size,
        "train.seed": seed,
        "train.device": device,
        "train.precision": precision,
        "train.track": track,
        "optim.lr": lr,
    }
    join_step("pretrain")
    check_verify(verify=verify, resume=resume)
    going_on = run_to_resume(Path(runs), name) if resume else None
    asked = asked_settings(
        flags,
        preset=preset,
        file=Path(config) if config else None,
        assignments=settings or {},
        saved=going_on.config if going_on else None,
    )
    resolved = requested_settings(asked, preset=preset, resume=going_on)
    world, train = world_from_environment(), resolved.config.train
    check_trackers(train.track)
    shown = PretrainDisplay(train.epochs) if progress else QuietPretraining()
    with (
        shown if world.leads else Silent() as display,
        memory_for(pretraining_memory(train)),
        tracked_pretraining(display, train.track if world.leads else ()) as watch,
        signals_passed_on(),
    ):
        result = pretrain_job(
            resolved,
            out=Path(runs),
            name=name or default_name(preset, resolved.config.data.path, resolved.config.method.title),
            world=world,
            watch=watch,
            overwrite=overwrite,
            resume=going_on,
            verify=verify,
        )
    return RunView(result.run)


def finetune(
    run: AnyRun | None = None,
    *,
    label_fraction: float | Sequence[float] | None = None,
    seeds: int | None = None,
    seed: int | None = None,
    folds: int | None = None,
    pretrain_once: bool | None = None,
    arm: str | None = None,
    init_from: str | None = None,
    recipe: str | None = None,
    unlabelled: str | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    lr: float | None = None,
    data: AnyPath | None = None,
    preset: str | None = None,
    labels: AnyPath | None = None,
    image_size: int | None = None,
    fit: str | None = None,
    frames: str | int | None = None,
    slices: int | None = None,
    window: tuple[float, float] | None = None,
    channels: Sequence[int] | None = None,
    cnn: str | None = None,
    vit: str | None = None,
    weights: Mapping[str, AnyPath] | None = None,
    device: str | None = None,
    precision: str | None = None,
    track: str | Sequence[str] | None = None,
    settings: Mapping[str, Any] | None = None,
    config: AnyPath | None = None,
    runs: AnyPath = "runs",
    variant: str | None = None,
    name: str | None = None,
    resume: bool = False,
    verify: bool = False,
    overwrite: bool = False,
    progress: bool = False,
) -> FinetuningView:
    """Make classifiers of a run's arms from a share of the labels, score them, and return the trials.

    As `cass finetune` does: `run` is what `pretrain` or `load_run` returned, a name below `runs`, or a path; None is
    the latest, or without a run a new one from ImageNet weights where `data` or `preset` name images. `label_fraction`
    is one share of the training labels (0 … 1) or several, `seeds` how many repetitions of each: a trial for every
    pair. With `folds` every labelled image outside the publisher's test split is tested once, and the trials are the
    folds: `cross_validation` of what is returned is what they say together. `pretrain_once` takes a run's arms even
    though they were pretrained on images that are tested. `settings` holds what `--set` takes, as in
    {"finetune.guard": False}.

    It prints nothing, raises `CassError` and is interrupted as `pretrain`.

    >>> tuned = finetune("tour", label_fraction=[0.1, 1])
    >>> len(tuned.trials), list(tuned.scores)[:5]
    (2, ['fraction', 'seed', 'labels', 'candidate', 'recommended'])
    >>> f1 = tuned.scores.query("split == 'test' and metric == 'macro_f1'")
    >>> sorted(f1.pivot(index="fraction", columns="candidate", values="value"))
    ['cnn', 'joint', 'mean', 'vit']
    """
    fractions = [label_fraction] if isinstance(label_fraction, int | float) else label_fraction
    flags = {
        "data.path": data,
        "data.labels": labels,
        "data.image_size": image_size,
        "data.fit": fit,
        "data.frames": frames,
        "data.slices": slices,
        "data.window": window,
        "data.channels": channels,
        "arms.cnn": cnn,
        "arms.vit": vit,
        "arms.weights": dict(weights) if weights else None,
        "train.device": device,
        "train.precision": precision,
        "train.track": track,
        "finetune.fractions": list(fractions) if fractions is not None else None,
        "finetune.arm": arm,
        "finetune.init": init_from,
        "finetune.recipe": recipe,
        "finetune.unlabelled": unlabelled,
        "finetune.seeds": seeds,
        "finetune.seed": seed,
        "finetune.folds": folds,
        "finetune.pretrain_once": pretrain_once,
        "finetune.epochs": epochs,
        "finetune.lr": lr,
        "finetune.batch_size": batch_size,
    }
    check_verify(verify=verify, resume=resume)
    layers = asked_layers(flags, file=Path(config) if config else None, assignments=settings or {})
    named = run_to_tune(Path(runs), name_of(run), layers, preset=preset, name=name, resume=resume)
    plan = requested_plan(
        named,
        layers,
        runs=Path(runs),
        preset=preset,
        name=name,
        variant=variant,
        resume=resume,
        overwrite=overwrite,
    )
    how = plan.resolved.origins["finetune.recipe"]
    if how.startswith(IMPLIED):
        recipe = plan.resolved.config.finetune.recipe
        LOG.info("Recipe: %s, every weight is trained, as %s asks.", recipe, how.removeprefix(IMPLIED))
    track_by = plan.resolved.config.train.track
    check_trackers(track_by)
    with (
        FinetuneDisplay() if progress else Quiet() as display,
        memory_for(finetuning_memory(plan.resolved.config.finetune)),
        tracked_finetuning(display, track_by, plan.variant) as watch,
        signals_passed_on(),
    ):
        result = finetune_job(
            plan.resolved,
            plan.run,
            plan.variant,
            watch=watch,
            new_run=plan.new_run,
            resume=resume,
            overwrite=overwrite,
            verify=verify,
        )
    return finetuning_view(plan.variant, result.trials)
