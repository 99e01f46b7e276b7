"""metrics.jsonl: what is read of it, what a crash may leave, and what is damage."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cass_cli.errors import RunError
from cass_cli.runs.rows import Row, TrialRow, read_epochs, read_rows, rows_until
from tests.reports.runs_on_disk import write_run

ROWS = "".join(json.dumps({"epoch": epoch, "later": [epoch]}) + "\n" for epoch in (1, 2, 3))


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "metrics.jsonl"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_what_a_later_version_adds_is_kept(tmp_path: Path) -> None:
    assert read_rows(written(tmp_path, ROWS), Row)[2] == {"epoch": 3, "later": [3]}
    assert read_rows(tmp_path / "none.jsonl", Row) == []


@pytest.mark.parametrize("rest", ["", '{"ep', '{"epoch": 4, "later": {}', "\0" * 40])
def test_what_a_crash_leaves_of_the_last_row_is_left_out(tmp_path: Path, rest: str) -> None:
    assert [row["epoch"] for row in read_rows(written(tmp_path, ROWS + rest), Row)] == [1, 2, 3]


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        (ROWS + "[]\n", 4, "it should be an object"),
        (ROWS + "{}", 4, "epoch is missing"),
        (ROWS + '{"ep\n', 4, "it holds no JSON"),
        (ROWS.replace('"epoch": 2', '"epoch": "2"'), 2, "epoch should be a valid integer, not '2'"),
        (ROWS.replace('"epoch": 1', '"epoch": -5'), 1, "epoch should be greater than 0"),
        (ROWS.replace('"epoch": 2', '"epoch": 4'), 2, "epoch 4 follows epoch 1"),
        (ROWS.replace('"epoch": 3', '"epoch": 2'), 3, "epoch 2 follows epoch 2"),
        (ROWS.encode("utf-16"), 1, "it holds no JSON"),
        (b"\x80\x81", 1, "it holds no JSON"),
        (bytes(40), 1, "it holds no JSON"),
        ("[" * 100_000, 1, "it holds no JSON"),
        ('{"a": ' * 100_000, 1, "it holds no JSON"),
    ],
)
def test_damage_is_named_by_its_line(tmp_path: Path, text: str | bytes, line: int, said: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(RunError) as raised:
        read_rows(path, Row)
    assert raised.value.what.startswith(f"{path} is damaged: line {line}: {said}")


def test_cells_are_held_against_their_kind(tmp_path: Path) -> None:
    arm = {"loss": 0.5, "val_loss": None, "val_score": "high"}
    with pytest.raises(RunError, match=r"arms\.cnn\.val_score should be a valid number, not 'high'"):
        read_rows(written(tmp_path, json.dumps({"epoch": 1, "arms": {"cnn": arm}}) + "\n"), TrialRow)


def test_epochs_of_other_arms(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run") / "metrics.jsonl"
    assert len(read_epochs(path)) == 3
    first, *rest = path.read_text().splitlines(keepends=True)
    row = json.loads(first)
    del row["gauges"]["vit"]
    path.write_text(json.dumps(row) + "\n" + "".join(rest))
    with pytest.raises(RunError, match="epoch 1 is of other arms than the last"):
        read_epochs(path)


def test_rows_that_a_checkpoint_knows_and_the_file_does_not(tmp_path: Path) -> None:
    path = written(tmp_path, ROWS)
    assert [row["epoch"] for row in rows_until(path, 2)] == [1, 2]
    with pytest.raises(RunError, match="ends with epoch 3, but 5 are trained"):
        rows_until(path, 5)
    with pytest.raises(RunError, match="holds none of them"):
        rows_until(written(tmp_path, ""), 1)
    path.unlink()
    assert rows_until(path, 5) == []
