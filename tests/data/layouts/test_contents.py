"""What is read of tables and lists that were made to harm: within limits, and whole or not at all."""

from __future__ import annotations

import gzip
import os
import time
from pathlib import Path

import pytest

from cass_cli.data.layouts import contents as module
from cass_cli.data.layouts.contents import contents
from cass_cli.data.layouts.split_values import read_list
from cass_cli.data.layouts.tables import read_table
from cass_cli.data.sources import load_samples
from cass_cli.data.splits import split_rows
from cass_cli.errors import DataError
from tests.data.files import touch


@pytest.mark.parametrize("packed", [False, True])
def test_no_more_than_the_limit_is_read_or_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packed: bool
) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 1_000)
    for size in (1_000, 1_001):
        data = b"x" * size
        (tmp_path / "a").write_bytes(gzip.compress(data) if packed else data)
        if size == 1_000:
            assert contents(tmp_path / "a") == data
        else:
            with pytest.raises(DataError, match=r"more than 0\.001 MB" if packed else r"at most 0\.001 MB are read"):
                contents(tmp_path / "a")


def test_lines_are_counted_before_they_are_parted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_IMAGES", 10)
    (tmp_path / "a").write_bytes(b"x\n" * 11)
    with pytest.raises(DataError, match="more than 10 lines"):
        read_list(tmp_path / "a")


def test_a_list_in_one_endless_line_is_none(tmp_path: Path) -> None:
    for words, fine in ((1_000, True), (3_000, False)):
        (tmp_path / "a").write_text("p00.png " * words)
        if fine:
            assert len(read_list(tmp_path / "a")) == 1
        else:
            with pytest.raises(DataError, match="a line of 24,000 letters"):
                read_list(tmp_path / "a")


def test_pipes_and_devices_are_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "device").symlink_to("/dev/zero")
    for name in ("pipe", "device"):
        with pytest.raises(DataError, match="it is a pipe or a device, not a file"):
            contents(tmp_path / name)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('image,label\na.png,"x\nb.png,y\n', "never closed, from row 2 on"),
        ('image,label\na.png,x\nb.png,"y', "never closed, from row 3 on"),
        ("image,label\0\na.png,x\n", "zero bytes"),
        (f"image,{','.join(map(str, range(6_000)))}\na.png{',1' * 6_000}\n", "6,001 columns"),
        (f"image,label\n{',' * 20_000_001}", "more than 20,000,000 cells"),
    ],
)
def test_tables_that_are_none(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        read_table(tmp_path / "a.csv")


def test_the_last_cell_may_be_quoted_and_the_last_line_open(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('image,label\na.png,"x, y"\nb.png,"z"')
    assert read_table(tmp_path / "a.csv").columns == {"image": ["a.png", "b.png"], "label": ["x, y", "z"]}


def test_many_empty_columns_are_dropped_at_once(tmp_path: Path) -> None:
    rows = [f"{row}{',' * 16_000}" for row in ("image,label", *(f"{i}.png,x" for i in range(50)))]
    (tmp_path / "a.csv").write_text("\n".join(rows))
    began = time.process_time()
    assert list(read_table(tmp_path / "a.csv").columns) == ["image", "label"]
    assert time.process_time() - began < 2


@pytest.mark.parametrize("name", ["a/" * 60_000 + "b.png", "b.png" + "#frame=1" * 10_000])
def test_endless_names_in_a_table_cost_no_time(tmp_path: Path, name: str) -> None:
    touch(tmp_path, "a.png", "b.png")
    (tmp_path / "labels.csv").write_text(f"image,label\na.png,x\n{name},y\n")
    began = time.process_time()
    with pytest.raises(DataError, match="image"):
        load_samples(tmp_path)
    assert time.process_time() - began < 2


def test_a_splits_csv_is_read_within_the_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 100)
    (tmp_path / "splits.csv").write_text("image,split\n" + "a.png,train\n" * 20)
    with pytest.raises(DataError, match=r"at most 0\.0001 MB are read"):
        split_rows(tmp_path / "splits.csv")
