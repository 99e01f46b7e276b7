from __future__ import annotations

from pathlib import Path

import pytest

from cass_cli.engine.tiling.table import patient_of, told_of
from cass_cli.errors import DataError

SLIDES = {name: Path(f"{name}.svs") for name in ("normal_0", "tumor.1", "TCGA-A1-A0SB-01Z-00-DX1.5F")}


def written(folder: Path, text: str) -> Path:
    path = folder / "about.csv"
    path.write_text(text)
    return path


def test_slides_are_named_with_or_without_suffix_and_folder_in_any_case(tmp_path: Path) -> None:
    text = "File Name;label;age\nD:\\scans\\NORMAL_0.svs;a;60\na/tumor.1;b;61\nTCGA-A1-A0SB-01Z-00-DX1.5F.tif;c;62\n"
    told = told_of(SLIDES, written(tmp_path, text))
    assert told.columns == ("label", "age")
    assert list(told.cells.values()) == [("a", "60"), ("b", "61"), ("c", "62")]


def test_the_column_of_slides_is_the_one_that_names_them(tmp_path: Path) -> None:
    told = told_of(SLIDES, written(tmp_path, "slide,name,label\n1,normal_0,a\n2,tumor.1,b\n"))
    assert told.columns == ("label",) and told.cells["tumor.1"] == ("b",)


@pytest.mark.parametrize("column", ["patient", "Patient ID", "case_id", "subject_id"])
def test_patients_come_from_the_table_and_else_from_the_names(tmp_path: Path, column: str) -> None:
    told = told_of(SLIDES, written(tmp_path, f"slide,{column},label\nnormal_0,p1,a\ntumor.1,NA,b\n"))
    assert told.columns == ("label",)
    assert list(told.patients.values()) == ["p1", "tumor.1", "TCGA-A1-A0SB"]
    assert any("1 slide is not in about.csv" in note for note in told.notes)


def test_patients_of_tcga_are_the_first_three_parts() -> None:
    assert patient_of("TCGA-A1-A0SB-01Z-00-DX1.5F") == "TCGA-A1-A0SB"
    assert patient_of("A1-A0SB-01Z-00") == "A1-A0SB-01Z-00"
    assert patient_of("TCGA-A1") == "TCGA-A1"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("scan,label\nnormal_0,a\n", "No column of about.csv names slides: scan, label"),
        ("slide,label\nother,a\n", "names none of the slides in its column 'slide' (other; slides are as normal_0)"),
        ("slide,label\nnormal_0,a\nnormal_0.svs,b\n", "says two things of slide normal_0: label is a in one row and b"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(DataError) as told:
        told_of(SLIDES, written(tmp_path, text))
    assert said in str(told.value)


def test_a_slide_may_be_said_twice_alike(tmp_path: Path) -> None:
    told = told_of(SLIDES, written(tmp_path, "slide,label\nnormal_0,a\nnormal_0.svs,a\n"))
    assert told.cells["normal_0"] == ("a",)
