"""Pictures of any shape brought to a square."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from cass_cli.config.schema import FitName
from cass_cli.data.decode.image import read_image
from cass_cli.data.decode.square import SMOOTH, seen_size, squared

BLUE = (30, 60, 90)


def disc(width: int, height: int) -> Image.Image:
    """A white disc of 40 pixels in the middle of a blue picture."""
    picture = Image.new("RGB", (width, height), BLUE)
    x, y = width // 2, height // 2
    ImageDraw.Draw(picture).ellipse((x - 20, y - 20, x + 19, y + 19), fill="white")
    return picture


def extent(picture: Image.Image) -> tuple[int, int]:
    """The width and height of what is nearly white."""
    white = np.asarray(picture).min(axis=2) > 150
    return int(white.any(axis=0).sum()), int(white.any(axis=1).sum())


def noise(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))


@pytest.mark.parametrize("fit", get_args(FitName))
@pytest.mark.parametrize("side", [20, 64, 101])
def test_a_square_picture_is_the_same_in_all_ways(fit: FitName, side: int) -> None:
    assert squared(noise(side, side), 64, fit).tobytes() == noise(side, side).resize((64, 64), SMOOTH).tobytes()


@pytest.mark.parametrize(("width", "height"), [(160, 80), (80, 160)])
def test_a_disc_stays_round_unless_squashed(width: int, height: int) -> None:
    wide = extent(squared(disc(width, height), 80, "squash"))
    assert wide == ((20, 40) if width > height else (40, 20))
    assert extent(squared(disc(width, height), 80, "pad")) == (20, 20)
    assert extent(squared(disc(width, height), 80, "crop")) == (40, 40)


@pytest.mark.parametrize("turned", [False, True])
def test_crop_is_the_middle(turned: bool) -> None:
    picture = noise(91, 64)  # 13.5 pixels lie beyond it on either side
    middle = picture.resize((64, 64), SMOOTH, box=(13.5, 0, 77.5, 64))
    if turned:
        picture, middle = (each.transpose(Image.Transpose.TRANSPOSE) for each in (picture, middle))
    assert np.abs(np.subtract(squared(picture, 64, "crop"), middle, dtype=int)).max() <= 1


def test_pad_keeps_all_of_it_between_bars_of_the_colour_of_its_long_edges() -> None:
    picture = noise(100, 50)
    picture.paste(BLUE, (0, 0, 100, 4))
    picture.paste(BLUE, (0, 46, 100, 50))
    picture.paste("white", (0, 0, 20, 50))  # a ruler does not count
    pixels = np.asarray(squared(picture, 40, "pad"))
    assert np.array_equal(pixels[10:30], np.asarray(picture.resize((40, 20), SMOOTH)))
    assert (pixels[:10] == BLUE).all()
    assert (pixels[30:] == BLUE).all()


def test_a_picture_of_one_row_can_be_padded() -> None:
    assert squared(Image.new("RGB", (500, 1), BLUE), 16, "pad").tobytes() == bytes(BLUE) * 256


def full(path: Path, size: int, fit: FitName) -> NDArray[np.int64]:
    return np.asarray(squared(Image.open(path).convert("RGB"), size, fit)).astype(np.int64)


@pytest.mark.parametrize("fit", get_args(FitName))
@pytest.mark.parametrize("shape", [(1600, 800), (600, 1200)])
def test_a_scaled_jpeg_stays_close_to_the_full_one(
    fit: FitName, shape: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.jpg"
    noise(shape[0] // 40, shape[1] // 40).resize(shape).save(path, quality=90)
    expected = full(path, 100, fit)
    seen: list[tuple[int, int]] = []
    monkeypatch.setattr(
        "cass_cli.data.decode.picture.squared", lambda image, *how: seen.append(image.size) or squared(image, *how)
    )
    found = read_image(path, size=100, fit=fit).pixels.astype(np.int64)
    assert np.abs(found - expected).mean() < 1
    assert np.abs(found - expected).max() <= 10
    kept = seen_size(*shape, 100, fit) if fit == "pad" else (100, 100)
    scale = shape[0] / seen[0][0]
    assert scale in (2, 4, 8), "it was decoded smaller"
    assert min(shape[0] / kept[0], shape[1] / kept[1]) / scale >= 2, "and not too small"
    assert scale == 8 or min(shape[0] / kept[0], shape[1] / kept[1]) / scale < 4, "but as small as may be"
