from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cass_cli.cli.memory import memory_error
from cass_cli.data.decode.npy_header import npy_header
from cass_cli.data.layouts.npz import read_images
from cass_cli.data.sources import load_samples
from cass_cli.errors import DataError
from tests.data.files import labels_of
from tests.faults.forged import Member, deflated, inflating, npy, npy_of, stored, zipped


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


IMAGES, LABELS = "train_images.npy", "train_labels.npy"
PIXELS = np.random.default_rng(0).integers(0, 256, (6, 8, 8), dtype=np.uint8)
ARRAY = npy(PIXELS.shape, PIXELS.tobytes())


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([deflated(IMAGES, npy((10**12, 8, 8), PIXELS.tobytes()))], "64,000,000,000,000 bytes of values, and 384"),
        ([stored(IMAGES, npy((10**12, 8, 8), PIXELS.tobytes()))], "64,000,000,000,000 bytes of values, and 384"),
        ([deflated(IMAGES, npy((10**9, 0, 0)))], r"uint8 \[1000000000, 0, 0\]"),
        ([deflated(IMAGES, npy((-6, -8, 8), PIXELS.tobytes()))], "sides of"),
        ([deflated(IMAGES, npy((6, 8, 8), PIXELS.tobytes(), descr="|O"))], "objects"),
        ([deflated(IMAGES, npy_of(b"(" * 4000, PIXELS.tobytes()))], "no header of a NumPy array"),
        ([inflating(IMAGES, npy_of(b"", version=(2, 0), length=2**30), 2**21)], "no header of a NumPy array"),
        ([replace(deflated(IMAGES, ARRAY), size=2**40)], "cannot be in the"),
        ([replace(stored(IMAGES, ARRAY), size=2**40)], "cannot be in the"),
        ([inflating(IMAGES, npy((2**18, 32, 32)), 2**28)], "as no images do"),
        ([inflating(IMAGES, npy((2**20 - 128, 1, 1)), 2**20)], "more than such a file holds|bytes of values"),
        ([replace(deflated(IMAGES, ARRAY), method=12)], "NumPy does not write"),
        ([replace(deflated(IMAGES, ARRAY), flags=1)], "encrypted"),
        ([replace(deflated(IMAGES, ARRAY), inner_name="other_image.npy")], "differ"),
        ([deflated(IMAGES, ARRAY), deflated(IMAGES, ARRAY)], "twice"),
        ([deflated(IMAGES, ARRAY), deflated(LABELS, npy((6,), b"\xff" * 48, descr="<u8"))], "classes are 0 to 9,999"),
        ([deflated(IMAGES, ARRAY), deflated(LABELS, npy((6, 20_000), bytes(120_000)))], "at most 10,000 classes"),
        ([deflated("val_labels.npy", npy((6,), bytes(6))), deflated(IMAGES, ARRAY)], "val_labels without val_images"),
        ([deflated(IMAGES, ARRAY), *(stored(f"{i}.txt", b"") for i in range(22_000))], "far more than a few arrays"),
    ],
)
def test_what_an_archive_states_is_held_against_what_lies_in_it(
    tmp_path: Path, members: list[Member], message: str
) -> None:
    path = tmp_path / "set.npz"
    path.write_bytes(zipped(*members))
    with pytest.raises(DataError, match=message):
        load_samples(path)


@pytest.mark.parametrize("packed", [stored, deflated])
def test_pixels_are_held_against_their_checksum(tmp_path: Path, packed: Callable[[str, bytes], Member]) -> None:
    path, member = tmp_path / "set.npz", packed(IMAGES, ARRAY)
    path.write_bytes(zipped(member))
    assert np.array_equal(read_images(path, "train"), PIXELS)
    path.write_bytes(zipped(replace(member, crc=member.crc ^ 1)))
    with pytest.raises(DataError, match="CRC"):
        read_images(path, "train")


def test_members_that_the_directory_hides_are_missed(tmp_path: Path) -> None:
    path = tmp_path / "set.npz"
    data = zipped(deflated(IMAGES, ARRAY), deflated("test_images.npy", ARRAY))
    at = data.index(b"PK\1\2") + 32  # the length of a comment, which swallows the second member
    path.write_bytes(data[:at] + bytes([46 + len("test_images.npy")]) + data[at + 1 :])
    with pytest.raises(DataError, match="states 2 arrays and lists 1"):
        load_samples(path)


def test_a_header_that_the_parser_gives_up_on_is_no_lack_of_memory() -> None:
    """Python's parser says MemoryError of what is nested too deeply."""
    text = b"{'descr': '|u1', 'fortran_order': False, 'shape': (" + b"-" * 9000 + b"12, 8), }\n"
    file = io.BytesIO(b"\x93NUMPY\1\0" + len(text).to_bytes(2, "little") + text)
    with pytest.raises(ValueError, match="no header of a NumPy array") as told:
        npy_header(file, len(file.getvalue()))
    assert memory_error(told.value) is None


def test_a_pipe_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "set.npz")
    with pytest.raises(DataError, match="no regular file"):
        load_samples(tmp_path / "set.npz")


def test_members_of_other_names_are_left_alone(tmp_path: Path) -> None:
    path = save_npz(tmp_path / "set.npz", None)
    before = load_samples(path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("../outside.txt", "x")
        archive.writestr("/absolute.npy", "x")
    assert load_samples(path).names == before.names
    assert not (tmp_path.parent / "outside.txt").exists()
