from __future__ import annotations

import json
from math import isnan, nan

import numpy as np
import pytest
import sklearn.metrics as sk

from cass_cli.errors import DataError, RunError
from cass_cli.scores.bootstrap import Estimate
from cass_cli.scores.metrics import METRICS, PER_CLASS, Scores, paired_difference, score
from cass_cli.scores.values import BINS, _rank_class, _rank_rare_class, metric_values

CLASSES = ("glioma", "meningioma", "none", "pituitary")


def multiclass(images: int = 300, seed: int = 0, *, ties: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Uneven labels [N] and probabilities [N, 4] that know something of them."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(4, size=images, p=[0.5, 0.3, 0.15, 0.05])
    logits = rng.normal(size=(images, 4))
    logits[np.arange(images), labels] += 1.2
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return labels, np.round(p, 1) if ties else p


def multilabel(images: int = 300, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Uneven 0/1 labels [N, 4] and probabilities [N, 4]."""
    rng = np.random.default_rng(seed)
    p = np.round(rng.random((images, 4)) ** [1, 2, 3, 0.5], 2)  # two digits: ties
    return (rng.random((images, 4)) < p).astype(np.uint8), p


def reference_ece(given: np.ndarray, came: np.ndarray) -> float:
    """Guo et al. 2017, Eq. 3, bin by bin."""
    total = 0.0
    for b in range(BINS):
        inside = (given > b / BINS) & (given <= (b + 1) / BINS) | ((b == 0) & (given == 0))
        if inside.any():
            total += inside.sum() / given.size * abs(came[inside].mean() - given[inside].mean())
    return total


def assert_equals_sklearn_multiclass(found: dict[str, float], y: np.ndarray, p: np.ndarray) -> None:
    pred = p.argmax(axis=1)
    expected = {
        "macro_f1": sk.f1_score(y, pred, average="macro"),
        "micro_f1": sk.f1_score(y, pred, average="micro"),
        "balanced_accuracy": sk.balanced_accuracy_score(y, pred),
        "accuracy": sk.accuracy_score(y, pred),
        "auroc": np.mean([sk.roc_auc_score(y == c, p[:, c]) for c in range(4)]),
        "average_precision": np.mean([sk.average_precision_score(y == c, p[:, c]) for c in range(4)]),
        "ece": reference_ece(p.max(axis=1), pred == y),
        "brier": ((p - np.eye(4)[y]) ** 2).sum(axis=1).mean(),
    }
    assert set(expected) == set(METRICS)
    assert found == pytest.approx(expected, rel=1e-12)


def assert_equals_sklearn_multilabel(found: dict[str, float], y: np.ndarray, p: np.ndarray, t: object) -> None:
    pred = (p >= t).astype(np.uint8)
    expected = {
        "macro_f1": sk.f1_score(y, pred, average="macro"),
        "micro_f1": sk.f1_score(y, pred, average="micro"),
        "balanced_accuracy": np.mean([sk.balanced_accuracy_score(y[:, c], pred[:, c]) for c in range(4)]),
        "accuracy": sk.accuracy_score(y, pred),
        "auroc": sk.roc_auc_score(y, p, average="macro"),
        "average_precision": sk.average_precision_score(y, p, average="macro"),
        "ece": reference_ece(p.ravel(), y.ravel()),
        "brier": sk.brier_score_loss(y.ravel(), p.ravel()),
    }
    assert found == pytest.approx(expected, rel=1e-12)


def values_of(scores: Scores) -> dict[str, float]:
    return {name: estimate.value for name, estimate in scores.metrics.items()}


@pytest.mark.parametrize("ties", [False, True])
def test_multiclass_equals_sklearn(ties: bool) -> None:
    y, p = multiclass(ties=ties)
    scores = score(y, p, CLASSES, resamples=0)
    assert_equals_sklearn_multiclass(values_of(scores), y, p)
    if not ties:  # scikit-learn's own one-vs-rest macro wants rows that sum to 1
        assert scores.metrics["auroc"].value == pytest.approx(sk.roc_auc_score(y, p, multi_class="ovr"))
    pred = p.argmax(axis=1)
    assert (scores.confusion == sk.confusion_matrix(y, pred)).all()
    assert scores.support == tuple(np.bincount(y))
    precision, recall, f1, _ = sk.precision_recall_fscore_support(y, pred)
    for name, expected in (("precision", precision), ("recall", recall), ("f1", f1)):
        assert [e.value for e in scores.per_class[name]] == pytest.approx(list(expected), rel=1e-12)


def test_the_brier_score_is_that_of_scikit_learn() -> None:
    """Over several classes Brier's own sum, for two the usual half of it."""
    y, p = multiclass()
    assert values_of(score(y, p, CLASSES, resamples=0))["brier"] == pytest.approx(sk.brier_score_loss(y, p), rel=1e-12)
    two = np.stack([1 - p[:, 0], p[:, 0]], axis=1)
    found = values_of(score((y == 0).astype(int), two, "ab", resamples=0))["brier"]
    assert found == pytest.approx(sk.brier_score_loss(y == 0, p[:, 0]), rel=1e-12)


@pytest.mark.parametrize("thresholds", [None, np.array([0.3, 0.7, 0.11, 0.5])])
def test_multilabel_equals_sklearn(thresholds: np.ndarray | None) -> None:
    y, p = multilabel()
    scores = score(y, p, CLASSES, thresholds=thresholds, resamples=0)
    t = 0.5 if thresholds is None else thresholds
    assert_equals_sklearn_multilabel(values_of(scores), y, p, t)
    pred = (p >= t).astype(np.uint8)
    assert (scores.confusion == sk.multilabel_confusion_matrix(y, pred)).all()
    assert [e.value for e in scores.per_class["f1"]] == pytest.approx(list(sk.f1_score(y, pred, average=None)))
    assert [e.value for e in scores.per_class["auroc"]] == pytest.approx(list(sk.roc_auc_score(y, p, average=None)))


def test_weights_are_repetitions() -> None:
    """Every bootstrap resample scores as scikit-learn does on the images that were drawn."""
    rng = np.random.default_rng(5)
    drawn = rng.integers(120, size=(10, 120))
    counts = np.stack([np.bincount(row, minlength=120) for row in drawn]).astype(float)
    y, p = multiclass(120, ties=True)
    found = metric_values(y, p, [counts[:4], counts[4:]])
    for r, rows in enumerate(drawn):
        one = {name: float(found[name][r]) for name in METRICS}
        assert_equals_sklearn_multiclass(one, y[rows], p[rows])
    y, p = multilabel(120)
    found = metric_values(y, p, [counts])
    for r, rows in enumerate(drawn):
        assert_equals_sklearn_multilabel({n: float(found[n][r]) for n in METRICS}, y[rows], p[rows], 0.5)


def test_order_of_images_and_classes_is_irrelevant() -> None:
    y, p = multiclass()
    order = np.random.default_rng(1).permutation(len(y))
    classes = np.array([2, 0, 3, 1])
    moved = score(np.argsort(classes)[y[order]], p[order][:, classes], CLASSES, resamples=0)
    assert values_of(moved) == pytest.approx(values_of(score(y, p, CLASSES, resamples=0)), rel=1e-12)


def test_interval_is_seeded_and_holds_the_value() -> None:
    y, p = multiclass()
    first = score(y, p, CLASSES, resamples=300, seed=1)
    assert first.metrics == score(y, p, CLASSES, resamples=300, seed=1).metrics
    assert first.metrics != score(y, p, CLASSES, resamples=300, seed=2).metrics
    for name in set(METRICS) - {"ece"}:
        e = first.metrics[name]
        assert e.low < e.value < e.high
    accuracy = first.metrics["accuracy"]
    normal = 2 * 1.96 * np.sqrt(accuracy.value * (1 - accuracy.value) / len(y))
    assert accuracy.high - accuracy.low == pytest.approx(normal, rel=0.15)


def test_interval_over_groups_is_wider_when_images_repeat() -> None:
    y, p = multiclass(60)
    y, p = np.repeat(y, 5), np.repeat(p, 5, axis=0)
    groups = [f"patient {i // 5}" for i in range(300)]
    by_image = score(y, p, CLASSES, resamples=500).metrics["accuracy"]
    grouped = score(y, p, CLASSES, groups=groups, resamples=500)
    by_group = grouped.metrics["accuracy"]
    assert grouped.groups == 60
    assert "60 groups" in grouped.notes[-1]
    ratio = (by_group.high - by_group.low) / (by_image.high - by_image.low)
    assert ratio == pytest.approx(np.sqrt(5), rel=0.15)


def test_absent_class_is_left_out_and_said() -> None:
    y, p = multiclass()
    p[:, 3] = 1e-9  # 'pituitary' is neither shown nor chosen
    keep = y != 3
    scores = score(y[keep], p[keep], CLASSES, resamples=20)
    pred = p[keep].argmax(axis=1)
    assert scores.metrics["macro_f1"].value == pytest.approx(
        sk.f1_score(y[keep], pred, labels=range(4), average="macro", zero_division=np.nan)
    )
    assert scores.metrics["balanced_accuracy"].value == pytest.approx(sk.balanced_accuracy_score(y[keep], pred))
    for name in PER_CLASS:
        assert isnan(scores.per_class[name][3].value)
        assert isnan(scores.per_class[name][3].low)
    zero = sk.f1_score(y[keep], pred, labels=range(4), average="macro", zero_division=0)
    assert any("No image shows 'pituitary'" in note for note in scores.notes)
    assert any(f"would be {zero:.3f}" in note for note in scores.notes)
    assert not any("Never chosen" in note for note in scores.notes)


def test_absent_class_that_is_chosen_costs_macro_f1() -> None:
    y, p = multiclass()
    keep = y != 3
    assert (p[keep].argmax(axis=1) == 3).any()
    scores = score(y[keep], p[keep], CLASSES, resamples=0)
    assert scores.per_class["f1"][3].value == 0
    expected = sk.f1_score(y[keep], p[keep].argmax(axis=1), average="macro")
    assert scores.metrics["macro_f1"].value == pytest.approx(expected)


def test_class_never_chosen_and_class_always_shown_are_said() -> None:
    y, p = multilabel()
    p[:, 0] = 0.1
    y[:, 1] = 1
    scores = score(y, p, CLASSES, resamples=0)
    assert scores.per_class["f1"][0].value == 0
    assert isnan(scores.per_class["auroc"][1].value)
    assert any("Never chosen, so that F1 is 0: 'glioma'" in note for note in scores.notes)
    assert any("Every image shows 'meningioma'" in note for note in scores.notes)
    assert scores.metrics["auroc"].value == pytest.approx(sk.roc_auc_score(y[:, [0, 2, 3]], p[:, [0, 2, 3]]))


def test_few_units_are_said() -> None:
    y, p = multiclass(40)
    assert "only 4 groups" in score(y, p, CLASSES, groups=["a", "b", "c", "d"] * 10, resamples=50).notes[-1]
    one = score(y, p, CLASSES, groups=["a"] * 40)
    assert "only one of the groups" in one.notes[-1]
    assert isnan(one.metrics["accuracy"].low)
    single = score(y[:1], p[:1], CLASSES)
    assert not isnan(single.metrics["accuracy"].value)
    assert isnan(single.metrics["accuracy"].low)


def test_as_dict_is_valid_json() -> None:
    y, p = multiclass(20)
    keep = y != 3
    text = json.dumps(score(y[keep], p[keep], CLASSES, resamples=10).as_dict(), allow_nan=False)
    assert json.loads(text)["per_class"]["recall"]["pituitary"]["value"] is None


def test_what_cannot_be_scored_is_an_error() -> None:
    y, p = multiclass(10)
    with pytest.raises(DataError, match="empty"):
        score(y[:0], p[:0], CLASSES)
    with pytest.raises(DataError, match="1 of 10 images have no label"):
        score(np.r_[-1, y[1:]], p, CLASSES)
    p[3, 1] = nan
    with pytest.raises(RunError, match="1 of 10 images"):
        score(y, p, CLASSES)


def test_paired_difference_is_narrower_than_the_scores_themselves() -> None:
    y, p = multiclass(400)
    slightly = 0.9 * p + 0.1 / 4 + 0.02 * np.random.default_rng(0).random(p.shape)
    gap = paired_difference("macro_f1", y, (p, None), (slightly, None), resamples=300)
    alone = [score(y, q, CLASSES, resamples=300).metrics["macro_f1"] for q in (p, slightly)]
    assert gap.value == pytest.approx(alone[0].value - alone[1].value)
    assert gap.high - gap.low < 0.7 * (alone[0].high - alone[0].low)
    assert paired_difference("auroc", y, (p, None), (p, None), resamples=20) == Estimate(0.0, 0.0, 0.0)


def hidden(images: int = 300, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels as `multilabel` with a third unknown, more of them among the positives, and probabilities [N, 4]."""
    y, p = multilabel(images, seed)
    unknown = np.random.default_rng(seed + 1).random(y.shape) < 0.25 + 0.2 * y
    unknown[:5] = True  # images of which nothing is known
    return np.where(unknown, -1, y).astype(np.int8), p


def assert_equals_sklearn_on_known(found: dict[str, float], y: np.ndarray, p: np.ndarray, t: np.ndarray) -> None:
    """A class at a time on the images whose label is known; what pools classes pools known labels."""
    known, pred = y >= 0, p >= t
    columns = [(y[known[:, c], c], pred[known[:, c], c], p[known[:, c], c]) for c in range(4)]
    expected = {
        "macro_f1": np.mean([sk.f1_score(y, chosen) for y, chosen, _ in columns]),
        "micro_f1": sk.f1_score(y[known], pred[known]),
        "balanced_accuracy": np.mean([sk.balanced_accuracy_score(y, chosen) for y, chosen, _ in columns]),
        "accuracy": np.mean([(y[i] == pred[i])[known[i]].all() for i in np.flatnonzero(known.any(axis=1))]),
        "auroc": np.mean([sk.roc_auc_score(y, given) for y, _, given in columns]),
        "average_precision": np.mean([sk.average_precision_score(y, given) for y, _, given in columns]),
        "ece": reference_ece(p[known], y[known]),
        "brier": sk.brier_score_loss(y[known], p[known]),
    }
    assert set(expected) == set(METRICS)
    assert found == pytest.approx(expected, rel=1e-12)


def test_unknown_labels_are_left_out_of_every_metric_and_said() -> None:
    y, p = hidden()
    t = np.array([0.3, 0.7, 0.11, 0.5])
    scores = score(y, p, CLASSES, thresholds=t, resamples=0)
    assert_equals_sklearn_on_known(values_of(scores), y, p, t)
    for c in range(4):
        known = y[:, c] >= 0
        truth, pred, given = y[known, c], p[known, c] >= t[c], p[known, c]
        assert scores.support[c] == truth.sum()
        assert (scores.confusion[c] == sk.confusion_matrix(truth, pred)).all()
        precision, recall, f1, _ = sk.precision_recall_fscore_support(truth, pred, average="binary")
        one = (precision, recall, f1, sk.roc_auc_score(truth, given), sk.average_precision_score(truth, given))
        found = [scores.per_class[name][c].value for name in ("precision", "recall", *PER_CLASS[:1], *PER_CLASS[3:])]
        assert found == pytest.approx(one, rel=1e-12)
    assert f"Labels that are unknown are left out: {(y[:, 0] < 0).sum()} of 'glioma', " in scores.notes[0]


def test_resamples_leave_unknown_labels_out_too() -> None:
    y, p = hidden(120)
    drawn = np.random.default_rng(5).integers(120, size=(10, 120))
    found = metric_values(y, p, [np.stack([np.bincount(row, minlength=120) for row in drawn]).astype(float)])
    for r, rows in enumerate(drawn):
        one = {name: float(found[name][r]) for name in METRICS}
        assert_equals_sklearn_on_known(one, y[rows], p[rows], np.full(4, 0.5))


def test_what_is_answered_where_the_label_is_unknown_changes_nothing() -> None:
    y, p = hidden()
    other = np.where(y < 0, 1 - p, p)
    assert score(y, p, CLASSES, resamples=20).as_dict() == score(y, other, CLASSES, resamples=20).as_dict()
    gap = paired_difference("auroc", y, (p, None), (other, None), resamples=20)
    assert (gap.value, gap.low, gap.high) == (0, 0, 0)


def test_a_class_of_which_nothing_or_one_answer_alone_is_known_is_left_out_as_an_absent_one() -> None:
    y, p = hidden()
    y[:, 0] = -1
    y[y[:, 1] == 0, 1] = -1  # known where it is shown, alone
    y[y[:, 2] == 1, 2] = -1  # and where it is not
    scores = score(y, p, CLASSES, resamples=0)
    assert [isnan(e.value) for e in scores.per_class["auroc"]] == [True, True, True, False]
    assert [isnan(e.value) for e in scores.per_class["recall"]] == [True, False, True, False]
    assert scores.metrics["auroc"].value == scores.per_class["auroc"][3].value
    assert any(note.startswith("No image shows 'glioma', 'none':") for note in scores.notes)
    assert any(note.startswith("Every image shows 'meningioma':") for note in scores.notes)
    with pytest.raises(DataError, match="300 of 300 images have no label"):
        score(np.full_like(y, -1), p, CLASSES)


@pytest.mark.parametrize("ties", [False, True])
def test_rare_classes_rank_as_others_do(ties: bool) -> None:
    rng = np.random.default_rng(0)
    weights = rng.integers(0, 4, size=(200, 30)).astype(float)
    for shown in (0, 1, 5, 60, 200):
        truth = rng.permutation(np.arange(200) < shown)
        scores = rng.random(200).round(1) if ties else rng.random(200)
        found = _rank_rare_class(truth, scores, weights, weights.sum(axis=0))
        np.testing.assert_allclose(found, _rank_class(truth, scores, weights), rtol=1e-12)


def test_of_many_classes_a_few_are_named_and_the_others_counted() -> None:
    names = [f"class {c}" for c in range(500)]
    scores = score(np.arange(20), np.full((20, 500), 1 / 500), names, resamples=0)
    assert len(scores.classes) == len(scores.per_class["f1"]) == 500
    assert any("No image shows 'class 20'" in note and "and 470 more" in note for note in scores.notes)
    assert max(map(len, scores.notes)) < 400


def test_a_class_that_is_chosen_though_never_shown_is_blamed() -> None:
    y, p = multiclass()
    keep = y != 3
    notes = score(y[keep], p[keep], CLASSES, resamples=0).notes
    assert any("no image shows it" in note and note.endswith("macro F1 counts it: 'pituitary'.") for note in notes)
    assert not any("no image shows it" in note for note in score(y, p, CLASSES, resamples=0).notes)


def test_resamples_are_counted_as_they_come() -> None:
    y, p = multiclass(50)
    seen: list[int] = []
    score(y, p, CLASSES, resamples=40, on_progress=seen.append)
    assert seen == sorted(set(seen))
    assert seen[-1] == 40
