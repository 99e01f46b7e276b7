"""From the data section of a configuration to samples, splits and decoded images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from cass_cli.config.load import Resolved
from cass_cli.config.presets import preset_about, preset_data_path
from cass_cli.config.schema import Data
from cass_cli.data.decode.facts import PixelRules
from cass_cli.data.duplicates import (
    Leaks,
    cluster_numbers,
    exact_duplicates,
    find_leaks,
    merged_pairs,
    near_duplicates,
    thumbnails,
)
from cass_cli.data.frames import FrameRules
from cass_cli.data.layouts.columns import Columns
from cass_cli.data.layouts.csv_layout import named_table
from cass_cli.data.layouts.medmnist import download_medmnist
from cass_cli.data.layouts.split_values import read_mapping
from cass_cli.data.phantom.pictures import VERSION, make_phantoms
from cass_cli.data.sample_table import SampleTable
from cass_cli.data.sources import load_samples
from cass_cli.data.space import writable_cache_dir
from cass_cli.data.splits import SPLITS, assign_splits, read_splits
from cass_cli.data.store.store import ImageStore, build_store
from cass_cli.errors import DataError
from cass_cli.words import count, shown

COMPARED_SIZE = 64  # side in pixels at which images are compared, as in `cass inspect`


@dataclass(frozen=True)
class Dataset:
    """All samples of a data set, the split of each, and what the user should know of them."""

    table: SampleTable
    splits: tuple[str, ...]
    warnings: tuple[str, ...] = ()

    def rows(self, split: str) -> np.ndarray:
        """Return the rows int64 of the samples in `split`."""
        return np.flatnonzero(np.array(self.splits) == split)

    @property
    def counts(self) -> dict[str, int]:
        """Return the number of images in each split."""
        return {split: self.splits.count(split) for split in SPLITS}


def with_data_path(resolved: Resolved, preset: str | None) -> Resolved:
    """Fill in where the images and their labels are: as configured, else where the preset looks.

    The demo draws its own. Raises `DataError` that says where the data can be had and how to lay them out.
    """
    if resolved.config.data.path is None:
        data = resolved.config.data.model_copy(update={"path": _preset_path(preset)})
        origins = {**resolved.origins, "data.path": f"preset {preset}"}
        resolved = Resolved(resolved.config.model_copy(update={"data": data}), origins)
    return with_labels_found(resolved)


def with_labels_found(resolved: Resolved) -> Resolved:
    """Fill in where the CSV of labels is that was named without its folder: here, else in the data's folder.

    Raises `DataError` where it is in neither.
    """
    data = resolved.config.data
    if data.labels is None or data.labels.is_absolute() or data.path is None or not data.path.exists():
        return resolved  # a missing folder of images is told when they are looked for
    there = data.path if data.path.is_dir() else data.path.parent
    found = data.model_copy(update={"labels": named_table(there, data.labels)})
    return Resolved(resolved.config.model_copy(update={"data": found}), resolved.origins)


def _preset_path(preset: str | None) -> Path:
    if preset is None:
        raise DataError(
            "No images were named.", hint="Give a folder with --data, or try the demo: cass pretrain --preset demo"
        )
    if preset == "demo":
        return make_phantoms(writable_cache_dir() / f"phantoms-{VERSION}")
    path = preset_data_path(preset).absolute()
    if not path.exists():
        about = preset_about(preset)
        raise DataError(
            f"The images of {about.title} are not at {path}.",
            hint=f"Get them: {about.source}.\nLay them out as {about.layout}.\n"
            f"Put them there, set $CASS_DATA, or name their folder with --data.",
        )
    return path


def samples_of(data: Data) -> SampleTable:
    """List the samples of `data.path`, read as the other settings say."""
    assert data.path is not None, "the command line resolves the data path"
    columns = Columns(
        image=data.image_column,
        label=data.label_column,
        group=data.group_column,
        split=data.split_column,
        separator=data.label_separator,
        uncertain=data.uncertain,
        split_values=read_mapping(data.split_values) if data.split_values else {},
    )
    return load_samples(
        data.path,
        labels=data.labels,
        layout=data.layout,
        columns=columns,
        allow_outside=data.allow_outside,
        class_level=data.class_level,
        group_pattern=data.group_pattern,
        split_lists={str(split): path for split, path in data.split_lists.items()},
        skip_missing=data.missing == "skip",
        frames=frame_rules(data),
        rules=pixel_rules(data),
    )


def frame_rules(data: Data) -> FrameRules:
    """Return which images of a file are taken under these settings."""
    return FrameRules(data.frames, data.slices)


def pixel_rules(data: Data) -> PixelRules:
    """Return how files become pixels under these settings."""
    return PixelRules(data.max_pixels, data.max_file_mb, data.window, data.channels)


def find_dataset(
    data: Data,
    *,
    seed: int,
    saved_splits: Path | None = None,
    check_leaks: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> Dataset:
    """List the samples of `data.path` and split them, or read the splits back from `saved_splits`.

    With `check_leaks`, images of different splits that are near-identical, or of one group, become a warning.
    Images are decoded, small, only for that and for `split_by_duplicates`.
    """
    assert data.path is not None, "the command line resolves the data path"
    if data.download and not data.path.exists():
        download_medmnist(data.path)
    if saved_splits and not data.path.exists():
        what = f"The images that {saved_splits} names are not at {shown(str(data.path))}."
        raise DataError(what, hint="If they were moved, say where they are now with --data.")
    table = samples_of(data)
    saved = saved_splits or data.splits
    if table.obstacles and saved is None:
        raise DataError(" ".join(table.obstacles), hint="See `cass inspect`: its options choose how a folder is read.")
    by_duplicates = data.split_by_duplicates and saved is None
    pairs = np.empty((0, 2), dtype=np.int64)
    if by_duplicates or check_leaks:
        pairs = duplicate_pairs(table, data, on_progress=on_progress)
    if saved is not None:
        splits = read_splits(saved, table)
    else:
        clusters = cluster_numbers(pairs, len(table)) if by_duplicates else None
        splits = assign_splits(table, fractions=data.fractions, seed=seed, keep_together=clusters)
    return Dataset(table, splits, _leak_warnings(find_leaks(table, splits, pairs)) if check_leaks else ())


def duplicate_pairs(
    table: SampleTable,
    data: Data,
    *,
    on_progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """Return the pairs int64 [K, 2] of rows that hold the same or nearly the same image; unreadable ones have none."""
    store = _compared(table, data, on_progress)
    near = near_duplicates(thumbnails(store.images))
    return merged_pairs(exact_duplicates(table), store.kept[near.pairs])


def seen_before(
    known: SampleTable,
    new: SampleTable,
    data: Data,
    *,
    on_progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """Return the rows int64 of `new` that hold nearly the same image as one of `known`; unreadable ones do not."""
    stores = [_compared(table, data, on_progress) for table in (known, new)]
    near = near_duplicates(torch.cat([thumbnails(store.images) for store in stores]))
    first = len(stores[0].kept)
    crossing = near.pairs[(near.pairs[:, 0] < first) & (near.pairs[:, 1] >= first), 1]
    return np.unique(stores[1].kept[crossing - first])


def _compared(table: SampleTable, data: Data, on_progress: Callable[[int, int], None] | None) -> ImageStore:
    """Return the images of a table as small as they are compared, without those that cannot be read."""
    return build_store(
        table,
        size=COMPARED_SIZE,
        mode="disk" if data.cache == "disk" else "auto",
        bad_images="skip",
        workers=data.workers,
        on_progress=on_progress,
    )


def _leak_warnings(leaks: Leaks) -> tuple[str, ...]:
    """Say how many images of one split are known from another, as `cass inspect` counts them."""
    known = [(split, n) for (split, other), n in leaks.images.items() if other == "train"]
    said = [f"{n} {split} images have a near-identical training image" for split, n in known]
    said += [f"{len(leaks.groups)} groups lie in several splits"] if leaks.groups else []
    if not said:
        return ()
    return (f"The splits leak: {'; '.join(said)}. Scores will flatter; see `cass inspect` and --split-by-duplicates.",)


def load_images(
    dataset: Dataset,
    rows: Sequence[int] | np.ndarray,
    data: Data,
    *,
    device: torch.device,
    on_progress: Callable[[int, int], None] | None = None,
) -> ImageStore:
    """Decode the samples `rows` at the training size; row i of the store is sample `rows[store.kept[i]]`."""
    return build_store(
        dataset.table.select(np.asarray(rows, dtype=np.int64)),
        size=data.image_size,
        fit=data.fit,
        mode=data.cache,
        device=device,
        bad_images=data.bad_images,
        workers=data.workers,
        on_progress=on_progress,
    )


def load_training_images(
    dataset: Dataset,
    data: Data,
    *,
    device: torch.device,
    on_progress: Callable[[int, int], None] | None = None,
) -> ImageStore:
    """Decode the training split, as `load_images` does; raise `DataError` where it has one readable image or none."""
    store = load_images(dataset, dataset.rows("train"), data, device=device, on_progress=on_progress)
    if len(store.kept) < 2:
        raise DataError(
            f"Only {count(len(store.kept), 'image')} to train on in {dataset.table.root}.",
            hint="Training needs at least two; a few hundred is where it begins to be useful.",
        )
    return store
