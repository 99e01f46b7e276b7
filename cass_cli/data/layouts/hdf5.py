"""PatchCamelyon: images and labels of a split in two HDF5 files, what is known of the slides in a CSV beside them.

Only the labels are read here; pixels are read by the cache, one image at a time. HDF5 needs an optional extra.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cass_cli.data.layouts.hdf5_arrays import own_array
from cass_cli.data.layouts.records import MOST_IMAGES, Records
from cass_cli.data.layouts.tables import read_table
from cass_cli.errors import DataError
from cass_cli.words import shown

STEM = "camelyonpatch_level_2_split_"
PARTS = {"train": "train", "val": "valid", "test": "test"}  # split → as the publisher's files call it
CLASSES = ("normal", "tumour")  # whether a pixel of the centre, 32 × 32, is of a metastasis


def is_pcam_file(name: str) -> bool:
    """Whether a file is called as PatchCamelyon's."""
    return name.startswith(STEM) and name.endswith(".h5")


def find_pcam(root: Path) -> Path | None:
    """Return the file of training images in or below `root`, None where there is none; raises `DataError` for .gz."""
    if not root.is_dir():
        return root if is_pcam_file(root.name) and root.is_file() else None
    for folder in (root, root / "pcam"):
        if (file := folder / f"{STEM}train_x.h5").is_file():
            return file
        if (packed := folder / f"{STEM}train_x.h5.gz").is_file():
            raise DataError(f"{shown(str(packed))} is packed.", hint="Unpack the files first: gunzip *.h5.gz")
    return None


def read_pcam(file: Path) -> Records:
    """Return the images of PatchCamelyon, named `train/000123`, grouped by slide where the CSVs of slides lie there.

    Raises `DataError` for files that are missing, damaged or of other shapes.
    """
    names: list[str] = []
    labels: list[tuple[str, ...]] = []
    groups: list[str] = []
    splits: list[str] = []
    for split, part in PARTS.items():
        images = pcam_file(file, split, "x")
        if not images.is_file():
            continue
        rows = len(open_images(images))
        names += [f"{split}/{i:06d}" for i in range(rows)]
        labels += [(CLASSES[int(label)],) for label in _labels(pcam_file(file, split, "y"), rows)]
        groups += _slides(images.with_name(f"{STEM}{part}_meta.csv"), rows)
        splits += rows * [split]
    known = any(groups)
    notes = ["Grouped by column 'wsi' of the CSVs: the slide." if known else "No CSV tells the slides: no groups."]
    return Records(
        names=names,
        labels=labels,
        classes=CLASSES,
        groups=groups if known else None,
        groups_by="column wsi" if known else "",
        splits=splits,
        notes=notes,
    )


def pcam_file(file: Path, split: str, what: str) -> Path:
    """Return the file of the split's images, x, or labels, y, beside `file`."""
    return file.with_name(f"{STEM}{PARTS[split]}_{what}.h5")


def open_images(path: Path) -> Any:
    """Return the images [N, H, W, 3], uint8, of a file, read as they are asked for; raises `DataError`."""
    with _told(path, "images 'x'"):
        images = own_array(hdf5(path).File(_regular(path), "r"), "x", path.stat().st_size)
        if images.dtype != np.uint8 or len(images.shape) != 4 or images.shape[3] != 3 or 0 in images.shape[1:]:
            raise DataError(
                f"{shown(str(path))} holds {images.dtype} {list(images.shape)}; uint8 [N, H, W, 3] is read."
            )
        if len(images) > MOST_IMAGES:
            raise ValueError(f"it states {len(images):,} images")
        return images


def _labels(path: Path, rows: int) -> NDArray[np.int64]:
    """Return int64 [N] of 0 and 1."""
    with _told(path, "labels 'y'"), hdf5(path).File(_regular(path), "r") as file:
        array = own_array(file, "y", path.stat().st_size)
        if array.size != rows or array.dtype.kind not in "iub":
            raise DataError(f"{shown(str(path))} holds {array.size:,} labels for {rows:,} images, or no whole numbers.")
        labels: NDArray[np.int64] = np.asarray(array).reshape(-1).astype(np.int64)
    if not np.isin(labels, (0, 1)).all():
        raise DataError(f"{shown(str(path))} holds other labels than 0 and 1.")
    return labels


@contextmanager
def _told(path: Path, what: str) -> Iterator[None]:
    """Whatever goes wrong in the block leaves as a `DataError` with a short reason."""
    try:
        yield
    except DataError:
        raise
    except Exception as error:  # HDF5 raises almost anything on hostile bytes
        reason = shown(str(error) or type(error).__name__)[:300]
        raise DataError(f"{shown(str(path))} cannot be read as HDF5 with {what}: {reason}.") from error


def _regular(path: Path) -> Path:
    """Return the path; raises ValueError where no file is there, as opening a pipe or a device could block."""
    if not path.is_file():
        raise ValueError("it is no regular file")
    return path


def _slides(path: Path, rows: int) -> list[str]:
    """Return the slide of each image, "" where the CSV does not lie there."""
    if not path.is_file():
        return rows * [""]
    slides = read_table(path).columns.get("wsi", [])
    if len(slides) != rows:
        raise DataError(f"{shown(str(path))} tells the slide (wsi) of {len(slides):,} images, and there are {rows:,}.")
    return slides


def hdf5(path: Path) -> ModuleType:
    """Return h5py; raises `DataError` where the extra is not installed."""
    try:
        import h5py
    except ImportError as error:
        raise DataError(
            f"{shown(str(path))} is an HDF5 file, which needs an optional part.",
            hint="Run: pip install 'cass-cli[hdf5]'",
        ) from error
    module: ModuleType = h5py
    return module
