"""Confident learning: the counts, the joint and the ranking are those of others, and flipped labels are found."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict

from cass_cli.scores.label_noise import (
    confident_joint,
    counted_as,
    estimated_joint,
    label_noise,
    self_confidence,
)


def drawn() -> tuple[np.ndarray, np.ndarray]:
    """Sixty labels of three classes, ten of them turned, and probabilities of the truth."""
    rng = np.random.default_rng(3)
    true = rng.integers(0, 3, 60)
    labels = true.copy()
    turned = rng.choice(60, 10, replace=False)
    labels[turned] = (labels[turned] + rng.integers(1, 3, 10)) % 3
    logits = rng.normal(size=(60, 3))
    logits[np.arange(60), true] += 1.5
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return labels, p


def test_the_counts_of_a_hand_example() -> None:
    labels = np.array([0, 0, 0, 1, 1])
    p = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.3, 0.7], [0.6, 0.4]])
    np.testing.assert_allclose(self_confidence(labels, p), [0.6, 0.55])
    counted = counted_as(p, self_confidence(labels, p))
    assert counted.tolist() == [0, 0, 1, 1, 0]
    assert confident_joint(labels, counted, 2).tolist() == [[2, 1], [1, 1]]
    found = label_noise(labels, p)
    assert [(s.row, s.given, s.suggested) for s in found.suspects] == [(2, 0, 1), (4, 1, 0)]
    assert found.suspects[0].margin == pytest.approx(-0.8)
    assert found.wrong == pytest.approx(3 * 1 / 3 + 2 * 1 / 2)


def test_the_joint_of_the_papers_example() -> None:
    """Figure 1 of Northcutt et al. 2021: counts of dog, fox and cow, and the joint that it prints for them."""
    joint = np.array([[100, 40, 20], [56, 60, 0], [32, 12, 80]])
    labels = np.repeat([0, 1, 2], joint.sum(axis=1))
    printed = [[0.25, 0.1, 0.05], [0.14, 0.15, 0], [0.08, 0.03, 0.2]]
    np.testing.assert_allclose(estimated_joint(joint, labels), printed)
    uneven = estimated_joint(joint, np.repeat([0, 1, 2], [320, 116, 124]))  # rows add up as the labels do
    np.testing.assert_allclose(uneven.sum(axis=1), np.array([320, 116, 124]) / 560)


def test_the_ranking_is_cleanlabs() -> None:
    """What cleanlab 2.9.0 gives: compute_confident_joint(calibrate=False), and find_label_issues by
    confident_learning, ranked by normalized_margin."""
    labels, p = drawn()
    joint = confident_joint(labels, counted_as(p, self_confidence(labels, p)), 3)
    assert joint.tolist() == [[12, 2, 2], [2, 9, 3], [2, 4, 8]]
    rows = [s.row for s in label_noise(labels, p).suspects]
    assert rows == [33, 58, 40, 19, 6, 4, 12, 29, 21, 8, 53, 13, 9, 14, 43]


def test_of_several_labels_each_is_judged_by_itself() -> None:
    """An image's labels are cells: the answer is that for each column alone, and what is unknown is not judged."""
    rng = np.random.default_rng(0)
    labels = (rng.random((80, 2)) < [0.4, 0.25]).astype(np.int8)
    p = 1 / (1 + np.exp(-(3 * (labels - 0.5) + rng.normal(size=labels.shape))))
    labels[[3, 22], 0] = 1 - labels[[3, 22], 0]
    labels[5:9, 1] = -1
    found = label_noise(labels, p)
    for c in range(2):
        known = np.flatnonzero(labels[:, c] >= 0)
        alone = label_noise(labels[known, c].astype(np.int64), np.stack([1 - p[known, c], p[known, c]], axis=1))
        of_class = [s for s in found.suspects if s.given == c]
        assert [s.row for s in of_class] == [known[s.row] for s in alone.suspects]
        assert all(s.present == (labels[s.row, c] == 0) for s in of_class)
    assert 3 in {s.row for s in found.suspects if s.given == 0}
    assert found.judged == 160 - 4
    assert [s.margin for s in found.suspects] == sorted(s.margin for s in found.suspects)


def test_flipped_labels_are_found_among_few_others() -> None:
    """Of 60 flipped labels of 600, a tenth, where classes lie well apart: most are candidates, and few others are.

    Over eight draws 76 % were candidates (67 % at least), and 96 % of the candidates were flipped (93 % at least).
    """
    rng = np.random.default_rng(1)
    true = rng.integers(0, 4, 600)
    features = rng.normal(size=(600, 20)) + 4 * np.eye(20)[true]
    labels = true.copy()
    flipped = rng.choice(600, 60, replace=False)
    labels[flipped] = (labels[flipped] + rng.integers(1, 4, 60)) % 4
    p = cross_val_predict(LogisticRegression(max_iter=500), features, labels, cv=5, method="predict_proba")
    found = label_noise(labels, p)
    rows = [s.row for s in found.suspects]
    assert len({*rows} & {*flipped}) >= 0.6 * 60
    assert len({*rows} & {*flipped}) >= 0.9 * len(rows)
    assert found.wrong == pytest.approx(60, abs=15)
    right = [s for s in found.suspects if s.row in {*flipped}]
    assert np.mean([s.suggested == true[s.row] for s in right]) > 0.9


def test_right_labels_have_no_candidates_and_none_is_not_a_number() -> None:
    labels = np.arange(40) % 2
    found = label_noise(labels, np.where(np.eye(2)[labels] == 1, 0.9, 0.1))
    assert found.suspects == ()
    assert found.wrong == pytest.approx(0)
    assert np.isnan(label_noise(labels[:0], np.zeros((0, 2))).wrong)


def test_a_class_without_a_label_is_never_suggested() -> None:
    labels, p = drawn()
    wider = np.concatenate([p * 0.5, np.full((60, 1), 0.5)], axis=1)
    assert all(s.suggested < 3 for s in label_noise(labels, wider).suspects)


def test_an_image_whose_label_is_still_the_likeliest_is_no_candidate() -> None:
    labels, p = np.array([0, 0, 1, 1]), np.array([[0.95, 0.05], [0.55, 0.45], [0.6, 0.4], [0.6, 0.4]])
    assert counted_as(p, self_confidence(labels, p)).tolist() == [0, 1, 1, 1]
    assert label_noise(labels, p).suspects == ()
