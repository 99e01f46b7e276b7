"""One answer a patient, of images whose patients a table names.

Shapes: C classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cass_cli.data.metadata import read_groups
from cass_cli.engine.finetuning.evaluate import decisions
from cass_cli.errors import DataError
from cass_cli.runs.records import read_evaluation
from cass_cli.runs.trials import Trial
from cass_cli.scores.patients import Pool
from cass_cli.scores.values import Floats, confidence


@dataclass(frozen=True)
class Patients:
    """Whose the images are, and how their answers become one a patient."""

    of_images: Sequence[str]  # in the order of the images; "": unknown
    rule: str
    classes: tuple[str, ...]
    thresholds: Floats | None  # [C]; None where classes exclude each other
    notes: tuple[str, ...]


@dataclass(frozen=True)
class PatientAnswer:
    """The answer for all images of a patient; without probabilities where none could be read."""

    patient: str
    images: int  # that could be read
    chosen: str = ""
    confidence: float = float("nan")
    probabilities: Floats | None = None  # [C]


def find_patients(
    trial: Trial, candidate: str, images: Sequence[str], groups: Path | Sequence[str], column: str | None, rule: str
) -> Patients:
    """Return whose `images` these are: by a table, in which `column` names patients, or one by one.

    Where a patient may show several classes, thresholds are those that `cass evaluate --patient-rule` chose on
    validation patients by the same rule, else those of images. Raises `DataError` where nothing is known of any image.
    """
    known = read_groups(groups, images, column) if isinstance(groups, Path) else tuple(map(str, groups))
    if len(known) != len(images):
        raise DataError(f"There are {len(images):,} images and {len(known):,} names of patients.")
    if not any(known):
        raise DataError("No image has a patient.", hint="One row an image, with its patient, is expected.")
    unknown = sum(not name for name in known)
    notes = [f"Of {unknown:,} of {len(known):,} images no patient is known: each is left to itself."] if unknown else []
    summary = trial.summary()
    thresholds = summary.judgement.threshold(candidate)
    if summary.multilabel:
        paths = sorted(trial.path.glob("evaluation-*.json"))
        told = [found for path in paths if (found := read_evaluation(path).get("patients")) and found["rule"] == rule]
        if told and (chosen := told[-1]["scores"][candidate].get("thresholds")):
            thresholds = np.array(chosen)
        else:
            notes.append(
                "Classes are chosen at the thresholds of images; those of patients come from "
                f"cass evaluate --patient-rule {rule}, where validation images have patients."
            )
    return Patients(known, rule, summary.classes, thresholds, tuple(notes))


def answer_patients(pool: Pool, patients: Patients) -> Iterator[PatientAnswer]:
    """Yield the answer for each patient, in the order of their images; also for those of whom none could be read."""
    several = patients.thresholds is not None
    for patient in dict.fromkeys([*(name for name in patients.of_images if name), *pool.images]):
        if patient not in pool.images:
            yield PatientAnswer(patient, 0)
            continue
        given = pool.answer(patient, multilabel=several)[None]
        (chosen,) = decisions(given, patients.thresholds, patients.classes)
        (sure,) = confidence(given, multilabel=several)
        yield PatientAnswer(patient, pool.images[patient], chosen, float(sure), given[0])
