"""Which rule picks the best of two arms and their mean, from few validation images? Writes which_arm.json.

    python benchmarks/which_arm.py

Simulated, so that the truth is known: four uneven classes, two arms whose noise is half shared, the second arm
from equal to useless, 20, 60 and 300 validation images, 60 draws of each. A rule's regret is the macro F1 that the
best of the three candidates has on 20,000 fresh images, less that of the candidate which the rule picks; the mean
over draws is reported. No data, no training; about two minutes on one core.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from machine import write_result
from numpy.typing import NDArray
from scipy.special import softmax

from cass_cli.scores.calibration import MEAN, with_mean
from cass_cli.scores.choice import recommend
from cass_cli.scores.metrics import paired_difference
from cass_cli.scores.values import metric_values

PRIOR = np.array([0.4, 0.3, 0.2, 0.1])
STRENGTHS = ((2.0, 2.0), (2.0, 1.6), (2.0, 1.2), (2.0, 0.6), (2.0, 0.1))  # how far each arm sees classes apart
VALIDATION, TEST, DRAWS, RESAMPLES = (20, 60, 300), 20_000, 60, 200
SHARED_NOISE = 0.5

Floats = NDArray[np.float64]


def draw(
    images: int, strengths: tuple[float, float], rng: np.random.Generator
) -> tuple[NDArray[np.int64], dict[str, Floats]]:
    """Return labels [N] and the candidates' probabilities [N, 4], calibrated by construction."""
    labels = rng.choice(len(PRIOR), size=images, p=PRIOR)
    shown = np.eye(len(PRIOR))[labels]
    common = rng.normal(size=shown.shape)
    arms = {}
    for name, strength in zip(("first", "second"), strengths, strict=True):
        own = rng.normal(size=shown.shape)
        seen = strength * shown + np.sqrt(SHARED_NOISE) * common + np.sqrt(1 - SHARED_NOISE) * own
        arms[name] = softmax(strength * seen + np.log(PRIOR), axis=1)
    return labels, with_mean(arms)


def macro_f1(labels: NDArray[np.int64], probabilities: Floats) -> float:
    """Return the macro F1."""
    return float(metric_values(labels, probabilities, [np.ones((1, len(labels)))], ranking=False)["macro_f1"][0])


def picks(labels: NDArray[np.int64], given: Mapping[str, Floats], seed: int) -> dict[str, str]:
    """Return what each rule picks on validation images."""
    values = {name: macro_f1(labels, p) for name, p in given.items()}
    better = "first" if values["first"] >= values["second"] else "second"
    gap = paired_difference(
        "macro_f1", labels, (given[MEAN], None), (given[better], None), resamples=RESAMPLES, seed=seed
    )
    return {
        "cass": recommend(labels, given, resamples=RESAMPLES, seed=seed).choice,
        "mean unless clearly worse": better if gap.high < 0 else MEAN,
        "highest of the three": max(values, key=lambda name: values[name]),
        "better arm": better,
        "always the mean": MEAN,
    }


def main() -> None:
    """Print and write the mean regret of each rule, and its worst case."""
    rng = np.random.default_rng(0)
    rows: list[dict[str, Any]] = []
    for images in VALIDATION:
        for strengths in STRENGTHS:
            truth = {name: macro_f1(*pair) for name, pair in _test(strengths, rng).items()}
            regrets: dict[str, list[float]] = {}
            for seed in range(DRAWS):
                for rule, pick in picks(*draw(images, strengths, rng), seed).items():
                    regrets.setdefault(rule, []).append(max(truth.values()) - truth[pick])
            means = {rule: float(np.mean(values)) for rule, values in regrets.items()}
            rows.append({"validation_images": images, "strengths": strengths, "test_macro_f1": truth, "regret": means})
            print(f"{images:4d} {strengths}  " + "  ".join(f"{rule} {value:.4f}" for rule, value in means.items()))
    worst = {rule: max(row["regret"][rule] for row in rows) for rule in rows[0]["regret"]}
    print("worst:", "  ".join(f"{rule} {value:.3f}" for rule, value in worst.items()))
    print("written:", write_result("which_arm", {"worst_regret": worst, "rows": rows}))


def _test(strengths: tuple[float, float], rng: np.random.Generator) -> dict[str, tuple[NDArray[np.int64], Floats]]:
    labels, given = draw(TEST, strengths, rng)
    return {name: (labels, p) for name, p in given.items()}


if __name__ == "__main__":
    main()
