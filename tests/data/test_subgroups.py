"""Sex, age and site stay with their images: through every table, beside class folders, in the order of the names."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from cass_cli.data.sources import load_samples
from cass_cli.data.subgroups import write_subgroups
from tests.data.files import labels_of, noted, touch, write

HEADER = "image,label,patient_id,Patient Sex,age_approx,hospital,file_size"


def test_columns_of_subgroups_are_kept_and_others_are_not(tmp_path: Path) -> None:
    touch(tmp_path, "b.png", "a.png", "c.png")
    rows = ("b.png,x,1,F,40,Bern,9", "a.png,y,2,M,50,Ulm,9", "c.png,x,2,M,,Ulm,8")
    write(tmp_path / "labels.csv", HEADER, *rows)
    table = load_samples(tmp_path)
    assert table.names == ("a.png", "b.png", "c.png")
    assert table.subgroups == {
        "Patient Sex": ("M", "F", "M"),
        "age_approx": ("50", "40", ""),
        "hospital": ("Ulm", "Bern", "Ulm"),
    }
    assert noted(table, "Kept for comparing subgroups", "Patient Sex, age_approx, hospital")
    assert noted(table, "Columns not used: file_size")
    assert table.select(np.array([2, 0])).subgroups["age_approx"] == ("", "50")


def test_a_column_that_says_the_same_of_all_compares_nothing(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "b.png")
    write(tmp_path / "labels.csv", "image,label,sex", "a.png,x,F", "b.png,y,F")
    assert not load_samples(tmp_path).subgroups


def test_a_csv_beside_class_folders_adds_them_by_name_or_stem(tmp_path: Path) -> None:
    touch(tmp_path, "x/a.png", "x/b.png", "y/c.png", "y/d.png")
    write(tmp_path / "patients.csv", "file,patient,sex", "a,1,F", "b.png,1,F", "y/c.png,2,M")
    table = load_samples(tmp_path)
    assert labels_of(table)["x/a.png"] == "x"
    assert table.groups == ("1", "1", "2", "")
    assert table.subgroups == {"sex": ("F", "F", "M", "")}
    assert noted(table, "patients.csv, which gives groups, subgroups")


def test_a_label_that_is_named_is_no_subgroup(tmp_path: Path) -> None:
    from cass_cli.data.layouts.columns import Columns

    touch(tmp_path, "a.png", "b.png")
    write(tmp_path / "t.csv", "image,sex,age", "a.png,F,1", "b.png,M,2")
    table = load_samples(tmp_path, columns=Columns(label="sex"))
    assert list(labels_of(table).values()) == ["F", "M"]
    assert list(table.subgroups) == ["age"]


def test_the_file_of_a_run_has_a_row_an_image(tmp_path: Path) -> None:
    images = touch(tmp_path / "images", "a,b.png", "c.png")
    table = write(images / "labels.csv", "image,label,patient,sex", '"a,b.png",x,P,F', "c.png,y,Q,M")
    assert write_subgroups(tmp_path / "out.csv", load_samples(images))
    with (tmp_path / "out.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [["image", "group", "sex"], ["a,b.png", "P", "F"], ["c.png", "Q", "M"]]
    table.unlink()
    assert not write_subgroups(tmp_path / "none.csv", load_samples(images))
    assert not (tmp_path / "none.csv").exists()


def test_two_tables_beside_class_folders_each_add_their_own(tmp_path: Path) -> None:
    touch(tmp_path, "x/a.png", "x/b.png", "y/c.png")
    write(tmp_path / "one.csv", "file,sex", "a,F", "b,M", "c,M")
    write(tmp_path / "two.csv", "file,age", "a,1", "b,2", "c,3")
    assert load_samples(tmp_path).subgroups == {"sex": ("F", "M", "M"), "age": ("1", "2", "3")}


def test_a_volume_is_found_by_its_stem(tmp_path: Path) -> None:
    touch(tmp_path, "scans/a.nii.gz", "scans/b.nii")
    write(tmp_path / "labels.csv", "image,label,sex", "a,x,F", "b,y,M")
    table = load_samples(tmp_path)
    assert labels_of(table) == {"scans/a.nii.gz": "x", "scans/b.nii": "y"}
    assert table.subgroups == {"sex": ("F", "M")}
