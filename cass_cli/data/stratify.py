"""Divide images into parts of given sizes so that every part has its share of every class.

Units are what may not be divided: an image, a patient, a lesion, a cluster of near-duplicates.
U units · C classes · P parts, in order of precedence for classes too small for all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

REFINED_UNITS = 20_000  # above, chance alone balances the classes to a few per mille
SWAPPED_UNITS = 400  # pairs are tried too up to here; 400 × 400 is a second's work
FEW_UNITS, RESTARTS = 30, 60
PASSES = 20  # of refinement; it stops at the first pass without a gain, usually the third


def stratify_classes(labels: Ints, fractions: Floats, rng: np.random.Generator) -> Ints:
    """Return the part of each image, int64 [N], for one class an image; exact to rounding in every class.

    A class with at least P images has one in every part; a smaller one fills the parts in order of precedence.
    """
    part = np.empty(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == label))
        part[rows] = np.repeat(np.arange(len(fractions)), _shares(len(rows), fractions))
    for empty in np.flatnonzero(np.bincount(part, minlength=len(fractions)) == 0):
        # Only classes smaller than P can leave a part empty: it takes one image of the largest class elsewhere.
        largest = np.bincount(part, minlength=len(fractions)).argmax()
        rows = np.flatnonzero(part == largest)
        _, inverse, sizes = np.unique(labels[rows], return_inverse=True, return_counts=True)
        part[rows[sizes[inverse].argmax()]] = empty
    return part


def _shares(n: int, fractions: Floats) -> Ints:
    """Return whole numbers that add up to n, near n · fractions, none of them zero if n allows."""
    parts = len(fractions)
    if n < parts:
        return (np.arange(parts) < n).astype(np.int64)
    ideal = fractions * n
    shares = np.maximum(np.floor(ideal).astype(np.int64), 1)
    while shares.sum() < n:
        shares[(ideal - shares).argmax()] += 1
    while shares.sum() > n:
        surplus = np.where(shares > 1, shares - ideal, -np.inf)
        shares[surplus.argmax()] -= 1
    return shares


def stratify_units(counts: Ints, fractions: Floats, rng: np.random.Generator) -> Ints:
    """Return the part of each unit, int64 [U], given how many images of each class it holds, int64 [U, C].

    Iterative stratification (Sechidis, Tsoumakas and Vlahavas 2011, algorithm 1), with units for examples: the
    rarest class is dealt out first, each unit to the part that still wants most of it. A local search over moves
    and swaps then lowers `_cost`, which also asks for every class in every part. The last column must hold
    the unit's number of images.
    """
    part = _deal(counts, fractions, rng)
    if len(counts) > REFINED_UNITS:
        return part
    # a few patients are a puzzle with many dead ends: try several beginnings
    best, lowest = _refine(counts, fractions, part, rng)
    for _ in range(RESTARTS if len(counts) <= FEW_UNITS else 0):
        part, cost = _refine(counts, fractions, rng.integers(len(fractions), size=len(counts)), rng)
        if cost < lowest - 1e-9:
            best, lowest = part, cost
    return best


def _deal(counts: Ints, fractions: Floats, rng: np.random.Generator) -> Ints:
    wanted = fractions[:, None] * counts.sum(axis=0)  # [P, C] images still wanted
    left = counts.copy()
    part = np.full(len(counts), -1, dtype=np.int64)
    order = rng.permutation(len(counts))
    while (part < 0).any():
        remaining = left.sum(axis=0)
        rarest = int(np.where(remaining > 0, remaining, np.iinfo(np.int64).max).argmin())
        units = order[left[order, rarest] > 0] if remaining[rarest] else order[part[order] < 0]
        for unit in units:  # in random order: by size, the large would always be in the first part
            # the largest want of this class; ties go to the largest want of all, then to precedence
            best = np.lexsort((-wanted.sum(axis=1), -wanted[:, rarest].round(9)))[0]
            part[unit] = best
            wanted[best] -= counts[unit]
        left[units] = 0
    return part


def _refine(counts: Ints, fractions: Floats, part: Ints, rng: np.random.Generator) -> tuple[Ints, float]:
    """Move single units, and swap pairs where units are few, as long as the cost falls; also return the cost."""
    held = np.stack([counts[part == p].sum(axis=0) for p in range(len(fractions))])  # [P, C]
    target = fractions[:, None] * counts.sum(axis=0)
    # a class found in n units is asked of the first n parts
    asked = np.arange(len(fractions))[:, None] < (counts > 0).sum(axis=0)
    cost_of = partial(_cost, target=target, asked=asked)
    cost = np.inf
    for _ in range(PASSES):
        before, cost = cost, float(cost_of(held))
        if cost > before - 1e-9:
            break
        held = _move(counts, part, held, cost_of, rng)
        if len(counts) <= SWAPPED_UNITS:
            held = _swap(counts, part, held, cost_of, rng)
    return part, cost


def _move(counts: Ints, part: Ints, held: Ints, cost_of: Callable[[Ints], Floats], rng: np.random.Generator) -> Ints:
    """Move each unit, in random order, to the part where the cost is least; changes `part`, returns held [P, C]."""
    parts = np.arange(len(held))
    for unit in rng.permutation(len(counts)):
        trials = np.repeat(held[None], len(parts), axis=0)  # [P, P, C]: this unit in each part
        trials[:, part[unit]] -= counts[unit]
        trials[parts, parts] += counts[unit]
        costs = cost_of(trials)
        best = costs.argmin()
        if costs[best] < costs[part[unit]] - 1e-9:
            part[unit], held = best, trials[best]
    return held


def _swap(counts: Ints, part: Ints, held: Ints, cost_of: Callable[[Ints], Floats], rng: np.random.Generator) -> Ints:
    """Swap each unit, in random order, with the one of another part that lowers the cost most, as `_move` does."""
    for unit in rng.permutation(len(counts)):
        others = np.append(unit, np.flatnonzero(part != part[unit]))  # first itself: no swap
        gain = counts[others] - counts[unit]  # [O, C]: what this unit's part gains
        trials = np.repeat(held[None], len(others), axis=0)  # [O, P, C]
        trials[:, part[unit]] += gain
        trials[np.arange(len(others)), part[others]] -= gain
        costs = cost_of(trials)
        best = costs.argmin()
        if costs[best] < costs[0] - 1e-9:
            held = trials[best]
            part[unit], part[others[best]] = part[others[best]], part[unit]
    return held


def _cost(held: Ints, target: Floats, asked: NDArray[np.bool_]) -> Floats:
    """Return chi-squared of held [..., P, C] against its target, plus a fine for each class that a part lacks."""
    distance = ((held - target) ** 2 / np.maximum(target, 1e-9)).sum(axis=(-2, -1))
    lacking = (held == 0) & asked
    # an empty part (last column) is worse than any imbalance
    fines: Floats = distance + 100.0 * lacking.sum(axis=(-2, -1)) + 1e9 * lacking[..., -1].sum(axis=-1)
    return fines


def nested_order(bits: Ints, rng: np.random.Generator) -> tuple[Ints, int]:
    """Order the rows of 0/1 labels [N, C] so that every beginning is stratified.

    Also returns the length of the shortest beginning that has a positive of every class. First, classes are covered
    from the rarest on; then each next image is, of 64 drawn at random, the one that brings the class counts closest
    to their share.
    """
    share = bits.mean(axis=0)
    free = rng.permutation(len(bits))
    order: list[int] = []
    held = np.zeros(bits.shape[1], dtype=np.int64)
    for label in np.argsort(bits.sum(axis=0), kind="stable"):
        if held[label] == 0 and bits[:, label].any():
            order.append(int(free[bits[free, label].argmax()]))
            held += bits[order[-1]]
    least = len(order)
    free = free[~np.isin(free, order)]
    end = len(free)  # free[:end] are still to be placed
    while end:
        drawn = rng.integers(end, size=min(64, end))
        miss = held + bits[free[drawn]] - share * (len(order) + 1)
        best = drawn[(miss**2 / np.maximum(share, 1e-12)).sum(axis=1).argmin()]
        order.append(int(free[best]))
        held += bits[order[-1]]
        end -= 1
        free[best] = free[end]
    return np.array(order, dtype=np.int64), least


def sample_units(bits: Ints, units: Ints, most: int, rng: np.random.Generator) -> Ints:
    """Return rows, sorted, of whole units: as many as `most` rows hold, but one unit at least, each class its share.

    bits are 0/1 [N, C], units the unit [N] of each row, numbered from 0. A class is shared by the units that show it.
    """
    counts = np.bincount(units)
    if len(units) <= most:
        return np.arange(len(units))
    shown = np.zeros((len(counts), bits.shape[1]), dtype=np.int64)
    np.maximum.at(shown, units, bits)
    order, _ = nested_order(shown, rng)
    taken = max(1, int(np.searchsorted(counts[order].cumsum(), most, side="right")))
    return np.flatnonzero(np.isin(units, order[:taken]))
