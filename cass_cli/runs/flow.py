"""The flow of images and patients into a trial: how many there were, how many were left out and why, who is where.

A group is a patient or a lesion, whichever the data name; where they name none, only images are counted.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from cass_cli.csv_cells import name_of
from cass_cli.data.layouts.contents import contents
from cass_cli.data.splits import SPLITS, split_rows
from cass_cli.errors import RunError
from cass_cli.runs.made_from import read_made_from
from cass_cli.runs.trials import Trial
from cass_cli.words import shown

LEFT_OUT, UNREADABLE = "left out: ", "unreadable"  # how a status begins
COULD_NOT_BE_READ, NO_LABEL = "could not be read", "no label"


@dataclass(frozen=True)
class Part:
    """Some of the images."""

    images: int
    groups: int  # named patients or lesions among them


@dataclass(frozen=True)
class Flow:
    """Where all files of a run went."""

    found: Part
    left_out: Mapping[str, Part]  # by reason, before images were divided
    splits: Mapping[str, Part]  # all images of each split
    excluded: Mapping[str, Mapping[str, Part]]  # by split and reason, after that
    used: Mapping[str, Part]  # of each split: readable, with a label
    seen: int  # training labels that the trial saw

    @property
    def grouped(self) -> bool:
        """Whether patients or lesions are known at all."""
        return self.found.groups > 0

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)


def flow_of(trial: Trial) -> Flow:
    """Return the flow into `trial`, of its run's splits.csv; raise `RunError` or `DataError` where that is damaged.

    Which images have a label, its fine-tuning recorded when it began; one from before that did not, and then an image
    without a class has none.
    """
    rows = split_rows(trial.variant.run.splits)
    before = read_made_from(trial.variant.path)
    labelled = {row["image"] for row in rows if row["label"]} if before is None else {*before.labels}
    divided = {split: [row for row in rows if row["split"] == split] for split in SPLITS}

    def why(row: Mapping[str, str]) -> str:
        if row["status"].startswith(UNREADABLE):
            return COULD_NOT_BE_READ
        return "" if row["image"] in labelled else NO_LABEL

    return Flow(
        found=_part(rows),
        left_out=_by_reason((row["status"].removeprefix(LEFT_OUT), row) for row in rows if not row["split"]),
        splits={split: _part(of) for split, of in divided.items()},
        excluded={split: _by_reason((why(row), row) for row in of if why(row)) for split, of in divided.items()},
        used={split: _part(row for row in of if not why(row)) for split, of in divided.items()},
        seen=trial.summary().labels,
    )


def subgroup_columns(trial: Trial) -> dict[str, int]:
    """Return what the run knows of people beside labels (sex, age, …): each column with its number of values.

    Raises `RunError` or `DataError` where the file is damaged.
    """
    path = trial.variant.run.subgroups
    if not path.is_file():
        return {}
    text = io.StringIO(contents(path).decode("utf-8-sig", "surrogateescape"), newline="")
    try:
        columns, *rows = csv.reader(text)
    except (ValueError, csv.Error) as error:  # the first, where there is no line
        raise RunError(f"{shown(str(path))} is damaged.", hint="Restore it from a copy, or remove it.") from error
    return {
        name_of(column): len({row[i] for row in rows if row[i:] and row[i]})
        for i, column in enumerate(columns)
        if column not in ("image", "group")
    }


def _part(rows: Iterable[Mapping[str, str]]) -> Part:
    listed = list(rows)
    return Part(len(listed), len({row["group"] for row in listed if row["group"]}))


def _by_reason(pairs: Iterable[tuple[str, Mapping[str, str]]]) -> dict[str, Part]:
    found: dict[str, list[Mapping[str, str]]] = {}
    for reason, row in pairs:
        found.setdefault(reason, []).append(row)
    return {reason: _part(rows) for reason, rows in sorted(found.items())}
