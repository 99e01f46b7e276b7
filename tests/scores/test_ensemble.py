from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import softmax

from cass_cli.scores import ensemble
from cass_cli.scores.calibration import with_mean
from cass_cli.scores.choice import recommend
from cass_cli.scores.ensemble import mixture_weights, weighted
from cass_cli.scores.judgement import judge, probabilities_of


def answers(
    images: int, *, seed: int = 0, signals: tuple[float, ...] = (2.0, 1.0, 0.3)
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Labels of uneven classes, and calibrated answers that see them more or less well."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(4, size=images, p=(0.7, 0.15, 0.1, 0.05))
    seen = [s * (s * np.eye(4)[labels] + rng.normal(size=(images, 4))) for s in signals]
    return labels, {f"answer{k}": softmax(logits, axis=1) for k, logits in enumerate(seen)}


def test_without_images_all_count_alike() -> None:
    _, given = answers(5)
    none = {name: found[:0] for name, found in given.items()}
    assert mixture_weights(np.zeros(0, dtype=np.int64), none) == dict.fromkeys(given, pytest.approx(1 / 3))


def test_few_images_change_little_and_many_decide() -> None:
    few, many = (mixture_weights(*answers(images)) for images in (10, 20_000))
    assert max(few.values()) < 0.4
    assert many["answer0"] > 0.9
    assert sum(many.values()) == pytest.approx(1)


@pytest.mark.parametrize("multilabel", [False, True])
def test_weights_are_the_maximum_of_the_equation(multilabel: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ensemble, "PRIOR", 7.0)
    labels, given = answers(300, signals=(1.2, 1.0, 0.8))
    if multilabel:
        labels = np.eye(4, dtype=np.int64)[labels]
        labels[::5, 2] = -1
    found = np.array(list(mixture_weights(labels, given).values()))

    def objective(weights: np.ndarray) -> float:
        mixed = np.tensordot(weights, np.stack(list(given.values())), axes=1)
        if multilabel:
            known = labels >= 0
            likely = np.log(np.where(labels == 1, mixed, 1 - mixed))[known].sum() / 4
        else:
            value = 1 / np.bincount(labels)[labels] * len(labels) / 4
            likely = (value * np.log(mixed[np.arange(300), labels])).sum()
        return float(-likely - 7.0 * np.log(weights).sum())

    best = minimize(lambda logits: objective(softmax(logits)), np.zeros(3), tol=1e-12)
    assert found == pytest.approx(softmax(best.x), abs=2e-3)


def test_unknown_labels_weigh_nothing() -> None:
    labels, given = answers(200)
    shown = np.eye(4, dtype=np.int64)[labels]
    shown[::2] = -1
    spoilt = {name: found.copy() for name, found in given.items()}
    spoilt["answer0"][::2] = 0.25
    assert mixture_weights(shown, given) == mixture_weights(shown, spoilt)


def test_an_average_is_a_candidate_like_the_others() -> None:
    labels, given = answers(400, signals=(1.2, 1.0, 1.1))
    logits = {name: np.log(found) for name, found in zip(("cnn", "vit", "joint"), given.values(), strict=True)}
    judged = judge(logits, labels, tuple("abcd"), metric="macro_f1", tuned=False, ensemble=True)
    assert judged.candidates == ("cnn", "vit", "mean", "joint", "ensemble")
    assert judged.weights.keys() == {"cnn", "vit", "joint"}
    found = probabilities_of(logits, judged.temperatures, judged.weights, multilabel=False)
    assert np.allclose(found["ensemble"], weighted(found, judged.weights))
    assert np.allclose(found["ensemble"].sum(axis=1), 1)
    assert judged.pick == "ensemble"
    assert judge(logits, labels, tuple("abcd"), metric="macro_f1", tuned=False).weights == {}


def test_the_average_is_taken_unless_another_is_clearly_better() -> None:
    labels, given = answers(600, signals=(1.3, 1.2, 1.25))
    candidates = with_mean(dict(zip(("cnn", "vit", "joint"), given.values(), strict=True)))
    worse = candidates["mean"].copy()
    worse[:2] = np.roll(worse[:2], 1, axis=1)  # by two images at most
    advice = recommend(labels, candidates | {"ensemble": worse}, resamples=300)
    assert advice.choice == "ensemble"
    assert "is not clearly better than ensemble" in advice.reason
    advice = recommend(labels, candidates | {"ensemble": worse[::-1]}, resamples=300)
    assert advice.choice != "ensemble"
    none = {name: found[:0] for name, found in (candidates | {"ensemble": worse}).items()}
    assert recommend(labels[:0], none).choice == "ensemble"
