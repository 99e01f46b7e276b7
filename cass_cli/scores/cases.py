"""Which answers are worth a look: the surest wrong ones, the most doubtful right ones, those that arms disagree on.

Shapes: N images, C classes. Labels are class indices [N], or 0/1 [N, C] for multi-label, -1 where unknown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from cass_cli.data.splits import Labels
from cass_cli.scores.values import Floats, decide, indicator


@dataclass(frozen=True)
class Case:
    """An image worth a look."""

    row: int  # of N
    about: int  # class that it is about: the one answered; multi-label: the one at issue
    value: float  # probability of what was answered, or how far the arms are apart; 0 … 1


@dataclass(frozen=True)
class Cases:
    """All of them, those most worth a look first."""

    wrong: tuple[Case, ...]
    right: tuple[Case, ...]


def sort_answers(labels: Labels, probabilities: Floats, thresholds: Floats | None) -> Cases:
    """Return the wrong answers, the surest first, and the right ones, the most doubtful first.

    Multi-label, an image is wrong where any known label was decided otherwise; it stands for its surest wrong decision,
    or its most doubtful right one. How sure a decision is, is the probability of what was decided.
    """
    multilabel = labels.ndim == 2
    chosen = decide(probabilities, multilabel=multilabel, thresholds=thresholds)
    if multilabel:
        sure, known = np.where(chosen, probabilities, 1 - probabilities), labels >= 0
        wrong = known & (chosen != indicator(labels, probabilities.shape[1]))
    else:
        sure, known = probabilities, chosen
        wrong = known & (np.arange(probabilities.shape[1]) != labels[:, None])
    bad = wrong.any(axis=1)
    surest = np.where(wrong, sure, -1.0)
    doubtful = np.where(known, sure, 2.0)
    return Cases(
        wrong=_in_order(np.flatnonzero(bad), surest.argmax(axis=1), surest.max(axis=1, initial=-1), falling=True),
        right=_in_order(
            np.flatnonzero(~bad & known.any(axis=1)), doubtful.argmin(axis=1), doubtful.min(axis=1, initial=2)
        ),
    )


def disagreements(arms: Sequence[Floats], *, multilabel: bool) -> tuple[Case, ...]:
    """Return all images, those first on which two arms [N, C] are furthest apart; nothing for a single arm.

    The distance is the total variation, ½ Σ_c |p_c − q_c|, the most by which they differ on any set of classes; for
    multi-label the largest |p_c − q_c|. Such a case is about the class on which they differ most.
    """
    if len(arms) < 2:
        return ()
    gaps = np.stack([np.abs(one - other) for one, other in combinations(arms, 2)])  # [pairs, N, C]
    apart = gaps.max(axis=2) if multilabel else gaps.sum(axis=2) / 2
    pair = apart.argmax(axis=0)
    rows = np.arange(gaps.shape[1])
    return _in_order(rows, gaps[pair, rows].argmax(axis=1), apart[pair, rows], falling=True)


def _in_order(
    rows: NDArray[np.int64], about: NDArray[np.int64], values: Floats, *, falling: bool = False
) -> tuple[Case, ...]:
    found = [Case(int(row), int(about[row]), float(values[row])) for row in rows]
    return tuple(sorted(found, key=lambda case: (-case.value if falling else case.value, case.row)))
