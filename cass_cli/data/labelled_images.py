"""From a run to the labelled images of its splits, as fine-tuning and evaluation need them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from cass_cli.config.schema import Config
from cass_cli.data.dataset import Dataset, find_dataset, load_images
from cass_cli.data.sample_table import SampleTable
from cass_cli.data.splits import SPLITS, Labels, label_text, labelled, split_rows
from cass_cli.data.store.store import ImageStore
from cass_cli.errors import DataError


@dataclass(frozen=True)
class LabelledData:
    """The samples, and which of them each split may use: readable, and with a label."""

    dataset: Dataset
    rows: dict[str, NDArray[np.int64]]  # by split, rows of the table
    notes: tuple[str, ...]
    bare: NDArray[np.int64]  # rows of the training split without a label, where these teach; else none

    @property
    def table(self) -> SampleTable:
        return self.dataset.table

    @property
    def labels(self) -> Labels:
        assert self.table.labels is not None, "checked when it was made"
        return self.table.labels

    def groups(self, rows: NDArray[np.int64]) -> tuple[str, ...] | None:
        """Return the group of each of these rows; None where the data have none."""
        return None if self.table.groups is None else tuple(self.table.groups[i] for i in rows)

    @property
    def all_rows(self) -> NDArray[np.int64]:
        """Those of all splits, with a label."""
        return np.sort(np.concatenate(list(self.rows.values())))

    @property
    def looked_at(self) -> NDArray[np.int64]:
        """Those that have a part in a fine-tuning, with a label or without."""
        return np.sort(np.concatenate([self.all_rows, self.bare]))

    def of_bare(self) -> LabelledData:
        """Return the images without a label as if they were all."""
        return replace(self, rows={"train": self.bare}, bare=self.bare[:0])

    def lacking(self, rows: NDArray[np.int64]) -> tuple[str, ...]:
        """Return the classes that none of these rows shows."""
        labels = self.labels[rows]
        shown = set(np.flatnonzero(labels.any(axis=0)) if labels.ndim == 2 else labels)
        return tuple(name for c, name in enumerate(self.table.classes) if c not in shown)


@dataclass(frozen=True)
class Images:
    """Decoded images and, for a row of the table, its row in the store (−1: not decoded)."""

    store: ImageStore
    place: NDArray[np.int64]

    def readable(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return those of the rows that could be decoded."""
        return rows[self.place[rows] >= 0]

    def of(self, rows: NDArray[np.int64]) -> torch.Tensor:
        """Return the store's rows int64 of rows of the table."""
        return torch.from_numpy(self.place[rows])


def find_labelled(config: Config, splits: Path | None, *, leaks: bool = False) -> LabelledData:
    """List the samples of the configuration with the splits in the file `splits`, or split them anew.

    Raises `DataError` when there are no labels, or fewer than two classes in the training split.
    """
    dataset = find_dataset(config.data, seed=config.train.seed, saved_splits=splits, check_leaks=leaks)
    table = dataset.table
    if table.labels is None:
        raise DataError(
            f"The images in {table.root} have no labels to learn or to compare with.",
            hint="Put them in one folder a class, or name a CSV with --labels.",
        )
    notes = []
    left_out = unreadable_rows(splits, table) if splits else np.zeros(len(table), dtype=bool)
    if left_out.any():
        notes.append(f"{int(left_out.sum())} images that the run could not read are left out.")
    known = labelled(table.labels)
    without = int((~known).sum())
    bare = np.arange(0)
    if config.finetune.cross_teaches:
        bare = np.intersect1d(dataset.rows("train"), np.flatnonzero(~known & ~left_out))
    if without > len(bare):
        notes.append(f"{without - len(bare)} images have no label and are left out.")
    usable = known & ~left_out
    rows = {split: np.intersect1d(dataset.rows(split), np.flatnonzero(usable)) for split in SPLITS}
    return LabelledData(dataset, rows, tuple(notes), bare)


def check_trainable(data: LabelledData, rows: NDArray[np.int64]) -> None:
    """Raise `DataError` unless there are two training images `rows`, of two classes or more; of one for multi-label."""
    labels = data.labels[rows]
    shown = np.flatnonzero((labels == 1).any(axis=0)) if labels.ndim == 2 else np.unique(labels)
    if len(shown) < (1 if labels.ndim == 2 else 2):
        names = ", ".join(data.table.classes[c] for c in shown) or "none"
        raise DataError(
            f"The training images of {data.table.root} show fewer than two classes ({names}).",
            hint="Fine-tuning needs at least two: one folder a class, or a CSV of labels.",
        )
    if len(rows) < 2:
        raise DataError(
            f"One training image of {data.table.root} is labelled and readable, and fine-tuning needs two.",
            hint="Label more of them, or let more of the labels be seen.",
        )


def decode(
    data: LabelledData,
    rows: NDArray[np.int64],
    config: Config,
    *,
    device: torch.device,
    on_progress: Callable[[int, int], None] | None = None,
) -> Images:
    """Decode these rows of the table once, at the training size."""
    wanted = np.unique(rows)
    store = load_images(data.dataset, wanted, config.data, device=device, on_progress=on_progress)
    place = np.full(len(data.table), -1, dtype=np.int64)
    place[wanted[store.kept]] = np.arange(len(store.kept))
    return Images(store, place)


def unreadable_rows(splits: Path, table: SampleTable) -> NDArray[np.bool_]:
    """Return which images [N] a run recorded in its splits.csv as unreadable."""
    bad = {row["image"] for row in split_rows(splits) if row["status"].startswith("unreadable")}
    return np.array([name in bad for name in table.names], dtype=bool)


def labels_told(data: LabelledData, rows: NDArray[np.int64]) -> dict[str, str]:
    """Return the labels of these labelled rows as text, with what is not known of them, by name."""

    def told(row: int) -> str:
        unknown = "".join(f"\t?{data.table.classes[c]}" for c in np.flatnonzero(data.labels[row] < 0))
        return label_text(data.table, row) + unknown

    return {data.table.names[row]: told(row) for row in map(int, rows)}


def rows_digest(data: LabelledData, rows: NDArray[np.int64]) -> str:
    """Return a digest of the names and labels of these labelled rows: equal for equal splits, whatever the folder."""
    text = "\n".join(f"{name}\t{label}" for name, label in labels_told(data, rows).items())
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]
