"""Which images the maps are shown for: a sample with the class distribution of the split, or the user's own.

Shapes: N images of the split, n drawn, C classes, S side in pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from cass_cli.config.load import NOTHING, Layer, Resolved
from cass_cli.config.schema import Data, FitName
from cass_cli.data.dataset import find_dataset, frame_rules, pixel_rules
from cass_cli.data.frames import with_frames
from cass_cli.data.sample_table import SampleTable
from cass_cli.data.sources import load_samples
from cass_cli.data.splits import Labels
from cass_cli.data.store.store import build_store
from cass_cli.data.stratify import nested_order
from cass_cli.data.views.spec import ImageSpec
from cass_cli.errors import DataError
from cass_cli.runs.directory import Run
from cass_cli.words import count

SAMPLES = 30  # C.4
SAMPLES_IMBALANCED = 100  # C.4, ISIC 2019: "so that each class may have an example in our sample"


@dataclass(frozen=True)
class SampleRequest:
    """Which images are asked for: pictures of the user's own, else some of a split of the run."""

    paths: tuple[Path, ...] = ()
    split: str = "test"
    samples: int | None = None  # None: 30 as in C.4, or 100 for ISIC 2019
    seed: int = 0
    settings: Layer = NOTHING  # over those of the run: where its images are now, how large they may be


@dataclass(frozen=True)
class ImageSample:
    """The images that are shown, and how to read them."""

    table: SampleTable
    reading: Data
    notes: tuple[str, ...] = ()
    _decoded: dict[tuple[int, FitName], Tensor] = field(default_factory=dict, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.table)

    def pixels(self, spec: ImageSpec) -> Tensor:
        """Return the images, uint8 [n, 3, S, S], read once. Raises `DataError` that names unreadable ones."""
        key = spec.size, spec.fit
        if key not in self._decoded:
            self._decoded[key] = self._read(*key)
        return self._decoded[key]

    def _read(self, size: int, fit: FitName) -> Tensor:
        return build_store(self.table, size=size, fit=fit, mode="ram", workers=self.reading.workers).images

    def label(self, row: int) -> str:
        """Return the class of an image, or its classes joined by +, or "" where none is known."""
        labels, classes = self.table.labels, self.table.classes
        if labels is None:
            return ""
        if labels.ndim == 2:
            return " + ".join(c for c, present in zip(classes, labels[row], strict=True) if present == 1)
        return classes[labels[row]] if labels[row] >= 0 else ""


def sample_of_run(run: Run, resolved: Resolved, asked: SampleRequest) -> ImageSample:
    """Draw the images asked for from a split of the run; fewer if there are fewer.

    Raises `DataError` when the split is empty or the images are gone.
    """
    data, split, seed = resolved.config.data, asked.split, asked.seed
    dataset = find_dataset(data, seed=resolved.config.train.seed, saved_splits=run.splits)
    rows = dataset.rows(split)
    if len(rows) == 0:
        held = ", ".join(f"{n} {name}" for name, n in dataset.counts.items() if n)
        raise DataError(
            f"{run.path} has no {split} images (it has {held or 'none at all'}).",
            hint="Choose another --split, or name pictures with --images.",
        )
    isic = "isic2019" in (data.layout, resolved.origins.get("data.path", "").removeprefix("preset "))
    wanted = asked.samples or (SAMPLES_IMBALANCED if isic else SAMPLES)
    table = dataset.table.select(rows)
    drawn = table.select(draw_rows(table.labels, len(table), samples=wanted, seed=seed))
    many, few = count(len(rows), f"{split} image"), count(len(drawn), "image")
    note = f"{few} of {many}, drawn in the split's class distribution with seed {seed}."
    if len(drawn) == len(rows):
        note = f"All {many}."
    return ImageSample(drawn, data, (note,))


def sample_of_decoded(table: SampleTable, reading: Data, pixels: Tensor, spec: ImageSpec) -> ImageSample:
    """Return images that are decoded already, uint8 [n, 3, S, S] as networks with this `spec` take them."""
    return ImageSample(table, reading, _decoded={(spec.size, spec.fit): pixels})


def sample_of_paths(paths: Sequence[Path], reading: Data) -> ImageSample:
    """Return the pictures `paths`, and those in folders among them, in the order given, read as `reading` says."""
    files: list[Path] = []
    for path in paths:
        if not path.exists():
            raise DataError(f"There is no picture {path}.", hint="Check the path given to --images.")
        table = load_samples(path, layout="flat") if path.is_dir() else None
        files += [path.absolute()] if table is None else [table.path(i) for i in range(len(table))]
    names = tuple(file.relative_to(file.anchor).as_posix() for file in files)
    files_alone = SampleTable(root=Path(files[0].anchor), names=names, rules=pixel_rules(reading))
    table = with_frames(files_alone, frame_rules(reading))
    return ImageSample(table, reading, (f"{len(table)} own pictures.",))


def draw_rows(labels: Labels | None, images: int, *, samples: int, seed: int) -> NDArray[np.int64]:
    """Return `samples` of the rows 0 … N − 1, sorted, in the class distribution of `labels`.

    Each class gets its share, rounded so that the total is exact, and one image at least where there is room for
    all classes. Unlabelled images count as a class of their own. The sample is a function of its arguments.
    """
    samples = min(samples, images)
    rng = np.random.default_rng(seed)
    if labels is None:
        return np.sort(rng.permutation(images)[:samples])
    if labels.ndim == 2:
        order, _ = nested_order((labels == 1).astype(np.int64), rng)
        return np.sort(order[:samples])
    _, index, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    taken = [rng.permutation(np.flatnonzero(index == c))[:n] for c, n in enumerate(class_shares(sizes, samples))]
    return np.sort(np.concatenate(taken))


def class_shares(sizes: NDArray[np.int64], samples: int) -> NDArray[np.int64]:
    """Return how many of `samples` images come from classes of `sizes` [C]: largest remainders, one at least each."""
    ideal = sizes * samples / sizes.sum()
    shares: NDArray[np.int64] = np.floor(ideal).astype(np.int64)
    if samples >= len(sizes):
        shares = np.maximum(shares, 1)
    while shares.sum() < samples:
        shares[(ideal - shares).argmax()] += 1
    while shares.sum() > samples:  # only after small classes were given their one
        shares[np.where(shares > 1, shares - ideal, -np.inf).argmax()] -= 1
    return shares
