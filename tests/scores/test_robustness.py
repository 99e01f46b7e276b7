"""Corruption errors by hand and against scikit-learn; the interval of the drop against a known truth."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score

from cass_cli.scores.robustness import BALANCED, Level, baseline_of, fragilities, level


def by_hand(*balanced: float) -> list[Level]:
    return [Level({BALANCED: value}, np.empty(0)) for value in balanced]


def levels(answers: Mapping[str, list[Level]]) -> list[dict[str, Level]]:
    return [dict(zip(answers, of, strict=True)) for of in zip(*answers.values(), strict=True)]


# Balanced accuracies, clean and at five strengths of two kinds. Errors of cnn, which is the baseline:
# clean .2; noise .3 .4 .5 .6 .7, sum 2.5, less 5 · .2 is 1.5; blur .2 .2 .3 .4 .4, sum 1.5, less 1 is .5.
# Of vit: clean .1; noise .1 .2 .3 .4 .5, sum 1.5, less .5 is 1; blur .3 .4 .5 .6 .7, sum 2.5, less .5 is 2.
CLEAN = {"cnn": 0.8, "vit": 0.9}
NOISE = {"cnn": by_hand(0.7, 0.6, 0.5, 0.4, 0.3), "vit": by_hand(0.9, 0.8, 0.7, 0.6, 0.5)}
BLUR = {"cnn": by_hand(0.8, 0.8, 0.7, 0.6, 0.6), "vit": by_hand(0.7, 0.6, 0.5, 0.4, 0.3)}


def test_a_worked_example() -> None:
    clean = {name: by_hand(value)[0] for name, value in CLEAN.items()}
    found = fragilities(clean, {"noise": levels(NOISE), "blur": levels(BLUR)}, BALANCED, baseline="cnn")
    assert found["cnn"].bce == {"noise": 1, "blur": 1}
    assert found["cnn"].rce == {"noise": 1, "blur": 1}
    assert found["vit"].bce == {"noise": pytest.approx(1.5 / 2.5), "blur": pytest.approx(2.5 / 1.5)}
    assert found["vit"].rce == {"noise": pytest.approx(1 / 1.5), "blur": pytest.approx(2 / 0.5)}
    assert found["vit"].mean_bce == pytest.approx((0.6 + 5 / 3) / 2)
    assert found["vit"].mean_rce == pytest.approx((2 / 3 + 4) / 2)
    assert found["cnn"].mean == pytest.approx(0.6)
    assert found["vit"].drop.value == pytest.approx(0.9 - 0.6)
    assert np.isnan(found["vit"].drop.low), "nothing was resampled"
    assert found["vit"].corrupted["noise"][BALANCED] == (0.9, 0.8, 0.7, 0.6, 0.5)


def test_who_answers_as_the_baseline_has_ones() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(90) % 3
    given = [rng.dirichlet(np.ones(3), size=90) for _ in range(6)]
    both = [level(labels, p, "macro_f1", resamples=20) for p in given]
    found = fragilities(
        {"cnn": both[0], "twin": both[0]},
        {"noise": [{"cnn": of, "twin": of} for of in both[1:]]},
        "macro_f1",
        baseline="cnn",
    )
    assert found["twin"].bce["noise"] == found["cnn"].bce["noise"] == 1
    assert found["twin"].as_dict() == found["cnn"].as_dict()


@pytest.mark.parametrize("gains", [False, True])
def test_what_is_divided_by_nothing_is_undefined(gains: bool) -> None:
    """The baseline loses nothing, or gains, by the corruption; without any error it has no balanced error either."""
    flat = by_hand(*([1.0] * 5 if not gains else [0.9, 0.9, 0.9, 0.9, 0.9]))
    clean = {"cnn": by_hand(0.8 if gains else 1.0)[0], "vit": by_hand(0.8)[0]}
    corrupted = {"noise": levels({"cnn": flat, "vit": by_hand(*[0.5] * 5)}), "blur": levels(BLUR)}
    found = fragilities(clean, corrupted, BALANCED, baseline="cnn")
    assert np.isnan([found[name].rce["noise"] for name in clean]).all()
    assert np.isnan(found["vit"].bce["noise"]) == (not gains)
    assert found["vit"].mean_rce == found["vit"].rce["blur"], "the mean of what is defined"
    plain = found["vit"].as_dict()
    assert plain["rce"]["noise"] is None
    assert plain["drop"]["low"] is None


@pytest.mark.parametrize(("loses", "defined"), [(0.009, False), (0.02, True)])
def test_losses_are_not_divided_by_next_to_nothing(loses: float, defined: bool) -> None:
    clean = {name: by_hand(0.8)[0] for name in CLEAN}
    worse = {"colour": levels({"cnn": by_hand(*[0.8 - loses] * 5), "vit": by_hand(*[0.6] * 5)})}
    found = fragilities(clean, worse, BALANCED, baseline="cnn")["vit"].rce["colour"]
    assert found == pytest.approx(0.2 / loses) if defined else np.isnan(found)


def test_levels_are_what_scikit_learn_gives() -> None:
    rng = np.random.default_rng(1)
    labels, given = np.arange(80) % 4, rng.dirichlet(np.ones(4), size=80)
    found = level(labels, given, "macro_f1", resamples=0).values
    assert found["macro_f1"] == pytest.approx(f1_score(labels, given.argmax(1), average="macro"))
    assert found[BALANCED] == pytest.approx(balanced_accuracy_score(labels, given.argmax(1)))


def test_of_several_labels_it_is_the_mean_over_them() -> None:
    rng = np.random.default_rng(2)
    labels, given = rng.integers(2, size=(60, 3)).astype(np.int8), rng.random((60, 3))
    thresholds = np.array([0.3, 0.5, 0.7])
    found = level(labels, given, "auroc", thresholds=thresholds, resamples=0).values
    each = [balanced_accuracy_score(labels[:, c], given[:, c] >= thresholds[c]) for c in range(3)]
    assert found[BALANCED] == pytest.approx(np.mean(each))
    assert "auroc" in found


def test_the_baseline_is_the_cnn_where_there_is_one() -> None:
    assert baseline_of(["vit", "cnn", "mean"]) == "cnn"
    assert baseline_of(["one", "two", "mean"]) == "one"


@pytest.mark.parametrize("each", [1, 4])
def test_the_interval_of_the_drop_holds_the_truth_as_often_as_it_says(each: int) -> None:
    """Each image is right up to a strength of its own, .9 of them when clean and .9 − .1·s at strength s.

    The mean drop is .3. Several images of a patient are answered alike; drawn one by one they vary too little.
    """
    rng = np.random.default_rng(3)
    held = alone = 0
    for _ in range(100):
        units = 240 // each
        labels = np.tile([0, 1], units // 2)
        hard = rng.random(units)
        answers = []
        for strength in range(6):
            right = hard < 0.9 - 0.1 * strength
            answers.append(np.eye(2)[np.where(right, labels, 1 - labels)].repeat(each, axis=0))
        people = [f"p{unit}" for unit in range(units) for _ in range(each)]
        held += holds(labels.repeat(each), answers, people if each > 1 else None)
        alone += each > 1 and holds(labels.repeat(each), answers, None)
    assert 88 <= held < 100
    assert each == 1 or alone < 80


def holds(labels: np.ndarray, answers: list[np.ndarray], groups: list[str] | None) -> bool:
    clean, *worse = (level(labels, p, "accuracy", groups=groups, resamples=100) for p in answers)
    corrupted = {"noise": [{"cnn": of} for of in worse]}
    drop = fragilities({"cnn": clean}, corrupted, "accuracy", baseline="cnn")["cnn"].drop
    return drop.low <= 0.3 <= drop.high
