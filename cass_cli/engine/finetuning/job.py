"""A fine-tuning job: every label fraction and seed of one variant, from a run to finished trials."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cass_cli.config.load import Resolved, to_yaml
from cass_cli.data.labelled_images import LabelledData, check_trainable, decode
from cass_cli.data.splits import write_splits
from cass_cli.engine.finetuning.prepare import changed_settings, prepare
from cass_cli.engine.finetuning.shared import Watcher
from cass_cli.engine.finetuning.trial import run_trial
from cass_cli.engine.signals import resumed_by, stop_on_signal
from cass_cli.runs.directory import (
    Run,
    create_run,
    environment,
    sole_writer,
    write_json,
    write_text,
)
from cass_cli.runs.latest import point_latest
from cass_cli.runs.names import variant_flags
from cass_cli.runs.summary import TrialSummary
from cass_cli.runs.trials import Trial, Variant


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
    began = time.monotonic()
    p = prepare(resolved, run, variant, watch=watch, new_run=new_run, resume=resume, overwrite=overwrite)
    how = "is read as it is" if p.config.finetune.recipe == "probe" else "starts"
    for name, body in p.bodies.items():
        watch.note(f"{name} {how}, from {body.weights}")
    images = decode(p.data, p.decoded, p.config, device=p.compute.device, on_progress=watch.decoding)
    for note in images.store.notes:
        watch.note(note)
    for trial in p.todo:  # what cannot be read is left out, and may be all of a class
        check_trainable(p.data, images.readable(p.subsets[trial.path]))
    if new_run:
        create_run(run.path.parent, run.path.name, overwrite=overwrite)
        _record_run(run, p.resolved, p.data)
    _record_variant(variant, p.resolved, p.trials, overwrite=overwrite)
    job = p.job(images)
    go_on = f"cass finetune --resume{variant_flags(variant)}"
    with sole_writer(variant.path), stop_on_signal() as stop, resumed_by(go_on):
        for number, trial in enumerate(p.trials, start=1):
            if trial in p.todo:
                run_trial(job, trial, p.subsets[trial.path], (number, len(p.trials)), watch, stop)
            watch.finished(trial.summary())
    summaries = tuple(trial.summary() for trial in p.trials)
    return FinetuneResult(variant.path, p.config.finetune.metric, summaries, time.monotonic() - began)


def _record_run(run: Run, resolved: Resolved, data: LabelledData) -> None:
    write_text(run.config, to_yaml(resolved))
    write_json(run.path / "environment.json", environment())
    write_splits(run.splits, data.table, data.dataset.splits)


def _record_variant(variant: Variant, resolved: Resolved, trials: Sequence[Trial], *, overwrite: bool) -> None:
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
    point_latest(variant.path)
    point_latest(variant.run.path)
