from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from cass_cli.engine.pretraining.probe import knn_probe, linear_probe
from cass_cli.engine.regression import fit_regression
from cass_cli.errors import DataError, RunError

PROBES = (knn_probe, linear_probe)
Split = tuple[torch.Tensor, np.ndarray]


def clusters(images: int, seed: int, *, signal: float = 2.0, width: int = 16) -> Split:
    """Features [N, D] of three noisy clusters with fixed centres, and their labels [N]."""
    centres = torch.randn(3, width, generator=torch.Generator().manual_seed(99))
    g = torch.Generator().manual_seed(seed)
    labels = torch.randint(3, (images,), generator=g)
    return signal * centres[labels] + 2 * torch.randn(images, width, generator=g), labels.numpy()


def stretched(features: torch.Tensor) -> torch.Tensor:
    """Give the feature vectors lengths from 0.1 to 10, which a cosine does not see."""
    return features * torch.logspace(-1, 1, len(features)).unsqueeze(1)


@pytest.mark.parametrize("temperature", [0.02, 0.07, 10.0])
def test_knn_equals_sklearn_with_the_same_votes(temperature: float) -> None:
    (x, y), (v, t) = clusters(400, 0, signal=0.6), clusters(400, 1, signal=0.6)
    # On unit vectors ½‖a − b‖² = 1 − cos, so scikit-learn's Euclidean neighbours can cast the same votes.
    model = KNeighborsClassifier(20, weights=lambda d: np.exp((1 - d**2 / 2) / temperature))
    model.fit(F.normalize(x.double()).numpy(), y)
    expected = model.predict(F.normalize(v.double()).numpy())
    scores = knn_probe(stretched(x).double(), y, stretched(v).double(), t, temperature=temperature)
    assert scores.accuracy == pytest.approx((expected == t).mean(), abs=1e-9)
    assert scores.macro_f1 == pytest.approx(f1_score(t, expected, average="macro"), abs=1e-9)
    assert 0.4 < scores.accuracy < 0.9


def test_linear_probe_equals_sklearn() -> None:
    """Columns count as in `regression.py`: standardised, an image's squares adding up to 1 on average."""
    (x, y), (v, t) = clusters(200, 0, signal=1), clusters(150, 1, signal=1)
    scale = StandardScaler().fit(x)
    seen, asked = (scale.transform(features) / x.shape[1] ** 0.5 for features in (x, v))
    strength = fit_regression(x.numpy(), y, 3, widths=[x.shape[1]]).inverse_l2
    reference = LogisticRegression(C=strength, class_weight="balanced", tol=1e-6, max_iter=1000)
    expected = reference.fit(seen, y).predict(asked)
    scores = linear_probe(x, y, v, t)
    assert scores.accuracy == pytest.approx((expected == t).mean(), abs=0.01)
    assert scores.macro_f1 == pytest.approx(f1_score(t, expected, average="macro"), abs=0.01)
    assert 0.5 < scores.accuracy < 1


@pytest.mark.parametrize("probe", PROBES)
def test_features_without_signal_score_at_chance(probe) -> None:
    (x, y), (v, t) = clusters(300, 0, signal=0), clusters(300, 1, signal=0)
    assert abs(probe(x, y, v, t).accuracy - 1 / 3) < 0.12


@pytest.mark.parametrize("probe", PROBES)
@pytest.mark.parametrize("value", [0.0, 1e-3, 7.3, 1e4])
def test_collapsed_features_score_like_the_commonest_class(probe, value: float) -> None:
    """A collapsed arm gives one vector for every image, up to rounding."""
    y, t = np.array([0] * 30 + [1] * 10), np.array([0] * 12 + [1] * 8)
    rounding = 1 + 1e-7 * torch.randn(60, 8, generator=torch.Generator().manual_seed(0))
    features = value * rounding
    scores = probe(features[:40], y, features[40:], t)
    assert scores.accuracy == pytest.approx(0.6)
    assert scores.macro_f1 == pytest.approx(0.375)  # F1 0.75 and 0


@pytest.mark.parametrize("probe", PROBES)
def test_labelled_images_alone_count(probe) -> None:
    (x, y), (v, t) = clusters(100, 0), clusters(80, 1)
    hidden_y, hidden_t = y.copy(), t.copy()
    hidden_y[::4], hidden_t[::3] = -1, -1
    expected = probe(x[hidden_y >= 0], y[hidden_y >= 0], v[hidden_t >= 0], t[hidden_t >= 0])
    assert probe(x, hidden_y, v, hidden_t) == expected


@pytest.mark.parametrize("probe", PROBES)
def test_multilabel(probe) -> None:
    (x, y), (v, t) = clusters(300, 0, signal=4), clusters(200, 1, signal=4)
    # Label 0: cluster 0. Label 1: clusters 0 and 1. Label 2: never. Label 3: always.
    table = np.array([[1, 1, 0, 1], [0, 1, 0, 1], [0, 0, 0, 1]], dtype=np.uint8)
    scores = probe(x, table[y], v, table[t])
    assert scores.accuracy > 0.95
    assert scores.macro_f1 > 0.95, "a label that is neither shown nor chosen is left out of the mean"
    shuffled = np.random.default_rng(0).permutation(t)
    assert probe(x, table[y], v, table[shuffled]).accuracy < 0.6


@pytest.mark.parametrize("probe", PROBES)
def test_unknown_labels_are_neither_learned_nor_scored(probe) -> None:
    """Right labels, some of them unknown, do nearly as well; a wrong answer counts only where the label is known."""
    (x, y), (v, t) = clusters(300, 0, signal=4), clusters(200, 1, signal=4)
    table = np.array([[1, 1, 0, 1], [0, 1, 0, 1], [0, 0, 0, 1]], dtype=np.int8)
    unknown = [np.random.default_rng(s).random((n, 4)) < 0.4 for s, n in ((2, 300), (3, 200))]
    seen, asked = (np.where(u, -1, table[of]).astype(np.int8) for u, of in zip(unknown, (y, t), strict=True))
    scores = probe(x, seen, v, asked)
    assert scores.accuracy > 0.95
    assert scores.macro_f1 > 0.95
    wrong = np.where(unknown[1], -1, table[np.random.default_rng(0).permutation(t)]).astype(np.int8)
    assert probe(x, seen, v, wrong).accuracy < 0.8
    bare = np.concatenate([asked, np.full((50, 4), -1, dtype=np.int8)])
    assert probe(x, seen, torch.cat([v, v[:50]]), bare) == scores  # images of which nothing is known
    with pytest.raises(DataError, match="training split has no labelled image"):
        probe(x, np.full_like(seen, -1), v, asked)


def test_votes_that_do_not_know_a_label_are_not_cast() -> None:
    x, v = torch.eye(4)[[0, 0, 0, 1, 1, 1]], torch.eye(4)[[0, 1]]
    seen = np.array([[1, -1], [-1, -1], [-1, 1], [0, -1], [0, -1], [-1, -1]], dtype=np.int8)
    scores = knn_probe(x, seen, v, np.array([[1, 1], [0, 0]], dtype=np.int8), k=3)
    assert (scores.accuracy, scores.macro_f1) == (1, 1)  # one of one vote, twice; none of two; and none is cast


@pytest.mark.parametrize("probe", PROBES)
def test_classes_missing_from_one_split(probe) -> None:
    (x, y), (v, t) = clusters(100, 0), clusters(80, 1)
    no_two = probe(x[y < 2], y[y < 2], v, t)  # class 2 can't be predicted
    assert no_two.macro_f1 < 2 / 3
    assert probe(x, y, v[t < 2], t[t < 2]).accuracy > 0.6
    assert probe(x[y == 0], y[y == 0], v, t).accuracy == pytest.approx((t == 0).mean())


def test_few_training_images_all_vote_and_it_is_said() -> None:
    (x, y), (v, t) = clusters(200, 0, signal=4), clusters(80, 1, signal=4)
    few = np.array([np.flatnonzero(y == c)[0] for c in range(3)])
    scores = knn_probe(x[few], y[few], v, t)
    assert scores.accuracy > 0.8
    assert scores.note == "Only 3 training images vote."
    assert knn_probe(x, y, v, t).note == ""


@pytest.mark.parametrize("probe", PROBES)
def test_half_precision_features_are_taken(probe) -> None:
    (x, y), (v, t) = clusters(200, 0), clusters(80, 1)
    assert probe(x.bfloat16(), y, v.bfloat16(), t).accuracy == pytest.approx(probe(x, y, v, t).accuracy, abs=0.05)


@pytest.mark.parametrize("probe", PROBES)
def test_what_cannot_be_probed_is_an_error(probe) -> None:
    (x, y), (v, t) = clusters(20, 0), clusters(10, 1)
    with pytest.raises(DataError, match="validation split has no labelled image"):
        probe(x, y, v, np.full(10, -1))
    x[0, 0] = torch.nan
    with pytest.raises(RunError, match="non-finite features on the training split"):
        probe(x, y, v, t)
