"""Look a data set over before training on it: what is there, what is broken, what leaks."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cass_cli.data.duplicates import (
    THRESHOLD,
    cluster_numbers,
    exact_duplicates,
    find_leaks,
    merged_pairs,
    near_duplicates,
    thumbnails,
)
from cass_cli.data.image_rows import ImageRow, image_rows, read_headers
from cass_cli.data.sample_table import SampleTable
from cass_cli.data.splits import SPLITS, label_columns
from cass_cli.data.store.store import HELD_IN_MEMORY, build_store

Ints = NDArray[np.int64]
KINDS = ("leak", "bad", "duplicate", "disagreement")  # what `Inspection.found` can tell


@dataclass(frozen=True)
class Copies:
    """Duplicates of one kind: how many images have one, in how many clusters, across splits, against labels."""

    pairs: int
    images: int
    clusters: int
    largest: int  # images in the largest cluster
    crossing: dict[str, int]  # "test → train": images of test with a duplicate in train
    disagreements: int  # pairs whose labels differ


@dataclass(frozen=True)
class Inspection:
    """What was found; every number counts images unless it says otherwise."""

    root: str
    notes: tuple[str, ...]
    obstacles: tuple[str, ...]  # what stops training
    images: int
    classes: tuple[str, ...]
    multilabel: bool
    unlabelled: int
    splits_by: str  # who decided the splits, in a few words
    split_sizes: dict[str, int]
    class_counts: dict[str, dict[str, int]]  # class → split → images
    sizes: dict[str, int]  # "224 × 224" → images, most frequent first
    not_square: int
    longest: float  # longer over shorter side, at most
    modes: dict[str, int]  # "JPEG RGB, 8 bit"
    many_pages: int
    bad: tuple[tuple[str, str], ...]  # (name, reason)
    pixels_checked: bool  # False: headers alone were read, damage further in goes unseen
    groups: int | None  # None: no groups are known
    groups_by: str  # what tells the groups
    ungrouped: int
    largest_group: int  # images
    leaking_groups: tuple[str, ...]
    exact: Copies | None  # None: not looked for
    near: Copies | None  # includes the exact ones that could be decoded
    flat: int  # images of nearly one colour, left out of the search for near-duplicates
    pairs_cut: bool
    seconds: float
    label_columns: tuple[str, ...]  # those of `rows`
    rows: tuple[ImageRow, ...]  # the images, then the files that were left out

    @property
    def leaks(self) -> bool:
        """True when a duplicate or a group crosses splits."""
        copies = [c for c in (self.exact, self.near) if c is not None]
        return bool(self.leaking_groups) or any(c.crossing for c in copies)

    def found(self, kind: str) -> bool:
        """Return whether one of `KINDS` was found."""
        copies = [c for c in (self.exact, self.near) if c is not None]
        return {
            "leak": self.leaks,
            "bad": bool(self.bad),
            "duplicate": any(c.pairs for c in copies),
            "disagreement": any(c.disagreements for c in copies),
        }[kind]


def split_source(table: SampleTable, seed: int) -> str:
    """Say in a few words who decided the splits that `assign_splits` gives for `seed`."""
    stated = [split for split in SPLITS if table.splits and split in table.splits]
    carved = [split for split in ("val", "test") if split not in stated]
    if not stated:
        return f"cass (seed {seed})"
    return "the data" + (f", {' and '.join(carved)} carved from train by cass (seed {seed})" if carved else "")


def inspect_samples(
    table: SampleTable,
    splits: Sequence[str],
    *,
    splits_by: str,
    duplicates: bool = True,
    size: int = 64,
    threshold: float = THRESHOLD,
    cached: bool = False,
    workers: int = 0,
    on_progress: Callable[[int, int], None] | None = None,
) -> Inspection:
    """Read every image of `table` and report on it; nothing is changed and no unreadable file stops it.

    With `duplicates`, images are decoded at `size` × `size` and compared; `cached` keeps them in a file for
    the next look.
    Without, only headers are read: much faster, blind to damage further in.
    """
    began = time.monotonic()
    facts, bad = read_headers(table, workers, None if duplicates else on_progress)
    exact = near = np.empty((0, 2), dtype=np.int64)
    flat, cut, unkept = 0, False, list[str]()
    if duplicates:
        store = build_store(
            table,
            size=size,
            mode="disk" if cached else "auto",
            bad_images="skip",
            workers=workers,
            on_progress=on_progress,
        )
        unkept = [note for note in store.notes if note.endswith(HELD_IN_MEMORY)]
        bad = {image.index: image.reason for image in store.bad}  # decoding has the last word
        found = near_duplicates(thumbnails(store.images), threshold=threshold)
        exact, near, flat, cut = exact_duplicates(table), store.kept[found.pairs], len(found.flat), found.cut
    both = merged_pairs(exact, near)
    sizes = Counter(table.groups or ())
    alone = sizes.pop("", 0)
    known = [fact for i, fact in sorted(facts.items()) if i not in bad]
    return Inspection(
        root=str(table.root),
        notes=(*table.notes, *unkept),
        obstacles=table.obstacles,
        images=len(table),
        classes=table.classes,
        multilabel=table.multilabel,
        unlabelled=_unlabelled(table),
        splits_by=splits_by,
        split_sizes={split: list(splits).count(split) for split in SPLITS},
        class_counts=_class_counts(table, splits),
        sizes=_ranked(f"{fact.width} × {fact.height}" for fact in known),
        not_square=sum(fact.width != fact.height for fact in known),
        longest=max((max(f.width, f.height) / max(1, min(f.width, f.height)) for f in known), default=1.0),
        modes=_ranked(f"{fact.format} {fact.mode}, {fact.bit_depth} bit" for fact in known),
        many_pages=sum(fact.pages > 1 and table.frame(i) is None for i, fact in facts.items() if i not in bad),
        bad=tuple((table.names[i], reason) for i, reason in sorted(bad.items())),
        pixels_checked=duplicates,
        groups=None if table.groups is None else len(sizes),
        groups_by=table.groups_by,
        ungrouped=alone,
        largest_group=max(sizes.values(), default=0),
        leaking_groups=find_leaks(table, splits, exact[:0]).groups,
        exact=_copies(table, splits, exact) if duplicates else None,
        near=_copies(table, splits, near) if duplicates else None,
        flat=flat,
        pairs_cut=cut,
        seconds=time.monotonic() - began,
        label_columns=tuple(label_columns(table)),
        rows=image_rows(table, splits, facts, bad, both),
    )


def _ranked(words: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(words).items(), key=lambda item: (-item[1], item[0])))


def _unlabelled(table: SampleTable) -> int:
    if table.labels is None:
        return len(table)
    bare = (table.labels != 1).all(axis=1) if table.multilabel else table.labels < 0
    return int(bare.sum())


def _class_counts(table: SampleTable, splits: Sequence[str]) -> dict[str, dict[str, int]]:
    if table.labels is None:
        return {}
    held = table.labels == 1 if table.multilabel else table.labels[:, None] == np.arange(len(table.classes))
    home = np.array(splits, dtype=object)
    counts = {split: held[home == split].sum(axis=0).tolist() for split in SPLITS}  # [C] each
    return {name: {split: counts[split][c] for split in SPLITS} for c, name in enumerate(table.classes)}


def _copies(table: SampleTable, splits: Sequence[str], pairs: Ints) -> Copies:
    clusters = cluster_numbers(pairs, len(table))
    sizes = np.bincount(clusters[clusters >= 0])
    leaks = find_leaks(table, splits, pairs)
    return Copies(
        pairs=len(pairs),
        images=int(sizes.sum()),
        clusters=len(sizes),
        largest=int(sizes.max(initial=0)),
        crossing={f"{one} → {other}": n for (one, other), n in leaks.images.items()},
        disagreements=len(leaks.disagreements),
    )
