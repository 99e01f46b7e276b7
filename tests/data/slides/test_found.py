from __future__ import annotations

from pathlib import Path

import pytest

from cass_cli.data.slides.found import find_slides, slide_name
from cass_cli.errors import DataError


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_folders_are_searched_and_each_file_counts_once(tmp_path: Path) -> None:
    touch(tmp_path / "b.SVS", tmp_path / "deep/er/a.tiff", tmp_path / "notes.txt", tmp_path / ".hidden/c.svs")
    touch(tmp_path / "._b.svs", tmp_path / "odd.dcm")
    (tmp_path / "again.svs").symlink_to(tmp_path / "b.SVS")
    found = find_slides([tmp_path, tmp_path / "deep" / "er" / "a.tiff", tmp_path / "odd.dcm"])
    assert sorted(path.resolve().name for path in found.values()) == ["a.tiff", "b.SVS", "odd.dcm"]
    assert list(found) == sorted(found)


@pytest.mark.parametrize("names", [("x/s.svs", "y/s.svs"), ("s.svs", "s.tif"), ("S.svs", "x/s.svs")])
def test_two_slides_of_one_name_are_refused(tmp_path: Path, names: tuple[str, str]) -> None:
    """Also where only the case differs: some file systems take these for one folder."""
    touch(*(tmp_path / name for name in names))
    with pytest.raises(DataError, match="Two slides are called"):
        find_slides([tmp_path])


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no slide .*gone\.svs"):
        find_slides([tmp_path / "gone.svs"])
    with pytest.raises(DataError, match="no slide in"):
        find_slides([tmp_path])
    touch(tmp_path / "two\nlines.svs")
    with pytest.raises(DataError, match=r"two\\nlines"):
        find_slides([tmp_path])


def test_the_name_of_a_slide_is_its_file_without_suffix() -> None:
    assert slide_name("TCGA-A1-A0SB-01Z-00-DX1.1234-ABCD.svs") == "TCGA-A1-A0SB-01Z-00-DX1.1234-ABCD"
    assert slide_name(".s.svs") == "s"
    assert slide_name("1.2.840.10008") == "1.2.840.10008"
