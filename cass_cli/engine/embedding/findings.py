"""Candidates for a look: near-duplicates, outliers, labels at odds with their neighbours'; asked of each arm.

What both arms find comes first: they are networks of two kinds, and fail in different ways.
Shapes: n images, D features, K pairs, A arms.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cass_cli.data.duplicates import find_leaks, merged_pairs, near_duplicates
from cass_cli.data.sample_table import SampleTable
from cass_cli.engine.embedding.job import Embedded
from cass_cli.engine.embedding.neighbours import Neighbours, directions, neighbours
from cass_cli.scores.label_noise import Suspect
from cass_cli.scores.neighbourhood import LEAST, doubted_labels, far_fence, near_fence
from cass_cli.scores.values import Floats
from cass_cli.words import count

K = 10  # neighbours
MOST_PAIRS = 20_000  # that are told; beyond, the nearest of them
STEP = 4096  # pairs whose similarity is computed at a time
KINDS = {  # in the order in which they are told
    "leak": "near-duplicates in different splits",
    "other label": "near-duplicates with different labels",
    "duplicate": "other near-duplicates",
    "same group": "near-duplicates within a group",
    "label": "labels at odds with the neighbours'",
    "outlier": "outliers: far from all others",
}

Ints = NDArray[np.int64]
Told = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Finding:
    """One candidate."""

    kind: str  # of KINDS
    row: int  # of the table
    other: int | None  # of a pair
    values: Mapping[str, float]  # by arm that found it: cosine of a pair, distance of an outlier, margin of a label
    suggested: str = ""  # by the neighbours, of a label


@dataclass(frozen=True)
class Neighbourhood:
    """All candidates, kind by kind, the likeliest first."""

    findings: tuple[Finding, ...]
    counts: Mapping[str, int]  # by kind, also of those that are not told
    leaking: Mapping[tuple[str, str], int]  # (split, other): images of `split` with a near-duplicate in `other`
    similarity: Mapping[str, float]  # by arm: the cosine above which a pair is told; NaN: of too few images
    distance: Mapping[str, float]  # by arm: the mean distance above which an image is an outlier
    judged: int  # labels that neighbours say something of
    notes: tuple[str, ...]


def find_neighbourhood(
    found: Embedded, duplicate_similarity: float | None = None, *, on_progress: Told
) -> Neighbourhood:
    """Compare every image with every other, arm by arm, in blocks.

    Two images are near-duplicates where their cosine is above `duplicate_similarity`, or else unusually high for the
    nearest of other groups (`near_fence`): images of one patient are near each other by nature. An outlier's mean
    distance to its 10 nearest (Ramaswamy et al. 2000; Angiulli and Pizzuti 2002) is unusually large (`far_fence`). A
    label is doubted by the neighbours of other groups (`doubted_labels`), of all arms alike.
    """
    table, groups = found.table, _group_numbers(found.table)
    if len(table) < 2:
        return Neighbourhood((), {}, {}, {}, {}, 0, ("One image has no neighbours.",))
    rows, near = dict[str, Tensor](), dict[str, tuple[Neighbours, Neighbours]]()
    similarity, pairs = dict[str, float](), np.empty((0, 2), dtype=np.int64)
    notes, device = list[str](), torch.device(found.about["device"])
    for name, arm in found.features.items():
        rows[name] = directions(arm.values, arm.widths)
        told = _telling(on_progress, f"Comparing {name}")
        near[name] = neighbours(rows[name], groups, k=K, device=device, on_progress=told)
        fence = 1 - near_fence(1 - near[name][1].similarity[:, 0].astype(float))
        similarity[name] = fence if duplicate_similarity is None else duplicate_similarity
        if not np.isnan(similarity[name]):
            close = near_duplicates(rows[name], threshold=similarity[name])
            pairs = merged_pairs(pairs, close.pairs)
            if close.cut:
                notes.append(f"{name} finds too many pairs to list; those that connect each cluster are kept.")
    distance = {name: 1 - of[0].similarity.astype(float).mean(axis=1) for name, of in near.items()}
    fences = {name: far_fence(of) for name, of in distance.items()}
    if len(table) < LEAST:
        notes.append(f"{count(len(table), 'image')}: too few to say what is usually near, and what far.")
    labelled, judged = _labels(table, {name: of[1] for name, of in near.items()})
    twins, counts = _pairs(table, found.splits, pairs, rows, similarity, groups)
    if len(twins) < len(pairs):
        notes.append(f"{len(pairs):,} pairs are near-duplicates; the nearest {len(twins):,} are listed.")
    outliers = _outliers(distance, fences)
    counts |= {"label": len(labelled), "outlier": len(outliers)}
    return Neighbourhood(
        findings=(*twins, *labelled, *outliers),
        counts=counts,
        leaking=find_leaks(table, found.splits, pairs).images,
        similarity=similarity,
        distance=fences,
        judged=judged,
        notes=tuple(notes),
    )


def _telling(on_progress: Told, what: str) -> Callable[[int, int], None]:
    return lambda done, total: on_progress(what, done, total)


def _group_numbers(table: SampleTable) -> Ints:
    """Return the number of each image's group [n]; an image of which none is known is one of its own."""
    known = table.groups or ("",) * len(table)
    names = [group or f"\0{row}" for row, group in enumerate(known)]
    return np.unique(names, return_inverse=True)[1].astype(np.int64)


def _pairs(
    table: SampleTable,
    splits: tuple[str, ...],
    pairs: Ints,
    rows: Mapping[str, Tensor],
    similarity: Mapping[str, float],
    groups: Ints,
) -> tuple[list[Finding], dict[str, int]]:
    """Return the near-duplicates, by kind and then those of most arms and the nearest first; and how many of each."""
    cosine = np.stack([_cosines(of, pairs) for of in rows.values()], axis=1)  # [K, A]
    by = cosine > np.array([similarity[name] for name in rows])  # nothing is above NaN
    leaks = find_leaks(table, splits, pairs)
    kind = np.where(groups[pairs[:, 0]] == groups[pairs[:, 1]], "same group", "duplicate").astype(object)
    kind[_among(pairs, leaks.disagreements)] = "other label"
    kind[_among(pairs, leaks.pairs)] = "leak"
    order = list(KINDS)
    rank = np.array([order.index(name) for name in kind], dtype=np.int64)
    sorted_ones = np.lexsort((-cosine.mean(axis=1), -by.sum(axis=1), rank))
    arms = list(rows)
    told = [
        Finding(
            str(kind[i]),
            int(pairs[i, 0]),
            int(pairs[i, 1]),
            {arms[a]: float(cosine[i, a]) for a in np.flatnonzero(by[i])},
        )
        for i in sorted_ones[:MOST_PAIRS].tolist()
    ]
    return told, {name: int((rank == number).sum()) for number, name in enumerate(order[:4])}


def _cosines(rows: Tensor, pairs: Ints) -> Floats:
    """Return the cosine [K] of each pair of unit rows."""
    found = [(rows[part[:, 0]] * rows[part[:, 1]]).sum(dim=1) for part in torch.from_numpy(pairs).split(STEP)]
    return torch.cat(found).double().numpy() if len(pairs) else np.empty(0)


def _among(pairs: Ints, some: Ints) -> NDArray[np.bool_]:
    """Return which of the pairs [K] are among `some`."""
    width = int(pairs.max(initial=0)) + 1
    return np.isin(pairs[:, 0] * width + pairs[:, 1], some[:, 0] * width + some[:, 1])


def _outliers(distance: Mapping[str, Floats], fences: Mapping[str, float]) -> list[Finding]:
    """Return the images beyond the fence of an arm: those of most arms and the furthest, in fences, first."""
    beyond = np.stack([of / fences[name] for name, of in distance.items()], axis=1)  # [n, A]
    by = beyond > 1
    rows = np.flatnonzero(by.any(axis=1))
    rows = rows[np.lexsort((-beyond[rows].mean(axis=1), -by[rows].sum(axis=1)))]
    arms = list(distance)
    return [
        Finding("outlier", int(row), None, {arms[a]: float(distance[arms[a]][row]) for a in np.flatnonzero(by[row])})
        for row in rows
    ]


def _labels(table: SampleTable, near: Mapping[str, Neighbours]) -> tuple[list[Finding], int]:
    """Return the labels that the neighbours doubt, of every arm and for the same one: the widest margin first.

    And how many labels were judged: images, or for multi-label known cells.
    """
    if table.labels is None or len(table.classes) < 2 - table.multilabel:
        return [], 0
    found: dict[tuple[int, str], dict[str, float]] = {}
    judged = 0
    for name, of in near.items():
        noise = doubted_labels(table.labels, len(table.classes), of.index, of.similarity.astype(float))
        judged = max(judged, noise.judged)
        for suspect in noise.suspects:
            found.setdefault((suspect.row, _suggested(table, suspect)), {})[name] = suspect.margin
    agreed = {key: margins for key, margins in found.items() if len(margins) == len(near)}
    doubts = [Finding("label", row, None, margins, said) for (row, said), margins in agreed.items()]
    return sorted(doubts, key=lambda f: (sum(f.values.values()), f.row)), judged


def _suggested(table: SampleTable, suspect: Suspect) -> str:
    name = table.classes[suspect.suggested]
    return name if suspect.present else f"no {name}"
