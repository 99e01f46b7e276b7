"""What validation decides."""

from __future__ import annotations

import json

import numpy as np
import pytest

from cass_cli.scores.judgement import FLAGGED_SHARE, Judgement, judge, probabilities_of, split_scores
from cass_cli.scores.values import confidence

CLASSES = ("a", "b", "c")


def logits(seed: int, labels: np.ndarray, strength: float) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(len(labels), 3))
    return np.asarray(noise + strength * np.eye(3)[labels])


def judged(images: int = 300) -> tuple[Judgement, np.ndarray, dict[str, np.ndarray]]:
    labels = np.arange(images) % 3
    given = {"cnn": 4 * logits(0, labels, 1.5), "vit": logits(1, labels, 1.5)}
    return judge(given, labels, CLASSES, metric="macro_f1", tuned=True), labels, given


def test_calibrates_each_arm_and_survives_json() -> None:
    judgement, _, _ = judged()
    # The outputs of the first are four times as loud.
    assert judgement.temperatures["cnn"] == pytest.approx(4 * judgement.temperatures["vit"], rel=0.3)
    again = Judgement(**json.loads(json.dumps(judgement.as_dict())))
    assert again.as_dict() == json.loads(json.dumps(judgement.as_dict()))


def test_flags_a_tenth_of_the_right_answers() -> None:
    judgement, labels, given = judged()
    p = probabilities_of(given, judgement.temperatures, {}, multilabel=False)[judgement.pick]
    right = p.argmax(axis=1) == labels
    flagged = confidence(p, multilabel=False)[right] < judgement.flag_below
    assert flagged.mean() == pytest.approx(FLAGGED_SHARE, abs=2 / right.sum())


def test_multilabel_thresholds_are_tuned_or_the_papers() -> None:
    rng = np.random.default_rng(0)
    labels = (rng.random((80, 3)) < 0.3).astype(np.uint8)
    given = {"vit": 2.0 * labels - 3 + rng.normal(size=labels.shape)}  # always too shy: 0.5 finds nothing
    tuned = judge(given, labels, CLASSES, metric="macro_f1", tuned=True)
    half = judge(given, labels, CLASSES, metric="macro_f1", tuned=False)
    assert half.thresholds == {"vit": [0.5] * 3}
    assert max(tuned.thresholds["vit"]) < 0.5
    scores = [split_scores(given, labels, CLASSES, j)["vit"]["macro_f1"] or 0 for j in (tuned, half)]
    assert scores[0] > scores[1]


@pytest.mark.parametrize("shape", [(0,), (0, 3)])
def test_without_validation_images_it_says_so(shape: tuple[int, ...]) -> None:
    empty = {"cnn": np.empty((0, 3)), "vit": np.empty((0, 3))}
    judgement = judge(empty, np.empty(shape, dtype=np.int64), CLASSES, metric="macro_f1", tuned=True)
    assert judgement.temperatures == {"cnn": 1.0, "vit": 1.0}
    assert (judgement.pick, judgement.flag_below) == ("mean", 0.5)
    assert "No validation images" in judgement.notes[0]


def test_confidence_of_many_labels_is_that_of_the_least_sure() -> None:
    assert confidence(np.array([[0.9, 0.4, 0.01]]), multilabel=True) == pytest.approx([0.6])
    assert confidence(np.array([[0.7, 0.2, 0.1]]), multilabel=False) == pytest.approx([0.7])


def test_an_unknown_label_judges_nothing() -> None:
    """Whatever the outputs are where the label is unknown: the same temperatures, thresholds, pick and reason."""
    rng = np.random.default_rng(0)
    labels = (rng.random((120, 3)) < 0.3).astype(np.int8)
    given = {arm: 2.0 * labels - 2 + rng.normal(size=labels.shape) for arm in ("cnn", "vit", "joint")}
    unknown = rng.random(labels.shape) < 0.2
    unknown[:4] = True
    hidden = np.where(unknown, -1, labels).astype(np.int8)
    other = {arm: np.where(unknown, -found, found) for arm, found in given.items()}
    first, second = (judge(found, hidden, CLASSES, metric="macro_f1", tuned=True) for found in (given, other))
    assert (first.temperatures, first.thresholds) == (second.temperatures, second.thresholds)
    assert (first.pick, first.reason) == (second.pick, second.reason)
    scores = [split_scores(found, hidden, CLASSES, first) for found in (given, other)]
    assert scores[0] == scores[1]
    p = probabilities_of(given, first.temperatures, {}, multilabel=True)[first.pick]
    right = ((p >= first.threshold(first.pick)) == (labels == 1)) | unknown
    sure = confidence(p, multilabel=True)[right.all(axis=1) & ~unknown.all(axis=1)]
    assert f"a tenth of the {len(sure)} validation images" in first.flag_rule
    assert first.flag_below == np.quantile(sure, FLAGGED_SHARE)
