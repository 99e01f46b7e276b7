from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageEnhance
from torch import Tensor

from cass_cli.config.schema import Data
from cass_cli.data import duplicates
from cass_cli.data.dataset import duplicate_pairs
from cass_cli.data.duplicates import (
    cluster_numbers,
    exact_duplicates,
    find_leaks,
    merged_pairs,
    near_duplicates,
    thumbnails,
)
from cass_cli.data.sample_table import SampleTable
from cass_cli.data.sources import load_samples
from cass_cli.data.splits import assign_splits
from cass_cli.data.store.store import build_store

Ints = NDArray[np.int64]


def textures(n: int, *, seed: int = 0, size: int = 64) -> Tensor:
    """Return n unlike pictures with structure that survives shrinking, uint8 [n, 3, size, size]."""
    coarse = torch.from_numpy(np.random.default_rng(seed).random((n, 3, 8, 8)).astype(np.float32))
    return (torch.nn.functional.interpolate(coarse, (size, size), mode="bicubic").clamp(0, 1) * 255).to(torch.uint8)


def saved(image: Tensor, path: Path, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image.permute(1, 2, 0).numpy()).save(path, **options)
    return path


def table_of(root: Path, names: list[str], labels: Ints | None = None, **columns: tuple[str, ...]) -> SampleTable:
    return SampleTable(root, tuple(names), ("a", "b", "c") if labels is not None else (), labels, **columns)  # type: ignore[arg-type]


def pairs_of(*pairs: tuple[int, int]) -> Ints:
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


# --- near-duplicates -----------------------------------------------------------------------------------------------


def test_thumbnails_are_centred_unit_vectors_blind_to_brightness_and_contrast() -> None:
    images = textures(5)
    rows = thumbnails(images)
    assert rows.shape == (5, 24 * 24)
    assert torch.allclose(rows.mean(dim=1), torch.zeros(5), atol=1e-6)
    assert torch.allclose(rows.norm(dim=1), torch.ones(5), atol=1e-5)
    changed = (images.float() * 0.5 + 40).to(torch.uint8)
    assert (rows * thumbnails(changed)).sum(dim=1).min() > 0.999


def test_correlations_equal_numpy_corrcoef_and_all_pairs_are_found() -> None:
    rng = np.random.default_rng(0)
    images = textures(60)
    images[30:] = (images[:30].int() + torch.from_numpy(rng.integers(-60, 60, images[:30].shape))).clamp(0, 255)
    rows = thumbnails(images)
    expected = np.corrcoef(rows.numpy())
    found = near_duplicates(rows, threshold=0.95)
    wanted = {(i, j) for i in range(60) for j in range(i + 1, 60) if expected[i, j] > 0.95}
    assert len(wanted) >= 20
    assert {(int(i), int(j)) for i, j in found.pairs} == wanted
    assert np.allclose(found.correlation, expected[found.pairs[:, 0], found.pairs[:, 1]], atol=1e-5)


def test_tiles_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    images = torch.cat([textures(40), textures(20), textures(40, seed=1)])
    rows = thumbnails(images)
    whole = near_duplicates(rows)
    monkeypatch.setattr(duplicates, "TILE", 7)
    seen: list[tuple[int, int]] = []
    tiled = near_duplicates(rows, on_progress=lambda done, total: seen.append((done, total)))
    assert whole.pairs.tolist() == tiled.pairs.tolist() == [[i, 40 + i] for i in range(20)]
    assert np.array_equal(whole.clusters, tiled.clusters)
    assert seen[-1] == (100, 100)


def test_copies_of_every_kind_are_near_and_strangers_are_not(tmp_path: Path) -> None:
    picture, other = textures(2, size=128)
    saved(picture, tmp_path / "0.png")
    saved(picture, tmp_path / "1.jpg", quality=60)
    opened = Image.open(tmp_path / "0.png")
    opened.resize((80, 90)).save(tmp_path / "2.png")
    ImageEnhance.Brightness(opened).enhance(0.7).save(tmp_path / "3.png")
    opened.convert("L").save(tmp_path / "4.tif")
    saved(other, tmp_path / "5.png")
    saved(picture.flip(2), tmp_path / "6.png")  # a mirror image is another picture
    table = load_samples(tmp_path)
    store = build_store(table, size=64, mode="ram")
    assert near_duplicates(thumbnails(store.images)).clusters.tolist() == [0, 0, 0, 0, 0, -1, -1]


def test_nearly_constant_images_are_compared_with_nothing() -> None:
    images = torch.full((4, 3, 32, 32), 200, dtype=torch.uint8)
    images[1, :, 0, 0] = 160  # a speck
    images[2] += torch.randint(0, 3, (3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    images[3] = textures(1, size=32)[0]
    found = near_duplicates(thumbnails(images))
    assert found.flat.tolist() == [0, 1, 2]
    assert len(found.pairs) == 0


def test_a_flood_of_pairs_keeps_the_clusters(monkeypatch: pytest.MonkeyPatch) -> None:
    images = textures(3)[torch.arange(90) % 3]
    rows = thumbnails(images)
    monkeypatch.setattr(duplicates, "TILE", 16)
    monkeypatch.setattr(duplicates, "MOST_PAIRS", 200)
    found = near_duplicates(rows)
    assert found.cut
    assert len(found.pairs) < 3 * 30 * 29 // 2
    assert len(set(found.clusters.tolist())) == 3
    assert all(len(set(found.clusters[np.arange(90) % 3 == i])) == 1 for i in range(3))
    assert (found.correlation > 0.995).all()


def test_stripes_change_nothing_of_a_flood(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = thumbnails(textures(5)[torch.randint(5, (80,), generator=torch.Generator().manual_seed(0))])
    monkeypatch.setattr(duplicates, "TILE", 32)
    monkeypatch.setattr(duplicates, "MOST_PAIRS", 50)
    whole = near_duplicates(rows)
    monkeypatch.setattr(duplicates, "STRIPE", 3)
    striped = near_duplicates(rows)
    assert whole.cut
    assert np.array_equal(whole.pairs, striped.pairs)
    assert np.array_equal(whole.correlation, striped.correlation)


@pytest.mark.parametrize("n", [0, 1])
def test_nothing_to_compare(n: int) -> None:
    found = near_duplicates(thumbnails(textures(2)[:n]))
    assert (len(found.pairs), len(found.clusters)) == (0, n)


def test_clusters_are_what_pairs_connect() -> None:
    clusters = cluster_numbers(pairs_of((1, 4), (4, 6), (2, 3)), 8)
    assert clusters.tolist() == [-1, 0, 1, 1, 0, -1, 0, -1]


def test_merged_pairs_are_distinct_rows_in_order() -> None:
    one, two = np.random.default_rng(0).integers(9, size=(2, 40, 2))
    assert np.array_equal(merged_pairs(one, two), np.unique(np.concatenate([one, two]), axis=0))
    assert merged_pairs(pairs_of(), pairs_of()).shape == (0, 2)


# --- exact duplicates ----------------------------------------------------------------------------------------------


def test_exact_duplicates_are_equal_bytes_in_files(tmp_path: Path) -> None:
    one = saved(textures(1)[0], tmp_path / "0.png")
    shutil.copy(one, tmp_path / "2.png")
    shutil.copy(one, tmp_path / "3.png")
    flipped = bytearray(one.read_bytes())
    flipped[-1] ^= 1
    (tmp_path / "1.png").write_bytes(flipped)  # the same length, one bit away
    for name in ("4.png", "5.png"):
        (tmp_path / name).touch()  # empty files are no copies of each other
    (tmp_path / "6.png").symlink_to(tmp_path / "gone.png")
    assert exact_duplicates(load_samples(tmp_path)).tolist() == [[0, 2], [0, 3]]


def test_exact_duplicates_are_equal_pixels_in_an_archive(tmp_path: Path) -> None:
    pixels = textures(4, size=8).permute(0, 2, 3, 1).numpy()
    np.savez(tmp_path / "x.npz", train_images=pixels[[0, 1, 0]], test_images=pixels[[2, 1]])
    table = load_samples(tmp_path / "x.npz")
    pairs = exact_duplicates(table)
    assert [{table.names[i] for i in pair} for pair in pairs] == [
        {"test/000001", "train/000001"},
        {"train/000000", "train/000002"},
    ]


# --- what they do to splits and labels -----------------------------------------------------------------------------


def test_leaks_count_images_not_pairs() -> None:
    table = table_of(Path(), list("abcdef"), np.array([0, 0, 1, -1, 2, 2]))
    splits = ("train", "train", "test", "test", "val", "")
    leaks = find_leaks(table, splits, pairs_of((0, 1), (0, 2), (1, 2), (1, 3), (2, 4), (4, 5)))
    assert leaks
    assert leaks.pairs.tolist() == [[0, 2], [1, 2], [1, 3], [2, 4]]  # not within train, nor with no split
    assert leaks.images == {
        ("test", "train"): 2,
        ("test", "train or val"): 2,
        ("test", "val"): 1,
        ("train", "test"): 2,
        ("val", "test"): 1,
    }
    assert leaks.disagreements.tolist() == [[0, 2], [1, 2], [2, 4]]  # an image without a label disagrees with none


def test_leaks_of_many_pairs_are_those_counted_one_by_one() -> None:
    rng = np.random.default_rng(0)
    table = table_of(Path(), [f"{i}" for i in range(50)])
    splits = tuple(rng.choice(["train", "val", "test", ""], 50).tolist())
    pairs = np.unique(rng.integers(50, size=(200, 2)), axis=0)
    counted: dict[tuple[str, str], set[int]] = {}
    for a, b in [*pairs.tolist(), *pairs[:, ::-1].tolist()]:
        if splits[a] and splits[b] and splits[a] != splits[b]:
            counted.setdefault((splits[a], splits[b]), set()).add(a)
            if splits[a] == "test":
                counted.setdefault(("test", "train or val"), set()).add(a)
    assert find_leaks(table, splits, pairs).images == {key: len(rows) for key, rows in counted.items()}


def test_groups_in_two_splits_leak() -> None:
    table = table_of(Path(), list("abcd"), groups=("p", "p", "q", ""))
    assert find_leaks(table, ("train", "test", "test", "val"), pairs_of()).groups == ("p",)
    assert not find_leaks(table, ("train", "train", "test", "val"), pairs_of())


def test_multilabel_duplicates_disagree_when_any_label_differs() -> None:
    table = table_of(Path(), list("abc"), np.array([[1, 0, 1], [1, 0, 1], [1, 1, 1]], np.uint8))  # type: ignore[arg-type]
    assert find_leaks(table, ("train",) * 3, pairs_of((0, 1), (0, 2))).disagreements.tolist() == [[0, 2]]


def test_an_unknown_label_disagrees_with_nothing() -> None:
    labels = np.array([[1, -1, 0], [1, 0, -1], [-1, 1, 0], [-1, -1, -1]], np.int8)
    pairs = pairs_of((0, 1), (0, 2), (1, 2), (0, 3))
    found = find_leaks(table_of(Path(), list("abcd"), labels), ("train",) * 4, pairs)  # type: ignore[arg-type]
    assert found.disagreements.tolist() == [[1, 2]]


def test_splitting_by_clusters_ends_every_leak(tmp_path: Path) -> None:
    images = textures(30)
    for i in range(30):
        saved(images[i], tmp_path / f"{i:02d}.png")
        if i < 12:
            saved(images[i], tmp_path / f"{i:02d}-again.jpg")
    table = load_samples(tmp_path)
    store = build_store(table, size=64, mode="ram")
    pairs = near_duplicates(thumbnails(store.images)).pairs
    assert len(pairs) == 12
    ids = cluster_numbers(pairs, len(table))
    assert any(find_leaks(table, assign_splits(table, seed=seed), pairs) for seed in range(3))
    for seed in range(3):
        assert not find_leaks(table, assign_splits(table, seed=seed, keep_together=ids), pairs)


def test_rows_left_out_of_the_store_shift_nothing(tmp_path: Path) -> None:
    images = textures(3)
    for i in range(3):
        saved(images[i], tmp_path / f"{i}.png")
    saved(images[2], tmp_path / "3.png", compress_level=0)
    (tmp_path / "1.png").write_bytes(b"broken")
    assert duplicate_pairs(load_samples(tmp_path), Data()).tolist() == [[2, 3]]


@pytest.mark.shared
def test_brain_mri_leaks_as_its_notes_say(shared: Path) -> None:
    """The notes on the data count up to 259 of 394 test slices with a near-identical train slice."""
    table = load_samples(shared / "data" / "brain_mri")
    store = build_store(table, size=64, mode="ram")
    assert table.splits is not None
    leaks = find_leaks(table, table.splits, near_duplicates(thumbnails(store.images)).pairs)
    assert leaks.images["test", "train"] == 259
