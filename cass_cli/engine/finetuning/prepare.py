"""What a fine-tuning job is about to do, found before anything is written: by a dry run, and by the job itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from cass_cli.config.load import Resolved, read_saved
from cass_cli.config.recipes import FOREIGN
from cass_cli.config.schema import ArmName, Config
from cass_cli.data.fingerprints import fingerprints, with_digests
from cass_cli.data.folds import Folds
from cass_cli.data.labelled_images import Images, LabelledData, check_trainable, find_labelled, labels_told
from cass_cli.data.splits import label_subset, subset_note
from cass_cli.engine.compute import Compute, choose_compute
from cass_cli.engine.fastest import settle_compute, unless_measured_elsewhere
from cass_cli.engine.features import batches_with
from cass_cli.engine.finetuning.folds import find_folds, leak_of
from cass_cli.engine.finetuning.request import NO_RUN
from cass_cli.engine.finetuning.shared import Job, Listener
from cass_cli.engine.starting_arms import available_arms, chosen_arms, other_starts, starting_body
from cass_cli.errors import CassError, RunError
from cass_cli.models.arms import Arm
from cass_cli.runs.ancestry import mark_of, older_notes
from cass_cli.runs.directory import Run, barely_begun, check_new
from cass_cli.runs.made_from import MadeFrom, check_made_from
from cass_cli.runs.manifest import check_files
from cass_cli.runs.trials import Trial, Variant
from cass_cli.seeds import trial_seed

# Settings that may differ between trials of one variant: they do not change what a trial gives.
FREE = (
    *("finetune.fractions", "finetune.seed", "finetune.seeds", "finetune.arm"),
    *("data.path", "data.cache", "data.workers", "train.device", "train.threads", "train.save_minutes"),
    "train.track",
)


@dataclass(frozen=True)
class Prepared:
    """A job of which nothing is written yet: settings, what the trials start from, and the labels that they see."""

    run: Run
    variant: Variant
    new_run: bool
    overwrite: bool
    resolved: Resolved  # with what was measured
    config: Config  # the same at the image size that the recipe looks at
    compute: Compute
    bodies: Mapping[str, Arm]  # what every trial starts from; with random weights, each draws its own
    rivals: Mapping[str, Arm]  # the other start of those arms of which each trial takes the better one
    data: LabelledData  # of a cross-validation, the images that are dealt, undivided
    folds: Folds | None  # None: the run's own split
    leak: str  # what the arms know of images of the test folds, as a sentence
    trials: tuple[Trial, ...]
    subsets: Mapping[Path, NDArray[np.int64]]  # rows of the table whose labels are seen, by trial
    todo: tuple[Trial, ...]  # those that are not kept

    def data_of(self, trial: Trial) -> LabelledData:
        """Return the images as the trial divides them."""
        return self.folds.data(self.data, trial.fold) if self.folds else self.data

    def job(self, images: Images) -> Job:
        """Return what the trials share, with the decoded images that they look at."""
        init, began = self.config.finetune.init, dict[str, str]()
        if init in ("pretrained", "best", "averaged"):
            began = {name: mark_of(self.run.arm(name, averaged=init == "averaged")) for name in self.bodies}
        method = self.config.method.title if any(began.values()) else "none"
        return Job(
            self.variant, self.config, self.bodies, self.data, images, self.compute, method, began, rivals=self.rivals
        )

    @property
    def readers(self) -> dict[str, tuple[str, Arm]]:
        """What reads images for a probe: each start of each arm, under a name of its own, with the arm's."""
        rivals = {f"{name} from imagenet": (name, arm) for name, arm in self.rivals.items()}
        return {name: (name, arm) for name, arm in self.bodies.items()} | rivals

    def untold(self, trial: Trial) -> int:
        """Return how many images teach in a trial without a label that is shown; some may turn out unreadable."""
        if not self.config.finetune.cross_teaches:
            return 0
        return len(self.data.rows["train"]) - len(self.subsets[trial.path]) + len(self.data.bare)

    def rows(self, trials: Iterable[Trial]) -> NDArray[np.int64]:
        """Return the rows of the table, some repeated, that these trials look at."""
        whole, trials = self.config.finetune.cross_teaches, tuple(trials)  # images whose labels are not shown teach
        seen = [self.data.rows["train"] if whole else self.subsets[trial.path] for trial in trials]
        divided = [self.data_of(trial).rows for trial in trials or self.trials[:1]]
        return np.concatenate([*seen, *(rows[split] for rows in divided for split in ("val", "test"))])

    @property
    def probes(self) -> bool:
        """Whether frozen arms read images: for heads, or to choose between starts."""
        return self.config.finetune.fits_heads or bool(self.rivals)

    @property
    def decoded(self) -> NDArray[np.int64]:
        """The rows of the table, some repeated, that are decoded for what is to do."""
        rows = self.rows(self.todo)
        if self.probes:  # features are read by whole batches
            rows = np.concatenate(list(batches_with(self.data, rows).values()))
        return np.concatenate([rows, self.data.bare])


def prepare(
    resolved: Resolved,
    run: Run,
    variant: Variant,
    *,
    watch: Listener,
    new_run: bool = False,
    resume: bool = False,
    overwrite: bool = False,
    look_for_leaks: bool = True,
    verify: bool = False,
) -> Prepared:
    """Find all that the job is made of, and all that is wrong with the request; writes nothing.

    With `look_for_leaks` the images of a new run are compared, for which each is decoded. With `verify` the contents
    of images are compared with those that the fine-tuning was begun with, not only their sizes.
    """
    if not new_run:
        check_files(run.path)
    if variant.averages:
        raise RunError(
            f"{variant.path} averages other fine-tunings.",
            hint="Name the fine-tuning that is meant with --variant; cass ensemble --overwrite averages anew.",
        )
    if not overwrite:
        check_files(variant.path)
    if not new_run and not variant.config.is_file():  # the trials of one variant are computed alike
        resolved = unless_measured_elsewhere(resolved)
    config = probed_size(resolved.config)
    compute = choose_compute(config.train)
    arms = _arms(run, resolved, config)
    trials = _trials(variant, config)
    if not new_run:
        _check_settings(variant, resolved, overwrite=overwrite)
    _check_free(trials, arms, resume=resume, overwrite=overwrite)
    for note in older_notes(trial for trial in trials if trial.finished and not overwrite):
        watch.warn(note)
    if new_run:
        check_new(run.path.parent, run.path.name, overwrite=overwrite)
    watch.doing("Looking for images and labels")
    on_folds = bool(config.finetune.folds)
    data = _find(resolved, None if new_run else run.splits, watch, look_for_leaks=look_for_leaks and not on_folds)
    saved = variant.folds if variant.crosses and not overwrite else None
    folds = find_folds(config, data, saved, watch, look_for_leaks=look_for_leaks) if on_folds else None
    leak = leak_of(run, config, data, folds) if folds else ""
    data = folds.all_data(data) if folds else data
    if not overwrite and (note := check_made_from(variant.path, made_from(data, verify=verify))):
        watch.note(note)
    watch.doing("Loading the networks")
    bodies: dict[str, Arm] = {name: starting_body(run, config, name, seed=0) for name in arms}
    rivals = other_starts(run, config, arms)
    if config.finetune.init == "best" and not rivals:
        watch.note(
            "There is no arm with two starts to choose from: none was pretrained from weights that knew something."
        )
    if resolved.origins["finetune.init"] == NO_RUN:
        watch.note(f"From {'ImageNet' if config.finetune.init == 'imagenet' else 'random'} weights: {NO_RUN}.")
    if new_run:
        resolved = _measured(resolved, bodies, compute.device, watch)
        config = probed_size(resolved.config)
        compute = choose_compute(config.train)
    divided = {trial.path: folds.data(data, trial.fold) if folds else data for trial in trials}
    return Prepared(
        run=run,
        variant=variant,
        new_run=new_run,
        overwrite=overwrite,
        resolved=resolved,
        config=config,
        compute=compute,
        bodies=bodies,
        rivals=rivals,
        data=data,
        folds=folds,
        leak=leak,
        trials=tuple(trials),
        subsets={trial.path: _subset(divided[trial.path], trial, watch) for trial in trials},
        todo=tuple(trial for trial in trials if overwrite or not trial.finished),
    )


def _arms(run: Run, resolved: Resolved, config: Config) -> list[ArmName]:
    """Return the arms that are fine-tuned; raise `RunError` where one is to teach another that is not there."""
    arms = available_arms(run, config, chosen=chosen_arms(resolved.origins))
    if config.finetune.cross_teaches and len(arms) < 2:
        raise RunError(
            f"{run.path} has the {arms[0]} only, and in cross-teach each of two arms teaches the other.",
            hint="Pretrain both arms, or leave out --unlabelled.",
        )
    return arms


def probed_size(config: Config) -> Config:
    """Return the settings with the image size that the recipe looks at."""
    tuned = config.finetune
    return config.at_size(tuned.probe_size) if not tuned.trains and tuned.probe_size else config


def _measured(resolved: Resolved, bodies: Mapping[str, Arm], device: torch.device, watch: Listener) -> Resolved:
    """Return the settings with what they left open measured, at the size that the arms look at, and tell of it."""
    at_size = Resolved(probed_size(resolved.config), resolved.origins)
    watch.doing("Measuring which way to compute is fastest here")
    found, why = settle_compute(at_size, bodies.values(), device, batch=resolved.config.finetune.batch_size)
    if why:
        watch.note(why)
    return Resolved(resolved.config.model_copy(update={"train": found.config.train}), found.origins)


def _find(resolved: Resolved, splits: Path | None, watch: Listener, *, look_for_leaks: bool) -> LabelledData:
    """List the labelled images, with the splits of a run or new ones, and say what is worth knowing of them."""
    config = resolved.config
    data = find_labelled(config, splits, leaks=look_for_leaks and splits is None and config.data.check_leaks)
    check_trainable(data, data.rows["train"])
    for note in (*data.table.notes, *data.notes):
        watch.note(note)
    for warning in data.dataset.warnings:
        watch.warn(warning)
    if not (config.data.fractions[1] if config.finetune.folds else len(data.rows["val"])):
        trained = "all epochs are trained, without early stopping or"
        what = "the probes go without" if not config.finetune.trains else trained
        guarded = config.finetune.trains and config.finetune.guard
        kept = " The guard has none to ask, and keeps the probes: add --no-guard to keep what was trained."
        watch.warn(f"There are no validation images: {what} calibration.{kept if guarded else ''}")
    return data


def _subset(data: LabelledData, trial: Trial, watch: Listener) -> NDArray[np.int64]:
    rows = data.rows["train"]
    subset = label_subset(data.labels, rows, fraction=trial.fraction, seed=trial_seed(trial.seed))
    if note := subset_note(data.labels, rows, subset, trial.fraction):
        watch.note(note)
    return subset


def _fractions(config: Config) -> list[float]:
    return sorted(set(config.finetune.fractions))


def _trials(variant: Variant, config: Config) -> list[Trial]:
    """Return the trials that the settings name: of each label fraction the seeds, or the folds of the first."""
    tuned = config.finetune
    if tuned.folds:
        folds = range(1, tuned.folds + 1)
        return [variant.fold(fraction, tuned.seed, fold) for fraction in _fractions(config) for fold in folds]
    seeds = range(tuned.seed, tuned.seed + tuned.seeds)
    return [variant.trial(fraction, seed) for fraction in _fractions(config) for seed in seeds]


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


def made_from(data: LabelledData, *, verify: bool = False) -> MadeFrom:
    """Return what a fine-tuning on these images is made from; with `verify` also what is in them."""
    look = with_digests if verify else fingerprints
    return MadeFrom(look(data.table, data.looked_at), labels_told(data, data.all_rows))


def comparable(variant: Variant, resolved: Resolved, data: LabelledData) -> bool:
    """Whether what is there was made as trials with these settings, images and labels would be."""
    try:
        check_files(variant.path)
        check_made_from(variant.path, made_from(data))
        return not changed_settings(variant, resolved)
    except CassError:  # damaged, or of other images
        return False


def changed_settings(variant: Variant, asked: Resolved) -> list[str]:
    """Return what differs, as text, between the saved settings of a variant and those asked for."""
    saved = read_saved(variant.config)
    moved = _within_data(saved) == _within_data(asked)
    free = {*FREE, *FOREIGN[asked.config.finetune.recipe], *(("data.labels",) if moved else ())}
    free -= {"finetune.seed"} if asked.config.finetune.folds else set()  # by which they are dealt
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
    taken = [trial for trial in trials if trial.path.exists() and not barely_begun(trial.path, ours=True)]
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
