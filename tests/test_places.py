"""What leaves a machine tells of a path its last name alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from cass_cli.places import without_folders, without_places


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
