"""Neighbours in blocks are those of scikit-learn, and of other groups where these are asked for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler

from cass_cli.engine.embedding import neighbours as module
from cass_cli.engine.embedding.neighbours import directions, neighbours

CPU = torch.device("cpu")


def values(n: int = 60) -> np.ndarray:
    return np.random.default_rng(0).normal(3, 2, (n, 8)).astype(np.float32)


def test_rows_are_standardised_and_of_unit_length() -> None:
    given = values()
    given[:, 3] = 7  # tells nothing
    rows = directions(given, [8]).numpy()
    theirs = StandardScaler().fit_transform(given.astype(float))
    np.testing.assert_allclose(rows, theirs / np.linalg.norm(theirs, axis=1, keepdims=True), atol=1e-5)


def test_each_layer_counts_alike_however_wide() -> None:
    given = values()
    rows = directions(given, [2, 6])
    shares = [float(part.square().mean(dim=0).sum()) for part in (rows[:, :2], rows[:, 2:])]
    assert shares[0] == pytest.approx(0.5, abs=0.1) and sum(shares) == pytest.approx(1)


@pytest.mark.parametrize("cells", [2**25, 150])  # in one block, and two rows at a time
def test_the_nearest_are_those_of_scikit_learn(cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CELLS", cells)
    rows = directions(values(), [8])
    groups = np.arange(60) // 3
    seen: list[int] = []
    found, foreign = neighbours(rows, groups, k=5, device=CPU, on_progress=lambda done, _total: seen.append(done))
    distance, index = NearestNeighbors(n_neighbors=6, metric="cosine", algorithm="brute").fit(rows).kneighbors(rows)
    assert np.array_equal(found.index, index[:, 1:])  # the first is the image itself
    np.testing.assert_allclose(found.similarity, 1 - distance[:, 1:], atol=1e-5)
    for row in range(60):
        others = np.flatnonzero(groups != groups[row])
        nearest = others[np.argsort(-(rows[others] @ rows[row]).numpy())[:5]]
        assert np.array_equal(foreign.index[row], nearest)
    assert seen[-1] == 60 and len(seen) == (1 if cells > 3600 else 30)


def test_without_groups_both_are_one() -> None:
    found, foreign = neighbours(directions(values(4), [8]), np.arange(4), k=10, device=CPU)
    assert found is foreign and found.index.shape == (4, 3)
