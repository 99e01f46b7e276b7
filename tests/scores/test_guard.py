"""Whether a fine-tuned arm is kept."""

from __future__ import annotations

import numpy as np
import pytest

from cass_cli.scores.guard import FINE_TUNED, PROBE, guard

LABELS = np.array([0, 1, 2, 0, 1, 2])
RIGHT = np.eye(3)[LABELS] * 4
WRONG = np.roll(RIGHT, 1, axis=1)


def test_only_the_better_fine_tuned_arm_is_kept() -> None:
    assert guard(LABELS, RIGHT, WRONG, metric="macro_f1").kept == FINE_TUNED
    assert guard(LABELS, WRONG, RIGHT, metric="macro_f1").kept == PROBE
    assert guard(LABELS, RIGHT, RIGHT, metric="macro_f1").kept == PROBE  # as good is not better
    found = guard(LABELS, RIGHT, WRONG, metric="macro_f1")
    assert (found.fine_tuned, found.probe, found.images) == (1.0, 0.0, 6)
    assert "fine-tuned arm is kept (macro F1 on 6 validation images" in found.reason


def test_without_validation_images_or_a_finite_answer_the_probe_is_kept() -> None:
    nothing = guard(LABELS[:0], RIGHT[:0], RIGHT[:0], metric="macro_f1")
    assert (nothing.kept, nothing.fine_tuned) == (PROBE, None)
    assert "no validation image" in nothing.reason
    assert guard(LABELS, np.full((6, 3), np.nan), WRONG, metric="macro_f1").kept == PROBE


@pytest.mark.parametrize("metric", ["macro_f1", "auroc"])
def test_multilabel_arms_are_compared_without_thresholds(metric: str) -> None:
    """All logits are below zero: at a threshold of one half nothing would be chosen."""
    labels = np.array([[1, 0], [0, 1], [1, 1], [0, 0]], dtype=np.uint8)
    right = labels - 5.0
    wrong = -5.0 - labels
    found = guard(labels, right, wrong, metric=metric)
    assert found.kept == FINE_TUNED
    assert found.metric == ("auroc" if metric == "auroc" else "average_precision")


def test_what_is_unknown_keeps_no_arm() -> None:
    labels = np.array([[1, -1], [0, 1], [-1, 0], [0, -1]], dtype=np.int8)
    right = np.where(labels < 0, 0, 2.0 * labels - 1)
    assert guard(labels, right, -right, metric="macro_f1").kept == FINE_TUNED
    loud = np.where(labels < 0, 9.0, right)
    assert guard(labels, loud, right, metric="macro_f1") == guard(labels, right, loud, metric="macro_f1")
