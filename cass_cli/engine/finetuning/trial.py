"""One trial of a fine-tuning job: train the arms, let validation judge, score the test split, write it down."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from cass_cli.config.schema import ARM_NAMES, ArmName, Config
from cass_cli.data.labelled_images import Images, LabelledData, rows_digest
from cass_cli.data.views.spec import ImageSpec
from cass_cli.engine.checkpoint import load_checkpoint, save_checkpoint
from cass_cli.engine.compute import Compute
from cass_cli.engine.finetuning.loop import TuneEpoch, TuneStep, finetune
from cass_cli.engine.finetuning.session import (
    Tuning,
    loss_arguments,
    outputs,
    prepare_arm,
    restore_best,
    restore_tuning,
    tuning_state,
)
from cass_cli.engine.signals import StopRequest
from cass_cli.engine.starting_arms import starting_body, with_new_head
from cass_cli.errors import RunError
from cass_cli.models.arms import Arm, save_arm
from cass_cli.models.card import ArmCard
from cass_cli.runs.directory import write_json
from cass_cli.runs.summary import TrainedArm, TrialSummary
from cass_cli.runs.trials import Trial, Variant
from cass_cli.scores.judgement import judge, split_scores
from cass_cli.seeds import trial_seed


class Watcher(Protocol):
    """Told what happens; shows it, or not."""

    def note(self, text: str) -> None: ...
    def warn(self, text: str) -> None: ...
    def decoding(self, done: int, total: int) -> None: ...
    def trial(self, number: int, trials: int, trial: Trial, t: Tuning) -> None: ...
    def step(self, step: TuneStep) -> None: ...
    def epoch(self, stats: TuneEpoch) -> None: ...
    def finished(self, summary: TrialSummary) -> None: ...


@dataclass(frozen=True)
class Job:
    """What all trials of a job share."""

    variant: Variant
    config: Config
    bodies: Mapping[ArmName, Arm]  # what every trial starts from; with random weights, each draws its own
    data: LabelledData
    images: Images
    compute: Compute
    method: str


def run_trial(
    job: Job, trial: Trial, subset: NDArray[np.int64], count: tuple[int, int], watch: Watcher, stop: StopRequest
) -> None:
    """Train, keep the best weights, let validation judge, score the test split, and write it all down."""
    began = time.monotonic()
    arms, t = _tuning(job, trial, subset)
    if trial.files.checkpoint.exists():
        state = load_checkpoint(trial.files.checkpoint)
        if state["images"] != t.images or state["arms"].keys() != t.arms.keys():
            raise RunError(f"{trial.path} was begun on other images or arms.", hint="Start it again with --overwrite.")
        restore_tuning(t, state)
    trial.path.mkdir(parents=True, exist_ok=True)
    trial.files.rewind(t.epoch)
    watch.trial(*count, trial, t)

    def save(t: Tuning) -> None:
        save_checkpoint(trial.files.checkpoint, tuning_state(t))

    for stats in finetune(t, stop=stop, save=save, on_step=watch.step):
        trial.files.log(stats.row())
        watch.epoch(stats)
    restore_best(t)
    _export(job, trial, arms, t)
    summary = _summary(job, trial, arms, t, seconds=time.monotonic() - began)
    write_json(trial.files.summary, summary.as_dict())
    shutil.rmtree(trial.files.checkpoint.parents[1])  # a finished trial is never gone on with


def _tuning(job: Job, trial: Trial, subset: NDArray[np.int64]) -> tuple[dict[ArmName, Arm], Tuning]:
    """Build the arms and all that a trial holds while it trains."""
    config, data, compute = job.config, job.data, job.compute
    seed, classes = trial_seed(trial.seed), len(data.table.classes)
    rows, val = job.images.readable(subset), job.images.readable(data.rows["val"])
    labels = data.labels[rows]
    arms = {}
    for name, shared in job.bodies.items():
        own = config.finetune.init == "random"
        body = starting_body(job.variant.run, config, name, seed=seed) if own else shared
        arms[name] = with_new_head(body, name, classes=classes, seed=seed)
    return arms, Tuning(
        store=job.images.store,
        train_rows=job.images.of(rows),
        train_labels=torch.from_numpy(np.ascontiguousarray(labels)).to(compute.device),
        val_rows=job.images.of(val),
        val_labels=data.labels[val],
        seed=seed,
        arm_index={name: ARM_NAMES.index(name) for name in arms},
        compute=compute,
        spec=ImageSpec(config.data.image_size, config.data.mean, config.data.std),
        view=config.augment.model_dump(),
        loss=loss_arguments(config.finetune, labels, classes, compute.device),
        settings=config.finetune,
        save_minutes=config.train.save_minutes,
        arms={name: prepare_arm(arm.model, config.finetune, compute) for name, arm in arms.items()},
    )


def _export(job: Job, trial: Trial, arms: Mapping[ArmName, Arm], t: Tuning) -> None:
    """Save the best weights of each arm, for timm and for `cass predict`."""
    trial.files.arms.mkdir(exist_ok=True)
    for name, arm in arms.items():
        card = ArmCard(
            model=arm.name,
            options=arm.options,
            spec=t.spec,
            classes=job.data.table.classes,
            multilabel=job.data.table.multilabel,
            method=job.method,
            started_from=str(arm.weights),
            labels=t.images,
            best_epoch=t.arms[name].best_epoch,
        )
        save_arm(trial.files.arms / name, t.arms[name].network, card)


def _summary(job: Job, trial: Trial, arms: Mapping[ArmName, Arm], t: Tuning, *, seconds: float) -> TrialSummary:
    """Let validation judge, score validation and test without intervals, and tell what the trial was."""
    data, settings = job.data, job.config.finetune
    rows = {split: job.images.readable(data.rows[split]) for split in ("val", "test")}
    logits = {split: outputs(t, list(t.arms), job.images.of(found)) for split, found in rows.items()}
    judged = judge(
        logits["val"],
        data.labels[rows["val"]],
        data.table.classes,
        metric=settings.metric,
        tuned=settings.thresholds == "tuned",
        groups=data.groups(rows["val"]),
    )
    scores = {
        split: split_scores(logits[split], data.labels[rows[split]], data.table.classes, judged) for split in rows
    }
    return TrialSummary(
        run=str(job.variant.run.path),
        variant=job.variant.name,
        method=job.method,
        init=settings.init,
        frozen=settings.freeze,
        fraction=trial.fraction,
        seed=trial.seed,
        labels=t.images,
        classes=data.table.classes,
        multilabel=data.table.multilabel,
        metric=settings.metric,
        epochs=t.epoch,
        seconds=seconds,
        device=str(t.device),
        precision=t.compute.precision,
        arms={name: TrainedArm(arm.name, str(arm.weights), t.arms[name].best_epoch) for name, arm in arms.items()},
        judgement=judged,
        images={split: len(found) for split, found in rows.items()},
        test_digest=rows_digest(data, rows["test"]),
        validation=scores["val"],
        test=scores["test"],
    )
