"""Sets of many sets or millions of pixels in few files: MedMNIST, MedIMeta, PatchCamelyon."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cass_cli.config.plain_yaml import MOST_BYTES, plain_yaml
from cass_cli.data.decode.npy_header import npy_header
from cass_cli.data.layouts.columns import Columns
from cass_cli.data.layouts.csv_layout import HowToRead
from cass_cli.data.layouts.label_columns import is_none
from cass_cli.data.layouts.lookup import Index
from cass_cli.data.layouts.npz import MOST_CLASSES, MOST_LABELS
from cass_cli.data.layouts.records import Records
from cass_cli.data.layouts.split_values import SPLITS, read_list
from cass_cli.data.layouts.tables import Table
from cass_cli.data.sets.public_set import PublicSet
from cass_cli.data.sets.reading import GROUP, SPLIT, find_table, read_table_as
from cass_cli.errors import DataError, did_you_mean
from cass_cli.reading import read_bytes
from cass_cli.words import shown, shown_list

MEDMNIST = (
    *("pathmnist", "chestmnist", "dermamnist", "octmnist", "pneumoniamnist", "retinamnist", "breastmnist"),
    *("bloodmnist", "tissuemnist", "organamnist", "organcmnist", "organsmnist"),
)


def is_medmnist(path: Path) -> bool:
    """Whether an archive is called as those of MedMNIST: `pathmnist.npz`, `pathmnist_224.npz`."""
    name, _, size = path.stem.lower().partition("_")
    return name in MEDMNIST and size in ("", "64", "128", "224")


def never(index: Index, how: HowToRead) -> None:
    """Read nothing: the set is no folder of images."""


def read_medimeta(index: Index, how: HowToRead) -> Records | None:
    """Read the first task of info.yaml, or the one that --label-column names, and the publisher's three splits."""
    root = index.scan.root
    info = _info(root / "info.yaml")
    if info is None or not (index.bare.keys() & {"images/000000", "images/000001"}):
        return None
    tasks = {str(task["task_name"]): task for task in info["tasks"]}
    asked = how.columns.label
    name = next(iter(tasks)) if asked is None or is_none(asked) else asked
    if name not in tasks:
        raise DataError(
            f"{shown(str(info['name']))} of MedIMeta has no task '{shown(name)}'.{did_you_mean(name, list(tasks))}",
            hint=f"--label-column takes: {shown_list(list(tasks), 20)}.",
        )
    values = _task(root / "task_labels" / f"{name}.npy")
    names = [f"images/{i:06d}.tiff" for i in range(len(values))]
    splits = _splits(root / "splits")
    table = Table(
        root / "info.yaml",
        {
            "image": names,
            name: _cells(values, {int(i): str(label) for i, label in tasks[name]["labels"].items()}),
            GROUP: _patients(index, names),
            SPLIT: [splits.get(image, "") for image in names],
        },
    )
    group = GROUP if any(table.columns[GROUP]) else None
    separator = "|" if values.ndim == 2 else None
    columns = Columns(image="image", label=name, group=group, split=SPLIT, separator=separator)
    records = read_table_as(table, index, how, columns)
    others = [task for task in tasks if task != name]
    if others and asked is None:
        records.notes.append(f"Task: {shown(name)}. Others, by --label-column: {shown_list(others, 20)}.")
    return records


def _info(path: Path) -> dict[str, Any] | None:
    """Return what info.yaml says of a set; None where it is none of MedIMeta's."""
    with suppress(OSError, ValueError):  # a stranger's file may hold anything
        info = plain_yaml(read_bytes(path, MOST_BYTES).decode("utf-8"))
        if isinstance(info, dict) and {"id", "name", "tasks", "splits_num_samples"} <= info.keys():
            tasks = info["tasks"]
            return info if isinstance(tasks, list) and tasks and all(map(_is_task, tasks)) else None
    return None


def _is_task(task: Any) -> bool:
    """Whether an entry of info.yaml tells a task as MedIMeta does; its name is that of a file."""
    if not isinstance(task, dict) or not {"task_name", "task_target", "labels"} <= task.keys():
        return False
    labels, name = task["labels"], task["task_name"]
    named = isinstance(name, str) and not {"/", "\\"} & set(name) and not name.startswith(".")
    return named and isinstance(labels, dict) and all(isinstance(index, int) for index in labels)


def _task(path: Path) -> NDArray[np.int64]:
    """Return the labels of a task: class indices [N], or 0 and 1 [N, C]."""
    try:
        if not path.is_file():
            raise ValueError("there is no such file")
        with path.open("rb") as file:
            header = npy_header(file, path.stat().st_size)
            flat = len(header.shape) in (1, 2) and 0 not in header.shape
            if header.dtype.kind not in "iub" or not flat or header.values > MOST_LABELS:
                raise ValueError(f"it is {header.dtype} {list(header.shape)}; whole numbers [N] or [N, C] are read")
            file.seek(header.length)
            values = header.array(np.frombuffer(file.read(), np.uint8))
        if values.max(initial=0) >= MOST_CLASSES or values.min(initial=0) < -1:
            raise ValueError(f"it holds {values.min()} to {values.max()}: classes are 0 to {MOST_CLASSES - 1:,}")
        return np.asarray(values, dtype=np.int64)
    except (OSError, ValueError) as error:
        raise DataError(f"{shown(str(path))} cannot be read: {shown(str(error))}.") from error


def _cells(values: NDArray[np.int64], classes: dict[int, str]) -> list[str]:
    """Return the names of each image's classes, parted by |; "none" where none of several is there."""
    if values.ndim == 1:
        return [classes.get(int(value), str(value)) for value in values]
    return ["|".join(classes.get(int(c), str(c)) for c in np.flatnonzero(row)) or "none" for row in values]


def _splits(folder: Path) -> dict[str, str]:
    """Return image → split of the lists train.txt, val.txt and test.txt."""
    files = {split: folder / f"{split}.txt" for split in SPLITS}
    return {line: split for split, file in files.items() if file.is_file() for line in read_list(file)}


def _patients(index: Index, names: list[str]) -> list[str]:
    """Return the patient of each image by annotations.csv, "" where it tells none."""
    table = find_table(index, r"annotations\.csv", "filepath", "patient_id")
    if table is None:
        return [""] * len(names)
    told = dict(zip(table.columns["filepath"], table.columns["patient_id"], strict=True))
    return [told.get(name, "") for name in names]


def read_pcam_of_kaggle(index: Index, how: HowToRead) -> Records | None:
    """Read the copy without duplicates of Kaggle's competition: one .tif an image, and no slides."""
    table = find_table(index, r"train_labels\.csv", "id", "label")
    if table is None or not all(
        len(name) == 40 and set(name) <= set("0123456789abcdef") for name in table.columns["id"]
    ):
        return None
    return read_table_as(table, index, how, Columns(image="id", label="label"))


SETS = (
    PublicSet(
        name="patchcamelyon",
        title="PatchCamelyon",
        kind="histology of lymph nodes, patches of 96 px",
        holds="327,680 images, half of them with a metastasis in their centre",
        paper="Veeling et al. 2018, MICCAI, arXiv:1806.03962; Bejnordi et al. 2017, JAMA 318:2199",
        page="https://github.com/basveeling/pcam",
        licence="CC0",
        size="7.7 GB",
        lies="camelyonpatch_level_2_split_train|valid|test_x.h5, _y.h5 and _meta.csv, unpacked (gunzip), in one "
        "folder; reading them needs cass-cli[hdf5]. On Kaggle: train/*.tif with train_labels.csv",
        groups="the slide, column wsi of the _meta.csv; none on Kaggle",
        split="train, valid and test; none with labels on Kaggle",
        traps=(
            "The training part holds duplicates, which Kaggle's copy lacks.",
            "Only the centre, 32 × 32 px, decides: cropping it away makes labels wrong.",
            "Patches of one slide look alike: without the _meta.csv a split anew parts them.",
        ),
        read=read_pcam_of_kaggle,
        tables=r"(train_labels|sample_submission)\.csv",
    ),
    PublicSet(
        name="medmnist",
        title="MedMNIST (2-D)",
        kind="twelve sets of small images, 28 to 224 px",
        holds=", ".join(MEDMNIST),
        paper="Yang et al. 2023, Sci Data 10:41",
        page="https://medmnist.com",
        licence="CC BY 4.0 (DermaMNIST CC BY-NC 4.0)",
        size="by set and size, 1 MB to 20 GB",
        lies="one archive a set: pathmnist.npz (28 px), pathmnist_64.npz, _128.npz, _224.npz",
        groups="none in the archives",
        split="train, val and test in each archive",
        traps=(
            "At 28 px pretrained networks have little to go by: take _224.",
            "DermaMNIST parts the images of a lesion over its splits (Abhishek et al. 2024, arXiv:2401.14497).",
            "The names of the classes come with cass-cli[medmnist]; else they are numbers.",
        ),
        read=never,
        data="pathmnist_224.npz",
    ),
    PublicSet(
        name="medimeta",
        title="MedIMeta",
        kind="nineteen sets of images, 224 px, in one form",
        holds="54 tasks, such as derm, oct, cxr, fundus, mammo_mass: each in a folder of its own",
        paper="Woerner et al. 2025, Sci Data, doi:10.1038/s41597-025-04866-4",
        page="https://zenodo.org/records/7884735",
        licence="CC BY-SA 4.0 or CC BY-NC-SA 4.0, by set",
        size="by set, 0.1 to 10 GB",
        lies="images/000000.tiff, info.yaml, task_labels/TASK.npy, splits/train.txt, val.txt and test.txt, "
        "annotations.csv: give the folder of one set",
        groups="patient_id of annotations.csv, where the set has it",
        split="splits/; those of the sources, original_splits/, by --split-list",
        traps=(
            "images.hdf5 holds the same images once more: not needed.",
            "The first task is taken; others by --label-column TASK.",
            "organs_* and skinl_* show the same people in several sets.",
        ),
        read=read_medimeta,
        tables=r"annotations\.csv",
    ),
)
