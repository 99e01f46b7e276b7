"""What a table beside the images says of them or of their patients."""

from __future__ import annotations

from pathlib import Path

import pytest

from cass_cli.data.metadata import read_metadata
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
