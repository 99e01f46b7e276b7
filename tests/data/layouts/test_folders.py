"""Folders as publishers and strangers lay them out: what is a class, a part, a patient, a view, a mask."""

from __future__ import annotations

from pathlib import Path

import pytest

from cass_cli.data.layouts.columns import Columns
from cass_cli.data.layouts.vocabulary import is_mask_folder, split_in, tokens
from cass_cli.data.sources import load_samples
from cass_cli.data.splits import write_splits
from cass_cli.errors import DataError
from tests.data.files import labels_of, noted, touch, write

CLASSES = ("benign", "malignant")


def tree(root: Path, *patterns: str, images: int = 3) -> Path:
    """Touch images 0 … in folders, `{}` standing for each class."""
    folders = [pattern.format(name) for pattern in patterns for name in (CLASSES if "{}" in pattern else [""])]
    return touch(root, *(f"{folder}/{i}.png" for folder in folders for i in range(images)))


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("training_set", "test_set"),
        ("train_images", "test_images"),
        ("stage_2_train_images", "stage_2_test_images"),
        ("a. Training Set", "b. Testing Set"),
        ("TrainData", "TestData"),
        ("tr", "te"),
    ],
)
def test_words_of_splits_are_found_within_names_and_by_abbreviation(tmp_path: Path, train: str, test: str) -> None:
    table = load_samples(tree(tmp_path, train + "/{}", test + "/{}"))
    assert table.classes == CLASSES
    assert table.splits == tuple("train" if name.startswith(train) else "test" for name in table.names)


def test_words_within_names() -> None:
    assert tokens("stage2_TrainImages-XY") == ["stage", "2", "train", "images", "xy"]
    assert [split_in(name) for name in ("train_val_list", "external_validation", "latest", "Xtest")] == [
        *("train", None, None, None)
    ]
    assert [is_mask_folder(name) for name in ("Ground Truth", "Part1_GroundTruth", "masks", "with_mask", "lungs")] == [
        *(True, True, True, False, False)
    ]


def test_classes_may_be_told_beside_splits(tmp_path: Path) -> None:
    table = load_samples(tree(tmp_path, "train_{}", "test_{}"))
    assert table.classes == CLASSES
    assert set(table.splits or ()) == {"train", "test"}


def test_a_split_is_told_below_the_classes_too(tmp_path: Path) -> None:
    table = load_samples(tree(tmp_path, "{}/train", "{}/test"))
    assert table.classes == CLASSES
    assert set(table.splits or ()) == {"train", "test"}


def test_what_repeats_the_same_folders_is_above_the_classes(tmp_path: Path) -> None:
    table = load_samples(tree(tmp_path, "Northern/{}", "Southern/{}"))
    assert table.classes == CLASSES
    assert noted(table, "Northern, Southern", "--class-level 1")
    assert load_samples(tmp_path, class_level=1).classes == ("Northern", "Southern")


def test_the_deepest_level_that_labels_all_is_the_class(tmp_path: Path) -> None:
    touch(tmp_path, *(f"set/{o}_image_sets/{o}_{c}/{i}.png" for o in ("lung", "colon") for c in "np" for i in "123"))
    assert load_samples(tmp_path).classes == ("colon_n", "colon_p", "lung_n", "lung_p")
    touch(tmp_path, "set/lung_image_sets/other.png", "set/lung_image_sets/another.png")
    assert load_samples(tmp_path).classes == ("colon_image_sets", "lung_image_sets")


@pytest.mark.parametrize("folder", ["images_{:03d}", "HAM10000_images_part_{}", "batch{}", "hospital {}", "fold{}"])
def test_parts_of_an_archive_are_no_classes(tmp_path: Path, folder: str) -> None:
    parts = [folder.format(i) for i in (1, 2, 3)]
    table = load_samples(tree(tmp_path, *parts))
    assert table.labels is None
    assert noted(table, "no classes")
    assert load_samples(tree(tmp_path / "deep", *(f"{part}/{{}}" for part in parts))).classes == CLASSES


@pytest.mark.parametrize("folder", ["grade{}", "stage {}", "Type_{}", "KL {}", "{}", "class_{:02d}"])
def test_numbered_classes_are_classes(tmp_path: Path, folder: str) -> None:
    names = sorted(folder.format(i) for i in range(4))
    assert load_samples(tree(tmp_path, *names)).classes == tuple(names)


def test_an_unknown_word_with_numbers_is_asked_about(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="zap1, zap2, zap3 differ only by a number") as caught:
        load_samples(tree(tmp_path, "zap1", "zap2", "zap3"))
    assert "--class-level 1" in caught.value.hint
    assert "--layout flat" in caught.value.hint
    assert load_samples(tmp_path, class_level=1).classes == ("zap1", "zap2", "zap3")
    assert load_samples(tmp_path, layout="flat").labels is None


@pytest.mark.parametrize(
    "patient", ["patient{:05d}/study1", "{:05d}", "SOB_B_A_14-{}/40X", "1.2.826.0.1.{}/2.3.4.5.{}"]
)
def test_patients_and_cases_are_groups(tmp_path: Path, patient: str) -> None:
    people = [patient.replace("{", "{0").format(22549 + i) for i in range(4)]
    table = load_samples(tree(tmp_path / "all", *people))
    assert table.labels is None
    assert table.groups is not None
    assert len(set(table.groups)) == 4
    half = [f"{name}/{person}" for name, two in zip(CLASSES, (people[:2], people[2:]), strict=True) for person in two]
    table = load_samples(tree(tmp_path / "labelled", *half))
    assert table.classes == CLASSES
    assert table.groups is not None
    assert len(set(table.groups)) == 4


def test_patients_above_the_classes_are_groups(tmp_path: Path) -> None:
    table = load_samples(tree(tmp_path, *(f"{patient}/{c}" for patient in (10253, 10254, 10255, 10256) for c in "01")))
    assert table.classes == ("0", "1")
    assert set(table.groups or ()) == {"10253", "10254", "10255", "10256"}


def test_shards_of_patients_are_not_the_patients(tmp_path: Path) -> None:
    table = load_samples(tree(tmp_path, "p10/p10000032", "p10/p10000764", "p11/p11000011", "p11/p11000015"))
    assert len(set(table.groups or ())) == 4


def test_a_finding_in_the_names_of_cases_is_asked_about(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="names such as study1_negative tell"):
        load_samples(tree(tmp_path, "XR_ELBOW/patient1/study1_negative", "XR_HAND/patient2/study1_positive"))


def test_ways_of_taking_a_picture_are_no_classes(tmp_path: Path) -> None:
    assert load_samples(tree(tmp_path, "{}/40X", "{}/100X")).classes == CLASSES
    assert load_samples(tree(tmp_path / "sides", "left/{}", "right/{}")).classes == CLASSES
    assert load_samples(tree(tmp_path / "sequences", "{}/T1", "{}/T2", "{}/FLAIR")).classes == CLASSES


def test_an_archive_unpacked_into_itself_is_read_once(tmp_path: Path) -> None:
    table = load_samples(tree(tmp_path, "{}", "cells/{}"))
    assert (table.classes, len(table)) == (CLASSES, 6)
    assert noted(table, "6 images in a copy of the folders beside it")
    assert {reason for _, reason in table.left_out} == {"in a copy of the folders beside it"}


def test_augmented_copies_beside_the_images_stop(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="augmented copies, beside Original"):
        load_samples(tree(tmp_path, "Original/{}", "Augmented/{}"))


def test_a_set_of_its_own_among_class_folders_is_left_out(tmp_path: Path) -> None:
    table = load_samples(tree(tree(tmp_path, "{}"), "Mask-RCNN/TRAIN", "Mask-RCNN/VAL", images=2))
    assert table.classes == CLASSES
    assert noted(table, "4 images in a set of its own")


@pytest.mark.parametrize("folder", ["images", "masks", "Ground Truth", "x_segmentations"])
@pytest.mark.parametrize("inside", [True, False])
def test_masks_are_left_out_and_counted(tmp_path: Path, folder: str, inside: bool) -> None:
    if folder == "images":
        touch(tmp_path, *(f"{c}/{i}{e}.png" for c in CLASSES for i in range(3) for e in ("", "_mask", "_segmentation")))
    elif inside:
        tree(tmp_path, "{}/images", "{}/" + folder)
    else:
        tree(tmp_path, "images/{}", folder + "/{}")
    table = load_samples(tmp_path)
    assert (table.classes, len(table)) == (CLASSES, 6)
    assert noted(table, "masks of segmentations", "left out")
    assert {reason for _, reason in table.left_out} == {"a mask of a segmentation"}


def test_a_table_may_name_what_looks_like_a_mask(tmp_path: Path) -> None:
    tree(tmp_path, "images", "masks")
    write(tmp_path / "labels.csv", "image,label", "images/0.png,a", "masks/1.png,b")
    assert labels_of(load_samples(tmp_path)) == {"images/0.png": "a", "masks/1.png": "b"}


def test_a_folder_around_all_is_no_folder_of_masks(tmp_path: Path) -> None:
    assert len(load_samples(tree(tmp_path, "Kvasir-SEG/images", "Kvasir-SEG/masks"))) == 3


def test_class_folders_of_the_same_numbers_are_no_masks(tmp_path: Path) -> None:
    assert load_samples(tree(tmp_path, "roi", "background")).classes == ("background", "roi")


def test_train_beside_classes_is_asked_about(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="train stands beside benign, malignant"):
        load_samples(tree(tmp_path, "train", "{}"))
    table = load_samples(tmp_path, class_level=1)
    assert (table.classes, len(table), table.splits) == (("benign", "malignant", "train"), 9, None)


def test_ways_of_taking_a_picture_alone_are_asked_about(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="left, right may tell how the pictures were taken"):
        load_samples(tree(tmp_path, "left", "right"))


def test_numbers_below_words_are_asked_about(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cat, dog, or the numbers below them \(1, 2\)"):
        load_samples(tree(tmp_path, "cat/1", "cat/2", "dog/1", "dog/2"))
    assert load_samples(tmp_path, class_level=1).classes == ("cat", "dog")


def test_folders_called_alike_are_no_copies_where_several_hold_each_other(tmp_path: Path) -> None:
    table = load_samples(
        tree(tmp_path, *(f"{grade}/{session}" for grade in range(5) for session in (1, 2))), class_level=1
    )
    assert (table.classes, len(table)) == (("0", "1", "2", "3", "4"), 30)


def test_people_with_and_without_masks_are_classes(tmp_path: Path) -> None:
    assert load_samples(tree(tmp_path, "with_mask", "without_mask")).classes == ("with_mask", "without_mask")


def test_a_recogniser_explains_all_files(tmp_path: Path) -> None:
    names = [f"Dataset/{c}/{c} ({i}).png" for c in ("benign", "malignant", "normal") for i in range(4)]
    table = load_samples(touch(tmp_path, *names, *(name.replace(".png", "_mask.png") for name in names)))
    assert table.classes == ("benign", "malignant", "normal")
    assert not noted(table, "Dermofit")
    assert table.groups is None


def test_a_class_in_a_format_that_is_not_read_stops_training(tmp_path: Path) -> None:
    touch(tmp_path, "benign/1.jpg", "benign/2.jpg", "malignant/1.jxl", "docs/readme.pdf")
    table = load_samples(tmp_path)
    assert any("malignant" in obstacle for obstacle in table.obstacles)
    assert ("malignant/1.jxl", "in a format that is not read") in table.left_out


def test_a_given_split_of_one_class_stops_training(tmp_path: Path) -> None:
    tree(tmp_path, "train/{}", "test/benign")
    assert any("test split shows one class only (benign)" in obstacle for obstacle in load_samples(tmp_path).obstacles)
    table = load_samples(tmp_path, columns=Columns(split="none"))
    assert (table.splits, table.obstacles) == (None, ())


def test_a_split_that_names_the_classes_otherwise_stops_training(tmp_path: Path) -> None:
    tree(tmp_path, "train/nevus_T1_N0", "train/melanoma_T2_N1", "test/nevus", "test/melanoma")
    assert any("classes that train lacks" in obstacle for obstacle in load_samples(tmp_path).obstacles)
    table = load_samples(tree(tmp_path / "case", "train/Benign", "train/Malignant", "test/benign", "test/malignant"))
    assert (table.classes, table.obstacles) == (("Benign", "Malignant"), ())


def test_twins_of_half_of_the_images_stop_training(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{c}/{i}{ending}.bmp" for c in CLASSES for i in range(4) for ending in ("", "-d")))
    table = load_samples(tmp_path)
    assert any("the ending -d" in obstacle for obstacle in table.obstacles)
    write_splits(tmp_path / "all.csv", table, ["train"] * len(table))
    assert load_samples(tmp_path, labels=tmp_path / "all.csv").obstacles == ()  # the user listed them: meant


def test_class_folders_take_groups_from_a_table_and_stop_where_it_labels_otherwise(tmp_path: Path) -> None:
    tree(tmp_path, "{}")
    rows = [f"{c}/{i}.png,p{i % 2}" for c in CLASSES for i in range(3)]
    write(tmp_path / "patients.csv", "image,patient_id", *rows)
    table = load_samples(tmp_path)
    assert (table.classes, set(table.groups or ())) == (CLASSES, {"p0", "p1"})
    write(tmp_path / "patients.csv", "image,label", *(f"{c}/{i}.png,{'xyx'[i]}" for c in CLASSES for i in range(3)))
    with pytest.raises(DataError, match=r"folders \(benign, malignant\) or those of patients\.csv \(x, y\)") as caught:
        load_samples(tmp_path)
    assert "--layout classes" in caught.value.hint
    assert labels_of(load_samples(tmp_path, labels=Path("patients.csv")))["benign/1.png"] == "y"


def test_a_table_of_labels_that_cannot_be_used_beside_class_folders_is_asked_about(tmp_path: Path) -> None:
    tree(tmp_path, "{}")
    write(tmp_path / "labels.csv", "id,name", "0,benign", "1,malignant")  # what the classes are called
    assert load_samples(tmp_path).classes == CLASSES
    write(tmp_path / "labels.csv", "scan,label", *(f"s{i},x" for i in range(6)))
    with pytest.raises(DataError, match=r"those of labels\.csv, which cannot be used") as caught:
        load_samples(tmp_path)
    assert "--layout classes" in caught.value.hint


def test_groups_by_a_pattern(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{c}/{c}-{p}-{i}.png" for c in CLASSES for p in (11, 12, 13) for i in (1, 2)))
    table = load_samples(tmp_path, group_pattern=r"-(\d+)-")
    assert set(table.groups or ()) == {"11", "12", "13"}
    assert noted(table, "3 groups, such as 11 in benign/benign-11-1.png")
    for pattern, message in (("(x", "no regular expression"), ("zzz", "finds nothing"), (r"^(\w+)/", "the classes")):
        with pytest.raises(Exception, match=message):
            load_samples(tmp_path, group_pattern=pattern)


def test_lists_of_splits(tmp_path: Path) -> None:
    tree(tmp_path, "{}")
    write(tmp_path / "test_list.txt", "benign/0.png", "malignant/0.png")
    write(tmp_path / "train_val_list.txt", *(f"{c}/{i}" for c in CLASSES for i in (1, 2)))
    table = load_samples(tmp_path)
    assert [name[-5] for name, split in zip(table.names, table.splits or (), strict=True) if split == "test"] == [
        "0",
        "0",
    ]
    write(tmp_path / "mine.txt", "benign/2.png", "malignant/2.png")
    table = load_samples(tmp_path, split_lists={"test": Path("mine.txt")})
    assert [name[-5] for name, split in zip(table.names, table.splits or (), strict=True) if split == "test"] == [
        "2",
        "2",
    ]
    write(tmp_path / "mine.txt", "elsewhere.png")
    with pytest.raises(DataError, match="names none of the images"):
        load_samples(tmp_path, split_lists={"test": Path("mine.txt")})
