"""One answer for all images of a patient."""

from __future__ import annotations

import numpy as np
import pytest

from cass_cli.scores.patients import RULES, Pool, by_patient

GROUPS = ["a", "b", "a", "", ""]
GIVEN = np.array([[0.9, 0.1], [0.3, 0.7], [0.6, 0.4], [0.5, 0.5], [0.2, 0.8]])


@pytest.mark.parametrize(
    ("rule", "first"),
    [
        ("mean", [0.75, 0.25]),
        ("max", [0.9 / 1.3, 0.4 / 1.3]),
        ("noisy-or", [0.96 / 1.42, 0.46 / 1.42]),
    ],
)
def test_classes_that_exclude_each_other(rule: str, first: list[float]) -> None:
    found = by_patient(np.array([0, 1, 0, 1, 1]), GIVEN, GROUPS, rule=rule)
    assert found.probabilities[0] == pytest.approx(first)
    assert found.probabilities[1:] == pytest.approx(GIVEN[[1, 3, 4]])  # alone, as they were
    assert found.labels.tolist() == [0, 1, 1, 1]
    assert found.images.tolist() == [2, 1, 1, 1]


def test_a_patient_of_two_classes_has_no_answer_that_is_right() -> None:
    found = by_patient(np.array([0, 1, 1, 1, 1]), GIVEN, GROUPS, rule="mean")
    assert found.differing == 1
    assert found.labels.tolist() == [1, 1, 1]
    assert len(found.probabilities) == 3


@pytest.mark.parametrize(("rule", "first"), [("mean", [0.75, 0.25]), ("max", [0.9, 0.4]), ("noisy-or", [0.96, 0.46])])
def test_several_classes_are_shown_where_any_image_shows_them(rule: str, first: list[float]) -> None:
    labels = np.array([[1, -1], [0, 0], [0, 0], [-1, 1], [-1, -1]], np.int8)
    found = by_patient(labels, GIVEN, GROUPS, rule=rule)
    assert found.labels.tolist() == [[1, -1], [0, 0], [-1, 1]]  # the last has no label
    assert found.probabilities[0] == pytest.approx(first)


def test_certainty_is_no_trouble() -> None:
    found = by_patient(np.array([0, 0]), np.array([[1.0, 0.0], [1.0, 0.0]]), ["a", "a"], rule="noisy-or")
    assert found.probabilities.tolist() == [[1.0, 0.0]]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("multilabel", [False, True])
def test_answers_that_come_one_by_one_are_pooled_alike(rule: str, multilabel: bool) -> None:
    rng = np.random.default_rng(0)
    given = rng.dirichlet([0.5] * 4, 60)
    given[:3] = [[1, 0, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0]]  # sure, twice of one patient
    names = [f"p{i}" for i in rng.integers(0, 9, 60)]
    names[0] = names[1] = "p0"
    labels = np.zeros((60, 4), np.int8) if multilabel else np.zeros(60, np.int64)
    pool = Pool(rule)
    for name, row in zip(names, given, strict=True):
        pool.add(name, row)
    found = by_patient(labels, given, names, rule=rule)
    assert [pool.images[name] for name in pool.images] == found.images.tolist()
    one_by_one = [pool.answer(name, multilabel=multilabel) for name in pool.images]
    np.testing.assert_allclose(one_by_one, found.probabilities, rtol=1e-12, atol=1e-12)
