"""Usual distances, and neighbours' votes: as scikit-learn counts them, and right as often as they say."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from cass_cli.scores.neighbourhood import LEAST, TEMPERATURE, doubted_labels, far_fence, near_fence, vote


def test_fences_are_tukeys() -> None:
    distances = np.exp(np.arange(101) / 50)  # logarithms 0, 0.02, … 2, whose quartiles are 0.5 and 1.5
    assert near_fence(distances) == pytest.approx(np.exp(0.5 - 3))
    assert far_fence(np.arange(101.0)) == pytest.approx(75 + 1.5 * 50)
    assert far_fence(np.arange(LEAST - 1.0)) != far_fence(np.arange(LEAST - 1.0))  # NaN: of too few


def test_of_usual_distances_few_are_told() -> None:
    """1 in 430,000 of log-normal ones is near (two-sided, so half of it below), 1 in 290 of normal ones is far."""
    rng = np.random.default_rng(0)
    near = np.exp(rng.normal(-1.4, 0.4, 400_000))
    far = rng.normal(0.3, 0.05, 400_000)
    assert (near < near_fence(near)).sum() <= 4
    assert (far > far_fence(far)).mean() == pytest.approx(0.00349, abs=4e-4)


def test_a_third_of_copies_moves_no_fence_below_them() -> None:
    rng = np.random.default_rng(1)
    usual = np.exp(rng.normal(-1.4, 0.3, 1000))
    copies = np.exp(rng.normal(-5.5, 0.3, 150))
    assert (copies < near_fence(np.concatenate([usual, copies]))).all()


def test_votes_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(2)
    rows = rng.normal(size=(80, 5))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    labels = rng.integers(0, 3, 80)
    theirs = KNeighborsClassifier(
        7, metric="cosine", algorithm="brute", weights=lambda d: np.exp((1 - d) / TEMPERATURE)
    ).fit(rows[20:], labels[20:])
    cosine = rows[:20] @ rows[20:].T
    index = np.argsort(-cosine, axis=1)[:, :7]
    shares, _ = vote(labels[20:], 3, index, np.take_along_axis(cosine, index, axis=1))
    np.testing.assert_allclose(shares, theirs.predict_proba(rows[:20]), atol=1e-9)


def test_who_knows_nothing_does_not_vote() -> None:
    index, similarity = np.array([[1, 2], [0, 2], [0, 1]]), np.array([[0.9, 0.9], [0.9, -1.0], [0.9, 0.9]])
    shares, weight = vote(np.array([0, -1, 1]), 2, index, similarity)
    assert shares.tolist() == [[0, 1], [1, 0], [1, 0]]  # the second has one neighbour; nobody hears the unlabelled one
    assert (weight > 0).all()
    shares, weight = vote(np.array([[1, -1], [1, 0], [-1, -1]], dtype=np.int8), 2, index, similarity)
    assert shares.tolist() == [[1, 0], [1, 0], [1, 0]]
    assert (weight > 0).tolist() == [[True, True], [True, False], [True, True]]


@pytest.mark.parametrize("multilabel", [False, True])
def test_turned_labels_are_doubted(multilabel: bool) -> None:
    rng = np.random.default_rng(3)
    true = rng.integers(0, 2, 200)
    rows = np.where(true[:, None] == 1, [1.0, 0.2], [0.2, 1.0]) + rng.normal(0, 0.1, (200, 2))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    labels = true.copy()
    labels[:5] = 1 - labels[:5]
    cosine = rows @ rows.T
    np.fill_diagonal(cosine, -1)
    index = np.argsort(-cosine, axis=1)[:, :10]
    given = np.stack([labels, 1 - labels], axis=1).astype(np.int8) if multilabel else labels
    found = doubted_labels(given, 2, index, np.take_along_axis(cosine, index, axis=1))
    doubted, turned = {suspect.row for suspect in found.suspects}, {0, 1, 2, 3, 4}
    alone = {row for row in turned if not turned & {*index[row].tolist()}}
    assert len(alone) >= 2 and alone <= doubted <= turned  # one beside another may hide behind it
    assert found.judged == (400 if multilabel else 200)
    assert all(multilabel or suspect.suggested == true[suspect.row] for suspect in found.suspects)
