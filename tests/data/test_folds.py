"""Folds: each image is tested once, groups stay together, the publisher's test is left alone, and all can be read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cass_cli.data.dataset import Dataset
from cass_cli.data.folds import (
    Folds,
    alike_note,
    deal_folds,
    folds_digest,
    left_alone,
    rare_note,
    read_folds,
    with_alike,
    write_folds,
)
from cass_cli.data.labelled_images import LabelledData
from cass_cli.data.sample_table import SampleTable
from cass_cli.errors import DataError
from tests.data.test_splits import table_of

RATIO = (0.7, 0.1, 0.2)


def data_of(table: SampleTable) -> LabelledData:
    everything = np.arange(len(table))
    splits = tuple(split or "train" for split in table.splits or ("",) * len(table))
    return LabelledData(Dataset(table, splits), {"train": everything}, (), everything[:0])


def single(n: int = 200, *, splits: list[str] | None = None) -> LabelledData:
    rng = np.random.default_rng(0)
    return data_of(table_of(rng.integers(0, 3, n), groups=[f"g{i // 3}" for i in range(n)], splits=splits))


def several(n: int = 150) -> LabelledData:
    rng = np.random.default_rng(0)
    labels = (rng.random((n, 4)) < [0.5, 0.3, 0.2, 0.08]).astype(np.int8)
    return data_of(table_of(labels, groups=[f"g{i // 2}" for i in range(n)]))


@pytest.mark.parametrize("data", [single(), several()], ids=["one class an image", "several"])
def test_each_image_is_tested_once_and_no_group_lies_in_two_parts(data: LabelledData) -> None:
    folds = deal_folds(data, folds=5, fractions=RATIO, seed=0)
    tested = np.zeros(len(data.table), dtype=int)
    groups = np.array(data.table.groups)
    for fold in range(1, 6):
        rows = folds.data(data, fold).rows
        tested[rows["test"]] += 1
        assert np.array_equal(np.sort(np.concatenate(list(rows.values()))), np.arange(len(data.table)))
        homes = [set(groups[rows[split]]) for split in ("train", "val", "test")]
        assert not homes[0] & homes[1] | homes[0] & homes[2] | homes[1] & homes[2]
        assert len(rows["test"]) == pytest.approx(len(data.table) / 5, abs=4)
        assert len(rows["val"]) / (len(rows["val"]) + len(rows["train"])) == pytest.approx(1 / 8, abs=0.03)
    assert (tested == 1).all()


@pytest.mark.parametrize("data", [single(), several()], ids=["one class an image", "several"])
def test_every_fold_has_its_share_of_each_class(data: LabelledData) -> None:
    folds = deal_folds(data, folds=5, fractions=RATIO, seed=0)
    bits = data.labels if data.labels.ndim == 2 else data.labels[:, None] == np.arange(3)
    for fold in range(1, 6):
        share = bits[folds.tested == fold].mean(axis=0)
        assert share == pytest.approx(bits.mean(axis=0), abs=0.06)
    assert rare_note(data, folds) == ""


def test_the_seed_decides() -> None:
    first, again, other = (deal_folds(single(), folds=4, fractions=RATIO, seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(first.tested, again.tested)
    assert np.array_equal(first.validates, again.validates)
    assert not np.array_equal(first.tested, other.tested)
    digests = {folds_digest(single(), folds) for folds in (first, again, other)}
    assert len(digests) == 2


def test_the_publishers_test_images_are_in_no_fold_nor_what_is_nearly_the_same() -> None:
    data = single(splits=["test" if i < 60 else "" for i in range(200)])
    folds = deal_folds(data, folds=5, fractions=RATIO, seed=0)
    assert np.array_equal(folds.rows, np.arange(60, 200))
    clusters = np.full(200, -1)
    clusters[[0, 199]] = 7  # one of the publisher's, and one that is not
    clusters[[100, 150]] = 8
    assert 199 in left_alone(data, clusters)
    folds = deal_folds(data, folds=5, fractions=RATIO, seed=0, clusters=clusters)
    place = {row: i for i, row in enumerate(folds.rows.tolist())}
    assert 199 not in place
    assert folds.tested[place[100]] == folds.tested[place[150]]
    assert (folds.validates[place[100]] == folds.validates[place[150]]).all()


def test_fewer_groups_than_folds_is_an_error_and_a_rare_class_a_note() -> None:
    few = data_of(table_of([0, 1] * 6, groups=[f"g{i // 4}" for i in range(12)]))
    with pytest.raises(DataError, match="3 groups of /data cannot fill 5 folds"):
        deal_folds(few, folds=5, fractions=RATIO, seed=0)
    rare = data_of(table_of([0] * 30 + [1] * 28 + [2, 2]))
    note = rare_note(rare, deal_folds(rare, folds=5, fractions=RATIO, seed=0))
    assert "'c2' (2 images, in 2 folds)" in note
    assert "c1" not in note


@pytest.mark.parametrize("data", [single(), several()], ids=["one class an image", "several"])
def test_folds_are_read_as_they_were_written(data: LabelledData, tmp_path: Path) -> None:
    folds = deal_folds(data, folds=3, fractions=RATIO, seed=0)
    write_folds(tmp_path / "folds.csv", data, folds)
    found = read_folds(tmp_path / "folds.csv", data, 3)
    assert found.alike is None
    for ours, theirs in zip(vars(folds).values(), vars(found).values(), strict=True):
        assert np.array_equal(ours, theirs)


def test_near_duplicates_in_other_folds_are_remembered(tmp_path: Path) -> None:
    data, path = single(60), tmp_path / "folds.csv"
    folds = deal_folds(data, folds=3, fractions=RATIO, seed=0)
    apart = int(np.flatnonzero(folds.tested != folds.tested[0])[0])
    beside = int(np.flatnonzero(folds.tested == folds.tested[0])[1])
    assert alike_note(folds) == alike_note(with_alike(folds, np.array([[0, beside]]), 60)) == ""
    folds = with_alike(folds, np.array([[0, beside], [0, apart]]), 60)
    assert alike_note(folds).startswith("2 images have a near-identical one in another fold")
    write_folds(path, data, folds)
    assert alike_note(read_folds(path, data, 3)) == alike_note(folds)


def test_folds_that_cannot_be_are_named(tmp_path: Path) -> None:
    data, path = single(30), tmp_path / "folds.csv"
    write_folds(path, data, deal_folds(data, folds=3, fractions=RATIO, seed=0))
    text = path.read_text()
    lines = text.splitlines(keepends=True)
    own = lines[1].split(",")[2]
    for damaged in (
        "",
        "image\n",
        text.replace(f",{own},", ",9,", 1),
        text.replace(f",{own},", ",x,", 1),
        "".join([lines[0], *lines[:0:-1]]),  # in another order: nobody of cass wrote that
        text.replace(lines[1], f"000000.png,g0,{own},{own},,c0\n"),  # validates where it is tested
    ):
        path.write_text(damaged)
        with pytest.raises(DataError, match="damaged"):
            read_folds(path, data, 3)
    path.write_text(text.replace("000000.png", "gone.png"))
    with pytest.raises(DataError, match=r"gone\.png"):
        read_folds(path, data, 3)


def test_all_that_is_dealt_is_one_set_for_every_fold() -> None:
    """What frozen arms know of images is kept by batches of this set, so that no fold reads an image anew."""
    data = single(splits=["test" if i < 60 else "" for i in range(200)])
    folds: Folds = deal_folds(data, folds=5, fractions=RATIO, seed=0)
    sets = [folds.data(data, fold).all_rows for fold in range(1, 6)]
    assert all(np.array_equal(rows, folds.all_data(data).all_rows) for rows in sets)
