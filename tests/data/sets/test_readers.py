"""What one reader or another has to mind: copies, tasks, boxes, tables that lie beside, or do not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cass_cli.data.layouts.columns import Columns
from cass_cli.data.sources import load_samples
from cass_cli.errors import DataError
from tests.data.files import labels_of, noted, touch, write
from tests.data.sets.trees import TREES, medimeta


def test_isic_2019_without_splits_is_its_training_part(tmp_path: Path) -> None:
    TREES["isic2019"](tmp_path)
    table = load_samples(tmp_path, columns=Columns(split="none"))
    assert len(table) == 4
    assert table.splits is None


def test_isic_2020_leaves_out_the_second_of_each_listed_pair(tmp_path: Path) -> None:
    TREES["isic2020"](tmp_path)
    assert ("train/ISIC_0000004.jpg", "a duplicate by the publisher's list") in load_samples(tmp_path).left_out


def test_medimeta_takes_another_task_by_its_name(tmp_path: Path) -> None:
    medimeta(tmp_path)
    table = load_samples(tmp_path, columns=Columns(label="urgent referral"))
    assert list(labels_of(table).values()) == ["yes", "yes", "no", "no", "no"]
    with pytest.raises(DataError, match="has no task 'urgent refferal'") as caught:
        load_samples(tmp_path, columns=Columns(label="urgent refferal"))
    assert "disease class" in caught.value.hint


def test_medimeta_with_several_labels(tmp_path: Path) -> None:
    medimeta(tmp_path, several=True)
    table = load_samples(tmp_path)
    assert list(labels_of(table).values()) == [{"DME"}, set(), {"CNV", "DME"}, {"CNV"}, set()]


def test_medimeta_with_labels_of_nothing_is_refused(tmp_path: Path) -> None:
    """A billion rows without a column take no bytes, and would take gigabytes as cells."""
    medimeta(tmp_path)
    for path in tmp_path.rglob("*.npy"):
        with path.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, {"descr": "<i8", "fortran_order": False, "shape": (10**9, 0)})
    with pytest.raises(DataError, match=r"\[1000000000, 0\]; whole numbers"):
        load_samples(tmp_path)


def test_messidor_without_the_pairs_has_no_groups(tmp_path: Path) -> None:
    TREES["messidor2"](tmp_path)
    (tmp_path / "messidor-2.csv").unlink()
    assert load_samples(tmp_path).groups is None


def test_kaggles_second_copy_of_ham10000_is_left_out(tmp_path: Path) -> None:
    TREES["ham10000"](tmp_path)
    before = load_samples(tmp_path).names
    touch(tmp_path, "ham10000_images_part_1/ISIC_0024306.jpg", "ham10000_images_part_1/ISIC_0024307.jpg")
    table = load_samples(tmp_path)
    assert table.names == before
    assert ("ham10000_images_part_1/ISIC_0024306.jpg", "the same image again") in table.left_out


def test_a_listed_copy_stays_where_the_other_is_not_there(tmp_path: Path) -> None:
    TREES["isic2020"](tmp_path)
    (tmp_path / "train" / "ISIC_0000001.jpg").unlink()
    rows = (tmp_path / "ISIC_2020_Training_GroundTruth_v2.csv").read_text().splitlines()
    write(tmp_path / "ISIC_2020_Training_GroundTruth_v2.csv", *(row for row in rows if "0000001" not in row))
    assert "train/ISIC_0000004.jpg" in load_samples(tmp_path).names


def test_boxes_that_disagree_are_refused(tmp_path: Path) -> None:
    TREES["rsna-pneumonia"](tmp_path)
    with (tmp_path / "stage_2_train_labels.csv").open("a") as file:
        file.write("00436515-870c-4b36-a041-de91049b9ab4,,,,,0\n")
    with pytest.raises(DataError, match="contradict"):
        load_samples(tmp_path)


@pytest.mark.parametrize(("name", "columns"), [("chexpert", {"Sex", "AP/PA"}), ("isic2019", {"sex", "age_approx"})])
def test_what_tells_subgroups_is_kept(name: str, columns: set[str], tmp_path: Path) -> None:
    TREES[name](tmp_path)
    path = next(tmp_path.rglob("train.csv"), None) or tmp_path / "ISIC_2019_Training_Metadata.csv"
    path.write_text(
        path.read_text().replace("Female,68,Frontal,AP", "Male,60,Frontal,PA", 1).replace("female", "male", 1)
    )
    path.write_text(path.read_text().replace("55.0", "50.0", 1))
    assert columns <= load_samples(tmp_path).subgroups.keys()


def test_isic_2018_may_be_its_training_part_alone(tmp_path: Path) -> None:
    TREES["isic2018"](tmp_path)
    for part in ("Validation", "Test"):
        for image in (tmp_path / f"ISIC2018_Task3_{part}_Input").iterdir():
            image.unlink()
    assert len(load_samples(tmp_path)) == 3


@pytest.mark.parametrize("suffix", [".csv", ".tab"])
def test_ham10000_with_its_metadata_by_any_name(suffix: str, tmp_path: Path) -> None:
    TREES["ham10000"](tmp_path)
    path = tmp_path / "HAM10000_metadata"
    text = path.read_text()
    path.unlink()
    write(tmp_path / f"HAM10000_metadata{suffix}", text.replace(",", "\t") if suffix == ".tab" else text)
    assert noted(load_samples(tmp_path), "Recognised", "HAM10000")


@pytest.mark.parametrize(
    "info",
    [
        "tasks: [x, y]",
        "tasks: 3",
        "tasks: [{task_name: a, task_target: b, labels: [p, q]}]",
        "tasks: [{task_name: a/../../b, task_target: b, labels: {0: p}}]",
        "[" * 3000,
        "x: 2024-13-45",
    ],
)
def test_an_info_yaml_of_another_hand_is_none_of_medimetas(info: str, tmp_path: Path) -> None:
    touch(tmp_path, "images/000000.tiff", "images/000001.tiff")
    keys = "id: a\nname: b\nsplits_num_samples: {}\n" if info.startswith("tasks") else ""
    write(tmp_path / "info.yaml", keys + info)
    assert load_samples(tmp_path).labels is None


def test_an_info_yaml_of_megabytes_is_not_parsed(tmp_path: Path) -> None:
    medimeta(tmp_path)
    with (tmp_path / "info.yaml").open("a") as file:
        file.write("#" * 1_000_000)
    assert not noted(load_samples(tmp_path), "Recognised")


def test_the_newest_version_of_a_table_is_read(tmp_path: Path) -> None:
    TREES["isic2020"](tmp_path)
    new = tmp_path / "ISIC_2020_Training_GroundTruth_v2.csv"
    text = new.read_text().replace("benign", "x").replace("malignant", "benign").replace("x", "malignant")
    write(tmp_path / "ISIC_2020_Training_GroundTruth.csv", text.replace("malignant_benign", "benign_malignant"))
    assert labels_of(load_samples(tmp_path))["train/ISIC_0000003.jpg"] == "malignant"


def test_lesions_stay_groups_where_each_has_one_diagnosis(tmp_path: Path) -> None:
    TREES["pad-ufes-20"](tmp_path)
    path = tmp_path / "metadata.csv"
    path.write_text(path.read_text().replace(",NEV,TRUE", ",BCC,TRUE"))  # then patients part the images as diagnoses do
    table = load_samples(tmp_path)
    assert set(table.groups or ()) == {"PAT_1516", "PAT_46"}
    assert not noted(table, "no groups")
