"""Scores on corrupted images in words: what was measured on which images, and what it costs beforehand."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cass_cli.data.corruptions import KINDS, STRENGTHS
from cass_cli.reports.printing import duration
from cass_cli.words import count

if TYPE_CHECKING:  # with it PyTorch, which a report can do without
    from cass_cli.engine.finetuning.corrupted import Forecast

COLUMNS = ("candidate", "kind", "strength", "metric", "value")  # of the CSV; clean images have strength 0


def forecast_in_words(forecast: Forecast) -> str:
    """Return what corrupted images will cost, at the speed of the clean ones."""
    fewer = "fewer with --corruption-images N" if forecast.seconds >= 60 else "see --corruption-images"
    return (
        f"Corrupted images: {count(forecast.passes, 'pass', 'passes')} over {count(forecast.images, 'image')}, "
        f"about {duration(max(1, forecast.seconds))} ({fewer})."
    )


def measured_in_words(found: Mapping[str, Any]) -> str:
    """Return on how many images a `CorruptionsRecord` was measured, how they were drawn, and in what time."""
    which = f"all {count(found['images'], 'image')}"
    if found["images"] < found["of"]:
        which = f"{found['images']:,} of {count(found['of'], 'image')}, drawn in the classes' shares"
    whole = f", {count(found['groups'], 'whole group')}" if found["groups"] is not None else ""
    return (
        f"Corrupted in {count(len(kinds_of(found)), 'way')} at {len(STRENGTHS)} strengths: {which}{whole}. "
        f"It took {duration(found['seconds'])}; {duration(found['forecast'])} were forecast."
    )


def kinds_of(found: Mapping[str, Any]) -> dict[str, str]:
    """Return the kinds of corruption that a `CorruptionsRecord` has, in words."""
    first = next(iter(found["candidates"].values()))
    return {kind: title for kind, title in KINDS.items() if kind in first["corrupted"]}


def corruption_rows(found: Mapping[str, Any]) -> list[Sequence[Any]]:
    """Return the COLUMNS of all candidates."""
    rows: list[Sequence[Any]] = []
    for name, of in found["candidates"].items():
        rows += [(name, "clean", 0, metric, _given(value)) for metric, value in of["clean"].items()]
        rows += [
            (name, kind, strength, metric, _given(value))
            for kind, by in of["corrupted"].items()
            for metric, values in by.items()
            for strength, value in zip(STRENGTHS, values, strict=True)
        ]
    return rows


def _given(value: float | None) -> float:
    return math.nan if value is None else value
