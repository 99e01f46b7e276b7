"""A pretraining job from a resolved configuration to a finished run directory."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from cass_cli.config.load import Resolved, to_yaml
from cass_cli.config.schema import Config
from cass_cli.data.dataset import Dataset, find_dataset, load_training_images
from cass_cli.data.fingerprints import Fingerprints, fingerprints, with_digests
from cass_cli.data.splits import write_splits
from cass_cli.data.store.store import ImageStore
from cass_cli.data.subgroups import write_subgroups
from cass_cli.engine.checkpoint import load_checkpoint, save_checkpoint
from cass_cli.engine.compute import choose_compute
from cass_cli.engine.distributed import World, process_group
from cass_cli.engine.fastest import settle_compute
from cass_cli.engine.finite import not_finite_in
from cass_cli.engine.pretraining.advice import Advice, try_to_advise
from cass_cli.engine.pretraining.loop import EpochStats, StepStats, pretrain
from cass_cli.engine.pretraining.moved import moved
from cass_cli.engine.pretraining.plan import Plan, check_batches, fewest_images, plan_pretraining
from cass_cli.engine.pretraining.probe import probe_arms, probe_data
from cass_cli.engine.pretraining.request import why_method
from cass_cli.engine.pretraining.session import (
    Session,
    build_session,
    check_state,
    refresh_averages,
    restore_session,
    session_state,
)
from cass_cli.engine.pretraining.targets import begin_targets, build_teachers, check_teachers, save_targets
from cass_cli.engine.signals import StopRequest, resumed_by, stop_on_signal
from cass_cli.engine.state import no_seconds
from cass_cli.errors import RunError
from cass_cli.files import sweep, write_json, write_text
from cass_cli.methods.build import build_arms
from cass_cli.models.arms import save_arm
from cass_cli.models.card import ArmCard
from cass_cli.runs.directory import ENVIRONMENT, Run, barely_begun, check_new, create_run, environment
from cass_cli.runs.latest import point_latest
from cass_cli.runs.made_from import NAME as IMAGES
from cass_cli.runs.made_from import MadeFrom, check_made_from, write_made_from
from cass_cli.runs.manifest import replace_recorded, write_manifest
from cass_cli.runs.names import run_flags
from cass_cli.runs.records import read_run_summary
from cass_cli.runs.rows import EpochRow
from cass_cli.runs.writers import writing_run


class Watcher(Protocol):
    """Told what happens; shows it, or not."""

    def note(self, text: str) -> None: ...
    def warn(self, text: str) -> None: ...
    def decoding(self, done: int, total: int) -> None: ...
    def fingerprinting(self, done: int, total: int) -> None: ...
    def reading(self, done: int, total: int) -> None: ...
    def doing(self, what: str) -> None: ...  # what takes its time now and cannot be counted; "": nothing any more
    def started(self, session: Session, plan: Plan, run: Run) -> None: ...
    def step(self, stats: StepStats) -> None: ...
    def epoch(self, stats: EpochStats) -> None: ...
    def saved(self) -> None: ...  # what was told so far is in a checkpoint
    def finished(self, result: PretrainResult) -> None: ...


@dataclass(frozen=True)
class PretrainResult:
    """What a finished pretraining run left behind."""

    run: Path
    method: str
    epochs: int
    images: int
    loss: float
    seconds: float
    arms: Mapping[str, Path]
    states: Mapping[str, str]
    gauges: Mapping[str, Any]
    probes: Mapping[str, Any]
    weights: Mapping[str, str]
    labelled: bool  # whether its images have labels
    device: str
    precision: str
    advice: Advice | None = None  # where it was asked for and there are labels

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {**asdict(self), "advice": self.advice.as_dict() if self.advice else None}


def pretrain_job(
    resolved: Resolved,
    *,
    out: Path,
    name: str,
    world: World,
    watch: Watcher,
    overwrite: bool = False,
    resume: Run | None = None,
    verify: bool = False,
) -> PretrainResult:
    """Run (or, given `resume`, go on with) the pretraining that `resolved` describes, and export both arms.

    Everything that can be wrong with the request is found before the run directory is made. With `verify` the contents
    of all images are compared with those that the run to resume was made from, not only their sizes.
    """
    run = resume or check_new(out, name, overwrite=overwrite)
    if not resume and (why := why_method(resolved)):
        watch.note(why)
    with writing_run(run.path) if world.leads else nullcontext():
        if world.leads:
            sweep(run.path.parent)
            sweep(run.path, deep=True)
        return _pretrain_job(resolved, run, world, watch, overwrite=overwrite, resume=resume is not None, verify=verify)


def _pretrain_job(
    resolved: Resolved, run: Run, world: World, watch: Watcher, *, overwrite: bool, resume: bool, verify: bool
) -> PretrainResult:
    if resume and barely_begun(run.path):
        watch.note(f"{run.path} had not come to its first checkpoint: it is started again, with its settings.")
        resume = False
    config = resolved.config
    check_teachers(config)
    compute = choose_compute(config.train, local_rank=world.local_rank)
    device = compute.device
    state = {"seconds": no_seconds(), **load_checkpoint(run.checkpoint)} if resume else None  # older ones have none
    dataset, images = _find(config, run, world, watch, resume=resume, verify=verify)
    watch.doing("Building the networks")
    arms = build_arms(config)
    teachers = build_teachers(config) if world.leads and not resume else {}
    fewest = fewest_images(arm.model for arm in arms.values())  # what the method adds to them is seen when it is built
    check_batches(config.train, dataset.counts["train"], world.size, fewest=fewest)
    for arm, built in arms.items():
        watch.note(f"{arm} {built.name}: {built.weights}")
    if not resume and world.size == 1:  # several processes would each measure beside the others
        watch.doing("Measuring which way to compute is fastest here")
        resolved, why = settle_compute(resolved, arms.values(), device)
        config = resolved.config
        compute = choose_compute(config.train)
        if why:
            watch.note(why)
    watch.doing("Counting steps and memory")
    plan = plan_pretraining(config, dataset, compute, processes=world.size)
    store = load_training_images(dataset, config.data, device=device, on_progress=watch.decoding)
    for note in store.notes:
        watch.note(note)
    watch.doing("Measuring the arms before they are trained")
    with process_group(world, device):
        targets = world.shared(begin_targets(config, teachers, store, compute, run, watch) if world.leads else None)
        session = build_session(config, arms, store, compute, world=world, targets=targets, measure=not state)
        if world.size > 1 and device.type == "cpu" and any(isinstance(m, _BatchNorm) for m in session.method.modules()):
            watch.warn("On CPUs, batch norm counts each process's share of a batch alone: one process would differ.")
        if config.train.probe_every and world.leads:
            looked_at = probe_data(dataset, store, config.data, device=device, on_progress=watch.decoding)
            session.probe = partial(probe_arms, probes=looked_at, layers=config.finetune.layers)
        if state:
            check_state(session, state, run.checkpoint)
            _check_same_images(state, session)
            restore_session(session, state)
        if state and world.leads:
            _record_resumed(run, resolved, session.epoch, state, watch)
        elif world.leads:
            create_run(run.path.parent, run.path.name, overwrite=overwrite)
            _record_start(run, resolved, dataset, store, images)
            if targets is not None:
                save_targets(run.targets, targets)
        world.wait()
        watch.started(session, plan, run)
        with stop_on_signal() as stop:  # to the end: a run whose epochs are trained gets its arms
            return _train(session, run, config, watch, stop, labelled=dataset.table.labels is not None)


def _find(
    config: Config, run: Run, world: World, watch: Watcher, *, resume: bool, verify: bool
) -> tuple[Dataset, Fingerprints]:
    """List the images, hold them against those that the run to resume was made from, and say what is worth knowing.

    Returns, on the leading process, the fingerprints of their files too.
    """
    watch.doing("Looking for images")
    dataset = find_dataset(
        config.data,
        seed=config.train.seed,
        saved_splits=run.splits if resume else None,
        check_leaks=config.data.check_leaks and world.leads and not resume,
        on_progress=watch.decoding,
    )
    images = _fingerprints(dataset, watch, contents=verify or not resume) if world.leads else {}
    came = [moved(run, config, dataset)] if resume else []
    if resume and world.leads:
        came.append(check_made_from(run.path, MadeFrom(images)))
    for note in (*dataset.table.notes, *filter(None, came)):
        watch.note(note)
    for warning in dataset.warnings:
        watch.warn(warning)
    return dataset, images


def _train(
    session: Session, run: Run, config: Config, watch: Watcher, stop: StopRequest, *, labelled: bool
) -> PretrainResult:
    world = session.world
    began = time.monotonic() - session.seconds["run"]

    def save(s: Session) -> None:
        asked = stop.saved()
        s.seconds["run"] = time.monotonic() - began
        if world.leads:
            save_checkpoint(run.checkpoint, {**session_state(s), "metrics": run.metrics_mark()})
            watch.saved()
        if asked:
            watch.note(f"Saved after step {s.step:,}, as {asked} asked; training goes on.")

    if _finished(run, session):
        raise RunError(f"{run.path} is finished already: {session.epoch} epochs.", hint="Ask for more with --epochs N.")
    go_on = f"cass pretrain --resume{run_flags(run, option='--name', always=True)}"
    with resumed_by(go_on):
        for stats in pretrain(session, stop=stop, save=save, on_step=watch.step):
            if world.leads:
                run.log(stats.row())
            watch.epoch(stats)
    rows = run.rows(EpochRow)  # of an earlier process, if that one died before its arms were exported
    if not rows:
        raise RunError(f"{run.metrics} has no rows.", hint="Put it back, or train on: --epochs N.")
    last = rows[-1]
    watch.doing("Averaging and saving the arms")
    exported = _export(session, run, config, watch) if world.leads else {}
    world.wait()
    result = PretrainResult(
        run=run.path,
        method=config.method.title,
        epochs=session.epoch,
        images=session.images,
        loss=last["loss"],
        seconds=time.monotonic() - began,
        arms=exported,
        states=last["states"],
        gauges=last["gauges"],
        probes=last.get("probes", {}),
        weights={arm: str(built.weights) for arm, built in session.arms.items()},
        labelled=labelled,
        device=str(session.device),
        precision=session.compute.precision,
    )
    if world.leads:
        write_json(run.summary, result.as_dict())  # before the advice: whatever becomes of that, the arms are finished
        watch.doing("Comparing the arms with what they began as" if labelled else "")
        if labelled and (advice := try_to_advise(run, config, session.compute, stop, watch)):
            result = replace(result, advice=advice)
            write_json(run.summary, result.as_dict())
        watch.finished(result)
    return result


def _finished(run: Run, session: Session) -> bool:
    """Whether all epochs are trained and their arms exported."""
    if session.epoch < session.train.epochs:
        return False
    try:
        summary = read_run_summary(run.summary)
    except RunError:  # damaged: it is written anew
        return False
    return summary is not None and summary["epochs"] == session.epoch


def _export(session: Session, run: Run, config: Config, watch: Watcher) -> dict[str, Path]:
    """Save both arms, raw and averaged, for timm."""
    exported = {}

    def export(name: str, network: nn.Module, *, averaged: bool) -> None:
        arm, path = session.arms[name], run.arm(name, averaged=averaged)
        card = ArmCard(
            model=arm.name,
            options=arm.options,
            spec=session.spec,
            method=config.method.title,
            epochs=session.epoch,
            averaged=averaged,
            started_from=str(arm.weights),
        )
        save_arm(path.with_suffix(""), network, card)
        exported[path.stem] = path

    for name, network in session.method.arms.items():
        export(name, network, averaged=False)
    for name, network in refresh_averages(session).items():
        if not_finite_in(network.state_dict()):  # the arms themselves are checked before each checkpoint
            watch.warn(f"The averaged {name} is not finite, so it is not written. A lower --lr may help.")
            continue
        export(name, network, averaged=True)
    return exported


def _record_resumed(run: Run, resolved: Resolved, epoch: int, state: Mapping[str, Any], watch: Watcher) -> None:
    """Its splits stay as they are: images that came since belong to none."""
    if note := run.rewind(epoch, state.get("metrics")):
        watch.note(note)
    replace_recorded(run.config, to_yaml(resolved))
    write_json(run.path / ENVIRONMENT, environment())
    point_latest(run.path)


def _record_start(run: Run, resolved: Resolved, dataset: Dataset, store: ImageStore, images: Fingerprints) -> None:
    write_json(run.path / ENVIRONMENT, environment())
    write_text(run.config, to_yaml(resolved))
    point_latest(run.path)
    train = dataset.rows("train")
    status = ["" for _ in dataset.splits]
    for image in store.bad:
        status[train[image.index]] = f"unreadable: {image.reason}"
    write_splits(run.splits, dataset.table, dataset.splits, status=status)
    write_subgroups(run.subgroups, dataset.table)  # in no manifest: who shares a run may delete it
    write_made_from(run.path, MadeFrom(images))
    write_manifest(run.path, (run.config.name, run.splits.name, IMAGES))


def _fingerprints(dataset: Dataset, watch: Watcher, *, contents: bool) -> Fingerprints:
    """Return those of the images that are in a split."""
    rows = [row for row, split in enumerate(dataset.splits) if split]
    if not contents:
        return fingerprints(dataset.table, rows)
    return with_digests(dataset.table, rows, on_progress=watch.fingerprinting)


def _check_same_images(state: Mapping[str, Any], session: Session) -> None:
    if state["images"] != session.images:
        raise RunError(
            f"The run was made on {state['images']} training images, and now there are {session.images}.",
            hint="Restore the data it was started on, or start a new run.",
        )
