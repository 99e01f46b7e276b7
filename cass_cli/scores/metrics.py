"""Test scores with their uncertainty: the metrics of Sec. C.7 and their usual companions.

scikit-learn's metrics are the reference; `values.py` computes the same numbers for all bootstrap
resamples together. What is undefined (a class that the split does not show) is NaN in the numbers, left out
of means, and said in `Scores.notes`.

Shapes: N images, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cass_cli.data.splits import Labels, labelled
from cass_cli.errors import DataError, RunError
from cass_cli.scores.bootstrap import RESAMPLES, Estimate, draw_units, interval, intervals, resample_weights
from cass_cli.scores.values import DEFAULT_THRESHOLD, Floats, decide, indicator, metric_values
from cass_cli.words import shown_list

METRICS = {  # name → title, in the order in which tables show them
    "macro_f1": "macro F1",
    "micro_f1": "micro F1",
    "balanced_accuracy": "balanced accuracy",
    "accuracy": "accuracy",
    "auroc": "AUROC",
    "average_precision": "average precision",
    "ece": "ECE",
    "brier": "Brier score",
}
PER_CLASS = ("f1", "precision", "recall", "auroc", "average_precision")
LOWER_IS_BETTER = frozenset({"ece", "brier"})
FEW_UNITS = 10  # below this, percentile intervals are known to be too narrow


@dataclass(frozen=True)
class Scores:
    """What a set of predictions is worth on one split."""

    classes: tuple[str, ...]
    multilabel: bool
    images: int
    groups: int | None  # how many, where groups were resampled
    metrics: dict[str, Estimate]  # by the names in METRICS
    per_class: dict[str, tuple[Estimate, ...]]  # by the names in PER_CLASS
    support: tuple[int, ...]  # images that are known to show each class
    confusion: NDArray[np.int64]  # [C, C], rows true, columns chosen; multi-label: [C, 2, 2] as scikit-learn's
    thresholds: tuple[float, ...] | None  # multi-label decisions
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON values; undefined numbers are None."""
        return {
            "classes": list(self.classes),
            "multilabel": self.multilabel,
            "images": self.images,
            "groups": self.groups,
            "metrics": {name: estimate.as_dict() for name, estimate in self.metrics.items()},
            "per_class": {
                name: dict(zip(self.classes, (e.as_dict() for e in estimates), strict=True))
                for name, estimates in self.per_class.items()
            },
            "support": dict(zip(self.classes, self.support, strict=True)),
            "confusion": self.confusion.tolist(),
            "thresholds": None if self.thresholds is None else list(self.thresholds),
            "notes": list(self.notes),
        }


def score(
    labels: Labels,
    probabilities: NDArray[Any],
    classes: Sequence[str],
    *,
    thresholds: Floats | None = None,
    groups: Sequence[str] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
    on_progress: Callable[[int], None] | None = None,
) -> Scores:
    """Score probabilities [N, C] against labels (int [N] of class indices, or [N, C] of 0/1, -1 where unknown).

    Intervals are 95 % bootstrap percentile intervals over images, or over `groups` (one name an image; ''
    for an image on its own) where given. `resamples=0` leaves them out. They hold the trained model fixed:
    the spread over seeds is another matter (`over_seeds.py`). Resamples that miss a class don't count for
    what is then undefined. ECE is biased upwards on few images, and resampling adds to that, so that its
    interval may lie above its value. `on_progress` is told how many resamples are done.

    Raises DataError for an empty split or images without a label, RunError for non-finite probabilities.
    """
    probabilities = np.asarray(probabilities, dtype=np.float64)
    _check(labels, probabilities, classes)
    units = draw_units(len(labels), groups)
    once = metric_values(labels, probabilities, [np.ones((1, len(labels)))], thresholds=thresholds)
    weights = resample_weights(units, resamples=resamples, seed=seed)
    many = metric_values(labels, probabilities, _counted(weights, on_progress), thresholds=thresholds)

    def estimates(name: str) -> tuple[Estimate, ...]:
        values = once[name].reshape(-1).tolist()  # [1] or [C]
        return tuple(map(Estimate, values, *(intervals(many[name].reshape(-1, len(values))).tolist() if many else ())))

    return Scores(
        classes=tuple(classes),
        multilabel=labels.ndim == 2,
        images=len(labels),
        groups=None if groups is None else int(units.max()) + 1,
        metrics={name: estimates(name)[0] for name in METRICS},
        per_class={name: estimates(f"class_{name}") for name in PER_CLASS},
        support=tuple(indicator(labels, len(classes)).sum(axis=0).tolist()),
        confusion=confusion(labels, probabilities, thresholds=thresholds),
        thresholds=_threshold_list(labels, len(classes), thresholds),
        notes=(*_class_notes(labels, once, classes), *_interval_notes(units, groups, resamples)),
    )


def _counted(chunks: Iterable[Floats], on_progress: Callable[[int], None] | None) -> Iterator[Floats]:
    done = 0
    for chunk in chunks:
        yield chunk
        done += len(chunk)
        if on_progress:
            on_progress(done)


def confusion(labels: Labels, probabilities: Floats, *, thresholds: Floats | None = None) -> NDArray[np.int64]:
    """Return counts [C, C] (rows true, columns chosen), or [C, 2, 2] = ((TN, FP), (FN, TP)) of known labels."""
    chosen = decide(probabilities, multilabel=labels.ndim == 2, thresholds=thresholds)
    if labels.ndim == 1:
        size = probabilities.shape[1]
        pairs = labels.astype(np.int64) * size + chosen.argmax(axis=1)
        return np.bincount(pairs, minlength=size * size).reshape(size, size).astype(np.int64)
    shown, absent = labels == 1, labels == 0
    cells = [[absent & ~chosen, absent & chosen], [shown & ~chosen, shown & chosen]]
    counts: NDArray[np.int64] = np.array(cells, dtype=np.int64).sum(axis=2)
    return counts.transpose(2, 0, 1)  # [2, 2, C] → [C, 2, 2]


def paired_difference(
    metric: str,
    labels: Labels,
    first: tuple[Floats, Floats | None],
    second: tuple[Floats, Floats | None],
    *,
    groups: Sequence[str] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Estimate:
    """Return metric(first) − metric(second) on one split with its 95 % paired bootstrap interval.

    `first` and `second` are (probabilities [N, C], thresholds [C] or None). Both are scored on the same
    resamples, so that what makes an image hard for both cancels.
    """
    units = draw_units(len(labels), groups)
    ranking = metric in ("auroc", "average_precision")

    def values(model: tuple[Floats, Floats | None], *, resampled: bool) -> Floats:
        ones = [np.ones((1, len(labels)))]
        weights = resample_weights(units, resamples=resamples, seed=seed) if resampled else ones
        probabilities, thresholds = model
        found = metric_values(labels, probabilities, weights, thresholds=thresholds, ranking=ranking)
        return found.get(metric, np.full(1, np.nan))

    gap = values(first, resampled=False) - values(second, resampled=False)
    return Estimate(float(gap[0]), *interval(values(first, resampled=True) - values(second, resampled=True)))


def _check(labels: Labels, probabilities: Floats, classes: Sequence[str]) -> None:
    assert probabilities.shape == (len(labels), len(classes)), "probabilities are [images, classes]"
    if len(labels) == 0:
        raise DataError("The split is empty: there is no image to score.")
    bare = ~labelled(labels)
    if bare.all() or (labels.ndim == 1 and bare.any()):
        raise DataError(f"{int(bare.sum())} of {len(labels)} images have no label and can't be scored.")
    assert labels.max() < (2 if labels.ndim == 2 else len(classes)), "labels beyond the classes"
    bad = int((~np.isfinite(probabilities)).any(axis=1).sum())
    if bad:
        raise RunError(
            f"The arm gives no finite probabilities for {bad} of {len(labels)} images.",
            hint="Its training has diverged: lower the learning rate, or use --precision fp32.",
        )


def _threshold_list(labels: Labels, classes: int, thresholds: Floats | None) -> tuple[float, ...] | None:
    if labels.ndim == 1:
        return None
    return (DEFAULT_THRESHOLD,) * classes if thresholds is None else tuple(float(t) for t in thresholds)


def _class_notes(labels: Labels, once: dict[str, Floats], classes: Sequence[str]) -> list[str]:
    images = indicator(labels, len(classes)).sum(axis=0)  # [C]
    unknown = (labels < 0).sum(axis=0) if labels.ndim == 2 else np.zeros_like(images)  # [C]
    f1, precision = once["class_f1"][0], once["class_precision"][0]
    notes = []
    if unknown.any():
        each = [f"{n:,} of {name!r}" for name, n in zip(classes, unknown.tolist(), strict=True) if n]
        notes.append(f"Labels that are unknown are left out: {', '.join(each)}.")
    if absent := _names(classes, images == 0):
        notes.append(
            f"No image shows {absent}: recall, AUROC and average precision are undefined there, "
            "and the means leave them out."
        )
    if blamed := _names(classes, (images == 0) & ~np.isnan(f1)):
        notes.append(f"Chosen though no image shows it, so that F1 is 0 and macro F1 counts it: {blamed}.")
    if always := _names(classes, (images == len(labels) - unknown) & (images > 0)):
        notes.append(f"Every image shows {always}: AUROC is undefined there, and its mean leaves it out.")
    if neither := _names(classes, np.isnan(f1)):
        notes.append(
            f"F1 is undefined for {neither} (neither shown nor chosen), and macro F1 leaves it out "
            f"(scikit-learn's zero_division=nan); counted as 0, macro F1 would be {np.nan_to_num(f1).mean():.3f}."
        )
    if unchosen := _names(classes, np.isnan(precision) & ~np.isnan(f1)):
        notes.append(f"Never chosen, so that F1 is 0: {unchosen}.")
    return notes


def _interval_notes(units: NDArray[np.int64], groups: Sequence[str] | None, resamples: int) -> list[str]:
    count, kind = int(units.max()) + 1, "images" if groups is None else "groups"
    if resamples == 0:
        return ["No intervals: no bootstrap resamples were asked for."]
    if count < 2:
        return [f"No intervals: there is only one of the {kind} to resample."]
    notes = [f"Intervals: 95 % bootstrap percentile, {resamples:,} resamples of {count:,} {kind}."]
    if count < FEW_UNITS:
        notes.append(f"With only {count} {kind} the intervals are too narrow: read them as a lower bound.")
    return notes


def _names(classes: Sequence[str], which: NDArray[np.bool_]) -> str:
    return shown_list([repr(name) for name, yes in zip(classes, which, strict=True) if yes])
