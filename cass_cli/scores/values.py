"""Classification metrics as functions of image weights, for many weight vectors at once.

With all weights 1 these are scikit-learn's metrics, and with integer weights they are scikit-learn's metrics
on a split in which each image is repeated that often; the tests say so to 1e-12. Being plain sums over
images (or, for AUROC and average precision, sums along one sorted order), a thousand bootstrap resamples
cost a few matrix products instead of a thousand calls.

Undefined values are NaN and means are taken over the defined ones, which is scikit-learn's
`zero_division=nan`: recall, AUROC and average precision of a class that no image shows, AUROC of one that
every image shows, precision of one never predicted, and F1 of one neither shown nor predicted.

An unknown label of a multi-label image is no outcome: each class is scored on the images whose label is known, as
scikit-learn would on these alone, and what is pooled over classes pools known labels.

Shapes: N images, K of them (or of their labels) known, C classes, R weight vectors, B calibration bins.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from cass_cli.data.splits import Labels

Floats = NDArray[np.float64]

FEW = 64  # images of a class, up to which a row of comparisons for each is faster than sums along a sorted order
BINS = 15  # of equal width on [0, 1], as in Guo et al. 2017
DEFAULT_THRESHOLD = 0.5  # the paper's, for multi-label decisions


def metric_values(
    labels: Labels,
    probabilities: Floats,
    weights: Iterable[Floats],
    *,
    thresholds: Floats | None = None,
    ranking: bool = True,
) -> dict[str, Floats]:
    """Return every metric under every weight vector.

    labels         [N] class indices, or [N, C] of 0/1 for multi-label, -1 where unknown.
    probabilities  [N, C] in fp64.
    weights        chunks [r, N] of non-negative weights, R rows in all.
    thresholds     [C] for multi-label decisions; 0.5 if None.
    ranking        also AUROC and average precision, which take most of the time.

    The result maps `macro_f1`, `micro_f1`, `balanced_accuracy`, `accuracy`, `ece`, `brier`, `auroc`,
    `average_precision` to [R], and `class_f1`, `class_precision`, `class_recall`, `class_auroc`,
    `class_average_precision` to [R, C].
    Multi-label: `accuracy` asks for every known label of an image to be right (as scikit-learn's), of the images
    that have one, and `balanced_accuracy` is the mean over classes of (sensitivity + specificity) / 2.
    """
    truth = indicator(labels, probabilities.shape[1])  # [N, C]
    unknown = ~known_labels(labels, probabilities.shape[1])  # [N, C]
    # What is unknown is neither shown nor chosen, so that only who counts negatives has to take it out.
    chosen = decide(probabilities, multilabel=labels.ndim == 2, thresholds=thresholds) & ~unknown  # [N, C]
    gaps = calibration_gaps(labels, probabilities)  # [N, B]
    squares = squared_errors(labels, probabilities)  # [N]
    chunks = []
    for chunk in weights:
        values = _decision_values(truth, chosen, unknown, chunk, multilabel=labels.ndim == 2)
        outcomes = chunk.sum(axis=1) * (truth.shape[1] if labels.ndim == 2 else 1) - chunk @ unknown.sum(axis=1)
        values["ece"] = ratio(np.abs(chunk @ gaps).sum(axis=1), outcomes)
        values["brier"] = ratio(chunk @ squares, outcomes)
        if ranking:
            values |= _ranking_values(truth, unknown, probabilities, chunk)
        chunks.append(values)
    return {name: np.concatenate([values[name] for values in chunks]) for name in chunks[0]} if chunks else {}


def indicator(labels: Labels, classes: int) -> NDArray[np.bool_]:
    """Return which classes each image shows, [N, C]; what is unknown is not shown."""
    return np.asarray(labels == 1 if labels.ndim == 2 else labels[:, None] == np.arange(classes))


def known_labels(labels: Labels, classes: int) -> NDArray[np.bool_]:
    """Return of which classes it is known whether each image shows them, [N, C]."""
    return labels >= 0 if labels.ndim == 2 else np.ones((len(labels), classes), dtype=bool)


def against_rest(labels: Labels, told: Sequence[int]) -> NDArray[np.int8]:
    """Return whether each image shows each class in `told`, [N, T]: 1, 0, or -1 where it is unknown."""
    if labels.ndim == 2:
        return np.asarray(labels[:, told], dtype=np.int8)
    return np.asarray(labels[:, None] == np.asarray(told), dtype=np.int8)


def decide(probabilities: Floats, *, multilabel: bool, thresholds: Floats | None = None) -> NDArray[np.bool_]:
    """Return the chosen classes [N, C]: the likeliest one, or all that reach their threshold (multi-label)."""
    if multilabel:
        return np.asarray(probabilities >= (DEFAULT_THRESHOLD if thresholds is None else thresholds))
    return indicator(probabilities.argmax(axis=1), probabilities.shape[1])


def confidence(probabilities: Floats, *, multilabel: bool) -> Floats:
    """Return how sure an answer [N] is: the highest probability; for multi-label, that of the least sure decision."""
    if multilabel:
        return np.asarray(np.maximum(probabilities, 1 - probabilities).min(axis=1))
    return np.asarray(probabilities.max(axis=1))


def calibration_points(labels: Labels, probabilities: Floats) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """Return what calibration is judged on: the probability given to an outcome, whether it came (0/1), its image.

    All [K]. Multi-class: the chosen class of each image, K = N. Multi-label: every known label of each image.
    """
    if labels.ndim == 2:
        image, label = np.nonzero(labels >= 0)
        return probabilities[image, label], labels[image, label].astype(np.float64), image
    chosen = probabilities.argmax(axis=1)
    return probabilities.max(axis=1), (chosen == labels).astype(np.float64), np.arange(len(labels))


def bin_of(probabilities: Floats, bins: int = BINS) -> NDArray[np.int64]:
    """Return the calibration bin of each probability: (b/B, (b+1)/B], with 0 in the first."""
    return np.clip(np.ceil(probabilities * bins).astype(np.int64) - 1, 0, bins - 1)


def calibration_gaps(labels: Labels, probabilities: Floats) -> Floats:
    """Return each image's (outcome − probability) by bin, [N, B].

    ECE is Σ_b |Σ_i w_i gap_ib| over the number of outcomes: Guo et al. 2017, Eq. 3, as a sum over images.
    """
    given, came, image = calibration_points(labels, probabilities)
    gaps = np.zeros((len(labels), BINS))
    np.add.at(gaps, (image, bin_of(given)), came - given)
    return gaps


def squared_errors(labels: Labels, probabilities: Floats) -> Floats:
    """Return each image's share [N] of the Brier score, which is their sum over the number of outcomes.

    Σ_c (p_c − y_c)² over classes that exclude each other (Brier 1950; 0 … 2), halved for two classes, where it is the
    usual (p − y)² of either. Multi-label, an outcome is a known label: (p − y)², summed over an image's.
    """
    shown, known = indicator(labels, probabilities.shape[1]), known_labels(labels, probabilities.shape[1])
    squares: Floats = ((probabilities - shown) ** 2 * known).sum(axis=1)
    return squares / 2 if labels.ndim == 1 and probabilities.shape[1] == 2 else squares


def _decision_values(
    truth: NDArray[np.bool_],
    chosen: NDArray[np.bool_],
    unknown: NDArray[np.bool_],
    weights: Floats,
    *,
    multilabel: bool,
) -> dict[str, Floats]:
    blank = unknown.all(axis=1)  # [N]
    total = weights.sum(axis=1)  # [R]
    hit = weights @ (truth & chosen)  # [R, C] true positives
    shown, predicted = weights @ truth, weights @ chosen  # [R, C]
    recall = ratio(hit, shown)
    f1 = ratio(2 * hit, shown + predicted)
    balanced = recall
    if multilabel:
        absent = total[:, None] - weights @ unknown - shown
        specificity = ratio(absent - (predicted - hit), absent)
        balanced = mean_defined(np.stack([recall, specificity], axis=-1))
    return {
        "macro_f1": mean_defined(f1),
        "micro_f1": ratio(2 * hit.sum(axis=1), (shown + predicted).sum(axis=1)),
        "balanced_accuracy": mean_defined(balanced),
        "accuracy": ratio(weights @ ((truth == chosen).all(axis=1) & ~blank), total - weights @ blank),
        "class_f1": f1,
        "class_precision": ratio(hit, predicted),
        "class_recall": recall,
    }


def _ranking_values(
    truth: NDArray[np.bool_], unknown: NDArray[np.bool_], probabilities: Floats, weights: Floats
) -> dict[str, Floats]:
    by_image = np.ascontiguousarray(weights.T)  # [N, R]: sorting images then moves whole rows
    total = weights.sum(axis=1)  # [R]
    auroc, precision = np.full((2, len(weights), truth.shape[1]), np.nan)
    for c in np.flatnonzero(~unknown.all(axis=0)):
        shown, scores, images, of_all = truth[:, c], probabilities[:, c], by_image, total
        if unknown[:, c].any():
            known = ~unknown[:, c]
            shown, scores, images = shown[known], scores[known], by_image[known]
            of_all = images.sum(axis=0)
        if shown.sum() <= FEW and not shown.all():
            found = _rank_rare_class(shown, scores, images, of_all)
        else:
            found = _rank_class(shown, scores, images)
        auroc[:, c], precision[:, c] = found
    return {
        "auroc": mean_defined(auroc),
        "average_precision": mean_defined(precision),
        "class_auroc": auroc,
        "class_average_precision": precision,
    }


def _rank_class(truth: NDArray[np.bool_], scores: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Return AUROC and average precision [R] of one class: truth and scores [N], weights [N, R].

    AUROC is the Mann–Whitney form: pairs ranked rightly, ties counting half.
    """
    order = np.argsort(scores, kind="stable")
    truth, scores, weights = truth[order], scores[order], weights[order]
    runs = np.flatnonzero(np.r_[True, scores[1:] != scores[:-1]])  # where each run of equal scores starts
    positive = weights * truth[:, None]
    negative = weights - positive
    if len(runs) < len(truth):
        positive, negative = (np.add.reduceat(w, runs, axis=0) for w in (positive, negative))
    positive_upto, negative_upto = positive.cumsum(axis=0), negative.cumsum(axis=0)
    positives, negatives = positive_upto[-1], negative_upto[-1]  # [R]
    auroc = ratio((positive * (negative_upto - negative / 2)).sum(axis=0), positives * negatives)
    found = positives - positive_upto + positive  # true positives if all from this run upwards are chosen
    alarms = negatives - negative_upto + negative  # and false positives
    precision = np.divide(found, found + alarms, out=np.zeros_like(found), where=positive > 0)
    return auroc, ratio((positive * precision).sum(axis=0), positives)


def _rank_rare_class(truth: NDArray[np.bool_], scores: Floats, weights: Floats, total: Floats) -> tuple[Floats, Floats]:
    """Return what `_rank_class` does, for a class of few images: each is compared with all, and nothing is sorted.

    `total` [R] are the sums of the weights.
    Of a thousand classes most are rare, and passing over all images and resamples for each would take minutes.
    """
    positive, own = weights[truth], scores[truth][:, None]  # [P, R], [P, 1]
    above, equal = scores >= own, (scores == own) & ~truth  # [P, N]
    positives = positive.sum(axis=0)
    negatives = total - positives  # [R]
    chosen = above.astype(np.float64) @ weights  # [P, R], if all that score as high as this image are
    found = above[:, truth].astype(np.float64) @ positive  # true positives among them
    tied = equal.astype(np.float64) @ weights if equal.any() else 0.0
    below = negatives - (chosen - found) + tied / 2
    auroc = ratio((positive * below).sum(axis=0), positives * negatives)
    precision = np.divide(found, chosen, out=np.zeros_like(found), where=positive > 0)
    return auroc, ratio((positive * precision).sum(axis=0), positives)


def ratio(numerator: Floats, denominator: Floats) -> Floats:
    """Return the quotient, NaN where the denominator is 0."""
    quotient = np.full(np.shape(denominator), np.nan)
    np.divide(numerator, denominator, out=quotient, where=denominator > 0)
    return quotient


def mean_defined(values: Floats) -> Floats:
    """Return the mean over the last axis of the values that are not NaN; NaN where all are."""
    defined = ~np.isnan(values)
    return ratio(np.where(defined, values, 0).sum(axis=-1), defined.sum(axis=-1).astype(np.float64))
