"""Cross-validation: every labelled image outside the publisher's test split is tested in one of K folds.

Whole groups lie in one fold, and classes have their share of each; a fold's validation images are drawn from the others
as any split's are. The folds are kept in a CSV, and a fine-tuning that goes on reads them from there.

Shapes: n images that are dealt, K folds.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cass_cli.csv_cells import CellWriter, name_of
from cass_cli.data.labelled_images import LabelledData, labels_told
from cass_cli.data.layouts.contents import contents
from cass_cli.data.splits import Labels, assign_splits, fold_numbers, label_cells, label_columns, labelled, unit_numbers
from cass_cli.errors import DataError
from cass_cli.files import whole_text
from cass_cli.words import count, shown, shown_list

COLUMNS = ("image", "group", "fold", "validates", "alike")  # and those of the labels


@dataclass(frozen=True)
class Folds:
    """Who is tested where."""

    rows: NDArray[np.int64]  # of the table [n], sorted: all that are dealt
    tested: NDArray[np.int64]  # the fold 1 … K of each [n]
    validates: NDArray[np.bool_]  # in which folds each is a validation image [n, K]
    alike: NDArray[np.bool_] | None = None  # which are nearly the same as one of another fold [n]; None: not looked for

    @property
    def count(self) -> int:
        return int(self.validates.shape[1])

    def data(self, whole: LabelledData, fold: int) -> LabelledData:
        """Return the images as this fold divides them."""
        test, val = self.tested == fold, self.validates[:, fold - 1]
        return replace(whole, rows={"train": self.rows[~test & ~val], "val": self.rows[val], "test": self.rows[test]})

    def all_data(self, whole: LabelledData) -> LabelledData:
        """Return the images that are dealt, undivided."""
        none = self.rows[:0]
        return replace(whole, rows={"train": self.rows, "val": none, "test": none}, bare=none)


def left_alone(data: LabelledData, clusters: NDArray[np.int64] | None) -> NDArray[np.int64]:
    """Return the labelled rows that no fold has: the publisher's test images, and their near-duplicates' clusters.

    `clusters` int [N] of the whole table, -1: none, are kept together; None: no one asked for that.
    """
    stated = np.array([split == "test" for split in data.table.splits or ("",) * len(data.table)])
    if clusters is not None:
        stated |= np.isin(clusters, np.unique(clusters[stated & (clusters >= 0)]))
    return np.flatnonzero(stated & labelled(data.labels))


def deal_folds(
    data: LabelledData,
    *,
    folds: int,
    fractions: Sequence[float],
    seed: int,
    clusters: NDArray[np.int64] | None = None,
) -> Folds:
    """Deal the labelled images into `folds`, stratified, whole groups and `clusters` together; val from the others.

    `fractions` are those of train, val and test of an ordinary split, of which the ratio of the first two counts.
    Raises DataError where there are fewer images or groups than folds.
    """
    rows = np.setdiff1d(data.all_rows, left_alone(data, clusters))
    table, labels = replace(data.table.select(rows), splits=None), data.labels[rows]
    together = None if clusters is None else clusters[rows]
    units = unit_numbers(table.groups, together, len(rows))
    total = int(units.max(initial=-1)) + 1
    if total < folds:
        noun = "labelled image" if total == len(rows) else "group"
        raise DataError(
            f"{count(total, noun)} of {table.root} cannot fill {folds} folds.",
            hint="Add images, or take fewer --folds.",
        )
    tested = 1 + fold_numbers(labels, table.groups, folds=folds, seed=seed, keep_together=together)
    learning, chosen = fractions[0] / sum(fractions[:2]), fractions[1] / sum(fractions[:2])
    validates = np.zeros((len(rows), folds), dtype=bool)
    for fold in range(1, folds + 1):
        others = np.flatnonzero(tested != fold)
        splits = assign_splits(
            table.select(others),
            fractions=(learning, chosen, 0.0),
            seed=seed,
            keep_together=None if together is None else together[others],
        )
        validates[others, fold - 1] = np.array(splits) == "val"
    return Folds(rows, tested, validates)


def with_alike(folds: Folds, pairs: NDArray[np.int64], images: int) -> Folds:
    """Return the folds with what is known of near-duplicates: `pairs` [M, 2] of rows of a table of so many `images`."""
    fold = np.zeros(images, dtype=np.int64)
    fold[folds.rows] = folds.tested
    one, two = fold[pairs[:, 0]], fold[pairs[:, 1]]
    return replace(folds, alike=np.isin(folds.rows, pairs[(one != two) & (one > 0) & (two > 0)]))


def alike_note(folds: Folds) -> str:
    """Say how many images are nearly the same as one of another fold; "" for none, or where no one looked."""
    known = 0 if folds.alike is None else int(folds.alike.sum())
    if not known:
        return ""
    return (
        f"{count(known, 'image has', 'images have')} a near-identical one in another fold. Scores will flatter; "
        "--split-by-duplicates keeps them in one, and cass inspect shows them."
    )


def rare_note(data: LabelledData, folds: Folds) -> str:
    """Say which classes some folds do not test, since they have too few images or groups; "" where there is none."""
    labels, classes = data.labels[folds.rows], data.table.classes
    lacking = []
    for c, name in enumerate(classes):
        shows = _shows(labels, c)
        found = len(np.unique(folds.tested[shows]))
        if found < folds.count:
            lacking.append(f"{name!r} ({count(int(shows.sum()), 'image')}, in {count(found, 'fold')})")
    if not lacking:
        return ""
    return (
        f"Not every one of {folds.count} folds tests {shown_list(lacking)}: too few images or groups show it. What is "
        "undefined in a fold is left out of its mean; the pooled scores count every image."
    )


def _shows(labels: Labels, c: int) -> NDArray[np.bool_]:
    return np.asarray(labels[:, c] == 1 if labels.ndim == 2 else labels == c)


def folds_digest(data: LabelledData, folds: Folds) -> str:
    """Return a digest of what is tested where, with its labels: equal for equal folds, whatever the folder."""
    told = labels_told(data, folds.rows)
    lines = (f"{name}\t{fold}\t{label}" for (name, label), fold in zip(told.items(), folds.tested, strict=True))
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def write_folds(path: Path, data: LabelledData, folds: Folds) -> None:
    """Write a row an image: its group, the fold that tests it, those that it validates in ("2;4"), and its labels.

    `alike` is 1 where another fold has nearly the same image, 0 where none has, nothing where no one looked.
    """
    table = data.table
    with whole_text(path) as file:
        writer = CellWriter(file)
        writer.writerow((*COLUMNS, *label_columns(table)))
        alike = [""] * len(folds.rows) if folds.alike is None else folds.alike.astype(int).tolist()
        for i, (row, fold, validates) in enumerate(
            zip(folds.rows.tolist(), folds.tested.tolist(), folds.validates, strict=True)
        ):
            where = ";".join(str(1 + other) for other in np.flatnonzero(validates))
            group = table.groups[row] if table.groups else ""
            writer.writerow((table.names[row], group, fold, where, alike[i], *label_cells(table, row)))


def read_folds(path: Path, data: LabelledData, folds: int) -> Folds:
    """Return what `write_folds` wrote; raise DataError where it is damaged, or names images that are not there."""
    text = io.StringIO(contents(path).decode("utf-8-sig", "surrogateescape"), newline="")
    try:
        rows = list(csv.DictReader(text, strict=True))
        names = [name_of(row["image"]) for row in rows]
        tested = np.array([int(row["fold"]) for row in rows], dtype=np.int64)
        looked = [row["alike"] for row in rows]
        places = [[int(fold) for fold in row["validates"].split(";") if fold] for row in rows]
    except (csv.Error, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise DataError(f"{shown(str(path))} is damaged.", hint="Put it back as it was.") from error
    known = {data.table.names[row]: row for row in data.all_rows.tolist()}
    if gone := [name for name in names if name not in known]:
        raise DataError(
            f"{count(len(gone), 'image')} in {shown(str(path))} are not labelled images of {data.table.root}: "
            f"{shown_list(gone)}",
            hint="Put them back as they were, or deal them anew with --overwrite.",
        )
    found = np.array([known[name] for name in names], dtype=np.int64)
    validates = np.zeros((len(rows), folds), dtype=bool)
    alike = {*looked} <= {"0", "1"} or {*looked} == {""}
    whole = alike and {*tested.tolist()} == {*range(1, folds + 1)} and (np.diff(found) > 0).all()
    if not whole or any(not 1 <= at <= folds or at == own for own, of in zip(tested, places, strict=True) for at in of):
        raise DataError(f"{shown(str(path))} is damaged.", hint="Put it back as it was.")
    for row, of in enumerate(places):
        validates[row, [at - 1 for at in of]] = True
    return Folds(found, tested, validates, None if "" in looked else np.array(looked) == "1")
