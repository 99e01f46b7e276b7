from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from cass_cli.data.layouts import scan
from cass_cli.data.sources import load_samples
from cass_cli.errors import DataError
from tests.data.files import noted, touch


def test_hidden_and_system_files_are_ignored(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.png", "b/1.png", "a/._1.png", "__MACOSX/a/1.png", ".git/x.png", "a/Thumbs.db", "a/.DS_Store")
    table = load_samples(tmp_path)
    assert table.names == ("a/1.png", "b/1.png")
    assert not noted(table, "no image")


def test_link_loops_end_and_links_inside_are_followed(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.png", "b/1.png")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "b" / "self.png").symlink_to(tmp_path / "b" / "self.png")
    (tmp_path / "b" / "2.png").symlink_to(tmp_path / "a" / "1.png")
    (tmp_path / "aa").symlink_to(tmp_path / "b")
    table = load_samples(tmp_path)
    # a link to itself stays, as an image that cannot be read
    assert table.names == ("a/1.png", "b/1.png", "b/2.png", "b/self.png")
    assert noted(table, "2 linked folders lead to a folder already read")


def test_a_linked_folder_outside_needs_permission(tmp_path: Path) -> None:
    root = touch(tmp_path / "root", "a/1.png")
    touch(tmp_path / "store", "1.png", "back/2.png")
    (root / "b").symlink_to(tmp_path / "store")
    (tmp_path / "store" / "round").symlink_to(tmp_path / "store")
    with pytest.raises(DataError, match=r"1 link leads out of the data folder .*: b"):
        load_samples(root)
    assert load_samples(root, allow_outside=True).names == ("a/1.png", "b/1.png", "b/back/2.png")


def test_links_end_where_the_system_says(tmp_path: Path) -> None:
    """Through linked folders, chains, dots and a way out and back in: as `realpath`, which is slower."""
    root = touch(tmp_path / "set", "a/1.png", "a/deep/2.png")
    touch(tmp_path / "store", "3.png")
    links = {
        "aa": "a",
        "b1.png": "a/1.png",
        "b2.png": "aa/../a/deep/2.png",
        "b3.png": "b2.png",
        "b4.png": str(root / "aa" / "1.png"),
        "b5.png": "../set/a/1.png",
        "c": "a/deep/..",
        "d": "a/deep/",
        "e": "../store",
        "f.png": "e/3.png",
        "a/deep/g.png": "../1.png",
    }
    for name, target in links.items():
        (root / name).symlink_to(target)
    for name in links:
        end, status = scan._link_end(f"{root}/{name}", os.path.realpath)
        assert end == str((root / name).resolve())
        assert os.path.samestat(status, (root / name).stat())
    with pytest.raises(DataError, match=r"2 links lead out of the data folder .*: e, f\.png"):
        load_samples(root)


def test_folders_of_links_are_resolved_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, *(f"a/{i:03d}.png" for i in range(300)))
    (tmp_path / "b").mkdir()
    for i in range(300):
        (tmp_path / "b" / f"{i:03d}.png").symlink_to(f"../a/{i:03d}.png")
    resolved: list[str] = []
    realpath = os.path.realpath

    def counted(path: Any, **how: Any) -> str:
        resolved.append(path)
        return realpath(path, **how)

    monkeypatch.setattr(scan.os.path, "realpath", counted)
    assert len(load_samples(tmp_path)) == 600
    assert len(resolved) < 10


def test_unreadable_folders_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "a/1.png", "locked/1.png")
    scandir = os.scandir

    def refuse(path: Any) -> Any:  # root may read everything, so permission bits alone prove nothing
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    with monkeypatch.context() as patch:
        patch.setattr(scan.os, "scandir", refuse)
        with pytest.raises(DataError, match=r"1 folder .* cannot be read: locked \(Permission denied\)"):
            load_samples(tmp_path)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse names that are not UTF-8")
def test_names_of_any_bytes(tmp_path: Path) -> None:
    for name in (b"new\nline.png", b"caf\xe9.png", b"tab\t.png", "ü.png".encode()):
        (Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))).touch()
    table = load_samples(tmp_path)
    assert len(table) == 4
    assert all(table.path(i).is_file() for i in range(4))
    with pytest.raises(DataError) as caught:
        load_samples(tmp_path, layout="csv")
    assert str(caught.value).encode("utf-8")


def test_images_need_a_suffix_except_dicom(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "LICENSE")
    (tmp_path / "IM0001").write_bytes(b"\0" * 128 + b"DICM" + b"\0" * 10)
    table = load_samples(tmp_path)
    assert table.names == ("IM0001", "a.png")
    assert noted(table, "1 file is no image", "no suffix 1")


def test_dicom_files_are_known_by_how_they_begin_where_no_suffix_tells(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "notes.1", "notes.2", "1.2.3.txt", "MR.1.2.dat")
    marked, bare = b"\0" * 128 + b"DICM" + b"\0" * 10, b"\x08\0\x05\0\x0a\0\0\0ISO_IR 100\x08\0\x08\0" + b"\0" * 9
    typed, big = b"\x08\0\x05\0CS\x0a\0ISO_IR 100", b"\0\x08\0\x05CS\0\x0aISO_IR 100"
    (tmp_path / "MR.1.3.12.2.1107.5.2.32.35162.1999").write_bytes(marked)
    for name, begin in (("1.2.840.1", bare), ("1.2.840.2", typed), ("1.2.840.3", big), ("1.2.3.txt", marked)):
        (tmp_path / name).write_bytes(begin)
    (tmp_path / "1.2.840.4").write_bytes(bare[:18] + b"other things")  # no second element where it should be
    table = load_samples(tmp_path)
    assert table.names == ("1.2.840.1", "1.2.840.2", "1.2.840.3", "MR.1.3.12.2.1107.5.2.32.35162.1999", "a.png")
    assert noted(table, "5 files are no images (no suffix 3, .dat 1, .txt 1)")


@pytest.mark.parametrize("name", ["DICOMDIR", "disc/dicomdir"])
def test_the_index_of_dicom_media_is_no_image(name: str, tmp_path: Path) -> None:
    touch(tmp_path, "a.png", name)
    (tmp_path / name).write_bytes(b"\0" * 128 + b"DICM" + b"\0" * 10)
    (tmp_path / "link").mkdir()
    (tmp_path / "link" / "Dicomdir").symlink_to(tmp_path / name)
    table = load_samples(tmp_path)
    assert table.names == ("a.png",)
    assert noted(table, "2 files are no images (DICOMDIR 2): left out")


def test_pipes_are_not_opened(tmp_path: Path) -> None:
    touch(tmp_path, "a.png")
    os.mkfifo(tmp_path / "b.png")
    os.mkfifo(tmp_path / "labels.csv")
    os.mkfifo(tmp_path / "without")
    (tmp_path / "link").symlink_to(tmp_path / "without")
    assert load_samples(tmp_path).names == ("a.png",)


def test_a_linked_table_outside_is_not_read(tmp_path: Path) -> None:
    root = touch(tmp_path / "root", "1.png", "2.png")
    (tmp_path / "labels.csv").write_text("image,label\n1.png,a\n2.png,b\n")
    (root / "labels.csv").symlink_to(tmp_path / "labels.csv")
    assert load_samples(root).labels is None
    assert load_samples(root, allow_outside=True).classes == ("a", "b")


def test_a_hundred_thousand_files_are_listed_without_a_stat_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = next(iter(os.scandir(touch(tmp_path, "x.png"))))

    class Entry:
        """A directory entry that counts: only its type, which comes with the listing, may be asked for."""

        def __init__(self, number: int) -> None:
            self.name = f"{number:06d}.png"
            self.path = str(tmp_path / self.name)
            self.is_symlink = entry.is_symlink
            self.is_dir = entry.is_dir
            self.is_file = entry.is_file

    class Listing(list[Any]):
        def __enter__(self) -> Listing:
            return self

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(scan.os, "scandir", lambda _: Listing(Entry(n) for n in range(100_000)))
    assert len(load_samples(tmp_path)) == 100_000


def test_whole_slides_are_pointed_to_their_command(tmp_path: Path) -> None:
    touch(tmp_path, "a.svs", "b.NDPI")
    with pytest.raises(DataError, match="whole slides") as caught:
        load_samples(tmp_path)
    assert "cass tile" in caught.value.hint
    touch(tmp_path, "c.png")
    assert any("2 whole slides are left out: cass tile" in note for note in load_samples(tmp_path).notes)
