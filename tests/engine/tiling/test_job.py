from __future__ import annotations

import csv
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

pytest.importorskip("openslide", reason="the optional extra 'slides' is not installed")

from cass_cli.data.slides.reader import Resolution
from cass_cli.engine.tiling.job import Tiled, TileRequest, tile_job
from cass_cli.engine.tiling.plan import Cut
from cass_cli.errors import CassError
from tests.data.slides.drawn import draw_six, glass, held, shrunk, stain, write_slide

X20 = Resolution(20)


@pytest.fixture(scope="session")
def slides(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_six(tmp_path_factory.mktemp("drawn") / "slides")


def tiled(
    *slides: Path, out: Path, asked: Resolution = X20, table: Path | None = None, overwrite: bool = False, **cut: Any
) -> Tiled:
    chosen = Cut(asked, **{"size": 32, **cut})
    return tile_job(TileRequest(slides, out, chosen, table, overwrite=overwrite, workers=2), lambda *_: None)


def refused(*slides: Path, out: Path, **more: Any) -> str:
    """What is said of a folder that stays as it was."""
    before = held(out)
    with pytest.raises(CassError) as told:
        tiled(*slides, out=out, **more)
    assert held(out) == before
    return str(told.value)


def rows(out: Path) -> list[dict[str, str]]:
    with (out / "tiles.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def places(out: Path, slide: str) -> list[tuple[int, int]]:
    return [(int(row["x"]), int(row["y"])) for row in rows(out) if row["slide"] == slide]


def test_tiles_cover_the_tissue_and_nothing_else(tmp_path: Path) -> None:
    """And are the slide's own pixels at the magnification asked for."""
    pixels = glass(512, 512)
    stain(pixels, 64, 128, 192, 64)
    stain(pixels, 384, 384, 64, 64)
    found = tiled(write_slide(tmp_path / "s.svs", pixels), out=tmp_path / "t")
    assert set(places(tmp_path / "t", "s")) == {(64, 128), (128, 128), (192, 128), (384, 384)}
    assert (found.tiles, found.plans[0].empty) == (4, 60)
    files = {name for name in held(tmp_path / "t") or {} if name != "tiles.csv"}
    assert files == {row["image"] for row in rows(tmp_path / "t")}
    half = shrunk(pixels, 2)
    for row in rows(tmp_path / "t"):
        x, y = int(row["x"]) // 2, int(row["y"]) // 2
        assert (np.asarray(Image.open(tmp_path / "t" / row["image"])) == half[y : y + 32, x : x + 32]).all()


def test_half_the_magnification_is_a_quarter_of_the_tiles(slides: Path, tmp_path: Path) -> None:
    asked = [Resolution(40), Resolution(20), Resolution(mpp=1.0), Resolution()]
    found = [tiled(slides, asked=what, out=tmp_path / str(i)).tiles for i, what in enumerate(asked)]
    assert found == [6 * 32, 6 * 8, 6 * 2, 6 * 32]


def test_the_share_of_tissue_decides(slides: Path, tmp_path: Path) -> None:
    assert tiled(slides, tissue=0, out=tmp_path / "all").tiles == 6 * 16
    empty = write_slide(tmp_path / "empty.svs", glass(256, 256), levels=(1,))
    found = tiled(slides, empty, out=tmp_path / "some")
    assert {plan.name: len(plan.places) for plan in found.plans}["empty"] == 0
    assert not (tmp_path / "some" / "empty").exists()
    assert "None of 16 tiles is 50% tissue" in refused(empty, out=tmp_path / "none")


def test_most_draws_by_the_seed_and_the_slides_name(slides: Path, tmp_path: Path) -> None:
    def drawn(most: int, seed: int, source: Path = slides) -> list[tuple[int, int]]:
        out = tmp_path / str(len(list(tmp_path.iterdir())))
        found = tiled(source, most=most, seed=seed, out=out)
        plan = next(plan for plan in found.plans if plan.name == "tumor_2")
        assert (list(plan.places), plan.beyond_most) == (places(out, "tumor_2"), 8 - most)
        return places(out, "tumor_2")

    few = drawn(3, 0)
    assert few == drawn(3, 0, slides / "tumor_2.svs")  # whatever else is tiled
    assert set(few) < set(drawn(5, 0))  # of more tiles, these are the first
    assert len({tuple(drawn(3, seed)) for seed in range(4)}) > 1


def test_a_slides_patient_and_columns_are_said_of_each_of_its_tiles(slides: Path, tmp_path: Path) -> None:
    (tmp_path / "about.csv").write_text("slide,patient,label,x\nnormal_0,p0,a,7\ntumor_2,p1,b,8\n")
    found = tiled(slides, table=tmp_path / "about.csv", out=tmp_path / "t")
    assert list(rows(tmp_path / "t")[0]) == ["image", "slide", "patient", "x", "y", "label"]
    said = {(row["slide"], row["patient"], row["label"]) for row in rows(tmp_path / "t")}
    assert {("normal_0", "p0", "a"), ("tumor_2", "p1", "b"), ("tumor_5", "tumor_5", "")} <= said and len(said) == 6
    assert "not taken along, as tiles have columns of that name: x." in found.told.notes[1]
    wrong = refused(slides, table=tmp_path / "none.csv", out=tmp_path / "u")
    assert "Cannot read" in wrong


def test_a_slide_that_is_damaged_at_its_end_is_found_before_anything_is_written(tmp_path: Path) -> None:
    """Its tissue is told from another level, which is whole."""
    pixels = glass(512, 512)
    stain(pixels, 0, 0, 512, 512)
    path = write_slide(tmp_path / "s.svs", pixels, levels=(1, 4))
    with tifffile.TiffFile(path) as file:
        last = max(file.pages[0].dataoffsets)
    whole = path.read_bytes()
    path.write_bytes(whole[:last] + b"\xff" * 2000 + whole[last + 2000 :])
    said = refused(path, asked=Resolution(), size=64, out=tmp_path / "t")
    assert "damaged at x 448, y 448" in said and "nothing was written" in said


def test_overwrite_replaces_tiles_and_touches_nothing_else(slides: Path, tmp_path: Path) -> None:
    out, fresh, one = tmp_path / "t", tmp_path / "fresh", slides / "tumor_2.svs"
    tiled(slides, asked=Resolution(40), out=out)
    (out / "mine").mkdir()
    (out / "mine" / "other_x0_y0.png").write_bytes(b"mine")
    (out / "tumor_2" / "notes.txt").write_text("mine")
    assert "holds what is no tile: notes.txt" in refused(slides, overwrite=True, out=out)
    (out / "tumor_2" / "notes.txt").rename(out / "notes.txt")
    tiled(one, overwrite=True, out=out)
    tiled(one, out=fresh)
    assert held(out) == {**(held(fresh) or {}), "mine/other_x0_y0.png": b"mine", "notes.txt": b"mine"}
    assert sorted(path.name for path in out.iterdir() if path.is_dir()) == ["mine", "tumor_2"]


def test_tiles_do_not_go_where_the_slides_are(slides: Path, tmp_path: Path) -> None:
    """A slide of 3DHISTECH has a folder of its name, of which OpenSlide reads its data."""
    here = Path(shutil.copytree(slides, tmp_path / "slides"))
    assert "among the slides" in refused(here, overwrite=True, out=here)
    assert "a file, not a folder" in refused(here, overwrite=True, out=here / "tumor_2.svs")


def test_how_far_it_is_is_told(slides: Path, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    request = TileRequest([slides], tmp_path / "t", Cut(X20, size=32), workers=2)
    tile_job(request, lambda *now: told.append(now))
    assert [now for now in told if now[0] == "Tiles"] == [("Tiles", i, 48) for i in range(1, 49)]
    assert told[0] == ("Looking at slides", 0, 6)


def test_links_and_a_folder_of_others_stay_when_tiles_are_replaced(tmp_path: Path) -> None:
    pixels = glass(64, 64)
    stain(pixels, 0, 0, 64, 64)
    slide, out, others = write_slide(tmp_path / "s.svs", pixels, levels=(1,)), tmp_path / "t", tmp_path / "others"
    tiled(slide, out=out)
    (out / "s").rename(others)
    (out / "s").symlink_to(others)
    assert "not a folder of tiles" in refused(slide, out=out, overwrite=True)
    (out / "s").unlink()
    (out / "tiles.csv").unlink()
    (out / "tiles.csv").mkdir()
    (out / "tiles.csv" / "mine").touch()
    assert "is a folder, not a table" in refused(slide, out=out, overwrite=True)
    assert [path.name for path in others.iterdir()] == ["s_x0_y0.png"]
