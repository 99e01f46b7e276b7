from __future__ import annotations

import builtins
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("openslide", reason="the optional extra 'slides' is not installed")

from cass_cli.data.slides.grid import grid_over, tissue_shares
from cass_cli.data.slides.reader import Resolution, Slide, SlideError, opened
from tests.data.slides.drawn import damage, glass, shrunk, stain, write_slide


@pytest.mark.parametrize(
    ("stated", "magnification", "mpp"),
    [
        ({"magnification": 40, "mpp": 0.25}, 40, 0.25),
        ({"magnification": 20, "mpp": None}, 20, 0.5),
        ({"magnification": None, "mpp": 0.5}, 20, 0.5),
        ({"magnification": None, "mpp": None, "dots_per_cm": 40_000}, 40, 0.25),
        ({"magnification": None, "mpp": None, "dots_per_cm": 28}, None, None),  # 72 dots an inch: a screen
        ({"magnification": None, "mpp": None}, None, None),
    ],
)
def test_the_scale_is_what_the_slide_states(
    tmp_path: Path, stated: dict[str, Any], magnification: float | None, mpp: float | None
) -> None:
    with opened(write_slide(tmp_path / "s.tif", glass(128, 128), levels=(1,), **stated)) as slide:
        assert (slide.magnification, slide.mpp) == pytest.approx((magnification, mpp))


def test_how_much_coarser_tiles_are(tmp_path: Path) -> None:
    with opened(write_slide(tmp_path / "s.svs", glass(128, 128), levels=(1,))) as slide:
        assert slide.downsample(Resolution(40)) == 1
        assert slide.downsample(Resolution(10)) == 4
        assert slide.downsample(Resolution(mpp=0.5)) == 2
        assert slide.downsample(Resolution()) == 1
        assert slide.downsample(Resolution(41)) == 1  # scanners are some per cent from what they are called
        with pytest.raises(SlideError, match="scanned at 40×, less than 60×"):
            slide.downsample(Resolution(60))
        with pytest.raises(SlideError, match=r"scanned at 0\.25 µm a pixel, coarser than 0\.1"):
            slide.downsample(Resolution(mpp=0.1))
    plain = write_slide(tmp_path / "plain.tif", glass(128, 128), magnification=None, mpp=None, levels=(1,))
    with opened(plain) as slide:
        assert slide.downsample(Resolution()) == 1
        with pytest.raises(SlideError, match="states neither"):
            slide.downsample(Resolution(20))


@pytest.fixture
def stained(tmp_path: Path) -> tuple[Path, np.ndarray]:
    pixels = glass()
    stain(pixels, 0, 0, 512, 512)
    return write_slide(tmp_path / "s.svs", pixels), pixels


@pytest.mark.parametrize("times", [1, 2, 4])
def test_a_tile_is_the_slides_own_pixels(stained: tuple[Path, np.ndarray], times: int) -> None:
    """At the scale of a level nothing is computed: the stored pixels, bit for bit."""
    path, pixels = stained
    with opened(path) as slide:
        tile = np.asarray(slide.tile(64, 128, 64 * times, 64))
    assert (tile == shrunk(pixels, times)[128 // times :, 64 // times :][:64, :64]).all()


def test_a_level_that_is_nearly_at_the_scale_is_taken_as_it_is(tmp_path: Path) -> None:
    """Sides that four does not divide have a level of 4.004: its pixels are right to a thousandth, and stay sharp."""
    pixels = glass(1021, 1021)
    stain(pixels, 0, 0, 1021, 1021)
    with opened(write_slide(tmp_path / "s.svs", pixels, levels=(1, 4))) as slide:
        assert slide.downsamples[1] == pytest.approx(4.004, abs=1e-3)
        tile = np.asarray(slide.tile(0, 0, 64 * 4, 64))
    assert (tile == shrunk(pixels, 4)[:64, :64]).all()


def test_between_levels_the_finer_one_is_made_smaller(stained: tuple[Path, np.ndarray]) -> None:
    path, pixels = stained
    with opened(path) as slide:
        assert [slide.level(d) for d in (1, 1.9, 2, 3.9, 4, 100)] == [0, 0, 1, 1, 2, 2]
        tile = np.asarray(slide.tile(0, 0, 96 * 3, 96))
    finer = Image.fromarray(shrunk(pixels, 2)[:144, :144])
    assert (tile == np.asarray(finer.resize((96, 96), Image.Resampling.BILINEAR))).all()


def test_what_was_not_scanned_is_background(stained: tuple[Path, np.ndarray]) -> None:
    with opened(stained[0]) as slide:
        tile = np.asarray(slide.tile(480, 0, 64, 64))
    assert (tile[:, 32:] == 255).all() and (tile[:, :32] < 255).all()


def test_tiles_lie_within_the_bounds(tmp_path: Path) -> None:
    bounds = {f"openslide.bounds-{name}": str(n) for name, n in {"x": 100, "y": 50, "width": 130, "height": 70}.items()}
    handle = SimpleNamespace(properties=bounds, dimensions=(512, 512), level_downsamples=(1.0,))
    grid = grid_over(Slide(tmp_path, handle), 32.0)
    assert (grid.rows, grid.columns) == (2, 4)
    assert (grid.place(0, 0), grid.place(1, 3)) == ((100, 50), (196, 82))


def test_shares_of_tissue_are_those_drawn(tmp_path: Path) -> None:
    """Whatever level they are read from, in however many parts."""
    pixels = glass(512, 512)
    stain(pixels, 128, 64, 96, 64)  # three tiles of 32 wide, two high
    stain(pixels, 320, 320, 16, 32)  # half a tile
    for levels in ((1,), (1, 2, 4)):
        path = write_slide(tmp_path / f"{len(levels)}.svs", pixels, levels=levels)
        with opened(path) as slide:
            shares = tissue_shares(slide, grid_over(slide, 32.0), workers=2)
        expected = np.zeros((16, 16))
        expected[2:4, 4:7], expected[10, 10] = 1, 0.5
        assert shares == pytest.approx(expected, abs=0.07)


def test_shares_do_not_depend_on_the_parts_they_are_read_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = glass(512, 512)
    stain(pixels, 100, 90, 200, 300)
    path = write_slide(tmp_path / "s.svs", pixels)
    found = []
    for block in (2048, 64):
        monkeypatch.setattr("cass_cli.data.slides.grid.BLOCK", block)
        with opened(path) as slide:
            found.append(tissue_shares(slide, grid_over(slide, 64.0), workers=2))
    assert (found[0] == found[1]).all()


def test_what_is_no_slide_says_why(tmp_path: Path) -> None:
    (tmp_path / "junk.svs").write_bytes(b"no slide at all")
    (tmp_path / "empty.svs").touch()
    whole = write_slide(tmp_path / "whole.svs", glass(256, 256))
    (tmp_path / "cut.svs").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    for name in ("junk", "empty", "cut"):
        with pytest.raises(SlideError, match=rf"{name}\.svs: damaged"), opened(tmp_path / f"{name}.svs"):
            pass
    with (
        pytest.raises(SlideError, match=r"whole\.svs: damaged at x 0, y 0"),
        opened(damage(whole)) as slide,
    ):
        slide.tile(0, 0, 64, 64)


def test_without_the_extra_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name == "openslide":
            raise ImportError(name)
        return real(name, *rest, **more)

    path = write_slide(tmp_path / "s.svs", glass(128, 128), levels=(1,))
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(SlideError, match=r"optional part: pip install 'cass-cli\[slides\]'"), opened(path):
        pass
