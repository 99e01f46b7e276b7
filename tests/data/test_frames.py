from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cass_cli.data.decode.facts import ImageFacts, PixelRules
from cass_cli.data.decode.spread import around_middle, evenly, middle
from cass_cli.data.duplicates import exact_duplicates
from cass_cli.data.fingerprints import fingerprints
from cass_cli.data.frames import FrameRules, file_of, frame_of, with_frames
from cass_cli.data.image_rows import read_headers
from cass_cli.data.sample_table import SampleTable
from cass_cli.data.samples import read_sample
from cass_cli.data.sources import load_samples
from cass_cli.data.splits import assign_splits, read_splits, write_splits
from cass_cli.data.store.file import header_of
from cass_cli.data.store.store import build_store
from cass_cli.errors import DataError
from tests.data.files import write

ALL = FrameRules("all")
BEFORE = "d400f64c08f66b6585cf630bc834907d"  # the key of a cache from before there were windows, channels and frames


def pages(path: Path, n: int, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    first, *others = (Image.fromarray(rng.integers(0, 256, (12, 10, 3), np.uint8)) for _ in range(n))
    first.save(path, save_all=True, append_images=others)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three recordings of class a, two of b, and a still of each."""
    for i in range(3):
        pages(tmp_path / f"a/{i}.tif", 12, seed=i)
    for i in range(2):
        pages(tmp_path / f"b/{i}.tif", 3, seed=9 + i)
    for seed, name in enumerate(("a/still.png", "b/still.png")):
        Image.fromarray(np.random.default_rng(seed).integers(0, 256, (9, 9, 3), np.uint8)).save(tmp_path / name)
    return tmp_path


def test_which_are_taken() -> None:
    assert [middle(n) for n in (1, 2, 3, 4, 5)] == [0, 0, 1, 1, 2]
    assert around_middle(9, 3) == [3, 4, 5] and around_middle(8, 3) == [2, 3, 4] and around_middle(2, 3) == [0, 1]
    assert around_middle(9, 1) == [middle(9)] and around_middle(8, 1) == [middle(8)]
    assert evenly(10, 3) == [1, 4, 8] and evenly(4, 4) == [0, 1, 2, 3] and evenly(3, 9) == [0, 1, 2]
    for n in range(1, 40):
        for count in range(1, n + 1):
            found = evenly(n, count)
            assert len({*found}) == count and found[0] >= 0 and found[-1] < n
            assert max(np.diff(found), default=1) - min(np.diff(found), default=1) <= 1
        assert evenly(n, 1) == [middle(n)]


def test_several_middle_slices_hold_the_fewer_ones() -> None:
    facts = ImageFacts(9, 9, "int16", 16, "NIfTI", pages=31, unit="slice")
    for count in range(1, 40):
        few, many = (FrameRules(slices=n).of(facts) for n in (count, count + 1))
        assert {*few} <= {*many} and len(few) == min(count, 31)


@pytest.mark.parametrize(("how", "taken"), [("all", 12), ("middle", 1), (5, 5), (99, 12), ("first", 1)])
def test_frames_are_images_of_one_group_with_the_label_of_their_file(how: str | int, taken: int, folder: Path) -> None:
    table = load_samples(folder, frames=FrameRules(how))
    of_one = [i for i, name in enumerate(table.names) if file_of(name) == "a/1.tif"]
    assert len(of_one) == taken
    assert [table.path(i) for i in of_one] == [folder / "a/1.tif"] * taken
    assert list(table.names) == sorted(table.names)
    assert table.labels is not None
    assert all((table.classes[label] == name[0]) for label, name in zip(table.labels, table.names, strict=True))
    if taken == 1:
        assert table.groups is None
        return
    assert table.groups == tuple("" if "still" in name else file_of(name) for name in table.names)
    splits = assign_splits(table, seed=0, fractions=(0.6, 0.2, 0.2))
    assert len({splits[i] for i in of_one}) == 1
    assert any("several frames" in note and f"--frames {how}" in note for note in table.notes)


def test_first_is_as_if_there_were_no_frames_and_reads_no_header(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cass_cli.data.frames.describe_image", lambda *_: pytest.fail("a header was read"))
    table = load_samples(folder)
    assert table.names == ("a/0.tif", "a/1.tif", "a/2.tif", "a/still.png", "b/0.tif", "b/1.tif", "b/still.png")
    assert table.groups is None and not any("frames" in note for note in table.notes)


def test_stills_are_not_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a.jpg", "b.bmp"):
        Image.new("RGB", (9, 9)).save(tmp_path / name)
    monkeypatch.setattr("cass_cli.data.frames.describe_image", lambda *_: pytest.fail("a header was read"))
    assert load_samples(tmp_path, frames=ALL).names == ("a.jpg", "b.bmp")


def test_names_sort_as_frames_do(tmp_path: Path) -> None:
    pages(tmp_path / "a.gif", 12)
    names = load_samples(tmp_path, frames=ALL).names
    assert names[0] == "a.gif#frame=000" and names[11] == "a.gif#frame=011" and list(names) == sorted(names)
    facts = ImageFacts(9, 9, "L", 8, "TIFF", pages=2000)
    table = SampleTable(root=tmp_path, names=("a.gif",))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cass_cli.data.frames.describe_image", lambda *_: facts)
        names = with_frames(table, ALL).names
    assert names[7] == "a.gif#frame=0007" and list(names) == sorted(names)


def test_a_group_that_is_known_stays(folder: Path) -> None:
    table = load_samples(folder, group_pattern=r"(\d)\.tif", frames=FrameRules(2))
    assert table.groups is not None
    told = dict(zip(table.names, table.groups, strict=True))
    assert told["a/0.tif#frame=002"] == told["b/0.tif#frame=000"] == "0" and told["a/still.png"] == ""


def test_pixels_are_those_of_the_frame(folder: Path) -> None:
    table = load_samples(folder, frames=ALL)
    row = table.names.index("a/2.tif#frame=007")
    with Image.open(folder / "a/2.tif") as image:
        image.seek(7)
        assert np.array_equal(read_sample(table, row), np.asarray(image))
    assert read_headers(table, 2)[0][row].pages == 12
    store = build_store(table, size=16, mode="ram", workers=2)
    assert len(store) == len(table) == 3 * 12 + 2 * 3 + 2 and store.notes == ()


def test_a_file_that_cannot_be_read_stays_one_image(folder: Path) -> None:
    (folder / "a/bad.tif").write_bytes(b"II*\0 no more")
    (folder / "b/short.tif").write_bytes(pages(folder / "b/0.tif", 3).read_bytes()[:-60])
    table = load_samples(folder, frames=ALL)
    assert "a/bad.tif" in table.names
    store = build_store(table, size=16, mode="ram", bad_images="skip")
    assert "a/bad.tif" in {image.name for image in store.bad}
    assert len(store) >= len(table) - 4


def test_a_file_called_as_a_frame_is_refused(tmp_path: Path) -> None:
    Image.new("RGB", (9, 9)).save(tmp_path / "scan#frame=003", "PNG")
    Image.new("RGB", (9, 9)).save(tmp_path / "other#frame=003.png")
    with pytest.raises(DataError, match=r"called as cass calls one image of several in a file: scan#frame=003"):
        load_samples(tmp_path)
    (tmp_path / "scan#frame=003").unlink()
    assert load_samples(tmp_path).names == ("other#frame=003.png",)


def test_channels_of_an_archive_can_be_chosen(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (4, 9, 9, 3), np.uint8)
    np.savez(tmp_path / "a.npz", train_images=images, train_labels=np.zeros((4, 1), int))
    table = load_samples(tmp_path / "a.npz", frames=ALL, rules=PixelRules(channels=(1,)))
    assert np.array_equal(read_sample(table, 2), np.repeat(images[2, :, :, 1:2], 3, axis=2))


def test_names() -> None:
    for name in ("a.png", "a#b.png", "a.tif#frame=", "a.tif#frame=x", "#frame=3", "a.tif#frame=1.png"):
        assert (file_of(name), frame_of(name)) == (name, None)
    assert (file_of("d/a.nii.gz#slice=060"), frame_of("d/a.nii.gz#slice=060")) == ("d/a.nii.gz", 60)


def test_a_reading_with_frames_is_read_back(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    table = load_samples(folder, frames=FrameRules(3))
    splits = assign_splits(table, seed=0, fractions=(0.6, 0.2, 0.2))
    path = tmp_path_factory.mktemp("run") / "splits.csv"
    write_splits(path, table, splits)
    assert read_splits(path, table) == splits
    with pytest.raises(DataError, match=r"15 images in .* are not in") as raised:
        read_splits(path, load_samples(folder))
    assert "--frames" in raised.value.hint
    again = load_samples(folder, labels=path)
    assert (again.names, again.groups, again.splits) == (table.names, table.groups, splits)
    assert np.array_equal(again.labels, table.labels)  # type: ignore[arg-type]
    assert not any("not in the CSV" in note for note in again.notes)
    lines = path.read_text().splitlines()
    path.write_text("\n".join(["image,label", *(f"{line.split(',')[0]},x" for line in lines[1:3])]))
    few = load_samples(folder, labels=path)
    assert few.names == table.names[:2] and few.groups == ("a/0.tif",) * 2


def test_frames_of_a_file_are_no_copies_of_each_other_but_those_of_a_copy_are(folder: Path) -> None:
    table = load_samples(folder, frames=ALL)
    assert exact_duplicates(table).tolist() == []
    (folder / "b/copy.tif").write_bytes((folder / "a/0.tif").read_bytes())
    table = load_samples(folder, frames=FrameRules(2))
    pairs = [(table.names[one], table.names[two]) for one, two in exact_duplicates(table)]
    assert pairs == [(f"a/0.tif#frame={n:03}", f"b/copy.tif#frame={n:03}") for n in (2, 8)]


def test_a_file_is_fingerprinted_once(folder: Path) -> None:
    table = load_samples(folder, frames=ALL)
    assert list(fingerprints(table, range(len(table)))) == list(load_samples(folder).names)


@pytest.mark.parametrize(
    "other", [{"window": (0.0, 1.0)}, {"window": (0.0, 2.0)}, {"channels": (1,)}, {"channels": (0, 1, 2)}]
)
def test_what_changes_pixels_changes_the_key_of_the_cache_and_limits_do_not(other: dict[str, Any]) -> None:
    table = SampleTable(root=Path("/nowhere"), names=("a.png", "b.png"))
    assert header_of(table, 32, "squash").key == BEFORE
    assert header_of(replace(table, rules=PixelRules(5, 6)), 32, "squash").key == BEFORE
    keys = {
        header_of(replace(table, rules=rules), 32, "squash").key
        for rules in (PixelRules(), PixelRules(**other), PixelRules(window=(3.0, 4.0)), PixelRules(channels=(2,)))
    }
    assert len(keys) == 4


def test_one_image_under_two_names_is_refused_and_another_spelling_is_cass_own(tmp_path: Path) -> None:
    nibabel = pytest.importorskip("nibabel")
    for name in ("v", "w"):
        volume = np.arange(5 * 6 * 4, dtype=np.int16).reshape(5, 6, 4)
        nibabel.save(nibabel.Nifti1Image(volume, np.diag((1, 1, 3, 1))), tmp_path / f"{name}.nii.gz")
    write(tmp_path / "labels.csv", "image,label", "v.nii.gz#frame=2,a", "w.nii.gz,b")
    assert load_samples(tmp_path).names == ("v.nii.gz#slice=002", "w.nii.gz#slice=001")
    write(tmp_path / "labels.csv", "image,label", "v.nii.gz#slice=2,a", "v.nii.gz#slice=002,b", "w.nii.gz,b")
    with pytest.raises(DataError, match=r"named twice: v\.nii\.gz#slice=002"):
        load_samples(tmp_path)
    write(tmp_path / "labels.csv", "image,label", "v.nii.gz#slice=4,a", "w.nii.gz,b")
    with pytest.raises(DataError, match=r"#slice=4 is named, and v.nii.gz has 4 slices"):
        load_samples(tmp_path)


def test_arrays_beside_images_are_left_out(tmp_path: Path) -> None:
    for i in range(3):
        Image.fromarray(np.full((8, 8, 3), 40 * i, np.uint8)).save(tmp_path / f"{i}.png")
        np.save(tmp_path / f"{i}_embedding.npy", np.zeros((2, 512), np.float32))
        np.save(tmp_path / f"{i}.npy", np.zeros((8, 8), np.uint8))
        np.save(tmp_path / f"row{i}.npy", np.zeros((1, 512), np.float32))
    np.save(tmp_path / "scan.npy", np.zeros((9, 8), np.uint8))
    table = load_samples(tmp_path)
    assert table.names == ("0.png", "1.png", "2.png", "scan.npy")
    assert ("0_embedding.npy", "in a format that is not read") in table.left_out


def test_a_name_that_ends_like_one_before_its_suffix_is_found_by_its_stem(tmp_path: Path) -> None:
    for i in (12, 13):
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / f"x#slice={i}.png")
    write(tmp_path / "labels.csv", "image,label", "x#slice=12,a", "x#slice=13,b")
    assert load_samples(tmp_path).names == ("x#slice=12.png", "x#slice=13.png")
