"""What a score falls by at another site, and how sure that is."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, roc_auc_score

from cass_cli.scores.drop import Answers, drops, shown_by_both


def answers(rng: np.random.Generator, images: int, right: float, *, classes: int = 2, each: int = 1) -> Answers:
    """Images of which a share is answered rightly; `each` of a group alike."""
    units = images // each
    labels, hit = rng.integers(classes, size=units), rng.random(units) < right
    chosen = np.where(hit, labels, (labels + 1) % classes)
    probabilities = np.full((units, classes), 0.1)
    probabilities[np.arange(units), chosen] += rng.uniform(0.2, 0.9, units)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    groups = None if each == 1 else [f"p{unit}" for unit in range(units) for _ in range(each)]
    return Answers(labels.repeat(each), probabilities.repeat(each, axis=0), groups)


def test_values_are_differences_of_what_scikit_learn_gives() -> None:
    rng = np.random.default_rng(0)
    home, away = answers(rng, 300, 0.9), answers(rng, 200, 0.7)
    found = drops(home, away, resamples=0)

    def gap(metric: object) -> float:
        one, two = (metric(of.labels, of.probabilities) for of in (home, away))  # type: ignore[operator]
        return float(two - one)

    assert found["accuracy"].value == pytest.approx(gap(lambda y, p: accuracy_score(y, p.argmax(1))))
    assert found["macro_f1"].value == pytest.approx(gap(lambda y, p: f1_score(y, p.argmax(1), average="macro")))
    assert found["auroc"].value == pytest.approx(gap(lambda y, p: roc_auc_score(y, p[:, 1])))
    assert np.isnan(found["accuracy"].low)


@pytest.mark.parametrize("each", [1, 4])
def test_intervals_hold_the_true_drop_as_often_as_they_say(each: int) -> None:
    """Of images of one patient that are answered alike, only whole patients vary; drawn one by one they would not."""
    rng = np.random.default_rng(1)
    held = alone = 0
    for _ in range(120):
        home, away = answers(rng, 320, 0.9, each=each), answers(rng, 160, 0.75, each=each)
        found = drops(home, away, resamples=150)["accuracy"]
        held += found.low <= -0.15 <= found.high
        if each > 1:
            single = [Answers(of.labels, of.probabilities) for of in (home, away)]
            found = drops(*single, resamples=150)["accuracy"]
            alone += found.low <= -0.15 <= found.high
    assert held >= 0.88 * 120
    assert each == 1 or alone < 0.8 * 120


def test_only_classes_that_both_show_are_compared() -> None:
    rng = np.random.default_rng(2)
    home, away = answers(rng, 300, 0.9, classes=3), answers(rng, 200, 0.9, classes=3)
    away = Answers(np.minimum(away.labels, 1), away.probabilities, ["x"] * 200)
    one, two, left_out = shown_by_both(home, away)
    assert left_out == (2,)
    assert set(one.labels.tolist()) == {0, 1}
    assert len(one.probabilities) == int((home.labels < 2).sum())
    assert two.labels.tolist() == away.labels.tolist()
    assert two.groups == ["x"] * 200


def test_a_label_that_only_one_site_names_is_unknown_in_both() -> None:
    home = Answers(np.array([[1, 0, 1], [0, 1, 0], [0, 0, 1]], np.int8), np.full((3, 3), 0.5))
    away = Answers(np.array([[1, -1, 0], [0, -1, 1]], np.int8), np.full((2, 3), 0.5))
    one, two, left_out = shown_by_both(home, away)
    assert left_out == (1,)
    assert one.labels.tolist() == [[1, -1, 1], [0, -1, 0], [0, -1, 1]]
    assert two.labels.tolist() == away.labels.tolist()
