"""Sets of the ISIC archive: its challenges of 2018, 2019 and 2020, and HAM10000."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import PurePosixPath

from cass_cli.data.layouts.columns import Columns
from cass_cli.data.layouts.csv_layout import HowToRead, open_table
from cass_cli.data.layouts.label_columns import ISIC_CLASSES, is_none
from cass_cli.data.layouts.lookup import Index
from cass_cli.data.layouts.records import Records
from cass_cli.data.layouts.tables import Table
from cass_cli.data.sets.public_set import PublicSet
from cass_cli.data.sets.reading import SPLIT, beside, find_table, is_there, read_table_as, stacked
from cass_cli.errors import DataError
from cass_cli.words import count

ISIC_2018_CLASSES = ("MEL", "NV", "BCC", "AKIEC", "BKL", "DF", "VASC")
ISIC_SPLITS = {"train": "Training", "val": "Validation", "test": "Test"}


def read_isic2018(index: Index, how: HowToRead) -> Records | None:
    """Read the ground truths of task 3, a table a split, and the lesions of the training images."""
    needed = ("image", *ISIC_2018_CLASSES)
    found = {s: find_table(index, rf"ISIC2018_Task3_{w}_GroundTruth\.csv", *needed) for s, w in ISIC_SPLITS.items()}
    tables = {s: t for s, t in found.items() if t is not None and is_there(index, t.columns["image"])}
    if "train" not in tables:
        return None
    lesions = find_table(index, r"ISIC2018_Task3_Training_LesionGroupings\.csv", "image", "lesion_id")
    table = beside(stacked(tables, needed), [lesions])
    split = SPLIT if len(tables) > 1 else None
    group = "lesion_id" if lesions else None
    return read_table_as(
        table, index, how, Columns(image="image", label=",".join(ISIC_2018_CLASSES), group=group, split=split)
    )


def read_isic2019(index: Index, how: HowToRead) -> Records | None:
    """Read the ground truths of training and test, and the lesions; images labelled UNK have no label."""
    needed = ("image", *ISIC_CLASSES, "UNK")
    found = {s: find_table(index, rf"ISIC_2019_{w}_GroundTruth\.csv", *needed) for s, w in ISIC_SPLITS.items()}
    tables = {split: table for split, table in found.items() if table is not None}
    if "train" not in tables:
        return None
    test = tables.get("test")  # many have the training images alone, and split those, as the paper of CASS does
    if test is not None and (is_none(how.columns.split) or not is_there(index, test.columns["image"])):
        del tables["test"]
    lesions = find_table(index, r"ISIC_2019_Training_Metadata\.csv", "image", "lesion_id")
    table = beside(stacked(tables, needed), [lesions, find_table(index, r"ISIC_2019_Test_Metadata\.csv", "image")])
    split = SPLIT if len(tables) > 1 else None
    return read_table_as(table, index, how, Columns(image="image", group="lesion_id" if lesions else None, split=split))


def read_isic2020(index: Index, how: HowToRead) -> Records | None:
    """Read the training ground truth, of which the publisher's list of duplicates leaves the first of each pair."""
    needed = ("image_name", "patient_id", "benign_malignant", "target")
    table = find_table(index, r"ISIC_2020_Training_GroundTruth(_v2)?\.csv|train\.csv", *needed)
    if table is None or find_table(index, r"test\.csv", "image_name", "target") is not None:  # somebody's own test
        return None
    records = read_table_as(
        table, index, how, Columns(image="image_name", label="benign_malignant", group="patient_id")
    )
    pairs = find_table(index, r"ISIC_2020_Training_Duplicates\.csv", "image_name_1", "image_name_2")
    return records if pairs is None else _without_second(records, pairs)


def _without_second(records: Records, pairs: Table) -> Records:
    """Return the records without the images that the publisher lists as copies of others that are there."""
    held = {PurePosixPath(name).stem for name in records.names}
    listed = zip(pairs.columns["image_name_1"], pairs.columns["image_name_2"], strict=True)
    second = {copy for first, copy in listed if first in held}
    kept = [i for i, name in enumerate(records.names) if PurePosixPath(name).stem not in second]
    gone = [name for name in records.names if PurePosixPath(name).stem in second]
    return replace(
        records.rows(kept),
        left_out=[*records.left_out, *((name, "a duplicate by the publisher's list") for name in gone)],
        notes=[*records.notes, f"{count(len(gone), 'duplicate')} of the publisher's list: left out."],
    )


def read_ham10000(index: Index, how: HowToRead) -> Records | None:
    """Read the metadata; the test set of ISIC 2018, which the same publisher ships with lesions, is the test split.

    Kaggle's archive holds the images twice, in folders whose names differ in their case: one copy is read.
    """
    needed = ("lesion_id", "image_id", "dx")
    train = find_table(index, r"HAM10000_metadata\.(csv|tab|tsv)", *needed) or _bare_metadata(index, needed)
    if train is None:
        return None
    index, again = _without_copies(index)
    columns = Columns(image="image_id", label="dx", group="lesion_id")
    test = find_table(index, r"ISIC2018_Task3_Test_GroundTruth\.(csv|tab)", *needed)
    if test is None or not is_there(index, test.columns["image_id"]):
        records = read_table_as(train, index, how, columns)
    else:
        table = stacked({"train": train, "test": test}, needed)
        records = read_table_as(table, index, how, replace(columns, split=SPLIT))
    notes = [f"{count(len(again), 'image comes', 'images come')} a second time: left out."] if again else []
    left_out = [*records.left_out, *((name, "the same image again") for name in again)]
    return replace(records, notes=[*records.notes, *notes], left_out=left_out)


def _bare_metadata(index: Index, columns: tuple[str, ...]) -> Table | None:
    """Return the table without a suffix, as older downloads from the Dataverse are called."""
    path = index.scan.root / "HAM10000_metadata"
    with suppress(DataError):
        table = open_table(path, index) if path.is_file() else None
        return table if table is not None and set(columns) <= table.columns.keys() else None
    return None


def _without_copies(index: Index) -> tuple[Index, list[str]]:
    """Return the index without the lower-case copies of HAM10000's folders, and those."""
    copies = {name.replace("HAM10000_images", "ham10000_images") for name in index.scan.images if "HAM10000_" in name}
    again = copies.intersection(index.scan.images)
    if not again:
        return index, []
    kept = tuple(name for name in index.scan.images if name not in again)
    return Index(replace(index.scan, images=kept)), sorted(again)


ISIC_LICENCE = "CC BY-NC 4.0"
SETS = (
    PublicSet(
        name="isic2018",
        title="ISIC 2018, task 3",
        kind="dermatoscopic images",
        holds="10,015 training, 193 validation and 1,512 test images, 7 diagnoses",
        paper="Codella et al. 2019, arXiv:1902.03368; Tschandl et al. 2018, Sci Data 5:180161",
        page="https://challenge.isic-archive.com/data/#2018",
        licence=ISIC_LICENCE,
        size="2.6 GB (training images)",
        lies="ISIC2018_Task3_Training_Input/, …_Training_GroundTruth/, the same of Validation and Test, and "
        "ISIC2018_Task3_Training_LesionGroupings.csv",
        groups="lesion_id of the LesionGroupings; none for validation and test",
        split="training, validation and test",
        traps=(
            "Several images show one lesion: without the LesionGroupings a split anew would part them.",
            "Two thirds are nevi: read macro F1 or balanced accuracy, not accuracy.",
            "The training images are HAM10000.",
        ),
        read=read_isic2018,
        tables=r"ISIC2018_Task3_(Training|Validation|Test)_(GroundTruth|LesionGroupings)\.csv",
    ),
    PublicSet(
        name="isic2019",
        title="ISIC 2019",
        kind="dermatoscopic images",
        holds="25,331 training images of 8 diagnoses, 8,238 test images",
        paper="Tschandl et al. 2018; Codella et al. 2018, arXiv:1710.05006; Hernández-Pérez et al. 2024 (BCN20000)",
        page="https://challenge.isic-archive.com/data/#2019",
        licence=ISIC_LICENCE,
        size="9.1 GB (training images)",
        lies="ISIC_2019_Training_Input/, ISIC_2019_Training_GroundTruth.csv, ISIC_2019_Training_Metadata.csv, and the "
        "same of Test",
        groups="lesion_id of the metadata; 2,084 training images have none and stand alone",
        split="training and test; --split-column none splits the training images alone, as the paper of CASS does",
        traps=(
            "It contains HAM10000: do not test on the one what was trained on the other.",
            "The test set holds a class UNK that training lacks: those images have no label here.",
            "It was put together from three sources that differ in their look, and in their diagnoses.",
        ),
        read=read_isic2019,
        tables=r"ISIC_2019_(Training|Test)_(GroundTruth|Metadata)\.csv",
    ),
    PublicSet(
        name="isic2020",
        title="ISIC 2020 (SIIM-ISIC)",
        kind="dermatoscopic images",
        holds="33,126 training images of 2,056 patients, 584 of them melanomas; 10,982 test images without labels",
        paper="Rotemberg et al. 2021, Sci Data 8:34",
        page="https://challenge.isic-archive.com/data/#2020",
        licence=ISIC_LICENCE,
        size="23 GB (training images as JPEG)",
        lies="train/ISIC_*.jpg with ISIC_2020_Training_GroundTruth.csv (on Kaggle jpeg/train/ with train.csv), and "
        "ISIC_2020_Training_Duplicates.csv",
        groups="patient_id",
        split="none with labels",
        traps=(
            "425 pairs of duplicates are listed by the publisher; with that list the second of each is left out.",
            "1.8 % are malignant: look at the area under the curve, not at accuracy.",
        ),
        read=read_isic2020,
        tables=r"ISIC_2020_(Training|Test)_(GroundTruth|Metadata|Duplicates)(_v2)?\.csv|(train|test|sample_submission)\.csv",
    ),
    PublicSet(
        name="ham10000",
        title="HAM10000",
        kind="dermatoscopic images",
        holds="10,015 images of 7,470 lesions, 7 diagnoses",
        paper="Tschandl, Rosendahl, Kittler 2018, Sci Data 5:180161",
        page="https://doi.org/10.7910/DVN/DBW86T",
        licence="CC BY-NC-SA 4.0",
        size="2.8 GB",
        lies="HAM10000_images_part_1/, HAM10000_images_part_2/, HAM10000_metadata (.csv or .tab), perhaps "
        "ISIC2018_Task3_Test_Images/ with ISIC2018_Task3_Test_GroundTruth.csv",
        groups="lesion_id",
        split="none; with the images of ISIC 2018's test, that is the test split",
        traps=(
            "Several images show one lesion: a split by image scores too high.",
            "Kaggle's archive holds all images twice, in HAM10000_images_part_1/ and ham10000_images_part_1/.",
            "The hmnist_*.csv of Kaggle are the same images as tables of pixels: not needed.",
            "Two thirds are nevi: read macro F1 or balanced accuracy, not accuracy.",
        ),
        read=read_ham10000,
        folders=r"(?i:ham10000_images_part_\d)|ISIC2018_Task3_Test_Images",
        tables=r"HAM10000_metadata\.(csv|tab|tsv)|hmnist_\d+_\d+_(L|RGB)\.csv|ISIC2018_Task3_Test_.*\.(csv|tab)",
    ),
)
