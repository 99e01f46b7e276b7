"""The sets of cases, by name."""

from __future__ import annotations

from . import eyes, reported_folders, reported_tables, skin
from .case import Case

SETS: dict[str, tuple[Case, ...]] = {
    "reported": (*reported_folders.CASES, *reported_tables.CASES),
    "skin": skin.CASES,
    "eyes": eyes.CASES,
}
