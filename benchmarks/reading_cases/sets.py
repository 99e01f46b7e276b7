"""The sets of cases, by name."""

from __future__ import annotations

from . import (
    chest_cases,
    complaint_cases,
    eyes_cases,
    habit_cases,
    histology_cases,
    radiology_cases,
    reported_folders,
    reported_tables,
    skin_cases,
)
from .case import Case
from .runs import RUNS, RunCase

# What reads data: seconds a set.
READINGS: dict[str, tuple[Case | RunCase, ...]] = {
    "reported": (*reported_folders.CASES, *reported_tables.CASES),
    "skin": skin_cases.CASES,
    "eyes": eyes_cases.CASES,
    "chest": chest_cases.CASES,
    "histology": histology_cases.CASES,
    "radiology": radiology_cases.CASES,
    "complaints": complaint_cases.CASES,
    "habits": habit_cases.CASES,
}
SETS: dict[str, tuple[Case | RunCase, ...]] = READINGS | {"runs": RUNS}
