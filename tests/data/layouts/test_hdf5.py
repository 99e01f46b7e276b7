"""PatchCamelyon's HDF5 files: read as shipped, decoded one by one, and clear errors."""

from __future__ import annotations

import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

from cass_cli.data.decode.facts import DecodeError
from cass_cli.data.duplicates import exact_duplicates
from cass_cli.data.samples import read_sample
from cass_cli.data.sources import load_samples
from cass_cli.data.store.store import build_store
from cass_cli.errors import DataError
from tests.data.files import labels_of, noted, touch, write

h5py = pytest.importorskip("h5py")
STEM = "camelyonpatch_level_2_split_"


@pytest.fixture
def pcam(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for part, rows in {"train": 6, "valid": 2, "test": 2}.items():
        with h5py.File(tmp_path / f"{STEM}{part}_x.h5", "w") as file:
            file["x"] = rng.integers(0, 256, (rows, 96, 96, 3), dtype=np.uint8)
        with h5py.File(tmp_path / f"{STEM}{part}_y.h5", "w") as file:
            file["y"] = (np.arange(rows, dtype=np.uint8) % 2).reshape(rows, 1, 1, 1)
        slides = [f"{i},10,20,False,False,camelyon16_train_normal_{i // 2:03}" for i in range(rows)]
        write(tmp_path / f"{STEM}{part}_meta.csv", ",coord_y,coord_x,tumor_patch,center_tumor_patch,wsi", *slides)
    return tmp_path


def test_labels_slides_and_splits(pcam: Path) -> None:
    table = load_samples(pcam)
    assert noted(table, "Recognised", "PatchCamelyon")
    assert len(table) == 10
    assert labels_of(table)["train/000001"] == "tumour"
    assert labels_of(table)["val/000000"] == "normal"
    groups = dict(zip(table.names, table.groups or (), strict=True))
    assert groups["train/000000"] == groups["train/000001"] != groups["train/000002"]
    assert [s for n, s in zip(table.names, table.splits or (), strict=True) if n.startswith("val/")] == ["val", "val"]


def test_pixels_are_those_of_the_file(pcam: Path) -> None:
    table = load_samples(pcam)
    with h5py.File(pcam / f"{STEM}valid_x.h5") as file:
        assert np.array_equal(read_sample(table, table.names.index("val/000001")), file["x"][1])


def test_a_store_holds_them_and_is_built_anew_when_a_file_of_another_split_changes(
    pcam: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CASS_CACHE", str(tmp_path_factory.mktemp("cache")))
    table = load_samples(pcam)
    last = table.names.index("val/000001")
    before = build_store(table, size=96, mode="disk").batch(np.array([last]), torch.device("cpu"))
    with h5py.File(pcam / "new.h5", "w") as file:
        file["x"] = np.zeros((2, 96, 96, 3), dtype=np.uint8)
    (pcam / "new.h5").replace(pcam / f"{STEM}valid_x.h5")
    after = build_store(load_samples(pcam), size=96, mode="disk").batch(np.array([last]), torch.device("cpu"))
    assert before.any()
    assert not after.any()


def test_without_the_csvs_there_are_no_groups(pcam: Path) -> None:
    for path in pcam.glob("*_meta.csv"):
        path.unlink()
    table = load_samples(pcam)
    assert table.groups is None
    assert noted(table, "no groups")


def test_packed_files_are_to_be_unpacked(tmp_path: Path) -> None:
    (tmp_path / f"{STEM}train_x.h5.gz").touch()
    with pytest.raises(DataError, match="packed") as caught:
        load_samples(tmp_path)
    assert "gunzip" in caught.value.hint


@pytest.mark.parametrize("what", ["x", "y"])
def test_damage_is_named(pcam: Path, what: str) -> None:
    (pcam / f"{STEM}test_{what}.h5").write_bytes(b"no hdf5")
    with pytest.raises(DataError, match=f"test_{what}.h5 cannot be read"):
        load_samples(pcam)


def test_labels_that_do_not_fit_are_refused(pcam: Path) -> None:
    with h5py.File(pcam / f"{STEM}test_y.h5", "w") as file:
        file["y"] = np.zeros((3, 1, 1, 1), dtype=np.uint8)
    with pytest.raises(DataError, match="3 labels for 2 images"):
        load_samples(pcam)


def test_without_the_extra_it_says_what_to_install(pcam: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(DataError, match="optional part") as caught:
        load_samples(pcam)
    assert "cass-cli[hdf5]" in caught.value.hint


def test_a_group_or_an_array_of_another_file_is_no_array_of_this_one(pcam: Path) -> None:
    file = pcam / f"{STEM}test_x.h5"
    with h5py.File(pcam / "secret.h5", "w") as other:
        other["x"] = np.zeros((2, 96, 96, 3), dtype=np.uint8)
    for made in ("group", "link"):
        file.unlink()
        with h5py.File(file, "w") as written:
            if made == "group":
                written.create_group("x")
            else:
                written["x"] = h5py.ExternalLink("secret.h5", "/x")
        with pytest.raises(DataError, match="no array of this file"):
            load_samples(pcam)


HARMFUL = {
    "lie in others": lambda file, key: file.create_dataset(key, (2, 96, 96, 3), "u1", external="secret.bin"),
    "bytes of values": lambda file, key: file.create_dataset(key, (10**12, 96, 96, 3), "u1"),
    "bytes of values, and 0": lambda file, key: file.create_dataset(key, (2, 96, 96, 3), "u1", chunks=(1, 96, 96, 3)),
    "not read": lambda file, key: file.create_dataset(key, data=np.zeros((2, 9, 9, 3), "u1"), scaleoffset=0),
    "no array of this file": lambda file, key: file.create_dataset(key, data=h5py.Empty("u1")),
}


@pytest.mark.parametrize("message", HARMFUL)
@pytest.mark.parametrize("key", ["x", "y"])
def test_values_lie_in_the_file_and_can(pcam: Path, message: str, key: str) -> None:
    (pcam / "secret.bin").write_bytes(bytes(2 * 96 * 96 * 3))
    (pcam / f"{STEM}test_{key}.h5").unlink()
    with h5py.File(pcam / f"{STEM}test_{key}.h5", "w") as file:
        HARMFUL[message](file, key)
    with pytest.raises(DataError, match=message):
        load_samples(pcam)


def test_a_chunk_that_inflates_is_not_unpacked(pcam: Path) -> None:
    with h5py.File(pcam / f"{STEM}test_x.h5", "w") as file:
        array = file.create_dataset("x", (2, 96, 96, 3), "u1", chunks=(1, 96, 96, 3), compression="gzip")
        for row in range(2):
            array.id.write_direct_chunk((row, 0, 0, 0), zlib.compress(bytes(40_000_000)))
    with pytest.raises(DataError, match="and holds 27,648"):
        load_samples(pcam)


def test_a_damaged_chunk_is_told_and_has_no_copies(pcam: Path) -> None:
    path, pixels = pcam / f"{STEM}test_x.h5", np.full((2, 96, 96, 3), 77, dtype=np.uint8)
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=pixels, fletcher32=True, chunks=(1, 96, 96, 3))
    data = bytearray(path.read_bytes())
    data[data.rindex(bytes([77] * 100)) + 50] ^= 1
    path.write_bytes(data)
    table = load_samples(pcam)
    assert len(exact_duplicates(table)) == 0
    with pytest.raises(DecodeError, match="not to be had from the archive"):
        for row in range(len(table)):
            read_sample(table, row)


def test_gzip_as_h5py_writes_it_is_read(pcam: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 96, 96, 3), dtype=np.uint8)
    with h5py.File(pcam / f"{STEM}test_x.h5", "w") as file:
        file.create_dataset("x", data=pixels, compression="gzip", shuffle=True)
    table = load_samples(pcam)
    assert np.array_equal(read_sample(table, table.names.index("test/000001")), pixels[1])


def test_a_folder_with_that_ending_is_a_folder(tmp_path: Path) -> None:
    touch(tmp_path / "set.h5", "a/0.png", "b/1.png")
    table = load_samples(tmp_path / "set.h5")
    assert not table.archive
    assert table.classes == ("a", "b")
