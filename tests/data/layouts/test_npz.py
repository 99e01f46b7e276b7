from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cass_cli.data.sources import load_samples
from cass_cli.errors import DataError
from tests.data.files import labels_of


def save_npz(path: Path, classes: int | None, *, channels: tuple[int, ...] = (3,), **replaced: Any) -> Path:
    rng, arrays = np.random.default_rng(0), {}
    for part, n in (("train", 6), ("val", 2), ("test", 3)):
        arrays[f"{part}_images"] = rng.integers(0, 256, (n, 8, 8, *channels), dtype=np.uint8)
        bits = rng.integers(0, 2, (n, classes or 1))
        arrays[f"{part}_labels"] = bits if classes else np.arange(n)[:, None] % 3
    np.savez_compressed(path, **{**arrays, **replaced})
    return path


def test_medmnist_classes_and_splits(tmp_path: Path) -> None:
    table = load_samples(save_npz(tmp_path / "set.npz", None))
    assert table.archive
    assert table.root == tmp_path / "set.npz"
    assert table.names[:2] == ("test/000000", "test/000001")
    assert table.splits == ("test",) * 3 + ("train",) * 6 + ("val",) * 2
    assert table.classes == ("0", "1", "2")
    assert labels_of(table)["train/000004"] == "1"
    with pytest.raises(AssertionError):
        table.path(0)


def test_medmnist_multilabel_and_grey(tmp_path: Path) -> None:
    table = load_samples(save_npz(tmp_path / "set.npz", 14, channels=()))
    assert table.labels is not None
    with np.load(tmp_path / "set.npz") as archive:
        expected = np.concatenate([archive[f"{part}_labels"] for part in ("test", "train", "val")])
    assert np.array_equal(table.labels, expected)
    assert table.labels.dtype == np.int8


@pytest.mark.parametrize(
    ("replaced", "message"),
    [
        ({"train_images": np.zeros((6, 8, 8, 8), np.uint8)}, "uint8 \\[6, 8, 8, 8\\]"),
        ({"train_images": np.zeros((6, 8, 8), np.float32)}, "float32"),
        ({"train_labels": np.zeros((5, 1), int)}, "\\[5, 1\\]"),
        ({"train_labels": np.array(["a"] * 6)}, "whole numbers"),
        ({"train_labels": np.full((6, 2), 3)}, "differ in width"),
    ],
)
def test_archives_that_are_not_medmnist(tmp_path: Path, replaced: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_samples(save_npz(tmp_path / "set.npz", None, **replaced))


def test_an_archive_is_never_unpickled(tmp_path: Path) -> None:
    labels = np.array([{"a": 1}] * 6, dtype=object)
    with pytest.raises(DataError, match="train_labels"):
        load_samples(save_npz(tmp_path / "set.npz", None, train_labels=labels))


def test_damaged_and_missing_archives(tmp_path: Path) -> None:
    (tmp_path / "bad.npz").write_bytes(b"PK\x03\x04 and nothing")
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    for name, message in (("bad", "cannot be read"), ("gone", "cannot be read"), ("other", "holds none of")):
        with pytest.raises(DataError, match=message):
            load_samples(tmp_path / f"{name}.npz")
