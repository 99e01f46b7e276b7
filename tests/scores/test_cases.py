"""Which answers are worth a look, against a plain sort of all of them."""

from __future__ import annotations

import numpy as np
import pytest

from cass_cli.scores.cases import disagreements, sort_answers


def test_the_surest_wrong_and_the_most_doubtful_right_come_first() -> None:
    rng = np.random.default_rng(0)
    labels, p = rng.integers(0, 3, 50), rng.dirichlet(np.ones(3), 50)
    found = sort_answers(labels, p, None)
    wrong = [i for i in range(50) if p[i].argmax() != labels[i]]
    assert [case.row for case in found.wrong] == sorted(wrong, key=lambda i: -p[i].max())
    assert [case.row for case in found.right] == sorted({*range(50)} - {*wrong}, key=lambda i: p[i].max())
    assert all(case.about == p[case.row].argmax() for case in (*found.wrong, *found.right))
    assert found.wrong[0].value == max(p[i].max() for i in wrong)


def test_several_labels_stand_for_their_surest_mistake() -> None:
    labels = np.array([[1, 0, -1], [1, 0, 0], [0, 1, -1], [-1, -1, -1]], dtype=np.int8)
    p = np.array([[0.3, 0.9, 0.99], [0.8, 0.45, 0.1], [0.05, 0.7, 0.02], [0.9, 0.9, 0.9]])
    found = sort_answers(labels, p, np.array([0.5, 0.5, 0.5]))
    assert [(c.row, c.about, c.value) for c in found.wrong] == [(0, 1, pytest.approx(0.9))]
    assert [(c.row, c.about, c.value) for c in found.right] == [
        (1, 1, pytest.approx(0.55)),
        (2, 1, pytest.approx(0.7)),
    ]
    stricter = sort_answers(labels, p, np.array([0.5, 0.4, 0.5]))
    assert [c.row for c in stricter.wrong] == [0, 1]


def test_arms_disagree_by_total_variation() -> None:
    one = np.array([[0.5, 0.5, 0.0], [0.9, 0.05, 0.05], [0.2, 0.3, 0.5]])
    other = np.array([[0.5, 0.38, 0.12], [0.1, 0.8, 0.1], [0.2, 0.3, 0.5]])
    found = disagreements([one, other], multilabel=False)
    assert [(c.row, c.about, round(c.value, 6)) for c in found] == [(1, 0, 0.8), (0, 1, 0.12), (2, 0, 0.0)]
    assert round(disagreements([one, other], multilabel=True)[0].value, 6) == 0.8
    assert disagreements([one], multilabel=False) == ()
    third = disagreements([one, one, other], multilabel=False)
    assert [(c.row, c.value) for c in third] == [(c.row, c.value) for c in found]


def test_no_image_is_no_case() -> None:
    empty = np.zeros((0, 3))
    assert sort_answers(np.zeros(0, dtype=np.int64), empty, None).wrong == ()
    assert disagreements([empty, empty], multilabel=False) == ()
