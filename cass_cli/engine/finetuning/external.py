"""Judge a finished fine-tuning on labelled images that no split has seen: another hospital's, another camera's.

What validation images at home decided stays: temperatures, thresholds, the pick. Nothing is fitted on the new images.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from cass_cli.config.load import Layer, Resolved, resolve
from cass_cli.config.schema import Data
from cass_cli.data.class_names import Matched, match_classes
from cass_cli.data.dataset import Dataset, samples_of, seen_before, with_labels_found
from cass_cli.data.labelled_images import LabelledData, rows_digest
from cass_cli.data.sample_table import SampleTable
from cass_cli.data.splits import labelled
from cass_cli.engine.finetuning.answers import Answered, Answering, Progress, answer, find_taught, load_answering
from cass_cli.engine.finetuning.corrupted import CorruptionsAsked, Forecast
from cass_cli.engine.finetuning.evaluate import Evaluation, answer_validation, check_asked, score_answers
from cass_cli.engine.finetuning.people import NOBODY, PeopleAsked, check_people
from cass_cli.errors import CassError, DataError, RunError
from cass_cli.runs.records import EstimateRecord, ExternalRecord, read_evaluation
from cass_cli.runs.trials import Trial
from cass_cli.scores.bootstrap import RESAMPLES, Estimate
from cass_cli.scores.drop import Answers, drops, shown_by_both
from cass_cli.scores.goals import NOTHING, Asked
from cass_cli.scores.metrics import METRICS
from cass_cli.scores.values import metric_values
from cass_cli.words import count, shown, shown_list

PIXELS = (  # settings of the run by which files become pixels, and pixels are held: others would be another task
    *("image_size", "fit", "mean", "std", "cache", "workers", "bad_images", "max_pixels", "max_file_mb"),
    *("frames", "slices", "window", "channels"),
)
LONGEST = 60  # characters of a name


def external_data(home: Data, layer: Layer, *, splits: bool = False) -> Data:
    """Return how the images elsewhere are read: as any folder, but made into pixels as at home, and as `layer` says.

    Their `splits` are read only where they are asked for: all images are scored.
    """
    kept = {f"data.{name}": getattr(home, name) for name in PIXELS}
    unsplit = {} if splits else {"data.split_column": "none"}
    return with_labels_found(resolve([Layer("run", kept | unsplit), layer])).config.data


def external_name(path: Path, asked: str | None) -> str:
    """Return what the images are called in files and tables: as asked, else as their folder or table."""
    name = re.sub(r"[^\w.-]+", "-", asked or path.resolve().stem, flags=re.ASCII).strip("-.")[:LONGEST]
    return name or "images"


def evaluate_external(
    resolved: Resolved,
    trial: Trial,
    elsewhere: Data,
    *,
    name: str,
    class_pairs: Mapping[str, str],
    allow_overlap: bool = False,
    resamples: int = RESAMPLES,
    asked: Asked = NOTHING,
    people: PeopleAsked = NOBODY,
    corruptions: CorruptionsAsked | None = None,
    on_progress: Progress | None = None,
    on_forecast: Callable[[Forecast], None] | None = None,
) -> Evaluation:
    """Score every candidate of `trial` on all labelled images that `elsewhere` names, and beside them at home.

    Classes are matched by name, or as `class_pairs` says (`match_classes`). Images that are nearly the same as one from
    which the arms or their thresholds were made are refused unless `allow_overlap`; where the images of the run are
    gone, neither these nor the scores at home can be had, and a note says so; but operating points are chosen on them.

    Raises what `match_classes` and `check_asked` do; DataError where nothing is labelled, or images were seen before;
    RunError where an evaluation of this name is of other images.
    """
    told = on_progress or (lambda _what, _done, _total: None)
    check_asked(asked, trial.summary())
    by = load_answering(resolved, trial)
    summary = by.arms.summary
    assert elsewhere.path is not None, "the command line names it"
    if not elsewhere.path.exists():
        raise DataError(f"There are no images at {shown(str(elsewhere.path))}.", hint="Check the path of --external.")
    table = samples_of(elsewhere)
    matched = match_classes(table, summary.classes, multilabel=summary.multilabel, given=class_pairs)
    data = _all_labelled(table, matched, name, summary.classes)
    digest = rows_digest(data, data.rows[split_of(name)])
    _check_same(trial, name, digest)
    columns = check_people(people, data, data.rows[split_of(name)])
    home, reason = _home(by, trial, needed=bool(asked.goals or people.rule))
    overlap, notes = None, [*table.notes, *matched.notes]
    if home is None:
        notes.append(
            f"Whether the arms have seen these images was not looked for, nor how they score at home: {reason}"
        )
    else:
        known = np.sort(np.concatenate([home.dataset.rows("train"), home.dataset.rows("val")]))
        comparing = partial(told, "Comparing")
        seen = seen_before(home.table.select(known), data.table, elsewhere, on_progress=comparing)
        overlap = len(np.intersect1d(seen, data.rows[split_of(name)]))
        notes += _overlap(data.table, seen, overlap, name, allowed=allow_overlap)
    there = replace(by, config=by.config.model_copy(update={"data": elsewhere}).at_size(by.arms.spec.size))
    found = score_answers(
        answer(there, data, split_of(name), on_progress=told),
        trial,
        split_of(name),
        asked=asked,
        people=people,
        columns=columns,
        corruptions=corruptions,
        validation=answer_validation(by, home, asked, people, on_progress=told) if home else None,
        resamples=resamples,
        notes=notes,
        on_progress=told,
        on_forecast=on_forecast,
    )
    tested = None
    if home is not None and len(home.rows["test"]):
        tested = answer(by, home, "test", on_progress=told, what="test")
    values, falls, left_out = _beside_home(tested, found, resamples)
    if left_out:
        only = f"Compared with home on the classes that both show, so without {shown_list(left_out)}."
        found = replace(found, notes=(*found.notes, only))
    record: ExternalRecord = {
        "name": name,
        "digest": digest,
        "classes": dict(matched.pairs),
        "only_theirs": matched.only_theirs,
        "only_ours": matched.only_ours,
        "seen_before": overlap,
        "home": values,
        "drops": falls,
    }
    return replace(found, external=record)


def split_of(name: str) -> str:
    """Return what an evaluation of these images is called where others are called by their split."""
    return f"external-{name}"


def _all_labelled(table: SampleTable, matched: Matched, name: str, classes: tuple[str, ...]) -> LabelledData:
    rows = np.flatnonzero(labelled(matched.labels))
    if not len(rows):
        raise DataError(f"No image in {shown(str(table.root))} has a label that the arms learned.")
    ours = replace(table, classes=classes, labels=matched.labels, splits=None)
    return LabelledData(Dataset(ours, (split_of(name),) * len(ours)), {split_of(name): rows}, (), rows[:0])


def _check_same(trial: Trial, name: str, digest: str) -> None:
    path = trial.path / f"evaluation-{split_of(name)}.json"
    before = read_evaluation(path).get("external") if path.exists() else None
    if before and before["digest"] != digest:
        raise RunError(f"{path} is of other images, or other labels.", hint="Name these with --external-name.")


def _home(by: Answering, trial: Trial, *, needed: bool) -> tuple[LabelledData | None, str]:
    """Return the images of the run; None, and why, where they cannot be had and are not `needed`."""
    try:
        return find_taught(by, trial), ""
    except CassError as error:
        if needed:
            raise
        return None, f"{error.what} --data says where the images of the run are now."


def _overlap(table: SampleTable, seen: np.ndarray, scored: int, name: str, *, allowed: bool) -> list[str]:
    if not len(seen):
        return ["None of these images is nearly the same as one that the arms or thresholds were made from."]
    which = shown_list([table.names[i] for i in seen], 3)
    what = (
        f"{count(len(seen), 'image')} of {name} nearly the same as training or validation images of the run: {which}."
    )
    if not allowed:
        raise DataError(
            what, hint="Leave them out, or keep them with --allow-overlap, which is said beside the scores."
        )
    return [f"{what} {scored} of them scored: these scores flatter."]


def _beside_home(
    home: Answered | None, away: Evaluation, resamples: int
) -> tuple[dict[str, dict[str, float]], dict[str, dict[str, EstimateRecord]], tuple[str, ...]]:
    """Return by candidate and metric: the value at home, the drop; and the classes that only one site shows."""
    values: dict[str, dict[str, float]] = {}
    falls: dict[str, dict[str, EstimateRecord]] = {}
    left_out: tuple[int, ...] = ()
    if home is None:
        return values, falls, ()
    labels, groups = home.data.labels[home.rows], home.data.groups(home.rows)
    for name, given in away.probabilities.items():
        thresholds = away.summary.judgement.threshold(name)
        sites = Answers(labels, home.probabilities[name], groups), Answers(away.labels, given, away.groups)
        here, there, left_out = shown_by_both(*sites)
        if not len(here.labels) or not len(there.labels):
            continue
        once = metric_values(here.labels, here.probabilities, [np.ones((1, len(here.labels)))], thresholds=thresholds)
        values[name] = {metric: float(once[metric][0]) for metric in METRICS if not np.isnan(once[metric][0])}
        found = drops(here, there, thresholds=thresholds, resamples=resamples)
        falls[name] = {metric: _record(each) for metric, each in found.items()}
    return values, falls, tuple(away.summary.classes[c] for c in left_out)


def _record(estimate: Estimate) -> EstimateRecord:
    plain = estimate.as_dict()
    return {"value": plain["value"], "low": plain["low"], "high": plain["high"]}
