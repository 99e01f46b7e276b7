from __future__ import annotations

from itertools import combinations, product
from pathlib import Path

import numpy as np
import pytest

from cass_cli.data.sample_table import SampleTable
from cass_cli.data.sources import load_samples
from cass_cli.data.splits import (
    SPLITS,
    assign_splits,
    fold_numbers,
    label_subset,
    label_text,
    labelled,
    read_splits,
    subset_note,
    write_splits,
)
from cass_cli.errors import ConfigError, DataError, RunError

FRACTIONS = dict(zip(SPLITS, (0.7, 0.1, 0.2), strict=True))


def table_of(
    labels: np.ndarray | list[int] | None,
    *,
    groups: list[str] | None = None,
    splits: list[str] | None = None,
    n: int | None = None,
) -> SampleTable:
    array = None if labels is None else np.asarray(labels)
    count = n or len(array)  # type: ignore[arg-type]
    width = 0 if array is None else array.shape[1] if array.ndim == 2 else int(array.max()) + 1
    return SampleTable(
        root=Path("/data"),
        names=tuple(f"{i:06d}.png" for i in range(count)),
        classes=tuple(f"c{i}" for i in range(width)),
        labels=array,
        groups=None if groups is None else tuple(groups),
        splits=None if splits is None else tuple(splits),
    )


def counts_of(table: SampleTable, splits: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Return split → images of each class."""
    assert table.labels is not None
    bits = table.labels if table.multilabel else table.labels[:, None] == np.arange(len(table.classes))
    return {split: bits[np.array(splits) == split].sum(axis=0) for split in SPLITS}


def shares_no_group(groups: list[str] | np.ndarray, splits: tuple[str, ...]) -> bool:
    homes = {split: {g for g, s in zip(groups, splits, strict=True) if s == split} for split in SPLITS}
    return not any(homes[a] & homes[b] for a, b in combinations(SPLITS, 2))


# --- one class an image --------------------------------------------------------------------------------------------


def test_every_class_is_split_exactly_to_rounding() -> None:
    table = table_of(np.random.default_rng(0).choice(5, 1000, p=(0.6, 0.2, 0.1, 0.07, 0.03)))
    counts = counts_of(table, assign_splits(table, seed=1))
    whole = sum(counts.values())
    for split, fraction in FRACTIONS.items():
        assert np.abs(counts[split] - fraction * whole).max() < 1


def test_seeds_repeat_and_differ() -> None:
    table = table_of(np.arange(100) % 3)
    assert assign_splits(table, seed=1) == assign_splits(table, seed=1)
    assert assign_splits(table, seed=1) != assign_splits(table, seed=2)


@pytest.mark.parametrize(
    ("images", "expected"), [(1, (1, 0, 0)), (2, (1, 0, 1)), (3, (1, 1, 1)), (5, (3, 1, 1)), (10, (7, 1, 2))]
)
def test_small_classes(images: int, expected: tuple[int, int, int]) -> None:
    table = table_of([0] * 100 + [1] * images)
    counts = counts_of(table, assign_splits(table, seed=0))
    assert tuple(counts[split][1] for split in SPLITS) == expected


def test_no_split_stays_empty_when_all_classes_are_tiny() -> None:
    assert sorted(assign_splits(table_of([0, 1, 2]), seed=0)) == sorted(SPLITS)


def test_unlabelled_images_are_split_too() -> None:
    assert assign_splits(table_of(None, n=50), seed=0).count("train") == 35
    labels = np.array([-1] * 50 + [0] * 50)
    split = np.array(assign_splits(table_of(labels), seed=0))
    assert (split[:50] == "val").sum() == 5


def test_a_fraction_of_zero_leaves_the_split_empty() -> None:
    split = assign_splits(table_of([0, 1] * 10), fractions=(0.8, 0, 0.2), seed=0)
    assert (split.count("train"), split.count("val"), split.count("test")) == (16, 0, 4)


def test_impossible_requests() -> None:
    with pytest.raises(DataError, match=r"2 images .* cannot fill 3 splits"):
        assign_splits(table_of([0, 1]), seed=0)
    with pytest.raises(DataError, match=r"2 groups .* cannot fill 3 splits"):
        assign_splits(table_of([0] * 20, groups=["a", "b"] * 10), seed=0)
    with pytest.raises(DataError, match="left to train on"):
        assign_splits(table_of([0] * 4, splits=["test"] * 4), seed=0)
    for fractions in ((0.5, 0.1, 0.1), (1.2, -0.2, 0.0), (0.5, 0.5)):
        with pytest.raises(ConfigError, match="add up to 1"):
            assign_splits(table_of([0] * 9), fractions=fractions, seed=0)


# --- groups --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_groups_stay_whole_and_classes_balanced(seed: int) -> None:
    rng = np.random.default_rng(seed)
    group = rng.integers(0, 150, 600)
    table = table_of(
        rng.choice(4, 150, p=(0.5, 0.3, 0.15, 0.05))[group], groups=[f"p{g}" for g in group]
    )  # one class a patient
    split = assign_splits(table, seed=seed)
    assert shares_no_group([f"p{g}" for g in group], split)
    counts = counts_of(table, split)
    whole = sum(counts.values())
    for name, fraction in FRACTIONS.items():
        assert np.abs(counts[name] - fraction * whole).max() <= 3


@pytest.mark.parametrize("seed", range(5))
def test_seven_patients_are_split_as_well_as_can_be(seed: int) -> None:
    """198 images of 7 patients, as the autoimmune set has: no division with every split filled is much better."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(7), rng.multinomial(198 - 7, rng.dirichlet(np.full(7, 3.0))) + 1)
    labels = rng.integers(0, 4, 198)

    def distance(split: np.ndarray) -> float:
        held = [np.bincount(labels[split == s], minlength=4) for s in SPLITS]
        if not all(h.sum() for h in held):
            return np.inf
        target = [f * np.bincount(labels, minlength=4) for f in FRACTIONS.values()]
        return float(sum(((h - t) ** 2 / t).sum() for h, t in zip(held, target, strict=True)))

    split = assign_splits(table_of(labels, groups=[f"p{g}" for g in group]), seed=seed)
    assert shares_no_group(group, split)
    best = min(distance(np.array(choice)[group]) for choice in product(SPLITS, repeat=7))
    assert distance(np.array(split)) <= 1.5 * best


def test_an_unknown_group_binds_nothing() -> None:
    split = assign_splits(table_of([0] * 100, groups=[""] * 90 + ["p"] * 10), seed=0)
    assert set(split[:90]) == set(SPLITS)
    assert len(set(split[90:])) == 1


def test_groups_and_clusters_merge() -> None:
    """Image 1 ties group a to cluster 0, which ties it to group b: all of these are one unit."""
    groups = ["a", "a", "b", "b", *(f"x{i}" for i in range(40))]
    clusters = np.array([-1, 0, 0, *[-1] * 41])
    table = table_of([0] * 44, groups=groups)
    assert any(len(set(assign_splits(table, seed=seed)[:4])) > 1 for seed in range(10))
    for seed in range(10):
        assert len(set(assign_splits(table, seed=seed, keep_together=clusters)[:4])) == 1


def test_a_rare_class_reaches_every_split_though_its_groups_are_few() -> None:
    labels = [0] * 300 + [1] * 9
    groups = [f"a{i // 3}" for i in range(300)] + [f"b{i // 3}" for i in range(9)]
    for seed in range(5):
        table = table_of(labels, groups=groups)
        assert all(c[1] == 3 for c in counts_of(table, assign_splits(table, seed=seed)).values())


# --- several labels an image ---------------------------------------------------------------------------------------


def multilabel(n: int, seed: int, rates: tuple[float, ...] = (0.4, 0.2, 0.1, 0.05, 0.02)) -> np.ndarray:
    return (np.random.default_rng(seed).random((n, len(rates))) < rates).astype(np.uint8)


@pytest.mark.parametrize("seed", range(3))
def test_iterative_stratification_beats_chance(seed: int) -> None:
    table = table_of(multilabel(600, seed))
    split = assign_splits(table, seed=seed)
    counts = counts_of(table, split)
    whole = sum(counts.values())
    for name, fraction in FRACTIONS.items():
        assert np.abs(counts[name] - fraction * whole).max() <= 1.5
        assert abs(split.count(name) - fraction * 600) <= 2


def test_multilabel_groups() -> None:
    groups = [f"p{i // 4}" for i in range(400)]
    table = table_of(multilabel(400, 0), groups=groups)
    split = assign_splits(table, seed=0)
    assert shares_no_group(groups, split)
    counts = counts_of(table, split)
    whole = sum(counts.values())
    assert all(np.abs(counts[s] - f * whole).max() <= 3 for s, f in FRACTIONS.items())


# --- the curator's splits ------------------------------------------------------------------------------------------


def test_a_complete_predefined_split_is_kept_to_the_letter() -> None:
    splits = ["train", "val", "test", "test", "train", "val"]
    assert assign_splits(table_of([0, 1] * 3, splits=splits), seed=0) == tuple(splits)


def test_validation_is_carved_from_train_alone() -> None:
    labels = np.arange(1000) % 2
    table = table_of(labels, splits=["train"] * 800 + ["test"] * 200)
    split = assign_splits(table, seed=0)
    assert set(split[800:]) == {"test"}
    assert split.count("val") == 100  # an eighth: 0.1 / (0.7 + 0.1)
    assert counts_of(table, split)["val"].tolist() == [50, 50]


def test_test_is_carved_only_when_absent() -> None:
    split = assign_splits(table_of([0] * 90, splits=["train"] * 80 + ["val"] * 10), seed=0)
    assert (split.count("val"), split[80:]) == (10, ("val",) * 10)
    assert split.count("test") == round(80 * 0.2 / 0.9)
    split = assign_splits(table_of([0] * 100, splits=["train"] * 100), seed=0)
    assert [split.count(s) for s in SPLITS] == [70, 10, 20]


def test_undecided_images_never_join_a_split_that_the_curator_made() -> None:
    split = assign_splits(table_of([0] * 100, splits=["test"] * 10 + [""] * 90), seed=0)
    assert split.count("test") == 10
    assert split.count("val") == round(90 / 8)


def test_carving_respects_groups() -> None:
    groups = [f"p{i // 5}" for i in range(200)]
    split = assign_splits(table_of([0] * 200, groups=groups, splits=["train"] * 150 + ["test"] * 50), seed=0)
    assert shares_no_group(groups, split)


def test_clusters_that_touch_test_leave_train() -> None:
    splits = ["train"] * 50 + ["test"] * 10
    clusters = np.full(60, -1)
    clusters[[3, 4, 55]] = 0
    clusters[[7, 8]] = 1
    split = assign_splits(table_of([0] * 60, splits=splits), seed=0, keep_together=clusters)
    assert {split[i] for i in (3, 4, *range(50, 60))} == {"test"}
    assert split.count("test") == 12
    assert split[7] == split[8] != "test"


# --- label fractions -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("multi", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_fractions_are_nested_and_stratified(multi: bool, seed: int) -> None:
    labels = multilabel(1000, seed) if multi else np.random.default_rng(seed).choice(4, 1000, p=(0.6, 0.3, 0.08, 0.02))
    train = np.arange(0, 1000, 2)
    bits = labels if multi else labels[:, None] == np.arange(4)
    smaller: set[int] = set()
    for fraction in (0.01, 0.1, 0.33, 1.0):
        rows = label_subset(labels, train, fraction=fraction, seed=seed)
        assert smaller <= set(rows.tolist()) <= set(train.tolist())
        smaller = set(rows.tolist())
        assert len(smaller) == len(rows)
        assert bits[rows].any(axis=0).all()
        share = bits[train].sum(axis=0) * fraction
        assert (np.abs(bits[rows].sum(axis=0) - share) <= np.maximum(2, 0.1 * share)).all()
    assert len(rows) == 500
    assert not np.array_equal(
        label_subset(labels, train, fraction=0.1, seed=seed), label_subset(labels, train, fraction=0.1, seed=seed + 9)
    )


def test_asking_for_less_than_one_image_a_class_says_so() -> None:
    labels = np.arange(60) % 6
    rows = label_subset(labels, np.arange(60), fraction=0.01, seed=0)
    assert sorted(labels[rows]) == list(range(6))
    note = subset_note(labels, np.arange(60), rows, 0.01)
    assert "60 training labels" in note
    assert "6 (10.0%) are used" in note
    assert not subset_note(labels, np.arange(60), label_subset(labels, np.arange(60), fraction=0.5, seed=0), 0.5)


def test_images_without_a_label_are_no_part_of_a_fraction() -> None:
    labels = np.array([-1] * 50 + [0] * 50)
    assert label_subset(labels, np.arange(100), fraction=1.0, seed=0).tolist() == list(range(50, 100))
    assert len(label_subset(labels, np.arange(50), fraction=1.0, seed=0)) == 0


def test_an_unknown_label_is_no_positive_and_nothing_known_is_no_label() -> None:
    """Splits, folds and subsets are those of a table that says no instead, but for images of which nothing is known."""
    rng = np.random.default_rng(3)
    labels = np.where(rng.random((300, 3)) < 0.2, -1, rng.random((300, 3)) < (0.5, 0.2, 0.05)).astype(np.int8)
    absent = (labels == 1).astype(np.int8)
    bare = ~labelled(labels)
    assert 0 < bare.sum() < 20
    assert assign_splits(table_of(labels), seed=0) == assign_splits(table_of(absent), seed=0)
    folds = (fold_numbers(found, None, folds=5, seed=0) for found in (labels, absent))
    assert np.array_equal(*folds)
    everything = np.arange(300)
    assert np.array_equal(label_subset(labels, everything, fraction=1.0, seed=0), np.flatnonzero(~bare))
    few = label_subset(labels, everything, fraction=0.1, seed=0)
    assert np.array_equal(few, label_subset(absent, np.flatnonzero(~bare), fraction=0.1, seed=0))
    assert f"{300 - bare.sum()} training labels" in subset_note(labels, everything, few, 0.001)
    assert len(label_subset(labels, np.flatnonzero(bare), fraction=0.5, seed=0)) == 0


@pytest.mark.parametrize("fraction", [0, -0.1, 1.5])
def test_fractions_out_of_range(fraction: float) -> None:
    with pytest.raises(ConfigError, match="above 0 and at most 1"):
        label_subset(np.zeros(5, dtype=np.int64), np.arange(5), fraction=fraction, seed=0)


# --- splits.csv ----------------------------------------------------------------------------------------------------


def test_splits_are_read_back_whatever_the_names(tmp_path: Path) -> None:
    names = ("a b,c.png", 'q"uote.png', "new\nline.png", "cr\rx.png", "caf\udce9.png", "plain.png")
    table = SampleTable(tmp_path, names, ("x", "y"), np.array([0, 1, -1, 0, 1, 1]), groups=tuple("ppqqrr"))
    splits = ("train", "val", "test", "train", "test", "train")
    write_splits(tmp_path / "splits.csv", table, splits, status=["ok", "unreadable: no JPEG", *["ok"] * 4])
    assert read_splits(tmp_path / "splits.csv", table) == splits
    text = (tmp_path / "splits.csv").read_bytes()
    assert text.decode().isascii(), "a name that is not UTF-8 is written with escapes"
    assert b"\r\n" not in text
    assert sorted(p.name for p in tmp_path.iterdir()) == ["splits.csv"]


def test_a_splits_csv_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "splits.csv").mkdir()
    with pytest.raises(RunError, match="Cannot write"):
        write_splits(tmp_path / "splits.csv", table_of([0, 1, 0]), SPLITS)
    assert [p.name for p in tmp_path.iterdir()] == ["splits.csv"]


def test_the_file_is_a_source_of_its_own_with_all_that_is_known(tmp_path: Path) -> None:
    for i in range(4):
        (tmp_path / f"{i:06d}.png").touch()
    names = tuple(f"{i:06d}.png" for i in range(3))
    labels = np.array([[1, 1], [-1, 1], [0, 0]], np.int8)
    left_out = (("000003.png", "a mask of a segmentation"),)
    table = SampleTable(tmp_path, names, ("a", "b"), labels, left_out=left_out)
    write_splits(tmp_path / "splits.csv", table, SPLITS)
    assert (tmp_path / "splits.csv").read_text().splitlines() == [
        "image,split,label:a,label:b,group,status",
        "000000.png,train,1,1,,ok",
        "000001.png,val,-1,1,,ok",
        "000002.png,test,0,0,,ok",
        "000003.png,,,,,left out: a mask of a segmentation",
    ]
    again = load_samples(tmp_path)
    assert (again.names, again.splits, again.left_out) == (names, SPLITS, left_out)
    assert again.labels is not None
    assert np.array_equal(again.labels, labels)
    assert read_splits(tmp_path / "splits.csv", table) == SPLITS


@pytest.mark.parametrize("classes", [("a|b", "c"), ("NA", "?"), ("-1", "3/4"), ("x", "label:x")])
def test_a_reading_comes_back_to_the_letter(tmp_path: Path, classes: tuple[str, ...]) -> None:
    names = tuple(f"{i:06d}.png" for i in range(6))
    for name in names:
        (tmp_path / name).touch()
    table = SampleTable(tmp_path, names, classes, np.array([0, 1, 0, 1, 0, -1]))
    write_splits(tmp_path / "mine.csv", table, ("train", "val", "test") * 2)
    again = load_samples(tmp_path, labels=tmp_path / "mine.csv")
    assert again.labels is not None
    assert again.labels.ndim == 1
    assert [again.classes[i] if i >= 0 else "" for i in again.labels] == [classes[0], classes[1]] * 2 + [classes[0], ""]


def test_an_unknown_label_is_not_told_as_one_that_is_shown() -> None:
    table = table_of(np.array([[-1, 1, 0], [-1, -1, -1]], dtype=np.int8))
    assert [label_text(table, i) for i in range(2)] == ["c1", ""]


def test_images_new_to_a_splits_csv_belong_to_none_and_lost_ones_are_an_error(tmp_path: Path) -> None:
    table = table_of([0, 1, 0, 1])
    write_splits(tmp_path / "splits.csv", table.select([0, 1, 2]), SPLITS)
    assert read_splits(tmp_path / "splits.csv", table) == (*SPLITS, "")
    with pytest.raises(DataError, match=r"2 images .* are not in /data: 000001\.png, 000002\.png"):
        read_splits(tmp_path / "splits.csv", table.select([0]))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", r"is no splits\.csv"),
        ("image,label\nx,y\n", r"is no splits\.csv"),
        ("image,split\n", r"is no splits\.csv"),
        ("image,split\n000000.png,holdout\n", r"image 1 \(000000\.png\) is in the split 'holdout'"),
        ("image,split\n,test\n", "image 1 .* has no name"),
        ("image,split\n000000.png,test\n000000.png,test\n", r"it names 000000\.png twice"),
        ("image,split,label\n000000.png,test\n", "another number of cells"),
        ("image,split\n000000.png,test,more\n", "another number of cells"),
    ],
)
def test_files_that_are_no_splits(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(DataError, match=rf"x\.csv .*{said}"):
        read_splits(tmp_path / "x.csv", table_of([0]))
    with pytest.raises(DataError, match="Cannot read"):
        read_splits(tmp_path / "gone.csv", table_of([0]))


@pytest.mark.shared
def test_ham10000_by_lesion(shared: Path) -> None:
    table = load_samples(shared / "data" / "ham10000")
    split = assign_splits(table, seed=0)
    assert table.groups is not None
    assert shares_no_group(list(table.groups), split)
    counts = counts_of(table, split)
    whole = sum(counts.values())
    for name, fraction in FRACTIONS.items():
        assert np.abs(counts[name] - fraction * whole).max() < 1.5
