from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cass_cli.data.layouts.columns import Columns
from cass_cli.data.sources import load_samples
from cass_cli.errors import ConfigError, DataError
from tests.data.files import labels_of, noted, touch, write


def test_class_folders_are_sorted_and_read_at_any_depth(tmp_path: Path) -> None:
    table = load_samples(touch(tmp_path, "nevus/b.png", "melanoma/deep/er/a.JPG", "nevus/a.jpeg"))
    assert table.names == ("melanoma/deep/er/a.JPG", "nevus/a.jpeg", "nevus/b.png")
    assert table.classes == ("melanoma", "nevus")
    assert table.labels is not None
    assert table.labels.dtype == np.int64
    assert table.labels.tolist() == [0, 1, 1]
    assert table.groups is None
    assert table.splits is None
    assert table.path(1) == tmp_path / "nevus/a.jpeg"


@pytest.mark.parametrize(
    "folders", [("train", "val", "test"), ("Training", "VALIDATION", "Testing"), ("Train", "valid", "TEST")]
)
def test_split_folders_in_any_spelling(tmp_path: Path, folders: tuple[str, ...]) -> None:
    touch(tmp_path, *(f"{folder}/{c}/1.png" for folder in folders for c in ("glioma", "notumor")))
    table = load_samples(tmp_path)
    assert table.classes == ("glioma", "notumor")
    assert table.splits is not None
    expected = {folder.lower()[:2]: split for folder, split in zip(folders, ("train", "val", "test"), strict=True)}
    assert [expected[name.lower()[:2]] for name in table.names] == list(table.splits)


def test_a_class_missing_from_one_split_keeps_its_index(tmp_path: Path) -> None:
    table = load_samples(touch(tmp_path, "train/a/1.png", "train/b/1.png", "test/b/2.png"))
    assert labels_of(table) == {"train/a/1.png": "a", "train/b/1.png": "b", "test/b/2.png": "b"}


def test_wrapping_folders_are_looked_through(tmp_path: Path) -> None:
    table = load_samples(touch(tmp_path, "Archive/set/Training/a/1.png", "Archive/set/Training/b/1.png"))
    assert table.classes == ("a", "b")
    assert set(table.splits or ()) == {"train"}


def test_images_beside_class_folders_are_left_out_aloud(tmp_path: Path) -> None:
    table = load_samples(touch(tmp_path, "a/1.png", "b/1.png", "overview.png"))
    assert len(table) == 2
    assert noted(table, "1 image", "outside the class folders")


def test_numbered_classes_sort_as_numbers(tmp_path: Path) -> None:
    table = load_samples(touch(tmp_path, *(f"{i}/x.png" for i in range(12))))
    assert table.classes == tuple(str(i) for i in range(12))


def test_one_folder_is_flat_unless_named_a_class(tmp_path: Path) -> None:
    touch(tmp_path, "cats/1.png", "cats/2.png")
    assert load_samples(tmp_path).labels is None
    assert load_samples(tmp_path, layout="classes").classes == ("cats",)


def test_flat_folder_is_unlabelled_with_or_without_splits(tmp_path: Path) -> None:
    table = load_samples(touch(tmp_path / "x", "b.png", "a.png"))
    assert (table.names, table.classes, table.labels, table.splits) == (("a.png", "b.png"), (), None, None)
    table = load_samples(touch(tmp_path / "y", "train/a.png", "test/b.png"))
    assert table.labels is None
    assert table.splits == ("test", "train")


def test_flat_ignores_class_folders_when_asked(tmp_path: Path) -> None:
    assert load_samples(touch(tmp_path, "a/1.png", "b/1.png"), layout="flat").labels is None


def test_dermofit_cases_without_their_masks(tmp_path: Path) -> None:
    names = ["AK/A1/A1.png", "AK/A2/A2.png", "MEL/B7/B7.png"]
    touch(tmp_path, *names, *(name.replace(".png", "mask.png") for name in names))
    table = load_samples(tmp_path)
    assert list(table.names) == names
    assert table.classes == ("AK", "MEL")
    assert table.groups is None  # every case has one image: nothing to keep together
    assert noted(table, "Dermofit")
    assert noted(table, "3 masks", "left out")


def test_dermofit_cases_of_several_images_are_groups(tmp_path: Path) -> None:
    table = load_samples(touch(tmp_path, "AK/A1/A1a.png", "AK/A1/A1b.png", "MEL/B7/B7.png"), layout="dermofit")
    assert table.groups == ("AK/A1", "AK/A1", "MEL/B7")


def test_a_mask_needs_its_image_beside_it(tmp_path: Path) -> None:
    table = load_samples(touch(tmp_path, "a/with_mask.png", "a/1.png", "a/1_mask.png", "b/mask.png"))
    assert table.names == ("a/1.png", "a/with_mask.png", "b/mask.png")


def test_folders_without_images(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    touch(tmp_path / "texts", "a.txt", "b.txt", "c.pdf", "README")
    for name, message in (
        ("empty", "is empty"),
        ("texts", r"no image among the 4 files .*\.txt 2"),
        ("gone", "There is no folder"),
        ("texts/a.txt", "is a file"),
    ):
        with pytest.raises(DataError, match=message):
            load_samples(tmp_path / name)


@pytest.mark.parametrize(
    ("lines", "options", "message"),
    [
        (["image,label", "0.png,a"], {"label": "lable"}, "no column 'lable'.*Did you mean 'label'"),
        (["image,label", "0.png,a"], {"group": "patient"}, "no column 'patient'.*It has: image, label"),
        (["foo,label", "7.png,a"], {}, "looks like image names"),
        (["image,stage,colour", "0.png,I,a"], {}, "can be told to be the label: stage, colour"),
        (["image,label", "0.png,a,b"], {}, "Row 2 .* has 3 cells, its header 2"),
        (["image,label,label", "0.png,a,b"], {}, "several columns named label"),
        (["image,label"], {}, "no rows below its header"),
    ],
)
def test_csv_errors_say_what_to_mend(tmp_path: Path, lines: list[str], options: dict[str, str], message: str) -> None:
    touch(tmp_path, "0.png")
    with pytest.raises(DataError, match=message):
        load_samples(tmp_path, labels=write(tmp_path / "labels.csv", *lines), columns=Columns(**options))


def test_unknown_layout_and_layouts_that_do_not_fit(tmp_path: Path) -> None:
    touch(tmp_path, "0.png")
    with pytest.raises(ConfigError, match="Did you mean 'classes'"):
        load_samples(tmp_path, layout="class")
    for layout, message in (("classes", "no class folders"), ("dermofit", "no class folders"), ("csv", "no CSV")):
        with pytest.raises(DataError, match=message):
            load_samples(tmp_path, layout=layout)


def test_select_keeps_rows_together(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{i}.png" for i in range(4)))
    write(tmp_path / "labels.csv", "image,label,group,split", *(f"{i}.png,{'ab'[i % 2]},g{i},train" for i in range(4)))
    picked = load_samples(tmp_path).select([3, 0])
    assert picked.names == ("3.png", "0.png")
    assert labels_of(picked) == {"3.png": "b", "0.png": "a"}
    assert (picked.groups, picked.splits) == (("g3", "g0"), ("train", "train"))
    assert picked.classes == ("a", "b")


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "images", "classes", "multilabel", "groups"),
    [("brain_mri", 3264, 4, False, None), ("ham10000", 3594, 7, False, 2672), ("chula_rbc12", 623, 13, True, None)],
)
def test_real_sets(shared: Path, name: str, images: int, classes: int, multilabel: bool, groups: int | None) -> None:
    table = load_samples(shared / "data" / name)
    assert (len(table), len(table.classes), table.multilabel) == (images, classes, multilabel)
    assert (len(set(table.groups)) if table.groups else None) == groups
    if name == "brain_mri":
        assert table.splits is not None
        assert (table.splits.count("train"), table.splits.count("test")) == (2870, 394)
