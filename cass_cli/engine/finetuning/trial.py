"""One trial of a fine-tuning job: fit or train the arms, let validation judge, score the test split, write it down."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cass_cli.config.schema import ARM_NAMES
from cass_cli.data.labelled_images import rows_digest
from cass_cli.data.splits import label_subset
from cass_cli.engine.checkpoint import load_checkpoint, save_checkpoint
from cass_cli.engine.finetuning.export import export_probed, export_tuned
from cass_cli.engine.finetuning.loop import finetune
from cass_cli.engine.finetuning.probe import fit_probe
from cass_cli.engine.finetuning.scoring import answers_of
from cass_cli.engine.finetuning.session import (
    Tuning,
    check_state,
    loss_arguments,
    prepare_arm,
    restore_best,
    restore_tuning,
    tuning_state,
)
from cass_cli.engine.finetuning.shared import Beginning, Job, Watcher
from cass_cli.engine.finetuning.starts import Start, begun_starts, choose_starts
from cass_cli.engine.signals import StopRequest
from cass_cli.engine.starting_arms import starting_body, with_new_head
from cass_cli.errors import RunError
from cass_cli.files import remove, write_json
from cass_cli.models.arms import Arm
from cass_cli.runs.summary import TrainedArm, TrialSummary
from cass_cli.runs.trials import Trial
from cass_cli.scores.guard import FINE_TUNED, PROBE, Guarded, guard
from cass_cli.scores.judgement import judge, split_scores
from cass_cli.scores.values import Floats
from cass_cli.seeds import trial_seed
from cass_cli.words import label_share

Logits = Mapping[str, Mapping[str, Floats]]  # split → candidate → [N, C]


@dataclass(frozen=True)
class Answers:
    """What a trial has to say of the validation and test images, and how it came to that."""

    logits: Logits
    epochs: int = 0
    best_epochs: Mapping[str, int] = field(default_factory=dict)  # of fine-tuned arms
    guarded: Mapping[str, Guarded] = field(default_factory=dict)
    set_aside: Logits = field(default_factory=dict)  # of the arm, or the probe of it, that was not kept


def run_trial(
    job: Job, trial: Trial, subset: NDArray[np.int64], count: tuple[int, int], watch: Watcher, stop: StopRequest
) -> None:
    """Fit or train the arms, let validation judge, score the test split, and write it all down."""
    began, settings = time.monotonic(), job.config.finetune
    starts = _starts(job, trial, subset, watch, stop)
    bodies = {name: start.body for name, start in starts.items()}
    seen = job.images.readable(subset)

    def begins(epoch: int, epochs: int) -> None:
        watch.begins(Beginning(trial, *count, tuple(bodies), len(seen), job.compute, settings.metric, epochs, epoch))

    trial.path.mkdir(parents=True, exist_ok=True)
    if settings.recipe == "probe":
        begins(0, 0)
        probe = fit_probe(job, bodies, subset, watch, stop, joint=True, seed=trial_seed(trial.seed))
        export_probed(job, trial, bodies, probe.heads)
        answers = Answers(probe.logits)
    else:
        watch.doing("Building the heads")
        arms, t = new_tuning(job, trial, bodies, subset)
        _go_on(job, trial, t, watch)
        begins(t.epoch, settings.epochs)
        _train(job, trial, t, starts, watch, stop)
        answers = _guarded(job, trial, arms, t, bodies, subset, watch, stop)
    watch.doing("Choosing by validation images, scoring")
    summary = _summary(job, trial, starts, answers, seen=seen, seconds=time.monotonic() - began)
    write_json(trial.files.summary, summary.as_dict())
    watch.doing("")
    tidy(trial)


def tidy(trial: Trial) -> None:
    """Remove the checkpoint of a finished trial, which is never gone on with."""
    with suppress(RunError):  # of a file system that keeps what is open: the next start tries again
        remove(trial.files.checkpoint.parents[1])


def _starts(job: Job, trial: Trial, subset: NDArray[np.int64], watch: Watcher, stop: StopRequest) -> dict[str, Start]:
    """Return what the trial starts from: with random weights its own, with several starts the better ones."""
    init, seed = job.config.finetune.init, trial_seed(trial.seed)
    if init == "best":
        if trial.files.checkpoint.exists():  # it goes on with what it began with
            return begun_starts(job, load_checkpoint(trial.files.checkpoint)["starts"])
        found = choose_starts(job, subset, watch, stop, seed=seed)
        for name in job.rivals:
            watch.note(f"{label_share(trial.fraction)}, seed {trial.seed}: {name} {found[name].reason}")
        return found
    bodies = dict(job.bodies)
    if init == "random":
        bodies = {name: starting_body(job.variant.run, job.config, name, seed=seed) for name in bodies}
    return {name: Start(body, init, {}) for name, body in bodies.items()}


def _go_on(job: Job, trial: Trial, t: Tuning, watch: Watcher) -> None:
    """Bring `t` to where the trial was interrupted, if it was."""
    if trial.files.checkpoint.exists():
        state = load_checkpoint(trial.files.checkpoint)
        check_state(t, state, trial.files.checkpoint)
        if state["images"] != t.images or state["arms"].keys() != t.arms.keys():
            raise RunError(f"{trial.path} was begun on other images or arms.", hint="Start it again with --overwrite.")
        if state.get("began", job.began) != job.began:
            what = f"The arms of {job.variant.run.path} were pretrained further, or replaced, after {trial.path} began."
            raise RunError(what, hint="Start it again with --overwrite.")
        restore_tuning(t, state)
        if note := trial.files.rewind(t.epoch, state.get("metrics")):
            watch.note(note)
    else:
        trial.files.metrics.unlink(missing_ok=True)


def _train(job: Job, trial: Trial, t: Tuning, starts: Mapping[str, Start], watch: Watcher, stop: StopRequest) -> None:
    """Train until every arm has stopped, and give each its best weights."""

    def save(t: Tuning) -> None:
        asked = stop.saved()
        state = {**tuning_state(t), "began": dict(job.began), "metrics": trial.files.metrics_mark()}
        state["starts"] = {name: {"name": start.name, "scores": dict(start.scores)} for name, start in starts.items()}
        save_checkpoint(trial.files.checkpoint, state)
        if asked:
            where = f"epoch {t.epoch}" if not t.batch else f"batch {t.batch} of epoch {t.epoch + 1}"
            watch.note(f"Saved after {where}, as {asked} asked; training goes on.")

    for stats in finetune(t, stop=stop, save=save, on_step=watch.step, on_scored=watch.scoring):
        trial.files.log(stats.row())
        watch.epoch(stats)
    restore_best(t)


def _guarded(
    job: Job,
    trial: Trial,
    arms: Mapping[str, Arm],
    t: Tuning,
    bodies: Mapping[str, Arm],
    subset: NDArray[np.int64],
    watch: Watcher,
    stop: StopRequest,
) -> Answers:
    """Keep each fine-tuned arm or, where the guard is up and validation does not prefer it, its probe.

    The validation labels that decide are no larger a share than the training labels that were seen: with few labels
    nobody has many to choose by.
    """
    splits = {split: job.images.readable(job.data.rows[split]) for split in ("val", "test")}
    tuned = answers_of(job, t, splits, watch, stop)
    best = {name: t.arms[name].best_epoch for name in arms}
    if not job.config.finetune.guard:
        export_tuned(job, trial, arms, t)
        return Answers(tuned, t.epoch, best)
    seed = trial_seed(trial.seed)
    probe = fit_probe(job, bodies, subset, watch, stop, joint=False, seed=seed)
    rows = splits["val"]
    judging = label_subset(job.data.labels, rows, fraction=trial.fraction, seed=seed) if len(rows) else rows
    at, labels = np.searchsorted(rows, judging), job.data.labels[judging]
    found = {
        name: guard(labels, tuned["val"][name][at], probe.logits["val"][name][at], metric=job.config.finetune.metric)
        for name in arms
    }
    for name, guarded in found.items():
        watch.note(f"{label_share(trial.fraction)}, seed {trial.seed}: {name}: {guarded.reason}")
    kept = {name: guarded.kept == FINE_TUNED for name, guarded in found.items()}
    export_tuned(job, trial, {name: arm for name, arm in arms.items() if kept[name]}, t)
    probed = {name: body for name, body in bodies.items() if not kept[name]}
    export_probed(job, trial, probed, {name: probe.heads[name] for name in probed})

    def choose(*, kept_ones: bool) -> Logits:
        return {
            split: {name: (tuned if kept[name] == kept_ones else probe.logits)[split][name] for name in arms}
            for split in splits
        }

    return Answers(choose(kept_ones=True), t.epoch, best, found, choose(kept_ones=False))


def new_tuning(
    job: Job, trial: Trial, bodies: Mapping[str, Arm], subset: NDArray[np.int64]
) -> tuple[dict[str, Arm], Tuning]:
    """Build the arms, with new heads, and all that a trial holds while it trains."""
    config, data, compute = job.config, job.data, job.compute
    seed, classes = trial_seed(trial.seed), len(data.table.classes)
    rows, val = job.images.readable(subset), job.images.readable(data.rows["val"])
    labels = data.labels[rows]
    arms = {name: with_new_head(body, name, classes=classes, seed=seed) for name, body in bodies.items()}
    return arms, Tuning(
        store=job.images.store,
        train_rows=job.images.of(rows),
        train_labels=torch.from_numpy(np.ascontiguousarray(labels)).to(compute.device),
        val_rows=job.images.of(val),
        val_labels=data.labels[val],
        seed=seed,
        arm_index={name: ARM_NAMES.index(name) for name in arms},
        compute=compute,
        spec=job.spec,
        view=config.augment.model_dump(),
        loss=loss_arguments(config.finetune, labels, classes, compute.device),
        settings=config.finetune,
        save_minutes=config.train.save_minutes,
        arms={name: prepare_arm(arm.model, config.finetune, compute) for name, arm in arms.items()},
    )


def _finite(logits: Logits) -> Logits:
    """Return the logits without those of an arm that diverged."""
    bad = {name for of_split in logits.values() for name, given in of_split.items() if not np.isfinite(given).all()}
    return {
        split: {name: given for name, given in of_split.items() if name not in bad}
        for split, of_split in logits.items()
    }


def _summary(
    job: Job, trial: Trial, starts: Mapping[str, Start], answers: Answers, *, seen: NDArray[np.int64], seconds: float
) -> TrialSummary:
    """Let validation judge, score validation and test without intervals, and tell what the trial was."""
    data, settings = job.data, job.config.finetune
    classes, multilabel = data.table.classes, data.table.multilabel
    rows = {split: job.images.readable(data.rows[split]) for split in ("val", "test")}
    truth = {split: data.labels[found] for split, found in rows.items()}
    asked: Mapping[str, Any] = {
        "metric": settings.metric,
        "tuned": settings.thresholds == "tuned",
        "groups": data.groups(rows["val"]),
    }
    judged = judge(answers.logits["val"], truth["val"], classes, **asked)
    scores = {split: split_scores(answers.logits[split], truth[split], classes, judged) for split in rows}
    aside: dict[str, Mapping[str, Any]] = {}
    told = _finite(answers.set_aside)
    if told.get("val"):
        other = judge(told["val"], truth["val"], classes, **asked)
        aside = {split: split_scores(told[split], truth[split], classes, other) for split in rows}
    kept = {name: guarded.kept for name, guarded in answers.guarded.items()}
    usual = PROBE if settings.recipe == "probe" else FINE_TUNED
    return TrialSummary(
        run=str(job.variant.run.path),
        variant=job.variant.name,
        method=job.method,
        init=settings.init,
        recipe=settings.recipe,
        frozen=settings.freeze and settings.recipe != "probe",
        fraction=trial.fraction,
        seed=trial.seed,
        labels=len(seen),
        classes=classes,
        multilabel=multilabel,
        metric=settings.metric,
        epochs=answers.epochs,
        seconds=seconds,
        device=str(job.compute.device),
        precision=job.compute.precision,
        arms={
            name: TrainedArm(
                model=start.body.name,
                weights=str(start.body.weights),
                best_epoch=answers.best_epochs.get(name, 0),
                began=job.began.get(name, ""),
                kept=kept.get(name, usual),
                start=start.name,
                start_scores=start.scores,
            )
            for name, start in starts.items()
        },
        judgement=judged,
        images={split: len(found) for split, found in rows.items()},
        test_digest=rows_digest(data, rows["test"]),
        validation=scores["val"],
        test=scores["test"],
        guard={name: guarded.as_dict() for name, guarded in answers.guarded.items()},
        set_aside={
            name: {split: aside[split].get(name, {}) for split in rows} for name in (answers.guarded if aside else ())
        },
        unseen=data.lacking(seen),
        untested=data.lacking(rows["test"]) if len(rows["test"]) else (),
    )
