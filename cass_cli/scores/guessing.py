"""What is scored by guessing every class equally often, without a look at the image."""

from __future__ import annotations


def guessed(metric: str, classes: int) -> float | None:
    """Return what guessing scores on average where each image shows one of `classes`; None where it has no one value.

    Whatever the share p of a class: its recall is 1/C, its AUROC 1/2, its average precision p, of which the mean is
    1/C. Its F1 is 2p/(Cp + 1), concave in p, so that macro F1 is 1/C where all classes are as frequent, and else less.
    """
    if metric == "auroc":
        return 0.5
    of_one_class = ("macro_f1", "micro_f1", "balanced_accuracy", "accuracy", "average_precision")
    return 1 / classes if metric in of_one_class and classes else None
