"""The sets of cases, by name."""

from __future__ import annotations

from . import reported_folders, reported_tables
from .case import Case

SETS: dict[str, tuple[Case, ...]] = {
    "reported": (*reported_folders.CASES, *reported_tables.CASES),
}
