"""One row an image: what its header says, what is wrong with it, and which others it repeats."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cass_cli.data.decode.facts import DecodeError, ImageFacts, PixelRules
from cass_cli.data.decode.image import describe_image
from cass_cli.data.duplicates import cluster_numbers, find_leaks
from cass_cli.data.layouts.columns import LEFT_OUT
from cass_cli.data.sample_table import SampleTable
from cass_cli.data.samples import archive_images
from cass_cli.data.splits import label_cells, label_columns
from cass_cli.data.store.decoding import usable_cores

Ints = NDArray[np.int64]
TOGETHER = 64  # headers that a thread reads at a time: to hand it each would take as long as to read it


@dataclass(frozen=True, slots=True)
class ImageRow:
    """One image, as the per-image CSV lists it."""

    image: str
    split: str
    labels: tuple[str, ...]  # cells of `splits.label_columns`
    group: str
    status: str  # "ok", "unreadable: REASON", or "left out: REASON"
    width: int
    height: int
    mode: str
    bit_depth: int
    format: str
    pages: int
    cluster: int  # of exact or near duplicates, -1: none
    leak: str  # the other splits in which it has a duplicate or its group
    disagrees: str  # an image that is its duplicate under another label


def read_headers(
    table: SampleTable, workers: int, on_progress: Callable[[int, int], None] | None = None
) -> tuple[dict[int, ImageFacts], dict[int, str]]:
    """Return the header of each image by row, and the reason for each that has none to be read."""
    facts: dict[int, ImageFacts] = {}
    bad: dict[int, str] = {}
    if table.archive:
        for part in dict.fromkeys(name.partition("/")[0] for name in table.names):
            shape = archive_images(table.root, part).shape
            mode = "RGB" if len(shape) == 4 else "L"
            fact = ImageFacts(shape[2], shape[1], mode, bit_depth=8, format=table.root.suffix[1:], pages=1)
            facts |= {i: fact for i, name in enumerate(table.names) if name.startswith(f"{part}/")}
        return facts, bad

    def look(rows: range) -> list[ImageFacts | str]:
        seen: dict[Path, ImageFacts | str] = {}
        for path in map(table.path, rows):
            if path not in seen:
                seen[path] = _header(path, table.rules)
        return [seen[table.path(row)] for row in rows]

    parts = [range(start, min(start + TOGETHER, len(table))) for start in range(0, len(table), TOGETHER)]
    with ThreadPoolExecutor(workers or usable_cores()) as pool:
        for rows, seen in zip(parts, pool.map(look, parts), strict=True):
            facts |= {row: fact for row, fact in zip(rows, seen, strict=True) if not isinstance(fact, str)}
            bad |= {row: reason for row, reason in zip(rows, seen, strict=True) if isinstance(reason, str)}
            if on_progress is not None:
                on_progress(rows.stop, len(table))
    return facts, bad


def _header(path: Path, rules: PixelRules) -> ImageFacts | str:
    """Return what the header of a file says, or why it says nothing."""
    try:
        return describe_image(path, rules)
    except DecodeError as error:
        return error.reason


def image_rows(
    table: SampleTable, splits: Sequence[str], facts: dict[int, ImageFacts], bad: dict[int, str], pairs: Ints
) -> tuple[ImageRow, ...]:
    """Return a row an image, then one a file that was left out.

    `facts` and `bad` as from `read_headers`, `pairs` [K, 2] of duplicates.
    """
    leaks = find_leaks(table, splits, pairs)
    elsewhere: dict[int, set[str]] = {}
    home = np.array(splits, dtype=np.str_)
    rows, others = _ends(leaks.pairs)
    for split in {*splits}:
        for found in np.unique(rows[(home == split)[others]]).tolist():
            elsewhere.setdefault(found, set()).add(split)
    homes: dict[str, set[str]] = {group: set() for group in leaks.groups}
    for group, split in zip(table.groups or (), splits, strict=False):
        if group in homes and split:
            homes[group].add(split)
    rows, others = _ends(leaks.disagreements)
    rows, first = np.unique(rows, return_index=True)
    other_label = {row: table.names[other] for row, other in zip(rows.tolist(), others[first].tolist(), strict=True)}
    clusters = cluster_numbers(pairs, len(table)).tolist()
    unknown = ImageFacts(0, 0, "", bit_depth=0, format="", pages=0)

    def row(i: int) -> ImageRow:
        fact = facts.get(i, unknown)
        group = table.groups[i] if table.groups else ""
        leaking = elsewhere.get(i, set()) | (homes.get(group, set()) - {splits[i]})
        return ImageRow(
            image=table.names[i],
            split=splits[i],
            labels=tuple(label_cells(table, i)),
            group=group,
            status=f"unreadable: {bad[i]}" if i in bad else "ok",
            width=fact.width,
            height=fact.height,
            mode=fact.mode,
            bit_depth=fact.bit_depth,
            format=fact.format,
            pages=fact.pages,
            cluster=clusters[i],
            leak=";".join(sorted(leaking)),
            disagrees=other_label.get(i, ""),
        )

    def other(name: str, reason: str) -> ImageRow:
        blank = ("",) * len(label_columns(table))
        status = f"{LEFT_OUT}: {reason}"
        return ImageRow(name, "", blank, "", status, 0, 0, "", 0, "", 0, cluster=-1, leak="", disagrees="")

    return (*(row(i) for i in range(len(table))), *(other(name, reason) for name, reason in table.left_out))


def _ends(pairs: Ints) -> tuple[Ints, Ints]:
    """Return the rows [2K] of the pairs, and the other row of each: one and two of the first pair, two and one, ..."""
    return pairs.ravel(), pairs[:, ::-1].ravel()
