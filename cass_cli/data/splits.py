"""Train, validation and test: who belongs where, and which part of the training labels may be seen.

Everything is a pure function of the table and an explicit seed.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cass_cli.csv_cells import CellWriter, name_of
from cass_cli.data.frames import ending_of
from cass_cli.data.layouts.columns import LEFT_OUT
from cass_cli.data.layouts.contents import contents
from cass_cli.data.layouts.label_columns import CLASS_PREFIX
from cass_cli.data.sample_table import SampleTable
from cass_cli.data.stratify import nested_order, stratify_classes, stratify_units
from cass_cli.errors import ConfigError, DataError, did_you_mean
from cass_cli.files import whole_text
from cass_cli.words import count, shown, shown_list

SPLITS = ("train", "val", "test")
PRECEDENCE = ("train", "test", "val")  # which split a class of one or two images goes to first
LONGEST = 4096  # characters of a name, as of a path
UNKNOWN = "-1"  # the cell of a class of which it is not known whether an image shows it

Labels = NDArray[np.int64] | NDArray[np.int8]  # class indices [N], or 0/1 [N, C]; -1 in either is not known


def labelled(labels: Labels) -> NDArray[np.bool_]:
    """Return which images [N] have a label: when multi-label, one that is known, be it yes or no."""
    known = labels >= 0
    return np.asarray(known.any(axis=1) if labels.ndim == 2 else known)


def check_split(name: str) -> None:
    """Raise `ConfigError` unless `name` is a split."""
    if name not in SPLITS:
        raise ConfigError(f"There is no split '{name}'.{did_you_mean(name, SPLITS)}", hint="Splits: train, val, test.")


def assign_splits(
    table: SampleTable,
    *,
    fractions: Sequence[float] = (0.7, 0.1, 0.2),
    seed: int,
    keep_together: NDArray[np.int64] | None = None,
) -> tuple[str, ...]:
    """Return "train", "val" or "test" of each image, stratified by class, `fractions` being those of the three.

    Images of one group stay together, and so do those of one `keep_together` cluster (int [N], -1: none).
    A val or test split that the curator names is complete and stays as it is; one that is missing is carved from
    the other images, train : val : test in the ratio of `fractions`. The exception: a cluster of `keep_together`
    that touches the curator's test (or val) goes there whole.
    A class with three images or more has some in every split; one with two has train and test, with one, train.
    For groups this is sought, not promised.
    Raises DataError when there are too few images or groups for the splits, ConfigError for senseless fractions.
    """
    _check_fractions(fractions)
    splits = np.array(table.splits or [""] * len(table), dtype=object)
    if keep_together is not None:
        _join_evaluation(splits, keep_together)
    stated = {split for split in ("val", "test") if (splits == split).any()}
    pool = np.flatnonzero((splits == "train") | (splits == ""))
    share = dict(zip(SPLITS, fractions, strict=True))
    parts = [s for s in PRECEDENCE if s not in stated and (share[s] > 0 or s == "train")]
    weights = np.array([share[s] for s in parts])
    if len(pool) == 0 or weights[0] <= 0:
        raise DataError(f"No image of {table.root} is left to train on: all lie in {' and '.join(sorted(stated))}.")
    part = _divide(table.select(pool), parts, weights / weights.sum(), seed, _of_pool(keep_together, pool))
    splits[pool] = np.array(parts, dtype=object)[part]
    return tuple(splits.tolist())


def _check_fractions(fractions: Sequence[float]) -> None:
    if len(fractions) != 3 or min(fractions) < 0 or abs(sum(fractions) - 1) > 1e-6:
        raise ConfigError(
            f"Split fractions must be three numbers of at least 0 that add up to 1, not {tuple(fractions)}.",
            hint="The paper's are 0.7, 0.1 and 0.2 for train, val and test.",
        )


def _of_pool(clusters: NDArray[np.int64] | None, pool: NDArray[np.int64]) -> NDArray[np.int64] | None:
    return None if clusters is None else clusters[pool]


def _join_evaluation(splits: NDArray[np.object_], clusters: NDArray[np.int64]) -> None:
    """Move whole clusters into the curator's test split, else val, where they touch it: training loses the leak."""
    for split in ("val", "test"):
        touched = np.unique(clusters[(splits == split) & (clusters >= 0)])
        splits[np.isin(clusters, touched)] = split


def _divide(
    table: SampleTable, parts: list[str], fractions: NDArray[np.float64], seed: int, clusters: NDArray[np.int64] | None
) -> NDArray[np.int64]:
    """Return the index into `parts` of each image."""
    units = unit_numbers(table.groups, clusters, len(table))
    total = int(units.max()) + 1
    noun = "image" if total == len(table) else "group"
    if total < len(parts):
        raise DataError(
            f"{count(total, noun)} of {table.root} cannot fill {len(parts)} splits ({', '.join(parts)}).",
            hint="Add images, or set the fraction of a split to 0.",
        )
    rng = np.random.default_rng(seed)
    if total == len(table) and not table.multilabel:
        labels = np.zeros(total, dtype=np.int64) if table.labels is None else table.labels.astype(np.int64)
        part = stratify_classes(labels, fractions, rng)
    else:
        counts = _class_counts(table.labels, len(table.classes), units, total)
        part = stratify_units(counts, fractions, rng)
    return part[units]


def unit_numbers(groups: Sequence[str] | None, clusters: NDArray[np.int64] | None, n: int) -> NDArray[np.int64]:
    """Number the sets of images that may not be parted, 0 … U - 1 in order of their first image."""
    parent = list(range(n))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    first: dict[tuple[str, str | int], int] = {}
    for kind, column in (("group", groups), ("cluster", None if clusters is None else clusters.tolist())):
        for i, value in enumerate(column if column is not None else ()):
            if value not in ("", -1):
                low, high = sorted((root(first.setdefault((kind, value), i)), root(i)))
                parent[high] = low
    return np.unique([root(i) for i in range(n)], return_inverse=True)[1].astype(np.int64)


def _class_counts(labels: Labels | None, classes: int, units: NDArray[np.int64], total: int) -> NDArray[np.int64]:
    """Return int64 [U, C + 1]: images of each class in each unit, and in the last column all its images."""
    counts = np.zeros((total, classes + 1), dtype=np.int64)
    np.add.at(counts[:, classes], units, 1)
    if labels is not None and labels.ndim == 2:
        np.add.at(counts[:, :classes], units, (labels == 1).astype(np.int64))  # what is unknown is no positive
    elif labels is not None:
        known = labels >= 0
        np.add.at(counts, (units[known], labels[known]), 1)
    return counts


def fold_numbers(
    labels: Labels,
    groups: Sequence[str] | None,
    *,
    folds: int,
    seed: int,
    keep_together: NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """Return the fold 0 … `folds` - 1 of each labelled image, int64 [N]: stratified, whole groups in one.

    So are clusters of `keep_together` (int [N], -1: none). Where there are fewer groups than `folds`, some are empty.
    """
    units = unit_numbers(groups, keep_together, len(labels))
    total = int(units.max()) + 1
    rng = np.random.default_rng(seed)
    shares = np.full(folds, 1 / folds)
    if total == len(labels) and labels.ndim == 1:
        return stratify_classes(labels.astype(np.int64), shares, rng)
    classes = labels.shape[1] if labels.ndim == 2 else int(labels.max()) + 1
    return stratify_units(_class_counts(labels, classes, units, total), shares, rng)[units]


def label_subset(
    labels: Labels, train_rows: Sequence[int] | NDArray[np.int64], *, fraction: float, seed: int
) -> NDArray[np.int64]:
    """Return the rows, sorted, whose labels may be seen: `fraction` of `train_rows`, stratified.

    At least one image of every class present in `train_rows` (one positive, when multi-label) is among them, so the
    result may be larger than asked; `subset_note` says so. For one seed a smaller fraction lies within a larger one.
    Rows without a label are never among them. Raises ConfigError for a fraction outside (0, 1].
    """
    if not 0 < fraction <= 1:
        raise ConfigError(f"A label fraction is above 0 and at most 1, not {fraction}.")
    rows = np.asarray(train_rows, dtype=np.int64)
    rows = rows[labelled(labels[rows])]
    if len(rows) == 0:
        return rows
    rng = np.random.default_rng(seed)
    if labels.ndim == 2:
        order, least = nested_order((labels[rows] == 1).astype(np.int64), rng)
        return np.sort(rows[order[: max(least, round(fraction * len(rows)))]])
    chosen: list[NDArray[np.int64]] = []
    for label in np.unique(labels[rows]):
        of_class = rng.permutation(rows[labels[rows] == label])
        chosen.append(of_class[: max(1, round(fraction * len(of_class)))])
    return np.sort(np.concatenate(chosen))


def subset_note(
    labels: Labels, train_rows: Sequence[int] | NDArray[np.int64], rows: NDArray[np.int64], fraction: float
) -> str:
    """Return a sentence when `rows` of `label_subset` are more than were asked for, else ""."""
    train = np.asarray(train_rows, dtype=np.int64)
    known = int(labelled(labels[train]).sum())
    wanted = round(fraction * known)
    if len(rows) <= wanted:
        return ""
    return (
        f"{100 * fraction:.3g} % of {count(known, 'training label')} is {wanted}; with at least one of every class, "
        f"{len(rows)} ({len(rows) / known:.1%}) are used."
    )


def write_splits(path: Path, table: SampleTable, splits: Sequence[str], status: Sequence[str] | None = None) -> None:
    """Write the whole reading to a CSV that can be given as --labels: whole or not at all.

    A row an image of the table: image, split, label (or a 0/1 column `label:CLASS` each), group, and a `status` that
    says "ok" unless given; then a row for each file that was left out, its status saying why. Raises RunError when it
    cannot be written.
    """
    assert len(splits) == len(table), "one split an image"
    with whole_text(path) as file:
        writer = CellWriter(file)
        writer.writerow(("image", "split", *label_columns(table), "group", "status"))
        for i, name in enumerate(table.names):
            group = table.groups[i] if table.groups else ""
            writer.writerow((name, splits[i], *label_cells(table, i), group, status[i] if status else "ok"))
        blank = [""] * len(label_columns(table))
        writer.writerows((name, "", *blank, "", f"{LEFT_OUT}: {reason}") for name, reason in table.left_out)


def label_columns(table: SampleTable) -> list[str]:
    """Return the columns in which a table of images tells the labels: one, or one a class when multi-label."""
    return [f"{CLASS_PREFIX}{name}" for name in table.classes] if table.multilabel else ["label"]


def label_cells(table: SampleTable, index: int) -> list[str]:
    """Return the cells of `label_columns` for an image: its class, or 1, 0 and `UNKNOWN`."""
    if table.labels is not None and table.multilabel:
        return [UNKNOWN if bit < 0 else str(bit) for bit in table.labels[index].tolist()]
    return [label_text(table, index)]


def label_text(table: SampleTable, index: int) -> str:
    """Return the class name of an image, its class names joined by ";" when multi-label, "" without a label."""
    if table.labels is None:
        return ""
    label = table.labels[index]
    if table.multilabel:
        return ";".join(table.classes[c] for c in np.flatnonzero(label == 1))
    return table.classes[label] if label >= 0 else ""


def read_splits(path: Path, table: SampleTable) -> tuple[str, ...]:
    """Return the split of each image of `table` as `write_splits` wrote it; "" for images that the file lacks.

    Raises DataError as `split_rows` does, and for images in it that `table` has no longer.
    """
    rows = [row for row in split_rows(path) if not row["status"].startswith(LEFT_OUT)]
    known = {row["image"]: row["split"] for row in rows}
    gone = sorted(known.keys() - set(table.names))
    if gone:
        otherwise = any(map(ending_of, [*gone, *table.names]))
        raise DataError(
            f"{count(len(gone), 'image')} in {shown(str(path))} are not in {table.root}: {shown_list(gone)}",
            hint="Is --data the folder that the run was made from?"
            + (" Are --frames and --slices what they were then?" if otherwise else ""),
        )
    return tuple(known.get(name, "") for name in table.names)


def split_rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a splits.csv: image, split, label, group and status as text, "" for what it does not say.

    The label of an image of several classes is their names joined by ";". Raises DataError for a file that cannot be
    read, is no splits.csv, or has lost or gained cells.
    """
    text = io.StringIO(contents(path).decode("utf-8-sig", "surrogateescape"), newline="")
    try:
        reader = csv.DictReader(text)
        columns, rows = reader.fieldnames or (), list(reader)
    except csv.Error as error:
        raise DataError(f"{shown(str(path))} is damaged: {error}.") from error
    if not rows or not {"image", "split"} <= {*columns}:
        raise DataError(f"{shown(str(path))} is no splits.csv: columns image and split (train, val, test) are needed.")
    classes = {c: name_of(c).removeprefix(CLASS_PREFIX) for c in columns if name_of(c).startswith(CLASS_PREFIX)}
    found = []
    for number, row in enumerate(rows, 1):
        if wrong := _amiss(row):
            raise DataError(f"{shown(str(path))} is damaged: image {number} ({shown(str(row['image']))}) {wrong}.")
        label = ";".join(name for column, name in classes.items() if row[column] == "1")
        told = {name: name_of(row.get(name, "")) for name in ("image", "split", "group", "status")}
        found.append({**told, "label": name_of(row["label"]) if "label" in row else label})
    if twice := [name for name, times in Counter(row["image"] for row in found).items() if times > 1]:
        raise DataError(f"{shown(str(path))} is damaged: it names {shown_list(twice)} twice.")
    return found


def _amiss(row: Mapping[str | None, str | None]) -> str:
    """Return what is wrong with a row of a splits.csv, "" where nothing is."""
    if None in row or None in row.values():
        return "has another number of cells than there are columns"
    if not row["image"]:
        return "has no name"
    if len(row["image"]) > LONGEST:
        return f"has a name of {len(row['image']):,} characters"
    left_out = str(row.get("status", "")).startswith(LEFT_OUT)
    if row["split"] not in (*SPLITS, *([""] if left_out else [])):
        return f"is in the split '{shown(str(row['split']))}', not in train, val or test"
    return ""
