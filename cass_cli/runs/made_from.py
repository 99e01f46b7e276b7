"""The images that a run or fine-tuning was made from, and their labels where these decide it: `images.json` beside it.

The manifest has its digest. A folder without one is from before there were any, and is believed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cass_cli.data.fingerprints import Fingerprint, Fingerprints, differences
from cass_cli.data.layouts.records import MOST_IMAGES
from cass_cli.errors import RunError
from cass_cli.files import write_text
from cass_cli.reading import any_json, read_bytes
from cass_cli.runs.manifest import replace_recorded
from cass_cli.words import count, shown_list

NAME = "images.json"
MOST_BYTES = 500_000_000  # of it: a line an image
MOST_VALUES = 5 * MOST_IMAGES  # in it: of each image three and their list, and its label
LEAST_LENGTH = 5  # bytes a value, on average; a list of empty lists has two


@dataclass(frozen=True)
class MadeFrom:
    """Files and labels (as text; none where they decide nothing), by the name of an image."""

    images: Fingerprints
    labels: Mapping[str, str] = field(default_factory=dict)


def read_made_from(folder: Path) -> MadeFrom | None:
    """Return what the run or fine-tuning in `folder` was made from; None where nothing says so."""
    path = folder / NAME
    try:
        text = read_bytes(path, MOST_BYTES)
        value = any_json(text, min(MOST_VALUES, len(text) // LEAST_LENGTH + 100))
        return MadeFrom(
            {
                name: Fingerprint(int(size), int(time), str(digest))
                for name, (size, time, digest) in value["images"].items()
            },
            {name: str(label) for name, label in value["labels"].items()},
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise RunError(f"{path} is damaged.", hint="Put it back as it was.") from error


def write_made_from(folder: Path, made_from: MadeFrom) -> None:
    """Write it, before the manifest that has its digest."""
    write_text(folder / NAME, _text(made_from))


def check_made_from(folder: Path, now: MadeFrom) -> str:
    """Return a note on files that may be others than when `folder` was made; "" where there is none to make.

    Raises `RunError` naming images that are others, by count and size, and by contents where `now` has digests; and
    those that are labelled otherwise. What was verified is remembered with its new times.
    """
    before = read_made_from(folder)
    if before is None:
        return ""
    if before.labels:
        _check_labels(folder, before.labels, now.labels)
    wrong, doubtful = differences(before.images, now.images)
    if wrong:
        raise RunError(
            f"The images are not those that {folder} was made from: {wrong}.",
            hint="Put them back as they were, or make a new run.",
        )
    verified = all(one.digest for one in now.images.values())
    if verified and dict(before.images) != dict(now.images):
        replace_recorded(folder / NAME, _text(MadeFrom(now.images, before.labels)))
    return f"Images: {doubtful}; --resume --verify compares what is in them." if doubtful else ""


def otherwise_labelled(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Return the names of the images that have another label now, or none, or one that they did not have."""
    return sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))


def _check_labels(folder: Path, before: Mapping[str, str], now: Mapping[str, str]) -> None:
    if other := otherwise_labelled(before, now):
        raise RunError(
            f"{count(len(other), 'image')} labelled otherwise than when {folder} was made: {shown_list(other, 3)}.",
            hint="Put the labels back as they were, or keep both fine-tunings with --variant NAME.",
        )


def _text(made_from: MadeFrom) -> str:
    """Return it as JSON, a line an image."""
    images = {name: [one.size, one.time, one.digest] for name, one in made_from.images.items()}
    return f'{{\n "images": {_lines(images)},\n "labels": {_lines(made_from.labels)}\n}}\n'


def _lines(values: Mapping[str, Any]) -> str:
    lines = [f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in values.items()]
    return "{\n" + ",\n".join(lines) + "\n }" if lines else "{}"
