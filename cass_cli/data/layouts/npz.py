"""MedMNIST and MedMNIST+ archives: `train|val|test` images and labels in one .npz.

Only the headers of the image arrays are read here; their pixels are read by the cache.
"""

from __future__ import annotations

import importlib.util
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cass_cli.data.layouts.records import Records
from cass_cli.errors import DataError
from cass_cli.words import shown

PARTS = ("train", "val", "test")


def read_npz(path: Path) -> Records:
    """Return the images of a MedMNIST archive, named `train/000123`, with labels and the archive's own splits.

    Labels [N] or [N, 1] give one class an image, [N, C] of 0/1 are multi-label, none at all: unlabelled.
    Raises DataError for a missing or damaged file, one without `*_images`, and images other than uint8
    [N, H, W] or [N, H, W, 3].
    """
    shapes = {part: shape for part in PARTS if (shape := _image_shape(path, part)) is not None}
    if not shapes:
        raise DataError(
            f"{shown(str(path))} holds none of train_images, val_images, test_images.",
            hint="A MedMNIST archive is expected, such as pathmnist_224.npz.",
        )
    names = [f"{part}/{i:06d}" for part, shape in shapes.items() for i in range(shape[0])]
    arrays = [_labels_of(path, part, shape[0]) for part, shape in shapes.items()]
    sizes = sorted({"×".join(map(str, shape[1:])) for shape in shapes.values()})
    notes = [f"Layout: MedMNIST archive ({', '.join(sizes)} px, splits: {', '.join(shapes)})."]
    known = [array for array in arrays if array is not None]
    if len(known) < len(arrays):
        return Records(names=names, splits=[n.partition("/")[0] for n in names], notes=[*notes, "No labels in it."])
    if len({array.shape[1] for array in known}) > 1:
        raise DataError(f"The label arrays of {shown(str(path))} differ in width.")
    labels, classes, multilabel = _named(np.concatenate(known), _class_names(path))
    return Records(
        names=names,
        labels=labels,
        multilabel=multilabel,
        classes=classes,
        splits=[n.partition("/")[0] for n in names],
        notes=notes,
    )


def _image_shape(path: Path, part: str) -> tuple[int, ...] | None:
    """Read the shape of one image array from its header; None when the archive has no such part."""
    try:
        with zipfile.ZipFile(path) as archive:
            if f"{part}_images.npy" not in archive.namelist():
                return None
            with archive.open(f"{part}_images.npy") as member:
                version = np.lib.format.read_magic(member)
                reader = (
                    np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
                )
                shape, _, dtype = reader(member)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise DataError(f"{shown(str(path))} cannot be read as an .npz archive: {error}.") from error
    if dtype != np.uint8 or not (len(shape) == 3 or (len(shape) == 4 and shape[3] == 3)):
        raise DataError(
            f"{part}_images in {shown(str(path))} is {dtype} {list(shape)}; uint8 [N, H, W] or [N, H, W, 3] is read.",
            hint="The 3-D sets of MedMNIST are not images that cass can train on.",
        )
    return shape


def _labels_of(path: Path, part: str, rows: int) -> NDArray[np.int64] | None:
    """Return int64 [N, C] (C = 1: class indices), or None when the part has no labels."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            if f"{part}_labels" not in archive:
                return None
            array: NDArray[np.int64] = archive[f"{part}_labels"]
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise DataError(f"{part}_labels in {shown(str(path))} cannot be read: {error}.") from error
    array = array[:, None] if array.ndim == 1 else array
    if array.ndim != 2 or len(array) != rows or array.dtype.kind not in "iub":
        raise DataError(
            f"{part}_labels in {shown(str(path))} is {array.dtype} {list(array.shape)}; "
            f"whole numbers [{rows}] or [{rows}, C] are read."
        )
    return array.astype(np.int64)


def _named(array: NDArray[np.int64], known: dict[int, str]) -> tuple[list[tuple[str, ...]], tuple[str, ...], bool]:
    """Return (labels of each image, classes, multilabel) in the order of the archive's class indices."""
    multilabel = array.shape[1] > 1
    if multilabel and not np.isin(array, (0, 1)).all():
        raise DataError("A multi-label MedMNIST archive may hold only 0 and 1 as labels.")
    width = array.shape[1] if multilabel else int(array.max(initial=-1)) + 1
    classes = tuple(known.get(i, str(i)) for i in range(width))
    if multilabel:
        return [tuple(classes[i] for i in np.flatnonzero(row)) for row in array], classes, True
    return [(classes[i],) if i >= 0 else () for i in array[:, 0]], classes, False


def _class_names(path: Path) -> dict[int, str]:
    """Return the names of the set's classes as the optional `medmnist` package gives them, else nothing."""
    if importlib.util.find_spec("medmnist") is None:
        return {}
    info = importlib.import_module("medmnist").INFO.get(path.stem.partition("_")[0], {})
    return {int(index): str(name) for index, name in info.get("label", {}).items()}
