"""Answers by patient instead of by picture, and whether scores hold for every group of people and pictures.

Shapes: N images, C classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cass_cli.data.labelled_images import LabelledData
from cass_cli.data.metadata import read_metadata
from cass_cli.data.sample_table import SampleTable
from cass_cli.data.splits import Labels
from cass_cli.engine.finetuning.answers import Answered, Progress
from cass_cli.errors import ConfigError, DataError, did_you_mean
from cass_cli.scores.bootstrap import RESAMPLES
from cass_cli.scores.calibration import tune_thresholds
from cass_cli.scores.metrics import Scores, score
from cass_cli.scores.patients import RULES, by_patient
from cass_cli.scores.subgroups import MOST_GROUPS, Subgroups, bands, subgroup_scores
from cass_cli.scores.values import DEFAULT_THRESHOLD, Floats
from cass_cli.words import count, shown, shown_list


@dataclass(frozen=True)
class PeopleAsked:
    """What is wanted of patients and groups."""

    rule: str | None = None  # how the answers to a patient's images become one; None: images alone are scored
    columns: tuple[str, ...] = ()  # that tell groups apart
    metadata: Path | None = None  # a table of these columns; None: what the data themselves say


NOBODY = PeopleAsked()
NO_LABEL = "No patient has a label, as the images of each have different ones."


@dataclass(frozen=True)
class PatientScores:
    """What each candidate is worth where a patient has one answer."""

    rule: str
    scores: Mapping[str, Scores]  # by candidate
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        scores = {name: found.as_dict() for name, found in self.scores.items()}
        return {"rule": self.rule, "scores": scores, "notes": list(self.notes)}


def people_asked(rule: str | None, columns: Sequence[str], metadata: Path | None) -> PeopleAsked:
    """Read --patient-rule, --subgroup and --metadata; raise `ConfigError` for what is none of these."""
    if rule is not None:
        check_rule(rule)
    if metadata and not columns:
        raise ConfigError(
            "--metadata says more of the images, and no column of it is asked for.", hint="Add --subgroup."
        )
    return PeopleAsked(rule, tuple(dict.fromkeys(columns)), metadata)


def check_rule(rule: str) -> None:
    """Raise `ConfigError` for a --patient-rule that is none."""
    if rule not in RULES:
        raise ConfigError(
            f"There is no --patient-rule {shown(rule)}.{did_you_mean(rule, RULES)}", hint=", ".join(RULES)
        )


def check_people(asked: PeopleAsked, data: LabelledData, rows: NDArray[np.int64]) -> dict[str, tuple[str, ...]]:
    """Return the cells of the columns that are asked for, of each image of the table; of it, `rows` are scored.

    Raises `DataError` where a column is not there, or has more than `MOST_GROUPS` groups, or patients are not known, or
    none of them has a label.
    """
    table, patients = data.table, data.groups(rows)
    if asked.rule and not any(table.groups or ()):
        raise DataError(
            "--patient-rule needs to know which images are of one patient, and these data do not say so.",
            hint="Make the run with --group-column or --group-pattern.",
        )
    if asked.rule and patients and not len(_merged_labels(data, rows, patients)):
        raise DataError(NO_LABEL)
    columns = _columns(asked, table)
    for column, cells in columns.items():
        if (groups := len(set(bands(column, [cells[row] for row in rows])))) > MOST_GROUPS:
            raise DataError(
                f"Column '{shown(column)}' has {groups:,} values, and at most {MOST_GROUPS} groups are compared.",
                hint="Name a column that puts many images into each group, or give it coarser values with --metadata.",
            )
    return columns


def _columns(asked: PeopleAsked, table: SampleTable) -> dict[str, tuple[str, ...]]:
    if asked.metadata:
        return read_metadata(asked.metadata, table.names, table.groups, asked.columns)
    lacking = [column for column in asked.columns if column not in table.subgroups]
    if lacking:
        kept = shown_list(list(table.subgroups)) or "none"
        raise DataError(
            f"The data keep no column '{shown(lacking[0])}'.{did_you_mean(lacking[0], tuple(table.subgroups))}",
            hint=f"Columns kept for subgroups: {kept}. Name a table that has it with --metadata.",
        )
    return {column: table.subgroups[column] for column in asked.columns}


def score_patients(
    found: Answered, validation: Answered | None, *, rule: str, resamples: int = RESAMPLES
) -> PatientScores:
    """Score each candidate's answers by patient; the patients of the same images as `found`.

    Where a patient may show several classes, thresholds are chosen anew, on patients of `validation`, if those of
    images were: a rule such as max raises every probability.
    """
    summary = found.by.arms.summary
    judged, classes = summary.judgement, summary.classes
    tuned = summary.multilabel and any(value != DEFAULT_THRESHOLD for of in judged.thresholds.values() for value in of)
    scores: dict[str, Scores] = {}
    notes: list[str] = []
    for name, given in found.probabilities.items():
        labels, merged, differing = _merged(found, given, rule)
        thresholds = judged.threshold(name)
        if tuned and validation is not None:
            chosen = tune_thresholds(*_merged(validation, validation.probabilities[name], rule)[:2], classes)
            thresholds, notes = chosen.values, [*notes, *chosen.notes]
        if differing:
            notes.append(f"{count(differing, 'patient')} whose images have different labels left out.")
        if not len(labels):
            raise DataError(NO_LABEL)
        scores[name] = score(labels, merged, classes, thresholds=thresholds, resamples=resamples)
    if tuned and validation is not None:
        notes.append("Thresholds for patients were chosen on validation patients.")
    return PatientScores(rule, scores, tuple(dict.fromkeys(notes)))


def _merged_labels(data: LabelledData, rows: NDArray[np.int64], groups: Sequence[str]) -> Labels:
    """Return the labels of those patients that have one, whatever is answered."""
    nothing = np.ones((len(rows), len(data.table.classes)))
    return by_patient(data.labels[rows], nothing, groups, rule=RULES[0]).labels


def _merged(found: Answered, given: Floats, rule: str) -> tuple[Labels, Floats, int]:
    groups = found.data.groups(found.rows)
    assert groups is not None, "checked when it was asked for"
    merged = by_patient(found.data.labels[found.rows], given, groups, rule=rule)
    return merged.labels, merged.probabilities, merged.differing


def score_subgroups(
    found: Answered, columns: Mapping[str, Sequence[str]], *, resamples: int = RESAMPLES, on_progress: Progress
) -> dict[str, dict[str, Subgroups]]:
    """Return by column and candidate the scores of each group; `columns` has a cell for each image of the table."""
    summary, rows = found.by.arms.summary, found.rows
    results: dict[str, dict[str, Subgroups]] = {}
    told = partial(on_progress, "Comparing subgroups")
    total = len(columns) * len(found.probabilities)
    for column, cells in columns.items():
        grouped = bands(column, [cells[row] for row in rows])
        results[column] = {}
        for name, given in found.probabilities.items():
            told(sum(map(len, results.values())), total)
            results[column][name] = subgroup_scores(
                found.data.labels[rows],
                given,
                summary.classes,
                grouped,
                metric=summary.metric,
                thresholds=summary.judgement.threshold(name),
                units_of=found.data.groups(rows),
                resamples=resamples,
            )
    if total:
        told(total, total)
    return results
