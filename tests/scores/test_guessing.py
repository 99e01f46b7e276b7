"""What guessing scores, against scikit-learn's scores of many guesses."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics

from cass_cli.scores.guessing import guessed


@pytest.mark.parametrize("shares", [(0.25, 0.25, 0.25, 0.25), (0.7, 0.2, 0.07, 0.03)], ids=["even", "uneven"])
def test_guesses_score_what_is_said(shares: tuple[float, ...]) -> None:
    rng = np.random.default_rng(0)
    truth = rng.choice(4, size=200_000, p=shares)
    given = rng.dirichlet(np.ones(4), size=len(truth))
    chosen = given.argmax(axis=1)
    found = {
        "accuracy": metrics.accuracy_score(truth, chosen),
        "micro_f1": metrics.f1_score(truth, chosen, average="micro"),
        "balanced_accuracy": metrics.balanced_accuracy_score(truth, chosen),
        "auroc": np.mean([metrics.roc_auc_score(truth == c, given[:, c]) for c in range(4)]),
        "average_precision": np.mean([metrics.average_precision_score(truth == c, given[:, c]) for c in range(4)]),
    }
    assert found == pytest.approx({name: guessed(name, 4) for name in found}, abs=0.006)
    macro = metrics.f1_score(truth, chosen, average="macro")
    highest = guessed("macro_f1", 4)
    assert highest is not None
    assert macro == pytest.approx(highest, abs=0.006) if len(set(shares)) == 1 else macro < highest - 0.02
    assert guessed("ece", 4) is None
