"""A trial whose arms are trained: from their starts to what validation lets stand of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray

from cass_cli.config.schema import ARM_NAMES
from cass_cli.data.splits import label_subset
from cass_cli.engine.checkpoint import load_checkpoint, save_checkpoint
from cass_cli.engine.finetuning.cross_teach import Unlabelled
from cass_cli.engine.finetuning.export import export_joint, export_probed, export_tuned
from cass_cli.engine.finetuning.loop import finetune
from cass_cli.engine.finetuning.probe import Probe, answers_of_untold, fit_probe
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
from cass_cli.engine.finetuning.shared import Job, Watcher
from cass_cli.engine.finetuning.starts import Start
from cass_cli.engine.signals import StopRequest
from cass_cli.engine.starting_arms import with_drop_path, with_new_head, with_probe_head
from cass_cli.engine.state import no_seconds
from cass_cli.errors import RunError
from cass_cli.models.arms import Arm
from cass_cli.models.heads import LayerHead
from cass_cli.runs.trials import Trial
from cass_cli.scores.calibration import JOINT, to_probabilities
from cass_cli.scores.guard import FINE_TUNED, Guarded, guard
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
    seconds_before: float = 0.0  # spent by earlier processes, where the trial was gone on with
    untold: int = 0  # images without a label that is shown, which taught
    ensemble: bool = False  # whether trained arms and a probe are among them, which err differently


def trained_answers(
    job: Job,
    trial: Trial,
    starts: Mapping[str, Start],
    subset: NDArray[np.int64],
    begins: Callable[[int, int], None],
    watch: Watcher,
    stop: StopRequest,
    *,
    began: float,
) -> Answers:
    """Train the arms on the labels of `subset`, keep what validation prefers, and write it down.

    `begins(epoch, epochs)` is told where the training stands; this process's part of it `began` by the monotonic clock.
    """
    settings, bodies = job.config.finetune, {name: start.body for name, start in starts.items()}
    probe = None
    if settings.head == "probe":
        probe = fit_probe(job, bodies, subset, watch, stop, joint=True, seed=trial_seed(trial.seed))
    unlabelled = None
    if probe and settings.cross_teaches:
        unlabelled = _unlabelled(job, bodies, probe.heads[JOINT], subset, watch, stop)
        if unlabelled is None:
            watch.note(f"{label_share(trial.fraction)}, {trial.which}: no image is left to teach without its label.")
    watch.doing("Building the heads")
    t = new_tuning(job, trial, bodies, subset, heads=probe.heads if probe else {}, unlabelled=unlabelled)
    _go_on(job, trial, t, watch)
    begins(t.epoch, settings.epochs)
    before = t.seconds["run"]
    _train(job, trial, t, starts, watch, stop, began=began - before)
    return replace(_guarded(job, trial, t, bodies, probe, subset, watch, stop), seconds_before=before)


def new_tuning(
    job: Job,
    trial: Trial,
    bodies: Mapping[str, Arm],
    subset: NDArray[np.int64],
    *,
    heads: Mapping[str, LayerHead],
    unlabelled: Unlabelled | None = None,
) -> Tuning:
    """Build all that a trial holds while it trains: the arms with the `heads` of their probes, else with new ones."""
    config, data, compute = job.config, job.data, job.compute
    seed, classes = trial_seed(trial.seed), len(data.table.classes)
    rows, val = job.images.readable(subset), job.images.readable(data.rows["val"])
    labels, networks = data.labels[rows], {}
    for name, body in bodies.items():
        arm = with_drop_path(body, config.finetune.drop_path, seed=seed)
        networks[name] = (
            with_probe_head(arm, name, heads[name])
            if name in heads
            else with_new_head(arm, name, classes=classes, seed=seed).model
        )
    return Tuning(
        store=job.images.store,
        train_rows=job.images.of(rows),
        train_labels=torch.from_numpy(np.ascontiguousarray(labels)).to(compute.device),
        val_rows=job.images.of(val),
        val_labels=data.labels[val],
        seed=seed,
        arm_index={name: ARM_NAMES.index(name) for name in networks},
        compute=compute,
        spec=job.spec,
        view=config.augment.model_dump(),
        loss=loss_arguments(config.finetune, labels, classes, compute.device),
        settings=config.finetune,
        save_minutes=config.train.save_minutes,
        unlabelled=unlabelled,
        arms={name: prepare_arm(network, name, config.finetune, compute) for name, network in networks.items()},
    )


def _unlabelled(
    job: Job, bodies: Mapping[str, Arm], joint: LayerHead, subset: NDArray[np.int64], watch: Watcher, stop: StopRequest
) -> Unlabelled | None:
    """Return the images without a label that is shown, with what the joint probe says of them; None without any."""
    settings = job.config.finetune
    rows, logits = answers_of_untold(job, bodies, joint, subset, watch, stop)
    if not len(rows):
        return None
    said = to_probabilities(logits, multilabel=job.data.table.multilabel)
    joint_answers = torch.from_numpy(said).float().to(job.compute.device)
    return Unlabelled(job.images.of(rows), joint_answers, settings.unlabelled_ratio, settings.unlabelled_weight)


def _go_on(job: Job, trial: Trial, t: Tuning, watch: Watcher) -> None:
    """Bring `t` to where the trial was interrupted, if it was."""
    if trial.files.checkpoint.exists():
        state = {"seconds": no_seconds(), **load_checkpoint(trial.files.checkpoint)}  # older ones have none
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


def _train(
    job: Job,
    trial: Trial,
    t: Tuning,
    starts: Mapping[str, Start],
    watch: Watcher,
    stop: StopRequest,
    *,
    began: float,
) -> None:
    """Train until every arm has stopped, and give each its best weights."""

    def save(t: Tuning) -> None:
        asked = stop.saved()
        t.seconds["run"] = time.monotonic() - began
        state = {**tuning_state(t), "began": dict(job.began), "metrics": trial.files.metrics_mark()}
        state["starts"] = {name: {"name": start.name, "scores": dict(start.scores)} for name, start in starts.items()}
        save_checkpoint(trial.files.checkpoint, state)
        watch.saved()
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
    t: Tuning,
    bodies: Mapping[str, Arm],
    probe: Probe | None,
    subset: NDArray[np.int64],
    watch: Watcher,
    stop: StopRequest,
) -> Answers:
    """Keep each fine-tuned arm or, where the guard is up and validation does not prefer it, its probe.

    The validation labels that decide are no larger a share than the training labels that were seen: with few labels
    nobody has many to choose by. Where the arms began with a `probe`, its joint answer stands beside them.
    """
    splits = {split: job.images.readable(job.data.rows[split]) for split in ("val", "test")}
    tuned = answers_of(job, t, splits, watch, stop)
    best = {name: arm.best_epoch for name, arm in t.arms.items()}
    seed, metric, found = trial_seed(trial.seed), job.config.finetune.metric, dict[str, Guarded]()
    began_with = probe
    if job.config.finetune.guard:
        probe = probe or fit_probe(job, bodies, subset, watch, stop, joint=False, seed=seed)
        rows = splits["val"]
        judging = label_subset(job.data.labels, rows, fraction=trial.fraction, seed=seed) if len(rows) else rows
        at, labels = np.searchsorted(rows, judging), job.data.labels[judging]
        for name in t.arms:
            found[name] = guard(labels, tuned["val"][name][at], probe.logits["val"][name][at], metric=metric)
            watch.note(f"{label_share(trial.fraction)}, {trial.which}: {name}: {found[name].reason}")
    kept = {name: name not in found or found[name].kept == FINE_TUNED for name in t.arms}
    joint = began_with.heads.get(JOINT) if began_with else None
    if not trial.fold:  # whose classifiers are not kept
        export_tuned(job, trial, {name: body for name, body in bodies.items() if kept[name]}, t)
        if probe:
            probed = {name: body for name, body in bodies.items() if not kept[name]}
            export_probed(job, trial, probed, {name: probe.heads[name] for name in probed})
        if joint:
            export_joint(job, trial, bodies, joint, frozen=[name for name in kept if not kept[name]])

    def choose(*, kept_ones: bool) -> dict[str, dict[str, Floats]]:
        either = {True: tuned, False: probe.logits if probe else {}}
        return {split: {name: either[kept[name] == kept_ones][split][name] for name in t.arms} for split in splits}

    logits, aside = choose(kept_ones=True), choose(kept_ones=False) if found else {}
    if began_with and joint:
        logits = {split: {**given, JOINT: began_with.logits[split][JOINT]} for split, given in logits.items()}
    untold = len(t.unlabelled.rows) if t.unlabelled else 0
    several = joint is not None and any(kept.values())
    return Answers(logits, t.epoch, best, found, aside, untold=untold, ensemble=several)
