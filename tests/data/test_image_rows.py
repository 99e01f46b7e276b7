from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cass_cli.data import image_rows as module
from cass_cli.data.image_rows import image_rows, read_headers
from cass_cli.data.sample_table import SampleTable
from tests.data.decode.odd_files import colours, saved


def table_of(root: Path, n: int) -> SampleTable:
    names = tuple(f"{i}.png" for i in range(n))
    labels = np.array([0, 1, 0, 0, -1, 1][:n])
    return SampleTable(root, names, ("a", "b"), labels, groups=("p", "p", "", "q", "q", "")[:n])


@pytest.mark.parametrize("together", [1, 2, 64])
def test_headers_and_reasons_stand_at_their_rows(
    together: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TOGETHER", together)
    for i in (0, 1, 3, 4):
        (tmp_path / f"{i}.png").write_bytes(saved(colours()[: 5 + i], "PNG"))
    (tmp_path / "2.png").write_bytes(b"")
    seen: list[tuple[int, int]] = []
    facts, bad = read_headers(table_of(tmp_path, 5), 2, lambda done, total: seen.append((done, total)))
    assert {row: fact.height for row, fact in facts.items()} == {0: 5, 1: 6, 3: 8, 4: 9}
    assert bad == {2: "the file is empty"}
    assert seen[-1] == (5, 5)


def test_a_row_tells_what_its_image_shares_with_others(tmp_path: Path) -> None:
    splits = ("train", "train", "test", "val", "test", "")
    pairs = np.array([[0, 1], [0, 2], [1, 3], [2, 3], [4, 5]])
    rows = image_rows(table_of(tmp_path, 6), splits, {}, {4: "damaged"}, pairs)
    assert [row.leak for row in rows] == ["test", "val", "train;val", "test;train", "val", ""]
    assert [row.disagrees for row in rows] == ["1.png", "0.png", "", "1.png", "", ""]
    assert [row.cluster for row in rows] == [0, 0, 0, 0, 1, 1]
    assert [row.labels for row in rows] == [("a",), ("b",), ("a",), ("a",), ("",), ("b",)]
    assert [row.status for row in rows] == ["ok", "ok", "ok", "ok", "unreadable: damaged", "ok"]
