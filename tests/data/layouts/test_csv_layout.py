from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cass_cli.data.layouts.columns import Columns
from cass_cli.data.sources import load_samples
from cass_cli.errors import DataError
from tests.data.files import labels_of, noted, touch, write


def test_csv_beside_images_is_found(tmp_path: Path) -> None:
    touch(tmp_path, "images/1.png", "images/2.png", "images/3.png")
    write(tmp_path / "labels.csv", "image,label,patient_id,split,age", "2.png,b,p1,test,3", "1.png,a,p2,training,4")
    table = load_samples(tmp_path)
    assert labels_of(table) == {"images/1.png": "a", "images/2.png": "b"}
    assert table.groups == ("p2", "p1")
    assert table.splits == ("train", "test")
    assert noted(table, "labels.csv")
    assert noted(table, "patient_id")
    assert noted(table, "Kept for comparing subgroups", "age")
    assert noted(table, "1 image is in the folder but not in the CSV")


def test_class_folders_win_over_a_csv_unless_it_is_named(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.png", "b/2.png")
    write(tmp_path / "labels.csv", "image,label", "a/1.png,x", "b/2.png,y")
    table = load_samples(tmp_path)
    assert table.classes == ("a", "b")
    assert noted(table, "labels.csv", "--labels")
    assert load_samples(tmp_path, labels=Path("labels.csv")).classes == ("x", "y")


def test_the_csv_itself_may_be_the_root(tmp_path: Path) -> None:
    touch(tmp_path, "1.png", "2.png")
    table = load_samples(write(tmp_path / "some.csv", "file,dx", "1.png,x", "2.png,y"))
    assert labels_of(table) == {"1.png": "x", "2.png": "y"}


def test_bits_with_one_per_row_are_classes(tmp_path: Path) -> None:
    touch(tmp_path, "1.png", "2.png", "3.png")
    write(tmp_path / "labels.csv", "image,zoster,acne,rosacea", "1.png,1,0,0", "2.png,0.0,1.0,0.0", "3.png,0,1,0")
    table = load_samples(tmp_path)
    assert not table.multilabel
    assert table.classes == ("acne", "zoster")  # no image of rosacea
    assert labels_of(table) == {"1.png": "zoster", "2.png": "acne", "3.png": "acne"}
    assert noted(table, "rosacea", "left out")


def test_bits_with_several_or_none_per_row_are_multilabel(tmp_path: Path) -> None:
    touch(tmp_path, "1.tif", "2.tif", "3.tif")
    write(tmp_path / "labels.csv", "image,target,normal,burr", "1.tif,1,0,1", "2.tif,0,1,0", "3.tif,0,0,")
    table = load_samples(tmp_path)
    assert table.labels is not None
    assert table.labels.dtype == np.int8
    # "target" is a usual name of a label column, and here a class among classes
    assert labels_of(table) == {"1.tif": {"target", "burr"}, "2.tif": {"normal"}, "3.tif": set()}
    assert table.labels[2].tolist() == [-1, 0, 0]  # classes are sorted: nobody said whether there is a burr cell
    assert noted(table, "1 cell is empty: not known")


def test_lists_of_labels(tmp_path: Path) -> None:
    touch(tmp_path, "1.png", "2.png", "3.png")
    write(tmp_path / "labels.csv", "image,label", "1.png,a;b", "2.png,b", "3.png,none")
    assert labels_of(load_samples(tmp_path)) == {"1.png": {"a", "b"}, "2.png": {"b"}, "3.png": set()}
    for mark in "|/":
        write(tmp_path / "labels.csv", "image,label", f"1.png,a{mark}b", "2.png,b", "3.png,")
        table = load_samples(tmp_path, columns=Columns(separator=None if mark == "|" else mark))
        assert labels_of(table)["1.png"] == {"a", "b"}
        assert table.labels is not None
        assert table.labels[2].tolist() == [-1, -1]


def test_missing_labels_are_minus_one(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{i}.png" for i in range(4)))
    write(tmp_path / "labels.csv", "image,label", "0.png,a", "1.png,", "2.png,-1", "3.png,b")
    table = load_samples(tmp_path)
    assert labels_of(table) == {"0.png": "a", "1.png": None, "2.png": None, "3.png": "b"}
    assert noted(table, "2 images have no label")


def test_a_class_may_be_called_none(tmp_path: Path) -> None:
    touch(tmp_path, "0.png", "1.png")
    write(tmp_path / "labels.csv", "image,label", "0.png,none", "1.png,NA")
    assert set(labels_of(load_samples(tmp_path)).values()) == {"none", None}


def test_named_columns(tmp_path: Path) -> None:
    touch(tmp_path, "0.png", "1.png")
    write(tmp_path / "x.csv", "pic,stage,grade,who,part", "0.png,I,low,ann,train", "1.png,II,high,bob,test")
    table = load_samples(tmp_path, columns=Columns(image="pic", label="grade", group="who", split="part"))
    assert labels_of(table) == {"0.png": "low", "1.png": "high"}
    assert (table.groups, table.splits) == (("ann", "bob"), ("train", "test"))


def test_grouping_can_be_turned_off(tmp_path: Path) -> None:
    touch(tmp_path, "0.png")
    write(tmp_path / "labels.csv", "image,label,lesion_id", "0.png,a,l1")
    assert load_samples(tmp_path).groups == ("l1",)
    assert load_samples(tmp_path, columns=Columns(group="none")).groups is None


def test_several_bit_columns_by_name(tmp_path: Path) -> None:
    touch(tmp_path, "0.png", "1.png")
    write(tmp_path / "labels.csv", "image,label,a,b", "0.png,x,1,1", "1.png,y,0,1")
    assert labels_of(load_samples(tmp_path, columns=Columns(label="a,b"))) == {"0.png": {"a", "b"}, "1.png": {"b"}}
    assert load_samples(tmp_path).classes == ("x", "y")


@pytest.mark.parametrize("separator", [";", "\t"])
def test_other_delimiters_and_a_byte_order_mark(tmp_path: Path, separator: str) -> None:
    touch(tmp_path, "0.png", "1.png")
    text = "\ufeffimage,label\r\n0.png,a\r\n1.png,b\r\n".replace(",", separator)
    (tmp_path / "labels.csv").write_bytes(text.encode())
    assert labels_of(load_samples(tmp_path)) == {"0.png": "a", "1.png": "b"}


def test_split_folders_split_the_images_of_a_csv(tmp_path: Path) -> None:
    touch(tmp_path, "train/0.png", "test/1.png")
    write(tmp_path / "labels.csv", "image,label", "train/0.png,a", "1.png,b")
    assert load_samples(tmp_path).splits == ("test", "train")


def test_a_column_called_set_that_names_no_splits_is_not_dropped_in_silence(tmp_path: Path) -> None:
    touch(tmp_path, "0.png")
    write(tmp_path / "labels.csv", "image,label,set", "0.png,a,A")
    for columns in (Columns(), Columns(split="set")):
        with pytest.raises(DataError, match="names no split: A") as caught:
            load_samples(tmp_path, columns=columns)
        assert "--split-values none=A" in caught.value.hint
    assert load_samples(tmp_path, columns=Columns(split="none")).splits is None
    assert load_samples(tmp_path, columns=Columns(split_values={"a": "test"})).splits == ("test",)


def test_repeated_rows_merge_when_they_agree(tmp_path: Path) -> None:
    touch(tmp_path, "0.png", "1.png")
    write(tmp_path / "labels.csv", "image,label", "0.png,a", "0.png,a", "1.png,b")
    table = load_samples(tmp_path)
    assert len(table) == 2
    assert noted(table, "1 row repeats")
    write(tmp_path / "labels.csv", "image,label", "0.png,a", "0,b", "1.png,b")
    with pytest.raises(DataError, match=r"contradict each other for 1 image: 0\.png"):
        load_samples(tmp_path)


def test_names_without_extension_and_in_subfolders(tmp_path: Path) -> None:
    touch(tmp_path, "images/1.2.840.dcm", "images/x.JPG", "other/deep/y.png")
    write(tmp_path / "labels.csv", "image,label", "1.2.840,a", "x,b", "deep\\y,c")
    table = load_samples(tmp_path)
    assert labels_of(table) == {"images/1.2.840.dcm": "a", "images/x.JPG": "b", "other/deep/y.png": "c"}


def test_the_image_folder_wins_over_masks_and_places_deeper(tmp_path: Path) -> None:
    touch(tmp_path, "images/1.png", "masks/1.png", "old/images/1.png")
    write(tmp_path / "labels.csv", "image,label", "1,a")
    assert load_samples(tmp_path, labels=Path("labels.csv")).names == ("images/1.png",)


def test_ambiguous_names_are_refused(tmp_path: Path) -> None:
    touch(tmp_path, "images/1.png", "images/1.jpg")
    write(tmp_path / "labels.csv", "image,label", "1,a")
    with pytest.raises(DataError, match=r"fit several files: 1 \(images/1\.jpg, images/1\.png\)"):
        load_samples(tmp_path)


def test_absent_files_are_counted_and_ten_are_named(tmp_path: Path) -> None:
    touch(tmp_path, "0.png")
    write(tmp_path / "labels.csv", "image,label", "0.png,a", *(f"gone{i:02d}.png,a" for i in range(12)))
    with pytest.raises(DataError, match=r"12 images of 13 .*gone00\.png.*gone09\.png and 2 more"):
        load_samples(tmp_path)


@pytest.mark.parametrize("kind", ["parent", "absolute", "link", "missing"])
def test_paths_out_of_the_root_need_permission(tmp_path: Path, kind: str) -> None:
    root, outside = touch(tmp_path / "root", "in.png"), touch(tmp_path / "secret", "out.png") / "out.png"
    name = {"parent": "../secret/out.png", "absolute": str(outside), "link": "link.png", "missing": "../no.png"}[kind]
    if kind == "link":
        (root / name).symlink_to(outside)
    write(root / "labels.csv", "image,label", "in.png,a", f"{name},b")
    with pytest.raises(DataError, match=r"out of the data folder") as caught:
        load_samples(root)
    assert "--allow-outside" in caught.value.hint
    if kind == "missing":
        with pytest.raises(DataError, match="that are not under"):
            load_samples(root, allow_outside=True)
    else:
        table = load_samples(root, allow_outside=True)
        assert {table.path(i).resolve() for i in range(2)} == {root / "in.png", outside}


def test_a_path_that_comes_back_into_the_root_is_inside(tmp_path: Path) -> None:
    root = touch(tmp_path / "root", "images/1.png")
    write(root / "csv" / "labels.csv", "image,label", "../images/1.png,a")
    assert load_samples(root, labels=root / "csv" / "labels.csv").names == ("images/1.png",)


ISIC = "image,MEL,NV,BCC,AK,BKL,DF,VASC,SCC,UNK"


def isic_row(image: str, column: str) -> str:
    return ",".join([image, *("1.0" if c == column else "0.0" for c in ISIC.split(",")[1:])])


def test_isic2019_by_its_table_alone(tmp_path: Path) -> None:
    touch(tmp_path, *(f"ISIC_2019_Training_Input/ISIC_{i}.jpg" for i in range(4)))
    truth = tmp_path / "ISIC_2019_Training_GroundTruth.csv"
    rows = [isic_row("ISIC_0", "MEL"), isic_row("ISIC_1", "NV"), isic_row("ISIC_2", "NV"), isic_row("ISIC_3", "UNK")]
    write(truth, ISIC, *rows)
    write(
        tmp_path / "ISIC_2019_Training_Metadata.csv",
        "image,age_approx,anatom_site_general,lesion_id,sex",
        *("ISIC_0,1,,L1,male", "ISIC_1,1,,L1,male", "ISIC_2,1,,,male", "ISIC_3,1,,L2,"),
    )
    for table in (load_samples(tmp_path, labels=truth), load_samples(tmp_path)):
        assert list(labels_of(table).values()) == ["MEL", "NV", "NV", None]
        assert table.groups == ("L1", "L1", "", "L2")
        assert table.splits is None
        assert "UNK" not in table.classes
        assert noted(table, "1 image is labelled UNK")
    assert load_samples(tmp_path, columns=Columns(group="none")).groups is None


def test_isic2019_needs_its_ground_truth(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not laid out as ISIC 2019 is"):
        load_samples(touch(tmp_path, "ISIC_2019_Training_Input/ISIC_0.jpg"), layout="isic2019")


def test_a_csv_in_another_encoding_names_the_byte(tmp_path: Path) -> None:
    touch(tmp_path, "0.png")
    (tmp_path / "labels.csv").write_bytes("image,label\n0.png,näv\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"not UTF-8: byte 0xe4 at offset 19 \(line 2\)"):
        load_samples(tmp_path)


def test_choice_between_csvs_is_left_to_the_user(tmp_path: Path) -> None:
    touch(tmp_path, "0.png")
    write(tmp_path / "a.csv", "image,label", "0.png,a")
    write(tmp_path / "b.csv", "image,label", "0.png,b")
    with pytest.raises(DataError, match=r"Several CSV files .*: a\.csv, b\.csv"):
        load_samples(tmp_path)
    assert load_samples(tmp_path, labels=Path("b.csv")).classes == ("b",)
    with pytest.raises(DataError, match=r"There is no CSV c\.csv"):
        load_samples(tmp_path, labels=Path("c.csv"))
