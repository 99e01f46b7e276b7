"""What leaves a machine tells of a path its last name alone."""

from __future__ import annotations

from pathlib import Path, PureWindowsPath

import pytest

from cass_cli.places import for_windows, why_not_on_windows, without_folders, without_places


@pytest.mark.parametrize(
    ("word", "left"),
    [
        ("/home/anna b/data/isic", "isic"),
        ("--data=/home/anna/isic", "--data=isic"),
        ("data.splits=/home/anna/runs/p/splits.csv", "data.splits=splits.csv"),
        ("~/isic", "isic"),
        ("~anna/isic", "isic"),
        ("/home/anna/isic/", "isic/"),
        (r"C:\Users\anna\isic", "isic"),
        (r"\\server\anna\isic", "isic"),
        ("runs/p", "runs/p"),
        ("https://example.org/a", "https://example.org/a"),
        ("mean|joint", "mean|joint"),
        ("/", "/"),
    ],
)
def test_an_absolute_path_is_told_by_its_last_name(word: str, left: str) -> None:
    assert without_folders(word) == left


def test_a_sentence_tells_no_folder() -> None:
    places = [Path("/home/anna b/runs"), Path("/home/anna b"), Path("/")]
    said = "/home/anna b/runs/p is older (2 of 3 trials). Again: cass finetune --run '/mnt/x/p' at 0.5 µm/px, 1/2"
    assert (
        without_places(said, places) == "p is older (2 of 3 trials). Again: cass finetune --run 'p' at 0.5 µm/px, 1/2"
    )
    assert without_places("Nothing in /home/anna b, see ~/x/y.", places) == "Nothing in anna b, see y."


@pytest.mark.parametrize(
    ("said", "left"),
    [
        (r"Cannot read C:\Users\anna\isic\a.png.", "Cannot read a.png."),
        (r"See \\server\share\anna\b.csv, or D:/x/c.csv", "See b.csv, or c.csv"),
        ("https://example.org/a at 1:2, a: b", "https://example.org/a at 1:2, a: b"),
    ],
)
def test_a_sentence_tells_no_folder_of_windows(said: str, left: str) -> None:
    assert without_places(said) == left


BAD = (
    *("a:b", "a?b", "a<b", 'a"b', "a|b", "a*b", "a/b", "a\\b", "a\nb", "con", "NUL", "Aux.png", "com1", "LPT9.tar.gz"),
    *("nul .txt", "a.", "a ", "CONIN$", "ü" * 256, "😀" * 128),
)


@pytest.mark.parametrize("name", BAD)
def test_a_name_that_windows_cannot_have_is_known_and_can_be_mended(name: str) -> None:
    """As Microsoft's page on naming files has it; names are counted in UTF-16."""
    assert why_not_on_windows(name)
    assert len(name) > 100 or not why_not_on_windows(for_windows(name))


@pytest.mark.parametrize("name", ["isic-cass-20260101", "v1.0", "console", "com", "com10", "nul-1", "Größe", "ü" * 255])
def test_a_name_that_it_can_have_stays(name: str) -> None:
    """Python's own rule (3.13) is held against ours where it is there."""
    assert not why_not_on_windows(name) and for_windows(name) == name
    assert not PureWindowsPath(name).is_reserved()


def test_python_reserves_no_name_that_is_taken() -> None:
    for name in BAD:
        if PureWindowsPath(name).is_reserved():
            assert why_not_on_windows(name), name
