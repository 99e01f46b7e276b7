"""A fine-tuning job: every label fraction and seed of one variant, from a run to finished trials."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

from cass_cli.config.load import Resolved, to_yaml
from cass_cli.data.fingerprints import with_digests
from cass_cli.data.folds import Folds, write_folds
from cass_cli.data.labelled_images import LabelledData, check_trainable, decode, labels_told
from cass_cli.data.splits import write_splits
from cass_cli.data.subgroups import write_subgroups
from cass_cli.engine.finetuning.cross_validation import cross_validate
from cass_cli.engine.finetuning.prepare import Prepared, comparable, prepare
from cass_cli.engine.finetuning.shared import Watcher
from cass_cli.engine.finetuning.trial import run_trial, tidy
from cass_cli.engine.signals import resumed_by, stop_on_signal
from cass_cli.files import remove, sweep, telling, write_json, write_text
from cass_cli.runs.cross_validation import CrossValidation, cross_validation_path
from cass_cli.runs.directory import ENVIRONMENT, Run, barely_begun, check_new, create_run, environment
from cass_cli.runs.latest import latest_of, point_latest
from cass_cli.runs.made_from import NAME as IMAGES
from cass_cli.runs.made_from import MadeFrom, read_made_from, write_made_from
from cass_cli.runs.manifest import replace_recorded, write_manifest
from cass_cli.runs.names import variant_flags
from cass_cli.runs.summary import TrialSummary
from cass_cli.runs.trials import Trial, Variant
from cass_cli.runs.writers import writing_finetuning, writing_run
from cass_cli.words import count


@dataclass(frozen=True)
class FinetuneResult:
    """What a finished job left behind: its trials' summaries, those kept from before included."""

    variant: Path
    metric: str
    trials: tuple[TrialSummary, ...]  # of a cross-validation, its folds
    seconds: float
    crossed: tuple[CrossValidation, ...] = ()  # what these say together, by label fraction


def finetune_job(
    resolved: Resolved,
    run: Run,
    variant: Variant,
    *,
    watch: Watcher,
    new_run: bool = False,
    resume: bool = False,
    overwrite: bool = False,
    verify: bool = False,
) -> FinetuneResult:
    """Train every fraction × seed, or × fold, that the settings name; finished trials are kept with `resume`.

    `new_run` makes the run directory too: fine-tuning without any pretraining before it.
    Everything that can be wrong with the request is found before anything is written.
    """
    began = time.monotonic()
    if new_run:
        check_new(run.path.parent, run.path.name, overwrite=overwrite)
    with writing_finetuning(run.path, variant.name):
        sweep(run.path.parent)
        sweep(run.path, deep=True)
        asked = {"new_run": new_run, "resume": resume, "overwrite": overwrite, "verify": verify}
        return _finetune(prepare(resolved, run, variant, watch=watch, **asked), watch, began)


def _finetune(p: Prepared, watch: Watcher, began: float) -> FinetuneResult:
    run, variant = p.run, p.variant
    how = "starts" if p.config.finetune.trains else "is read"
    for name, body in p.bodies.items():
        either = "as it was pretrained, or as before that, whichever the labels prefer"
        watch.note(f"{name} {how} {either if name in p.rivals else f'as it is, from {body.weights}'}")
    images = decode(p.data, p.decoded, p.config, device=p.compute.device, on_progress=watch.decoding)
    for note in images.store.notes:
        watch.note(note)
    for trial in p.todo:  # what cannot be read is left out, and may be all of a class
        check_trainable(p.data, images.readable(p.subsets[trial.path]))
    if p.new_run:
        with writing_run(run.path, besides=variant.name):
            create_run(run.path.parent, run.path.name, overwrite=p.overwrite)
            _record_run(run, p.resolved, p.data)
    _record_variant(p, watch)
    job = p.job(images)
    go_on = f"cass finetune --resume{variant_flags(variant)}"
    with stop_on_signal() as stop, resumed_by(go_on):
        for number, trial in enumerate(p.trials, start=1):
            if trial in p.todo:
                stop.check()
                run_trial(
                    replace(job, data=p.data_of(trial)),
                    trial,
                    p.subsets[trial.path],
                    (number, len(p.trials)),
                    watch,
                    stop,
                )
            else:
                tidy(trial)  # of a process that was killed when it had written the summary
            watch.finished(trial.summary())
    summaries = tuple(trial.summary() for trial in p.trials)
    crossed = _cross_validations(p, p.folds) if p.folds else ()
    return FinetuneResult(variant.path, p.config.finetune.metric, summaries, time.monotonic() - began, crossed)


def _cross_validations(p: Prepared, folds: Folds) -> tuple[CrossValidation, ...]:
    """Say what the folds of each label fraction say together."""
    by_fraction: dict[float, list[Trial]] = {}
    for trial in p.trials:
        by_fraction.setdefault(trial.fraction, []).append(trial)
    return tuple(cross_validate(trials, p.data, folds, p.leak) for trials in by_fraction.values())


def _without_folds(resolved: Resolved) -> Resolved:
    """Return the settings with the run's own split in place of folds: what is fine-tuned later need not be on these."""
    values = {"finetune.folds": None, "finetune.pretrain_once": False}
    tuned = resolved.config.finetune.model_copy(update={key.removeprefix("finetune."): v for key, v in values.items()})
    origins = {**resolved.origins, **dict.fromkeys(values, "default")}
    return Resolved(resolved.config.model_copy(update={"finetune": tuned}), origins)


def _record_run(run: Run, resolved: Resolved, data: LabelledData) -> None:
    """The settings come last: with them it is a run, of which nothing is missing whenever the process dies.

    They are those of the run's own split, which it has even where the first fine-tuning is a cross-validation.
    """
    settings = to_yaml(_without_folds(resolved))
    write_json(run.path / ENVIRONMENT, environment())
    write_splits(run.splits, data.table, data.dataset.splits)
    write_subgroups(run.subgroups, data.table)  # in no manifest: who shares a run may delete it
    write_manifest(run.path, [run.splits.name], coming={run.config.name: settings})
    write_text(run.config, settings)


def _record_variant(p: Prepared, watch: Watcher) -> None:
    """Make the variant's folder; with `overwrite` without the trials that are made again.

    Other settings, images or labels than before make all that is there incomparable, so then it goes as a whole.
    """
    variant, resolved, data, trials, overwrite = p.variant, p.resolved, p.data, p.trials, p.overwrite
    dealt_anew = bool(p.folds)
    if overwrite and variant.path.exists() and (dealt_anew or not comparable(variant, resolved, data)):
        kept = variant.fold_trials(resolved.config.finetune.seed) if dealt_anew else variant.trials()
        if others := [trial for trial in kept if trial not in trials]:
            what = f"{count(len(others), 'other trial')} of {variant.path} went too"
            why = "made with other settings, images or labels, they could not be compared"
            watch.warn(f"{what}: {'the folds are dealt anew' if dealt_anew else why}.")
        remove(variant.path)
    if overwrite:
        for trial in trials:
            remove(trial.path)
    for trial in p.todo if p.folds else ():  # what the folds said together is no longer so
        remove(cross_validation_path(variant, trial.fraction))
    if barely_begun(variant.path):
        remove(variant.path)
    with telling(variant.path):
        variant.path.mkdir(parents=True, exist_ok=True)
    write_json(variant.path / ENVIRONMENT, environment())
    if variant.config.is_file():
        replace_recorded(variant.config, to_yaml(resolved))
    else:
        write_text(variant.config, to_yaml(resolved))
        if p.folds:
            write_folds(variant.folds, data, p.folds)
        _record_images(variant, data, watch)
    if not p.folds or latest_of(variant.path.parent) is None:  # folds leave no classifier, which others go on with
        point_latest(variant.path)
    point_latest(variant.run.path)


def _record_images(variant: Variant, data: LabelledData, watch: Watcher) -> None:
    """Record what the variant is made from; what the run knows of files need not be read again."""
    of_run = read_made_from(variant.run.path)
    images = with_digests(
        data.table, data.looked_at, known=of_run.images if of_run else None, on_progress=watch.fingerprinting
    )
    write_made_from(variant.path, MadeFrom(images, labels_told(data, data.all_rows)))
    write_manifest(variant.path, (variant.config.name, IMAGES, *((variant.folds.name,) if variant.crosses else ())))
