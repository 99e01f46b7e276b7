from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax

from cass_cli.scores.calibration import with_mean
from cass_cli.scores.choice import recommend


def arms(images: int, first: float, second: float, seed: int = 0) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Labels and the calibrated posteriors of two arms that see them with a signal of the given strengths."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(4, size=images)
    seen = [s * (s * np.eye(4)[labels] + rng.normal(size=(images, 4))) for s in (first, second)]
    return labels, with_mean({"cnn": softmax(seen[0], axis=1), "vit": softmax(seen[1], axis=1)})


def test_equal_arms_are_averaged() -> None:
    labels, candidates = arms(200, 1.5, 1.5)
    advice = recommend(labels, candidates, resamples=300)
    assert advice.choice == "mean"
    assert "can't be told apart" in advice.reason
    assert "200 validation images" in advice.reason
    assert advice.validation["mean"] > max(advice.validation["cnn"], advice.validation["vit"])


@pytest.mark.parametrize(("first", "second", "better"), [(2.0, 0.2, "cnn"), (0.2, 2.0, "vit")])
def test_a_useless_arm_is_left_out(first: float, second: float, better: str) -> None:
    labels, candidates = arms(300, first, second)
    candidates["mean"] = candidates["mean"][::-1]  # and its mean is certainly no good
    advice = recommend(labels, candidates, resamples=300)
    assert advice.choice == better
    assert f"worse than {better} alone" in advice.reason


def test_where_arms_differ_the_mean_has_to_earn_its_place() -> None:
    labels, candidates = arms(400, 2.0, 1.4)
    advice = recommend(labels, candidates, resamples=300)
    assert "cnn is clearly better than vit" in advice.reason
    gains = advice.validation["mean"] >= advice.validation["cnn"]
    assert advice.choice == ("mean" if gains else "cnn")
    spoilt = dict(candidates, mean=candidates["cnn"].copy())
    wrong = np.flatnonzero(candidates["cnn"].argmax(axis=1) == labels)[:1]
    spoilt["mean"][wrong] = np.roll(spoilt["mean"][wrong], 1, axis=1)  # worse by a single image
    advice = recommend(labels, spoilt, resamples=300)
    assert advice.choice == "cnn"
    assert "gains nothing" in advice.reason


def test_choice_ignores_the_order_of_arms() -> None:
    labels, candidates = arms(150, 1.5, 1.2)
    turned = dict(reversed(candidates.items()))
    assert recommend(labels, candidates, resamples=200).choice == recommend(labels, turned, resamples=200).choice


def test_one_arm_and_no_images() -> None:
    labels, candidates = arms(30, 1, 1)
    alone = recommend(labels, {"vit": candidates["vit"]})
    assert alone.choice == "vit"
    assert "this arm only" in alone.reason
    nothing = recommend(labels[:0], {name: p[:0] for name, p in candidates.items()})
    assert nothing.choice == "mean"
    assert "no validation images" in nothing.reason


def test_one_patient_allows_no_interval() -> None:
    labels, candidates = arms(30, 2, 0.1)
    advice = recommend(labels, candidates, groups=["p"] * 30)
    assert advice.choice == "mean"
    assert "too few images or groups" in advice.reason


def test_multilabel_thresholds_count() -> None:
    rng = np.random.default_rng(0)
    p = rng.random((300, 3)) * 0.4
    labels = (p > 0.3).astype(np.uint8)  # perfect at 0.3, never chosen at 0.5
    candidates = {"cnn": p, "vit": p[::-1], "mean": p}
    tuned = {name: np.full(3, 0.3) for name in candidates}
    advice = recommend(labels, candidates, thresholds=tuned, resamples=100)
    assert advice.validation["cnn"] == 1.0
    assert recommend(labels, candidates, resamples=100).validation["cnn"] == 0.0
