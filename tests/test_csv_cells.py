"""Names in CSVs: read again exactly, and neither a formula nor anything that acts upon a terminal."""

from __future__ import annotations

import csv
import io
import warnings
from pathlib import Path
from random import Random

import pytest

from cass_cli.csv_cells import NUMBER, CellWriter, cell_of, name_of
from cass_cli.data.layouts.tables import read_table
from cass_cli.data.sample_table import SampleTable
from cass_cli.data.splits import read_splits, write_splits
from cass_cli.words import seen

LETTERS = "'\\=+-@ab0 \"\t\r\n;,\x1b\u202e\uff1d\u00e9\udce9\U0001f600nxuNU{}\x9b\u200d\u00a0"


def _names(count: int) -> list[str]:
    random = Random(0)
    return ["".join(random.choices(LETTERS, k=random.randint(1, 7))) for _ in range(count)]


def test_every_name_is_read_again_and_none_is_written_as_another() -> None:
    names = {*_names(20_000)}
    assert all(name_of(cell_of(name)) == name for name in names)
    assert len({cell_of(name) for name in names}) == len(names)


def test_no_cell_is_a_formula_or_acts_upon_a_terminal() -> None:
    for cell in map(cell_of, _names(20_000)):
        assert seen(cell), repr(cell)
        assert NUMBER.fullmatch(cell) or cell.lstrip(' "')[:1] not in {*"=+-@\uff1d"}, cell


@pytest.mark.parametrize(
    "cell", ["ham_0001", "-1", "+3.5e-7", "-inf", "'s-Gravenhage", "a=b", "C:\\x", "caf\u00e9", ""]
)
def test_usual_names_and_numbers_stay_as_they_are(cell: str) -> None:
    assert cell_of(cell) == name_of(cell) == cell


@pytest.mark.parametrize("cell", ["'\\q", "'\\x1", "'\\N{DIGIT ONE}", "'\\\\\\", "'\\a"])
def test_a_cell_that_was_not_written_so_is_taken_as_it_is(cell: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert name_of(cell) == cell


def test_a_writer_writes_text_so_and_numbers_as_they_are() -> None:
    file = io.StringIO()
    CellWriter(file).writerow(["=1", -1, -0.5, "\x1b[2J", None])
    assert next(csv.reader(io.StringIO(file.getvalue()))) == ["'=1", "-1", "-0.5", r"'\\x1b[2J", ""]


def test_splits_hold_any_name_and_give_it_back(tmp_path: Path) -> None:
    names = tuple(dict.fromkeys(_names(300)))
    table = SampleTable(root=tmp_path, names=names)
    splits = tuple(("train", "val", "test")[i % 3] for i in range(len(names)))
    write_splits(tmp_path / "splits.csv", table, splits)
    assert read_splits(tmp_path / "splits.csv", table) == splits


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_a_table_of_cass_gives_its_names_back_after_a_spreadsheet_has_saved_it(tmp_path: Path, mark: str) -> None:
    (tmp_path / "ours.csv").write_text(f"image{mark}split{mark}label\n'=1.png{mark}train{mark}'@x\n")
    assert read_table(tmp_path / "ours.csv").columns["image"] == ["=1.png"]


def test_a_table_of_cass_gives_its_names_back_and_one_of_a_stranger_holds_them_as_they_stand(tmp_path: Path) -> None:
    (tmp_path / "ours.csv").write_text("image,split,label\n'=1.png,train,'@x\n")
    (tmp_path / "theirs.csv").write_text("image,label\n'=1.png,'@x\n")
    ours, theirs = read_table(tmp_path / "ours.csv"), read_table(tmp_path / "theirs.csv")
    assert (ours.columns["image"], ours.columns["label"]) == (["=1.png"], ["@x"])
    assert (theirs.columns["image"], theirs.columns["label"]) == (["'=1.png"], ["'@x"])
