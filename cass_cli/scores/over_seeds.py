"""What repeated runs say: means with Student-t intervals, paired tests over seeds, and words for them.

A seed draws the label subset, the new head and the order of images, so the spread over seeds is the spread of
the whole protocol on one split. It says nothing about other images: that is `bootstrap.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import isnan, nan
from typing import Any

import numpy as np
from scipy.special import stdtrit  # Student t, without the second that scipy.stats takes

LEVEL = 0.95
SIGNIFICANT = 0.05


@dataclass(frozen=True)
class SeedSummary:
    """Mean over seeds with its 95 % Student-t interval; std, low and high are NaN for a single seed."""

    n: int
    mean: float
    std: float  # of single runs, with n − 1 in the denominator
    low: float
    high: float

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON values, None for NaN."""
        return _plain(asdict(self))


@dataclass(frozen=True)
class PairedTest:
    """First minus second, seed by seed; what can't be computed is NaN, and `note` says why."""

    n: int  # seeds that both have
    difference: float
    low: float
    high: float
    t_p: float  # two-sided paired t-test
    wilcoxon_p: float  # two-sided Wilcoxon signed-rank test
    note: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON values, None for NaN."""
        return _plain(asdict(self))


def summarise_seeds(values: Sequence[float]) -> SeedSummary:
    """Return mean ± t(0.975, n−1) · std / √n. NaN values (undefined metrics) are not counted.

    The interval is not cut at 0 or 1: one that reaches beyond says that there are too few seeds.
    """
    defined = np.array([v for v in values if not isnan(v)], dtype=np.float64)
    n = len(defined)
    if n == 0:
        return SeedSummary(0, nan, nan, nan, nan)
    mean = float(defined.mean())
    if n == 1:
        return SeedSummary(1, mean, nan, nan, nan)
    std = float(defined.std(ddof=1))
    half = float(stdtrit(n - 1, (1 + LEVEL) / 2)) * std / n**0.5
    return SeedSummary(n, mean, std, mean - half, mean + half)


def paired_test(first: Mapping[int, float], second: Mapping[int, float]) -> PairedTest:
    """Compare two methods whose values are given by seed, over the seeds that both have.

    Pairing removes what a seed does to both, such as a lucky label subset. The t-test takes the differences
    for normal; Wilcoxon's takes their signs and ranks only (zeros are dropped), and so can't reach p < 0.05
    with fewer than six seeds. Both are reported, as neither is to be trusted alone on a handful of seeds.
    """
    seeds = [s for s in sorted(first.keys() & second.keys()) if not isnan(first[s]) and not isnan(second[s])]
    unpaired = len(first.keys() | second.keys()) - len(seeds)
    notes = [f"{unpaired} seeds without a partner are left out."] if unpaired else []
    differences = np.array([first[s] - second[s] for s in seeds])
    summary = summarise_seeds(list(differences))
    t_p, wilcoxon_p = nan, nan
    if len(seeds) < 2:
        notes.append(f"{len(seeds)} common seed: no test is possible; run both with --seeds 5 or more.")
    elif not differences.any():
        t_p = wilcoxon_p = 1.0
        notes.append("All pairs are equal.")
    else:
        from scipy import stats  # only where there is something to test

        wilcoxon_p = float(stats.wilcoxon(differences).pvalue)
        if np.ptp(differences) > 1e-12 * np.abs(differences).max():
            t_p = float(stats.ttest_1samp(differences, 0).pvalue)
        else:
            notes.append("All differences are the same: the t-test has no spread to judge by.")
        if len(seeds) < 6:
            notes.append(f"With {len(seeds)} seeds Wilcoxon's p is {2 ** (1 - len(seeds)):.4g} at best.")
    return PairedTest(len(seeds), summary.mean, summary.low, summary.high, t_p, wilcoxon_p, " ".join(notes))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for their number (Holm 1979): a table of twenty tests has one 'hit' by chance.

    NaN stays NaN and is not counted.
    """
    adjusted = [nan] * len(p_values)
    order = sorted((p, i) for i, p in enumerate(p_values) if not isnan(p))
    highest = 0.0
    for rank, (p, i) in enumerate(order):
        highest = max(highest, min(1.0, p * (len(order) - rank)))
        adjusted[i] = highest
    return adjusted


def format_summary(summary: SeedSummary, *, digits: int = 3) -> str:
    """Return `0.713 ± 0.021 (n=5)`, the half width of the 95 % interval; for one seed `0.713 (n=1, no interval)`."""
    if summary.n == 0:
        return "undefined"
    mean = f"{summary.mean:.{digits}f}"
    if summary.n == 1:
        return f"{mean} (n=1, no interval)"
    return f"{mean} ± {summary.high - summary.mean:.{digits}f} (n={summary.n})"


def signed(number: float) -> str:
    """Return `+0.031` or `−0.031`, with a minus sign rather than a hyphen."""
    return f"{number:+.3f}".replace("-", "−")


def describe_difference(test: PairedTest, first: str, second: str, *, metric: str, p: float | None = None) -> str:
    """Return one sentence that claims no more than the t-test allows.

    `p` replaces the test's own p-value where it was adjusted for several comparisons (`holm`).
    """
    if test.n == 0:
        return f"{first} and {second} have no seed in common, so {metric} can't be compared."
    gap = f"{first} − {second} = {signed(test.difference)} {metric}"
    if test.n == 1:
        return f"{gap} on a single seed, which allows no conclusion."
    if not test.difference and test.t_p == 1:
        return f"{first} and {second} give the same {metric} on all {test.n} seeds."
    p_value, adjusted = (test.t_p, "") if p is None else (p, ", adjusted")
    if isnan(p_value):
        return f"{gap} on each of {test.n} seeds; no test is possible without any spread."
    interval = f"95 % interval {signed(test.low)} to {signed(test.high)}"
    figures = f"{interval}, paired t-test over {test.n} seeds p = {p_value:.2g}{adjusted}"
    if p_value >= SIGNIFICANT:
        return f"{gap}: not distinguishable from no difference ({figures})."
    better = "higher" if test.difference > 0 else "lower"
    doubt = (
        "" if test.wilcoxon_p < SIGNIFICANT else f"; Wilcoxon p = {test.wilcoxon_p:.2g}, so take it as an indication"
    )
    return f"{gap}: {first} is {better} ({figures}{doubt})."


def _plain(fields: dict[str, Any]) -> dict[str, Any]:
    return {k: None if isinstance(v, float) and isnan(v) else v for k, v in fields.items()}
