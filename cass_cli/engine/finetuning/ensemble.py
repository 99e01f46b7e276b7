"""One classifier out of several fine-tunings: their answers, averaged.

It is a fine-tuning itself, whose arms are other trials: each answers by what validation picked of it, calibrated as it
was. Validation images weigh them (`scores/ensemble.py`); the test split is only scored. Nothing is trained, and nothing
copied: the trials stay where they are.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from cass_cli.config.load import Layer
from cass_cli.data.labelled_images import Images, LabelledData, decode, find_labelled, rows_digest
from cass_cli.data.splits import label_subset
from cass_cli.engine.compute import Compute, choose_compute
from cass_cli.engine.fastest import unless_measured_elsewhere
from cass_cli.engine.finetuning.job import FinetuneResult
from cass_cli.engine.finetuning.request import named_variant
from cass_cli.engine.finetuning.tuned_arms import TunedArms, as_networks, load_tuned
from cass_cli.engine.inference import store_logits
from cass_cli.errors import RunError
from cass_cli.files import remove, telling, write_json
from cass_cli.runs.directory import ENVIRONMENT, Run, environment, settings_over
from cass_cli.runs.latest import point_latest
from cass_cli.runs.made_from import NAME as IMAGES
from cass_cli.runs.manifest import check_files, write_manifest
from cass_cli.runs.summary import Averaged, TrainedArm, TrialSummary
from cass_cli.runs.trials import Trial, Variant, variants_of
from cass_cli.runs.writers import writing_finetuning
from cass_cli.scores.calibration import ENSEMBLE, JOINT, MEAN
from cass_cli.scores.judgement import judge, split_scores
from cass_cli.seeds import trial_seed

JUDGED = ("val", "test")
Progress = Callable[[str, int, int], None]


def members_of(run: Run, names: Sequence[str]) -> list[Variant]:
    """Return the fine-tunings of `run` with these names, or all that are no ensemble; raise `RunError` for others."""
    known = {variant.name: variant for variant in variants_of(run) if variant.trials() and not variant.averages}
    if missing := [name for name in names if name not in known]:
        raise RunError(
            f"{run.path} has no finished fine-tuning '{missing[0]}' that could be averaged.",
            hint=f"It has: {', '.join(known) or 'none'}.",
        )
    chosen = [known[name] for name in dict.fromkeys(names)] if names else list(known.values())
    if reserved := [variant.name for variant in chosen if variant.name in (MEAN, JOINT, ENSEMBLE)]:
        raise RunError(
            f"A fine-tuning called '{reserved[0]}' can't be told from an average.", hint="Fine-tune under another name."
        )
    return chosen


def ensemble_job(
    run: Run,
    members: Sequence[Variant],
    name: str,
    *,
    fraction: float | None,
    across_seeds: bool,
    layer: Layer,
    overwrite: bool,
    on_progress: Progress,
) -> FinetuneResult:
    """Average the members' trials of each label fraction and seed that all of them have, score that and write it down.

    The average is the fine-tuning `name` of the run.

    `across_seeds` makes one average of all seeds of a fraction: where labels are few it has seen those of all of them.
    `fraction` is the only one; `layer` are settings of the machine. `on_progress(what, done, total)` counts images.
    Raises `RunError` where there are no two trials to average, or they are of other images, classes or sizes.
    """
    began, variant = time.monotonic(), named_variant(run, name)
    groups = _groups(members, fraction, across_seeds=across_seeds)
    with writing_finetuning(run.path, variant.name):
        if variant.trials() and not variant.averages:
            raise RunError(f"{variant.path} is a fine-tuning of its own.", hint="Keep both with --variant NAME.")
        if variant.path.exists() and not overwrite:
            raise RunError(
                f"{variant.path} exists already.", hint="Replace it with --overwrite, or keep both with --variant NAME."
            )
        for folder in (run.path, *(member.path for member in members)):
            check_files(folder)
        config = unless_measured_elsewhere(settings_over(members[0].config, [layer])).config
        compute = choose_compute(config.train)
        data = find_labelled(config, run.splits)
        size = load_tuned(next(iter(next(iter(groups.values())).values())), compute).spec.size
        seen = np.concatenate([data.rows[split] for split in JUDGED])
        told = partial(on_progress, "Decoding")
        images = decode(data, seen, config.at_size(size), device=compute.device, on_progress=told)
        tuned = config.finetune.thresholds == "tuned"
        found = {
            variant.trial(*key): _average(variant.trial(*key), trials, data, images, compute, tuned, on_progress)
            for key, trials in groups.items()
        }
        remove(variant.path)
        with telling(variant.path):
            variant.path.mkdir(parents=True)
            for path in (members[0].config, members[0].path / IMAGES):
                shutil.copyfile(path, variant.path / path.name)
        write_json(variant.path / ENVIRONMENT, environment())
        write_manifest(variant.path, (variant.config.name, IMAGES))
        for trial, summary in found.items():
            trial.path.mkdir(parents=True)
            write_json(trial.files.summary, summary.as_dict())
        point_latest(variant.path)
        point_latest(run.path)
    summaries = tuple(found.values())
    return FinetuneResult(variant.path, summaries[0].metric, summaries, time.monotonic() - began)


def _groups(
    members: Sequence[Variant], fraction: float | None, *, across_seeds: bool
) -> dict[tuple[float, int], dict[str, Trial]]:
    """Return what is averaged, by label fraction and seed: trials by the name that each has as a member."""
    of = {member.name: {(trial.fraction, trial.seed): trial for trial in member.trials()} for member in members}
    keys = sorted(set.intersection(*(set(trials) for trials in of.values()))) if of else []
    groups: dict[tuple[float, int], dict[str, Trial]] = {}
    for share, seed in keys:
        if fraction in (None, share):
            first = min(other for at, other in keys if at == share) if across_seeds else seed
            for name, trials in of.items():
                label = f"{name}-seed{seed}" if across_seeds else name
                groups.setdefault((share, first), {})[label] = trials[share, seed]
    groups = {key: trials for key, trials in groups.items() if len(trials) > 1}
    if not groups:
        have = ", ".join(of) or "none"
        where = "" if fraction is None else f" with label fraction {fraction:g}"
        raise RunError(
            f"There are no two trials{where} to average (fine-tunings: {have}).",
            hint="Average several fine-tunings with trials of the same fraction and seed, or several seeds of one with "
            "--across-seeds.",
        )
    return groups


def _average(
    trial: Trial,
    trials: Mapping[str, Trial],
    data: LabelledData,
    images: Images,
    compute: Compute,
    tuned: bool,
    told: Progress,
) -> TrialSummary:
    """Let validation weigh the trials' answers and judge, score validation and test, and tell what the average is.

    `tuned`: multi-label thresholds are.
    """
    began = time.monotonic()
    loaded = {name: load_tuned(member, compute) for name, member in trials.items()}
    first = next(iter(loaded.values()))
    rows = {split: images.readable(data.rows[split]) for split in JUDGED}
    _check_alike(loaded, data, rows["test"])
    networks = as_networks(loaded, compute)
    logits = {
        split: store_logits(
            networks,
            images.store,
            images.of(found),
            spec=first.spec,
            compute=compute,
            on_progress=partial(told, "Predicting"),
        )
        for split, found in rows.items()
    }
    truth = {split: data.labels[found] for split, found in rows.items()}
    summary, classes = first.summary, data.table.classes
    judged = judge(
        logits["val"],
        truth["val"],
        classes,
        metric=summary.metric,
        tuned=tuned,
        groups=data.groups(rows["val"]),
        ensemble=True,
    )
    scores = {split: split_scores(logits[split], truth[split], classes, judged) for split in rows}
    folder = trial.variant.path.parent
    return TrialSummary(
        run=summary.run,
        variant=trial.variant.name,
        method=summary.method,
        init=summary.init,
        recipe=ENSEMBLE,
        frozen=False,
        fraction=trial.fraction,
        seed=trial.seed,
        labels=_labels_seen(loaded, data),
        classes=classes,
        multilabel=summary.multilabel,
        metric=summary.metric,
        epochs=0,
        seconds=time.monotonic() - began,
        device=str(compute.device),
        precision=compute.precision,
        arms={
            name: TrainedArm(
                model=" + ".join(dict.fromkeys(arm.model for arm in found.summary.arms.values())),
                weights=found.summary.judgement.pick,
                best_epoch=0,
            )
            for name, found in loaded.items()
        },
        members={
            name: Averaged(member.path.relative_to(folder).as_posix(), member.digest) for name, member in trials.items()
        },
        judgement=judged,
        images={split: len(found) for split, found in rows.items()},
        test_digest=rows_digest(data, rows["test"]),
        validation=scores["val"],
        test=scores["test"],
        unseen=sorted(set.intersection(*(set(found.summary.unseen) for found in loaded.values()))),
        untested=data.lacking(rows["test"]) if len(rows["test"]) else (),
    )


def _labels_seen(loaded: Mapping[str, TunedArms], data: LabelledData) -> int:
    """Return how many training labels the members have seen together: where their seeds differ, more than one has."""
    summaries = [found.summary for found in loaded.values()]
    drawn = {(summary.fraction, summary.seed) for summary in summaries}
    if len(drawn) == 1:
        return max(summary.labels for summary in summaries)
    train = data.rows["train"]
    subsets = [label_subset(data.labels, train, fraction=share, seed=trial_seed(seed)) for share, seed in drawn]
    return len(np.unique(np.concatenate(subsets)))


def _check_alike(loaded: Mapping[str, TunedArms], data: LabelledData, test: NDArray[np.int64]) -> None:
    """Raise `RunError` unless all know the same classes, see images alike, and were scored on these `test` rows."""
    (name, first), *others = loaded.items()
    if (data.table.classes, rows_digest(data, test)) != (first.summary.classes, first.summary.test_digest):
        raise RunError(
            f"The test images, or their labels, are not those that {name} was scored on.",
            hint="Name where they are with --data, or fine-tune again.",
        )
    for other, found in others:
        if (found.summary.classes, found.summary.test_digest) != (first.summary.classes, first.summary.test_digest):
            raise RunError(f"{name} and {other} were fine-tuned on other images or labels.", hint="Fine-tune again.")
        if found.spec != first.spec:
            raise RunError(
                f"{name} sees images of {first.spec.size} pixels, {other} of {found.spec.size}, or otherwise scaled.",
                hint="Name those to be averaged, which see images alike.",
            )
