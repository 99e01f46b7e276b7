from __future__ import annotations

from itertools import pairwise
from math import inf

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics import f1_score, log_loss

from cass_cli.errors import RunError
from cass_cli.scores.calibration import (
    fit_temperature,
    negative_log_likelihood,
    to_probabilities,
    tune_thresholds,
    with_mean,
)
from cass_cli.scores.metrics import score


def sample(images: int, *, multilabel: bool, seed: int = 0, sharpness: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """Draw labels from softmax(z) or σ(z), and return z times `sharpness`: the right T is `sharpness`."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(images, 5)) * 1.5
    p = to_probabilities(z, multilabel=multilabel)
    if multilabel:
        return z * sharpness, (rng.random(p.shape) < p).astype(np.uint8)
    return z * sharpness, (rng.random((images, 1)) > p.cumsum(axis=1)).sum(axis=1)


def torch_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """Fit T with L-BFGS on torch's losses, as in Guo et al.'s own code."""
    z, y, log_t = torch.tensor(logits), torch.tensor(labels), torch.zeros(1, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([log_t], max_iter=200, line_search_fn="strong_wolfe", tolerance_grad=1e-12)

    binary = F.binary_cross_entropy_with_logits

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        scaled = z / log_t.exp()
        loss = F.cross_entropy(scaled, y) if y.ndim == 1 else binary(scaled, y.double())
        loss.backward()
        return loss

    optimiser.step(closure)
    return log_t.exp().item()


@pytest.mark.parametrize("multilabel", [False, True])
@pytest.mark.parametrize("sharpness", [0.3, 1.0, 4.0])
def test_temperature_equals_lbfgs_and_finds_the_truth(multilabel: bool, sharpness: float) -> None:
    logits, labels = sample(3000, multilabel=multilabel, sharpness=sharpness)
    t = fit_temperature(logits, labels, prior=inf)
    assert t == pytest.approx(torch_temperature(logits, labels), rel=1e-4)
    assert t == pytest.approx(sharpness, rel=0.1)
    assert fit_temperature(logits, labels) == pytest.approx(t, rel=0.005), "the prior hardly shows"


def test_likelihood_equals_sklearn() -> None:
    logits, labels = sample(50, multilabel=False)
    p = to_probabilities(logits, multilabel=False)
    assert negative_log_likelihood(logits, labels) == pytest.approx(log_loss(labels, p))


def test_calibration_lowers_ece_on_other_images_and_changes_no_choice() -> None:
    logits, labels = sample(1000, multilabel=False, sharpness=3.0)
    other, truth = sample(1000, multilabel=False, sharpness=3.0, seed=1)
    raw = to_probabilities(other, multilabel=False)
    mended = to_probabilities(other, multilabel=False, temperature=fit_temperature(logits, labels))
    before, after = (score(truth, p, tuple("abcde"), resamples=0).metrics for p in (raw, mended))
    assert after["ece"].value < before["ece"].value / 4
    assert after["macro_f1"] == before["macro_f1"]


def test_a_few_images_all_right_do_not_send_the_temperature_to_a_bound() -> None:
    logits, labels = np.eye(4)[[0, 1, 2, 3, 0]] * 3.0, np.array([0, 1, 2, 3, 0])
    assert 0.3 < fit_temperature(logits, labels) < 1
    assert fit_temperature(logits, labels, prior=inf) < 0.1


def test_useless_logits_are_flattened() -> None:
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(500, 4)) * 5, rng.integers(4, size=500)
    p = to_probabilities(logits, multilabel=False, temperature=fit_temperature(logits, labels))
    assert p.max() < 0.5


def test_no_images_leave_the_temperature_at_one() -> None:
    assert fit_temperature(np.empty((0, 3)), np.empty(0, dtype=np.int64)) == 1.0


def test_diverged_logits_are_an_error() -> None:
    with pytest.raises(RunError, match="non-finite"):
        fit_temperature(np.array([[np.nan, 0.0]]), np.array([0]))


def test_probabilities_at_extreme_logits() -> None:
    p = to_probabilities(np.array([[1e5, -1e5, 0.0]]), multilabel=False)
    assert p.tolist() == [[1.0, 0.0, 0.0]]
    assert to_probabilities(np.float16([[60000.0, -60000.0]]), multilabel=True).tolist() == [[1.0, 0.0]]


@pytest.mark.parametrize("seed", range(5))
def test_thresholds_maximise_f1(seed: int) -> None:
    rng = np.random.default_rng(seed)
    p = np.round(rng.random((80, 3)) * 0.6, 2)  # two digits: ties
    labels = (rng.random((80, 3)) < p).astype(np.uint8)
    tuned = tune_thresholds(labels, p, ("a", "b", "c"))
    assert tuned.notes == ()
    for c in range(3):
        exhaustive = max(f1_score(labels[:, c], p[:, c] >= t, zero_division=0) for t in np.unique(p[:, c]))
        assert f1_score(labels[:, c], p[:, c] >= tuned.values[c]) == pytest.approx(exhaustive)


def test_half_is_kept_where_it_does_as_well() -> None:
    labels = np.array([[1], [1], [0], [0]], dtype=np.uint8)
    assert tune_thresholds(labels, np.array([[0.9], [0.8], [0.4], [0.1]]), ("a",)).values == [0.5]
    assert tune_thresholds(labels, np.array([[0.9], [0.8], [0.7], [0.1]]), ("a",)).values == [0.75]
    assert tune_thresholds(labels, np.array([[0.3], [0.2], [0.1], [0.1]]), ("a",)).values == pytest.approx([0.15])


def test_thresholds_decide_alike_between_neighbouring_numbers() -> None:
    upper = np.nextafter(0.25, 1)
    tuned = tune_thresholds(np.array([[1], [0]], dtype=np.uint8), np.array([[upper], [0.25]]), ("a",))
    assert tuned.values == [upper]


def test_a_class_without_positives_keeps_half_and_is_named() -> None:
    labels = np.array([[0, 1], [0, 1]], dtype=np.uint8)
    tuned = tune_thresholds(labels, np.array([[0.2, 0.0], [0.1, 0.3]]), ("rare", "common"))
    assert tuned.values.tolist() == [0.5, 0.0]
    assert tuned.notes == ("No validation image shows 'rare': the threshold stays 0.5 there.",)
    assert (tune_thresholds(labels[:0], np.empty((0, 2)), ("a", "b")).values == 0.5).all()


def test_mean_of_arms() -> None:
    a, b = np.array([[0.9, 0.1]]), np.array([[0.3, 0.7]])
    candidates = with_mean({"cnn": a, "vit": b})
    assert list(candidates) == ["cnn", "vit", "mean"]
    assert candidates["mean"] == pytest.approx(np.array([[0.6, 0.4]]))
    assert list(with_mean({"cnn": a})) == ["cnn"]


def test_labels_are_drawn_from_their_probabilities() -> None:
    """The generator above is right: the sharpest class is drawn as often as its probability says."""
    logits, labels = sample(20000, multilabel=False, sharpness=1.0)
    p = to_probabilities(logits, multilabel=False)[:, 0]
    for low, high in pairwise((0.0, 0.2, 0.5, 1.0)):
        inside = (p >= low) & (p < high)
        assert (labels[inside] == 0).mean() == pytest.approx(p[inside].mean(), abs=0.02)


def test_nothing_is_fitted_where_the_label_is_unknown() -> None:
    logits, labels = sample(400, multilabel=True, sharpness=2.0)
    unknown = np.random.default_rng(1).random(labels.shape) < 0.3
    hidden, loud = np.where(unknown, -1, labels).astype(np.int8), np.where(unknown, 50.0, logits)
    assert fit_temperature(logits, hidden) == fit_temperature(loud, hidden)
    assert fit_temperature(logits, hidden, prior=inf) == pytest.approx(2, rel=0.15)
    assert fit_temperature(logits, np.full_like(hidden, -1)) == pytest.approx(1, abs=1e-4)
    p, names = to_probabilities(logits, multilabel=True), tuple("abcde")
    tuned = tune_thresholds(hidden, p, names)
    for c, name in enumerate(names):
        known = ~unknown[:, c]
        alone = tune_thresholds(labels[known, c : c + 1], p[known, c : c + 1], (name,))
        assert tuned.values[c] == alone.values[0]
    hidden[hidden[:, 0] == 1, 0] = -1
    assert "No validation image shows 'a'" in tune_thresholds(hidden, p, names).notes[0]
