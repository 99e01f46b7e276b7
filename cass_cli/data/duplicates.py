"""The same picture twice: byte for byte, or nearly so, and what that does to splits and labels.

Exact duplicates are files with the same bytes (in an archive: members with the same pixels; of the frames of a file and
of its copy: the same ones). Near-duplicates are pictures whose 24 × 24 grey thumbnails correlate above 0.995:
re-encoded, resized, brightened, neighbouring slices.
N images · K pairs · D thumbnail pixels.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from cass_cli.data.sample_table import SampleTable
from cass_cli.data.samples import archive_images

Ints = NDArray[np.int64]

SIDE = 24  # thumbnail pixels a side
THRESHOLD = 0.995
FLAT = 2.0  # grey levels of 255: below this deviation a thumbnail is noise, and so would be its correlations
TILE = 4096  # rows and columns multiplied at a time: 64 MB
WHOLE = 2**20  # bytes of a file that is read in one piece
STRIPE = 128  # rows looked at together once there are too many pairs
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
            above = tile > threshold
            if len(pairs) + int(above.sum()) > MOST_PAIRS:
                pairs, correlation = _connecting(pairs, correlation, tile, above, (top, left), n)
                cut = True
            elif len(hits := torch.nonzero(above)):
                correlation = np.concatenate([correlation, tile[hits[:, 0], hits[:, 1]].numpy()])
                pairs = np.concatenate([pairs, (hits + torch.tensor((top, left))).numpy()])
        if on_progress is not None:
            on_progress(min(top + TILE, n), n)
    order = np.lexsort((pairs[:, 1], pairs[:, 0]))
    flat = np.flatnonzero((thumbs == 0).all(dim=1).numpy())
    return NearDuplicates(pairs[order], correlation[order], cluster_numbers(pairs, n), flat, cut)


def _connecting(
    pairs: Ints, correlation: NDArray[np.float32], tile: Tensor, above: Tensor, corner: tuple[int, int], n: int
) -> tuple[Ints, NDArray[np.float32]]:
    """Return what suffices of `pairs` and those `above` in `tile`, with correlations, to connect what all of them do.

    The earlier of two that would do is kept. A few rows at a time: in a large cluster nearly all pairs of the later
    ones join what is joined already, and are never listed.
    """
    kept = _spanning(pairs, n)
    pairs, correlation = pairs[kept], correlation[kept]
    cluster = torch.from_numpy(_components(pairs, n))
    for start in range(0, len(tile), STRIPE):
        stripe = tile[start : start + STRIPE]
        top, left = corner[0] + start, corner[1]
        apart = cluster[top : top + len(stripe), None] != cluster[None, left : left + stripe.shape[1]]
        hits = torch.nonzero(above[start : start + STRIPE] & apart)
        if len(hits):
            correlation = np.concatenate([correlation, stripe[hits[:, 0], hits[:, 1]].numpy()])
            pairs = np.concatenate([pairs, (hits + torch.tensor((top, left))).numpy()])
            kept = _spanning(pairs, n)
            pairs, correlation = pairs[kept], correlation[kept]
            cluster = torch.from_numpy(_components(pairs, n))
    return pairs, correlation


def _spanning(pairs: Ints, n: int) -> Ints:
    """Return the indices of pairs that suffice to connect what all of them connect, the earliest that do."""
    from scipy.sparse import coo_array  # only where there are pairs
    from scipy.sparse.csgraph import minimum_spanning_tree

    edges = coo_array((np.arange(1, len(pairs) + 1, dtype=np.float64), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    forest: Ints = minimum_spanning_tree(edges).data.astype(np.int64)
    return forest - 1


def _components(pairs: Ints, n: int) -> Ints:
    """Number what `pairs` connect, int64 [n]; an image on its own is a component too."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    edges = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    return np.asarray(connected_components(edges, directed=False)[1], dtype=np.int64)


def cluster_numbers(pairs: Ints, n: int) -> Ints:
    """Return the cluster of each of n images that `pairs` connect, numbered from 0; -1 for an image on its own."""
    numbers = _components(pairs, n)
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


def merged_pairs(one: Ints, two: Ints) -> Ints:
    """Return the pairs [K, 2] that are in either, each once, sorted."""
    both = np.concatenate([one, two])
    width = int(both.max(initial=0)) + 1
    return np.stack(np.divmod(np.unique(both[:, 0] * width + both[:, 1]), width), axis=1)  # faster than whole rows


def _digests_of_files(table: SampleTable) -> Iterator[tuple[int, int, bytes]]:
    """Yield (row, bytes, digest) of the files that share their length with another; empty files are no copies.

    The digest of one image of several in a file tells which one it is.
    """
    images: dict[Path, list[int]] = {}
    for row in range(len(table)):
        images.setdefault(table.path(row), []).append(row)
    by_size: dict[int, list[Path]] = {}
    for path in images:
        with suppress(OSError):
            by_size.setdefault(path.stat().st_size, []).append(path)
    for size, paths in by_size.items():
        for path in paths if size and len(paths) > 1 else ():
            with suppress(OSError), path.open("rb", buffering=0) as file:
                digest = _digest(file, size)
                yield from ((row, size, digest + f"{table.frame(row)}".encode()) for row in images[path])


def _digest(file: FileIO, size: int) -> bytes:
    """Return BLAKE2b of the file: at once where it is small, which saves a large buffer for each."""
    if size <= WHOLE:
        return hashlib.blake2b(file.readall()).digest()
    return hashlib.file_digest(file, hashlib.blake2b).digest()


def _digests_of_members(table: SampleTable) -> Iterator[tuple[int, int, bytes]]:
    """Yield (row, bytes, digest) of each image of an archive that can be read."""
    for row, name in enumerate(table.names):
        part, _, index = name.partition("/")
        with suppress(OSError):  # a damaged chunk of HDF5
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
    names = sorted({*splits} - {""})
    numbers = {name: number for number, name in enumerate(names)}
    split = np.array([numbers.get(name, -1) for name in splits], dtype=np.int64)
    one, two = split[pairs[:, 0]], split[pairs[:, 1]]
    crossing = pairs[(one != two) & (one >= 0) & (two >= 0)]
    ends = np.concatenate([crossing, crossing[:, ::-1]])  # every pair from both its ends
    home, away = split[ends[:, 0]], split[ends[:, 1]]
    images: dict[tuple[str, str], int] = {}
    for name in names:
        here = home == numbers[name]
        images |= {(name, other): _distinct(ends[here & (away == numbers[other]), 0]) for other in names}
        if name == "test":
            images[name, "train or val"] = _distinct(ends[here, 0])
    homes = Counter(group for group, home in {*zip(table.groups or (), splits, strict=False)} if group and home)
    return Leaks(
        pairs=crossing,
        images={key: rows for key, rows in sorted(images.items()) if rows},
        groups=tuple(sorted(group for group, found in homes.items() if found > 1)),
        disagreements=pairs[_labels_differ(table, pairs)],
    )


def _distinct(rows: Ints) -> int:
    return int(np.count_nonzero(np.bincount(rows)))


def _labels_differ(table: SampleTable, pairs: Ints) -> NDArray[np.bool_]:
    if table.labels is None:
        return np.zeros(len(pairs), dtype=bool)
    one, two = table.labels[pairs[:, 0]], table.labels[pairs[:, 1]]
    differ = (one != two) & (one >= 0) & (two >= 0)  # what is unknown differs from nothing
    return np.asarray(differ.any(axis=1) if table.multilabel else differ)
