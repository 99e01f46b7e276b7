"""The scores of subgroups in plain words: how far apart they lie, and what one of them cannot say."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from cass_cli.reports.tables import said_with_interval
from cass_cli.scores.bootstrap import Estimate
from cass_cli.scores.metrics import METRICS
from cass_cli.scores.subgroups import FEW_IMAGES
from cass_cli.words import shown


def gap_in_words(found: Mapping[str, Any]) -> str:
    """Return in sentences how far apart the groups of a `SubgroupsRecord` lie, and whether that is more than chance."""
    if not found["worst"]:
        return f"Fewer than two groups have {FEW_IMAGES} images or more: nothing can be said of differences."
    gap = Estimate(*(math.nan if found["gap"][end] is None else found["gap"][end] for end in ("value", "low", "high")))
    best, worst, title = shown(found["best"]), shown(found["worst"]), METRICS.get(found["metric"], found["metric"])
    said = f"Best {title}: {best}; worst: {worst}; {said_with_interval(gap, 3)} apart."
    if found["chance"] is None:
        return said
    often = f"{100 * found['chance']:.2g} %" if found["chance"] >= 0.001 else "fewer than 0.1 %"
    return f"{said} In {often} of random divisions the furthest lie at least as far apart."


def lacks_in_words(lacks: Sequence[str], *, small: bool) -> str:
    """Return why a group's scores say less: too few images, or classes that it does not show."""
    parts = ["too few to say"] if small else []
    parts += [f"no {', '.join(map(shown, lacks))}"] if lacks else []
    return "; ".join(parts)
