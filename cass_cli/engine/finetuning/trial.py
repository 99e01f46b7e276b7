"""One trial of a fine-tuning job: fit or train the arms, let validation judge, score the test split, write it down."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cass_cli.data.labelled_images import rows_digest
from cass_cli.engine.checkpoint import load_checkpoint
from cass_cli.engine.finetuning.cross_validation import write_answers
from cass_cli.engine.finetuning.export import export_probed
from cass_cli.engine.finetuning.probe import fit_probe
from cass_cli.engine.finetuning.shared import Beginning, Job, Watcher
from cass_cli.engine.finetuning.starts import Start, begun_starts, choose_starts
from cass_cli.engine.finetuning.trained import Answers, Logits, trained_answers
from cass_cli.engine.signals import StopRequest
from cass_cli.engine.starting_arms import starting_body
from cass_cli.errors import RunError
from cass_cli.files import remove, write_json
from cass_cli.runs.summary import TrainedArm, TrialSummary
from cass_cli.runs.trials import Trial
from cass_cli.scores.guard import FINE_TUNED, PROBE
from cass_cli.scores.judgement import judge, probabilities_of, split_scores
from cass_cli.seeds import trial_seed
from cass_cli.words import label_share


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
    if settings.trains:
        answers = trained_answers(job, trial, starts, subset, begins, watch, stop, began=began)
    else:
        begins(0, 0)
        probe = fit_probe(job, bodies, subset, watch, stop, joint=True, seed=trial_seed(trial.seed))
        if not trial.fold:  # whose classifiers are not kept
            export_probed(job, trial, bodies, probe.heads)
        answers = Answers(probe.logits)
    watch.doing("Choosing by validation images, scoring")
    seconds = answers.seconds_before + time.monotonic() - began
    summary = _summary(job, trial, starts, answers, seen=seen, seconds=seconds)
    if trial.fold:
        _keep_answers(job, trial, answers, summary)
    write_json(trial.files.summary, summary.as_dict())
    watch.doing("")
    tidy(trial)


def _keep_answers(job: Job, trial: Trial, answers: Answers, summary: TrialSummary) -> None:
    """Write down what every candidate answers to the test images, for all folds to be scored together."""
    judged, rows = summary.judgement, job.images.readable(job.data.rows["test"])
    given = probabilities_of(answers.logits["test"], judged.temperatures, judged.weights, multilabel=summary.multilabel)
    write_answers(trial, [job.data.table.names[row] for row in rows], summary.classes, given)


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
            watch.note(f"{label_share(trial.fraction)}, {trial.which}: {name} {found[name].reason}")
        return found
    bodies = dict(job.bodies)
    if init == "random":
        bodies = {name: starting_body(job.variant.run, job.config, name, seed=seed) for name in bodies}
    return {name: Start(body, init, {}) for name, body in bodies.items()}


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
    judged = judge(answers.logits["val"], truth["val"], classes, ensemble=answers.ensemble, **asked)
    scores = {split: split_scores(answers.logits[split], truth[split], classes, judged) for split in rows}
    aside: dict[str, Mapping[str, Any]] = {}
    told = _finite(answers.set_aside)
    if told.get("val"):
        other = judge(told["val"], truth["val"], classes, **asked)
        aside = {split: split_scores(told[split], truth[split], classes, other) for split in rows}
    kept = {name: guarded.kept for name, guarded in answers.guarded.items()}
    usual = FINE_TUNED if settings.trains else PROBE
    return TrialSummary(
        run=str(job.variant.run.path),
        variant=job.variant.name,
        method=job.method,
        init=settings.init,
        recipe=settings.recipe,
        unlabelled=settings.unlabelled if settings.trains else "unused",
        untold=answers.untold,
        frozen=settings.freeze and settings.trains,
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
        fold=trial.fold,
        folds=settings.folds or 0 if trial.fold else 0,
    )
