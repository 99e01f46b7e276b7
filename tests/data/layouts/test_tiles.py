"""The table that `cass tile` writes is read by itself, whatever the slides are called."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from cass_cli.data.sources import load_samples

SLIDES = ("train_1", "train_2", "test_1", "test_2")


@pytest.fixture
def tiles(tmp_path: Path) -> Path:
    """Two tiles of each slide, two slides of each patient."""
    lines = ["image,slide,patient,x,y"]
    for i, slide in enumerate(SLIDES):
        (tmp_path / slide).mkdir()
        for x in (0, 448):
            image = f"{slide}/{slide}_x{x}_y{x}.png"
            Image.new("RGB", (8, 8), (10 * i, x // 4, 0)).save(tmp_path / image)
            lines.append(f"{image},{slide},p{i // 2},{x},{x}")
    (tmp_path / "tiles.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


@pytest.mark.parametrize("labels", [None, "tiles.csv"])
def test_places_are_no_labels_and_names_of_slides_no_splits(tiles: Path, labels: str | None) -> None:
    """Elsewhere y is a label, and folders called train_1 and test_1 are splits."""
    table = load_samples(tiles, labels=None if labels is None else tiles / labels)
    assert (table.labels, table.splits, table.groups_by) == (None, None, "column patient")
    assert table.groups == ("p1",) * 4 + ("p0",) * 4  # by name: test before train


def test_columns_behind_the_places_are_read_as_of_any_table(tiles: Path) -> None:
    lines = (tiles / "tiles.csv").read_text().splitlines()
    more = [f"{line},{'ab'['_2/' in line]},{'train' if line[:2] == 'tr' else 'test'}" for line in lines[1:]]
    (tiles / "tiles.csv").write_text("\n".join([f"{lines[0]},label,split", *more]))
    table = load_samples(tiles)
    assert table.classes == ("a", "b")
    assert table.splits == ("test",) * 4 + ("train",) * 4


def test_it_goes_before_other_tables(tiles: Path) -> None:
    lines = (tiles / "tiles.csv").read_text().splitlines()[1:]
    (tiles / "labels.csv").write_text("image,label\n" + "".join(f"{line.split(',')[0]},a\n" for line in lines))
    table = load_samples(tiles)
    assert table.labels is None and table.groups is not None
    assert any("labels.csv is not used" in note for note in table.notes)
