"""What a table beside the images says of them or of their patients."""

from __future__ import annotations

from pathlib import Path

import pytest

from cass_cli.data.metadata import read_groups, read_metadata
from cass_cli.errors import DataError

NAMES = ("a/1.png", "a/2.png", "b/1.jpg#frame=003", "b/4.png")
GROUPS = ("p1", "p1", "p2", "")


def read(
    tmp_path: Path, text: str, *wanted: str, groups: tuple[str, ...] | None = GROUPS
) -> dict[str, tuple[str, ...]]:
    path = tmp_path / "people.csv"
    path.write_text(text)
    return read_metadata(path, NAMES, groups, wanted)


@pytest.mark.parametrize("rows", [("a/1.png", "b/1.jpg"), ("a/1", "b/1")])
def test_rows_are_found_by_path_with_or_without_suffix(rows: tuple[str, str], tmp_path: Path) -> None:
    text = f"x,image,sex,age\n0,{rows[0]},f,60\n1,{rows[1]},m,\n2,other.png,m,1\n"
    assert read(tmp_path, text, "sex", "age") == {"sex": ("f", "", "m", ""), "age": ("60", "", "", "")}


def test_rows_are_found_by_file(tmp_path: Path) -> None:
    assert read(tmp_path, "file;scanner\n2.png;A\n4;B\n", "scanner") == {"scanner": ("", "A", "", "B")}


def test_rows_are_found_by_patient(tmp_path: Path) -> None:
    assert read(tmp_path, "who,sex\np1,f\np2,m\n", "sex") == {"sex": ("f", "f", "m", "")}
    with pytest.raises(DataError, match="names images or patients"):
        read(tmp_path, "who,sex\np1,f\np2,m\n", "sex", groups=None)


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no column 'sec'\. Did you mean 'sex'"):
        read(tmp_path, "image,sex\na/1.png,f\n", "sec")
    with pytest.raises(DataError, match="names images or patients"):
        read(tmp_path, "image,sex\nz.png,f\n", "sex")


def test_rows_that_contradict_each_other_are_told(tmp_path: Path) -> None:
    assert read(tmp_path, "image,sex\na/1.png,f\na/1,f\n", "sex")["sex"][0] == "f"
    with pytest.raises(DataError, match=r"1 row of people\.csv contradict an earlier one in sex: a/1"):
        read(tmp_path, "image,sex\na/1.png,f\na/1,m\n", "sex")


def test_rows_are_found_by_the_end_of_a_path(tmp_path: Path) -> None:
    """As another machine, or another folder to start from, would name the files."""
    text = "image,sex\n/home/x/data/a/1.png,f\nC:\\y\\b\\4.png,m\n"
    assert read(tmp_path, text, "sex") == {"sex": ("f", "", "", "m")}


def test_a_name_of_several_images_names_none(tmp_path: Path) -> None:
    path = tmp_path / "who.csv"
    path.write_text("image,who\n1.png,p\nb/1.png,q\n2.png,r\n")
    assert read_groups(path, ("a/1.png", "b/1.png", "2.png")) == ("", "q", "r")


@pytest.mark.parametrize(
    ("header", "asked", "found"),
    [
        ("image,patient_id,day", None, "p"),
        ("image,who", None, "p"),
        ("image,who,day", "who", "p"),
        ("image,who,day", "day", "1"),
    ],
)
def test_the_column_of_patients(header: str, asked: str | None, found: str, tmp_path: Path) -> None:
    path = tmp_path / "who.csv"
    path.write_text(f"{header}\n{'a.png,p,1' if header.count(',') == 2 else 'a.png,p'}\n")
    assert read_groups(path, ("a.png",), asked) == (found,)


def test_patients_without_a_column_are_asked_for(tmp_path: Path) -> None:
    (tmp_path / "who.csv").write_text("image,who,day\na.png,p,1\n")
    with pytest.raises(DataError, match=r"No column of who\.csv looks like patients") as raised:
        read_groups(tmp_path / "who.csv", ("a.png",))
    assert "--group-column" in raised.value.hint
