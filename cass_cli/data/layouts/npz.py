"""MedMNIST and MedMNIST+ archives: `train|val|test` images and labels in one .npz.

Only the headers of the image arrays are read here; their pixels are read by the cache. Whoever made an archive may
have meant harm: see `npz_members.py`.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from zipfile import ZipFile, ZipInfo

import numpy as np
from numpy.typing import NDArray

from cass_cli.data.decode.npy_header import NpyHeader
from cass_cli.data.layouts.npz_members import header_in, members, opened_npz, placed, values_in
from cass_cli.data.layouts.records import MOST_IMAGES, Records
from cass_cli.errors import DataError
from cass_cli.words import shown

PARTS = ("train", "val", "test")
MOST_CLASSES, MOST_LABELS = 10_000, 20_000_000  # classes, and images × classes
TINY = 10_000  # images that may take less than a byte each


def read_npz(path: Path) -> Records:
    """Return the images of a MedMNIST archive, named `train/000123`, with labels and the archive's own splits.

    Labels [N] or [N, 1] give one class an image, [N, C] of 0/1 are multi-label, none at all: unlabelled.
    Raises DataError for a missing or damaged file, one without `*_images`, images other than uint8 [N, H, W] or
    [N, H, W, 3], and what no archive of that size can hold.
    """
    with opened_npz(path) as archive:
        found = members(archive)
        shapes = {p: _image_header(path, archive, found, p).shape for p in PARTS if f"{p}_images.npy" in found}
        arrays = [_labels_of(path, archive, found, part, shape[0]) for part, shape in shapes.items()]
        alone = [part for part in PARTS if f"{part}_labels.npy" in found and part not in shapes]
    if not shapes:
        raise DataError(
            f"{shown(str(path))} holds none of train_images, val_images, test_images.",
            hint="A MedMNIST archive is expected, such as pathmnist_224.npz.",
        )
    if alone:
        raise DataError(f"{shown(str(path))} holds {alone[0]}_labels without {alone[0]}_images.")
    names = [f"{part}/{i:06d}" for part, shape in shapes.items() for i in range(shape[0])]
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


def read_images(path: Path, part: str) -> NDArray[np.uint8]:
    """Return the images of a part, mapped or in memory as `placed` says; raises `DataError`."""
    with opened_npz(path) as archive:
        found = members(archive)
        header = _image_header(path, archive, found, part)
        return placed(path, archive, found[f"{part}_images.npy"], header)


def _image_header(path: Path, archive: ZipFile, found: dict[str, ZipInfo], part: str) -> NpyHeader:
    """Return the header of one array of images; raises DataError for what are no images, ValueError for damage."""
    info = found[f"{part}_images.npy"]
    header = header_in(archive, info)
    shape, colours = header.shape, header.shape[3:]
    if header.dtype != np.uint8 or len(shape) not in (3, 4) or colours not in ((), (3,)) or 0 in shape[1:]:
        raise DataError(
            f"{part}_images in {shown(str(path))} is {header.dtype} {list(shape)}; uint8 [N, H, W] or [N, H, W, 3] is "
            "read.",
            hint="The 3-D sets of MedMNIST are not images that cass can train on.",
        )
    if shape[0] > min(MOST_IMAGES, max(TINY, info.compress_size)):
        raise ValueError(f"{part}_images states {shape[0]:,} images, more than such a file holds")
    return header


def _labels_of(
    path: Path, archive: ZipFile, found: dict[str, ZipInfo], part: str, rows: int
) -> NDArray[np.int64] | None:
    """Return int64 [N, C] (C = 1: class indices), or None when the part has no labels."""
    info = found.get(f"{part}_labels.npy")
    if info is None:
        return None
    header = header_in(archive, info)
    shape = header.shape
    if len(shape) not in (1, 2) or shape[0] != rows or 0 in shape[1:] or header.dtype.kind not in "iub":
        raise DataError(
            f"{part}_labels in {shown(str(path))} is {header.dtype} {list(shape)}; "
            f"whole numbers [{rows}] or [{rows}, C] are read."
        )
    if max((1, *shape[1:])) > MOST_CLASSES or header.values > MOST_LABELS:
        raise ValueError(f"{part}_labels is {list(shape)}: at most {MOST_CLASSES:,} classes are read")
    values = values_in(archive, info, header)
    if values.max(initial=0) >= MOST_CLASSES or values.min(initial=0) < -1:
        raise ValueError(f"{part}_labels holds {values.min()} to {values.max()}: classes are 0 to {MOST_CLASSES - 1:,}")
    return (values if values.ndim == 2 else values[:, None]).astype(np.int64)


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
