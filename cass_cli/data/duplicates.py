"""The same picture twice: byte for byte, or nearly so, and what that does to splits and labels.

Exact duplicates are files with the same bytes (in an .npz: members with the same pixels). Near-duplicates are
pictures whose 24 × 24 grey thumbnails correlate above 0.995: re-encoded, resized, brightened, neighbouring slices.
N images · K pairs · D thumbnail pixels.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components, minimum_spanning_tree
from torch import Tensor

from cass_cli.data.samples import archive_images
from cass_cli.data.sources import SampleTable

Ints = NDArray[np.int64]

SIDE = 24  # thumbnail pixels a side
THRESHOLD = 0.995
FLAT = 2.0  # grey levels of 255: below this deviation a thumbnail is noise, and so would be its correlations
TILE = 4096  # rows and columns multiplied at a time: 64 MB
MOST_PAIRS = 2_000_000  # beyond, pairs inside a cluster already known are let go


@dataclass(frozen=True)
class NearDuplicates:
    """Pairs of images above the threshold, and the clusters that the pairs connect."""

    pairs: Ints  # [K, 2], smaller row first, sorted
    correlation: NDArray[np.float32]  # [K]
    clusters: Ints  # [N]: number of the image's cluster, -1 for an image on its own
    flat: Ints  # rows that are nearly one colour: compared with nothing
    cut: bool  # more than MOST_PAIRS pairs: clusters are complete, pairs are not


def thumbnails(images: Tensor, *, side: int = SIDE) -> Tensor:
    """Return float32 [N, side²], each row of zero mean and unit length, of uint8 images [N, 3, H, W].

    A row is all zeros when its thumbnail deviates by less than FLAT grey levels. Works through blocks of images, so
    a memory-mapped store is read once, front to back.
    """
    weights = torch.tensor((0.299, 0.587, 0.114)).view(1, 3, 1, 1)  # ITU-R BT.601 luma
    rows = torch.empty(len(images), side * side)
    step = max(1, 2**24 // max(1, images[0].numel())) if len(images) else 1  # 64 MB of float32
    for start in range(0, len(images), step):
        block = images[start : start + step].cpu().float()
        grey = (block * weights).sum(dim=1, keepdim=True)
        small = F.interpolate(grey, (side, side), mode="bilinear", antialias=True).flatten(1)
        small -= small.mean(dim=1, keepdim=True)
        length = small.norm(dim=1, keepdim=True)
        small /= torch.where(length < FLAT * side, torch.inf, length)
        rows[start : start + step] = small
    return rows


def near_duplicates(
    thumbs: Tensor, *, threshold: float = THRESHOLD, on_progress: Callable[[int, int], None] | None = None
) -> NearDuplicates:
    """Compare every thumbnail with every other; exact, N² · D multiplications in tiles of bounded memory."""
    n = len(thumbs)
    pairs = np.empty((0, 2), dtype=np.int64)
    correlation = np.empty(0, dtype=np.float32)
    cut = False
    for top in range(0, n, TILE):
        for left in range(top, n, TILE):
            tile = thumbs[top : top + TILE] @ thumbs[left : left + TILE].T
            if left == top:
                tile = tile.triu_(diagonal=1)  # each pair once, no image with itself
            hits = torch.nonzero(tile > threshold)
            correlation = np.concatenate([correlation, tile[hits[:, 0], hits[:, 1]].numpy()])
            pairs = np.concatenate([pairs, (hits + torch.tensor((top, left))).numpy()])
            if len(pairs) > MOST_PAIRS:
                kept = _spanning(pairs, n)
                pairs, correlation, cut = pairs[kept], correlation[kept], True
        if on_progress is not None:
            on_progress(min(top + TILE, n), n)
    order = np.lexsort((pairs[:, 1], pairs[:, 0]))
    flat = np.flatnonzero((thumbs == 0).all(dim=1).numpy())
    return NearDuplicates(pairs[order], correlation[order], cluster_numbers(pairs, n), flat, cut)


def _spanning(pairs: Ints, n: int) -> Ints:
    """Return the indices of pairs that suffice to connect what all of them connect."""
    edges = coo_array((np.arange(1, len(pairs) + 1, dtype=np.float64), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    forest: Ints = minimum_spanning_tree(edges).data.astype(np.int64)
    return forest - 1


def cluster_numbers(pairs: Ints, n: int) -> Ints:
    """Return the cluster of each of n images that `pairs` connect, numbered from 0; -1 for an image on its own."""
    edges = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    numbers = connected_components(edges, directed=False)[1]
    paired = np.zeros(n, dtype=bool)
    paired[pairs.ravel()] = True
    clusters = np.full(n, -1, dtype=np.int64)
    clusters[paired] = np.unique(numbers[paired], return_inverse=True)[1]
    return clusters


def exact_duplicates(table: SampleTable) -> Ints:
    """Return pairs [K, 2] of rows with the same bytes: each further copy with the first; unreadable files none.

    Only files that share their length are read and hashed (BLAKE2b); in an .npz, every member's pixels are.
    """
    first: dict[tuple[int, bytes], int] = {}
    pairs: list[tuple[int, int]] = []
    for row, size, digest in _digests_of_members(table) if table.archive else _digests_of_files(table):
        original = first.setdefault((size, digest), row)
        if original != row:
            pairs.append((original, row))
    return np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2)


def _digests_of_files(table: SampleTable) -> Iterator[tuple[int, int, bytes]]:
    """Yield (row, bytes, digest) of the files that share their length with another; empty files are no copies."""
    by_size: dict[int, list[int]] = {}
    for row in range(len(table)):
        with suppress(OSError):
            by_size.setdefault(table.path(row).stat().st_size, []).append(row)
    for size, rows in by_size.items():
        for row in rows if size and len(rows) > 1 else ():
            with suppress(OSError), table.path(row).open("rb") as file:
                yield row, size, hashlib.file_digest(file, hashlib.blake2b).digest()


def _digests_of_members(table: SampleTable) -> Iterator[tuple[int, int, bytes]]:
    """Yield (row, bytes, digest) of each image of an .npz."""
    for row, name in enumerate(table.names):
        part, _, index = name.partition("/")
        pixels = archive_images(table.root, part)[int(index)]
        yield row, pixels.nbytes, hashlib.blake2b(pixels.tobytes()).digest()


@dataclass(frozen=True)
class Leaks:
    """What crosses splits, and duplicates whose labels disagree."""

    pairs: Ints  # [K, 2] duplicates in different splits
    # (split, other): images of `split` with a duplicate in `other`, which may be "train or val" for test
    images: dict[tuple[str, str], int]
    groups: tuple[str, ...]  # groups found in several splits
    disagreements: Ints  # [K, 2] duplicates with different labels

    def __bool__(self) -> bool:
        return bool(len(self.pairs) or self.groups)


def find_leaks(table: SampleTable, splits: Sequence[str], pairs: Ints) -> Leaks:
    """Check duplicate `pairs` and the table's groups against `splits` ("" = in no split)."""
    split = np.array(splits, dtype=object)
    one, two = split[pairs[:, 0]], split[pairs[:, 1]]
    crossing = pairs[(one != two) & (one != "") & (two != "")]
    touched: dict[tuple[str, str], set[int]] = {}
    for a, b in crossing.tolist():
        for mine, other in ((a, b), (b, a)):
            touched.setdefault((split[mine], split[other]), set()).add(mine)
            if split[mine] == "test":
                touched.setdefault(("test", "train or val"), set()).add(mine)
    homes: dict[str, set[str]] = {}
    for group, home in zip(table.groups or (), splits, strict=False):
        if group and home:
            homes.setdefault(group, set()).add(home)
    return Leaks(
        pairs=crossing,
        images={key: len(rows) for key, rows in sorted(touched.items())},
        groups=tuple(sorted(group for group, found in homes.items() if len(found) > 1)),
        disagreements=pairs[_labels_differ(table, pairs)],
    )


def _labels_differ(table: SampleTable, pairs: Ints) -> NDArray[np.bool_]:
    if table.labels is None:
        return np.zeros(len(pairs), dtype=bool)
    one, two = table.labels[pairs[:, 0]], table.labels[pairs[:, 1]]
    differ = (one != two) & (one >= 0) & (two >= 0)  # what is unknown differs from nothing
    return np.asarray(differ.any(axis=1) if table.multilabel else differ)
