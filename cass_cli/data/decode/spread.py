"""Which of n frames or slices are taken: the middle one, several around it, or some evenly spread."""

from __future__ import annotations


def middle(n: int) -> int:
    """Return the middle of 0 … n − 1; of two, the first."""
    return (n - 1) // 2


def around_middle(n: int, count: int) -> list[int]:
    """Return `count` of 0 … n − 1 in a row around the middle; all where there are no more."""
    start = max(0, (n - count) // 2)
    return list(range(start, min(n, start + count)))


def evenly(n: int, count: int) -> list[int]:
    """Return the middles of `count` equal parts of 0 … n − 1; all where there are no more."""
    return [((2 * part + 1) * n - 1) // (2 * count) for part in range(count)] if count < n else list(range(n))
