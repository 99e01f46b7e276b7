"""A fine-tuning job: every label fraction and seed of one variant, from a run to finished trials."""

from __future__ import annotations

import shlex
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from cass_cli.config.load import Resolved, read_saved, to_yaml
from cass_cli.config.schema import ArmName, Config
from cass_cli.data.labelled_images import Images, LabelledData, check_trainable, decode, find_labelled
from cass_cli.data.splits import label_subset, subset_note, write_splits
from cass_cli.engine.compute import choose_compute
from cass_cli.engine.fastest import settle_compute, unless_measured_elsewhere
from cass_cli.engine.features import batches_with
from cass_cli.engine.finetuning.request import NO_RUN
from cass_cli.engine.finetuning.shared import Job, Watcher
from cass_cli.engine.finetuning.trial import run_trial
from cass_cli.engine.signals import resumed_by, stop_on_signal
from cass_cli.engine.starting_arms import available_arms, starting_body
from cass_cli.errors import RunError
from cass_cli.models.arms import Arm
from cass_cli.runs.directory import Run, create_run, environment, point_latest, sole_writer, write_json, write_text
from cass_cli.runs.names import run_flags
from cass_cli.runs.summary import TrialSummary
from cass_cli.runs.trials import Trial, Variant
from cass_cli.seeds import trial_seed

# Settings that may differ between trials of one variant: they do not change what a trial gives.
FREE = (
    *("finetune.fractions", "finetune.seed", "finetune.seeds", "finetune.arm"),
    *("data.path", "data.cache", "data.workers", "train.device", "train.threads", "train.save_minutes"),
)


@dataclass(frozen=True)
class FinetuneResult:
    """What a finished job left behind: its trials' summaries, those kept from before included."""

    variant: Path
    metric: str
    trials: tuple[TrialSummary, ...]
    seconds: float


def finetune_job(
    resolved: Resolved,
    run: Run,
    variant: Variant,
    *,
    watch: Watcher,
    new_run: bool = False,
    resume: bool = False,
    overwrite: bool = False,
) -> FinetuneResult:
    """Train every fraction × seed that the settings name; finished trials are kept with `resume`.

    `new_run` makes the run directory too: fine-tuning without any pretraining before it.
    Everything that can be wrong with the request is found before anything is written.
    """
    if not new_run and not variant.config.is_file():  # the trials of one variant are computed alike
        resolved = unless_measured_elsewhere(resolved)
    began, config = time.monotonic(), probed_size(resolved.config)
    compute = choose_compute(config.train)
    arms = available_arms(run, config)
    trials = [variant.trial(fraction, seed) for fraction in _fractions(config) for seed in _seeds(config)]
    if not new_run:
        _check_settings(variant, resolved, overwrite=overwrite)
    _check_free(trials, arms, resume=resume, overwrite=overwrite)
    data = _find(resolved, None if new_run else run.splits, watch)
    bodies: dict[str, Arm] = {name: starting_body(run, config, name, seed=0) for name in arms}
    if resolved.origins["finetune.init"] == NO_RUN:
        watch.note(f"From {'ImageNet' if config.finetune.init == 'imagenet' else 'random'} weights: {NO_RUN}.")
    how = "is read as it is" if config.finetune.recipe == "probe" else "starts"
    for name, body in bodies.items():
        watch.note(f"{name} {how}, from {body.weights}")
    if new_run:
        resolved, why = settle_compute(resolved, bodies.values(), compute.device, batch=config.finetune.batch_size)
        config = probed_size(resolved.config)
        compute = choose_compute(config.train)
        if why:
            watch.note(why)
    subsets = {trial.path: _subset(data, trial, watch) for trial in trials}
    todo = [trial for trial in trials if overwrite or not trial.finished]
    images = _decode_for(data, [subsets[trial.path] for trial in todo], config, compute.device, watch)
    if new_run:
        create_run(run.path.parent, run.path.name, overwrite=overwrite)
        _record_run(run, resolved, data)
    _record_variant(variant, resolved, trials, overwrite=overwrite)
    pretrained = config.finetune.init in ("pretrained", "averaged")
    job = Job(variant, config, bodies, data, images, compute, config.method.name if pretrained else "none")
    go_on = f"cass finetune --resume{run_flags(run, always=True)} --variant {shlex.quote(variant.name)}"
    with sole_writer(variant.path), stop_on_signal() as stop, resumed_by(go_on):
        for number, trial in enumerate(trials, start=1):
            if trial in todo:
                run_trial(job, trial, subsets[trial.path], (number, len(trials)), watch, stop)
            watch.finished(trial.summary())
    summaries = tuple(trial.summary() for trial in trials)
    return FinetuneResult(variant.path, config.finetune.metric, summaries, time.monotonic() - began)


def probed_size(config: Config) -> Config:
    """Return the settings with the image size that the recipe looks at."""
    tuned = config.finetune
    return config.at_size(tuned.probe_size) if tuned.recipe == "probe" and tuned.probe_size else config


def _find(resolved: Resolved, splits: Path | None, watch: Watcher) -> LabelledData:
    """List the labelled images, with the splits of a run or new ones, and say what is worth knowing of them."""
    config = resolved.config
    data = find_labelled(config, splits, leaks=splits is None and config.data.check_leaks)
    check_trainable(data)
    for note in (*data.table.notes, *data.notes):
        watch.note(note)
    for warning in data.dataset.warnings:
        watch.warn(warning)
    if not len(data.rows["val"]):
        trained = "all epochs are trained, without early stopping or"
        what = "the probes go without" if config.finetune.recipe == "probe" else trained
        watch.warn(f"There are no validation images: {what} calibration.")
    return data


def _subset(data: LabelledData, trial: Trial, watch: Watcher) -> NDArray[np.int64]:
    rows = data.rows["train"]
    subset = label_subset(data.labels, rows, fraction=trial.fraction, seed=trial_seed(trial.seed))
    if note := subset_note(data.labels, rows, subset, trial.fraction):
        watch.note(note)
    return subset


def _decode_for(
    data: LabelledData,
    subsets: list[NDArray[np.int64]],
    config: Config,
    device: torch.device,
    watch: Watcher,
) -> Images:
    """Decode what any trial will look at: the label subsets, validation and test."""
    rows = np.concatenate([*subsets, data.rows["val"], data.rows["test"]])
    if config.finetune.recipe == "probe" or config.finetune.guard:  # features are read by whole batches
        rows = np.concatenate(list(batches_with(data, rows).values()))
    images = decode(data, rows, config, device=device, on_progress=watch.decoding)
    for note in images.store.notes:
        watch.note(note)
    return images


def _fractions(config: Config) -> list[float]:
    return sorted(set(config.finetune.fractions))


def _seeds(config: Config) -> range:
    return range(config.finetune.seed, config.finetune.seed + config.finetune.seeds)


def _check_settings(variant: Variant, asked: Resolved, *, overwrite: bool) -> None:
    """Raise `RunError` when the variant exists with other settings: its trials would not be comparable."""
    if overwrite or not variant.config.is_file():
        return
    changed = changed_settings(variant, asked)
    if changed:
        raise RunError(
            f"{variant.path} was made with other settings: {'; '.join(changed)}.",
            hint="Keep both with --variant NAME, or replace it with --overwrite.",
        )


def changed_settings(variant: Variant, asked: Resolved) -> list[str]:
    """Return what differs, as text, between the saved settings of a variant and those asked for."""
    saved = read_saved(variant.config)
    moved = _within_data(saved) == _within_data(asked)
    free = (*FREE, "data.labels") if moved else FREE
    return [
        f"{key} was {saved.value(key)}, now {asked.value(key)}"
        for key in asked.origins
        if key not in free and saved.value(key) != asked.value(key)
    ]


def _within_data(resolved: Resolved) -> Path | None:
    """Return where the labels' CSV lies in the folder of the images, None where it does not."""
    data = resolved.config.data
    inside = data.labels and data.path and data.labels.is_relative_to(data.path)
    return data.labels.relative_to(data.path) if inside and data.labels and data.path else None


def _check_free(trials: list[Trial], arms: list[ArmName], *, resume: bool, overwrite: bool) -> None:
    """Raise `RunError` where a trial exists already and neither --resume nor --overwrite says what to do."""
    taken = [trial for trial in trials if trial.path.exists()]
    if taken and not resume and not overwrite:
        raise RunError(
            f"{taken[0].path} exists already{f', and {len(taken) - 1} more' if len(taken) > 1 else ''}.",
            hint="Keep what is finished and go on with --resume, replace it with --overwrite, "
            "or keep both with --variant NAME.",
        )
    for trial in taken:
        if resume and trial.finished and set(trial.summary().arms) != set(arms):
            raise RunError(
                f"{trial.path} holds {' and '.join(trial.summary().arms)}, not {' and '.join(arms)}.",
                hint="Name the same --arm, or keep both with --variant NAME.",
            )


def _record_run(run: Run, resolved: Resolved, data: LabelledData) -> None:
    write_text(run.config, to_yaml(resolved))
    write_json(run.path / "environment.json", environment())
    write_splits(run.splits, data.table, data.dataset.splits)


def _record_variant(variant: Variant, resolved: Resolved, trials: list[Trial], *, overwrite: bool) -> None:
    """Make the variant's folder; with `overwrite` without the trials that are made again.

    Other settings than before make all that is there incomparable, so then it goes as a whole.
    """
    if overwrite and variant.config.is_file() and changed_settings(variant, resolved):
        shutil.rmtree(variant.path)
    if overwrite:
        for trial in trials:
            shutil.rmtree(trial.path, ignore_errors=True)
    variant.path.mkdir(parents=True, exist_ok=True)
    write_text(variant.config, to_yaml(resolved))
    write_json(variant.path / "environment.json", environment())
    point_latest(Run(variant.path))
    point_latest(variant.run)
