"""The sets of cases, by name."""

from __future__ import annotations

from . import chest, complaint_cases, eyes, histology, radiology_cases, reported_folders, reported_tables, skin
from .case import Case

SETS: dict[str, tuple[Case, ...]] = {
    "reported": (*reported_folders.CASES, *reported_tables.CASES),
    "skin": skin.CASES,
    "eyes": eyes.CASES,
    "chest": chest.CASES,
    "histology": histology.CASES,
    "radiology": radiology_cases.CASES,
    "complaints": complaint_cases.CASES,
}
