from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cass_cli.data.decode.depth import to_uint8
from cass_cli.data.decode.facts import DecodeError, PixelRules
from cass_cli.data.decode.image import describe_image, read_image
from cass_cli.data.decode.kinds import IMAGE_SUFFIXES
from tests.data.decode.odd_files import MAX_PIXELS, OddFile, colours, odd_files, saved

TABLE = odd_files()
READABLE = [odd for odd in TABLE if not isinstance(odd.gives, str)]


def by_name(odd: OddFile) -> str:
    return ascii(odd.name)


@pytest.mark.parametrize("odd", TABLE, ids=by_name)
def test_odd_file_gives_its_pixels_or_its_reason(odd: OddFile, tmp_path: Path) -> None:
    path = odd.write(tmp_path)
    if isinstance(odd.gives, str):
        with pytest.raises(DecodeError) as raised:
            read_image(path, rules=PixelRules(max_pixels=MAX_PIXELS))
        assert odd.gives in str(raised.value)
        assert "\n" not in raised.value.what
        assert 3 < len(raised.value.reason) <= 140
        return
    pixels = read_image(path, rules=PixelRules(max_pixels=MAX_PIXELS)).pixels
    assert pixels.dtype == np.uint8
    assert pixels.shape == odd.gives.shape
    assert np.abs(pixels.astype(int) - odd.gives).max() <= odd.within


@pytest.mark.parametrize("odd", READABLE, ids=by_name)
def test_header_tells_the_size_of_the_decoded_image(odd: OddFile, tmp_path: Path) -> None:
    facts = describe_image(odd.write(tmp_path))
    assert (facts.height, facts.width) == odd.gives.shape[:2]  # type: ignore[union-attr]


def test_table_is_long_and_without_repeats() -> None:
    assert len(TABLE) >= 40
    assert len({odd.name for odd in TABLE}) == len(TABLE)


@pytest.mark.parametrize(
    ("name", "depth", "pages", "kind"),
    [
        ("rgb.jpg", 8, 1, "JPEG"),
        ("bits2.png", 2, 1, "PNG"),
        ("grey16.png", 16, 1, "PNG"),
        ("rgb16.png", 16, 1, "PNG"),
        ("rgb16z.tif", 16, 1, "TIFF"),
        ("float.tif", 32, 1, "TIFF"),
        ("pages.tif", 8, 3, "TIFF"),
        ("moving.gif", 8, 2, "GIF"),
    ],
)
def test_header_facts(name: str, depth: int, pages: int, kind: str, tmp_path: Path) -> None:
    odd = next(odd for odd in TABLE if odd.name == name)
    facts = describe_image(odd.write(tmp_path))
    assert (facts.bit_depth, facts.pages, facts.format) == (depth, pages, kind)
    assert read_image(tmp_path / name).several_pages == (pages > 1)


def test_limit_is_held_before_decoding_and_can_be_raised(tmp_path: Path) -> None:
    path = tmp_path / "cut.png"
    whole = saved(np.zeros((40, 50, 3), np.uint8), "PNG")
    path.write_bytes(whole[:-30])
    with pytest.raises(DecodeError, match="--max-pixels"):  # not "truncated": no pixel was looked at
        read_image(path, rules=PixelRules(max_pixels=1999))
    path.write_bytes(whole)
    assert read_image(path, rules=PixelRules(max_pixels=2000)).pixels.shape == (40, 50, 3)


def test_limit_replaces_pillows_own(tmp_path: Path) -> None:
    path = tmp_path / "wide.png"
    Image.new("1", (20_000, 10_000)).save(path)  # over the 179 million at which Pillow refuses
    assert describe_image(path).width == 20_000
    with pytest.raises(DecodeError, match="--max-pixels 100000000"):
        read_image(path)
    assert read_image(path, rules=PixelRules(max_pixels=200_000_000), size=8).pixels.shape == (8, 8, 3)


def test_size_stretches_as_pillow_does(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(colours()).save(path)
    expected = np.asarray(Image.fromarray(colours()).resize((10, 10), Image.Resampling.BILINEAR))
    assert np.array_equal(read_image(path, size=10).pixels, expected)


def test_scaled_jpeg_decoding_stays_close_to_the_full_one(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rough = Image.fromarray(rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)).resize((1000, 800))
    path = tmp_path / "a.jpg"
    rough.save(path, quality=90)
    small = read_image(path, size=100).pixels.astype(int)
    full = np.asarray(Image.open(path).resize((100, 100), Image.Resampling.BILINEAR)).astype(int)
    assert np.abs(small - full).mean() < 1
    assert np.abs(small - full).max() <= 10


def test_deep_pixels_are_never_clipped_to_their_low_byte() -> None:
    ramp = np.arange(65536, dtype=np.uint16)
    shown = to_uint8(ramp)
    assert (np.diff(shown.astype(int)) >= 0).all()
    assert len(np.unique(shown)) == 256


def test_a_few_hot_pixels_cost_no_contrast() -> None:
    values = np.linspace(0, 1, 10_000, dtype=np.float32)
    values[-10:] = 1e6
    assert to_uint8(values)[9000] > 200


def test_stated_window_is_taken_and_mapped_linearly() -> None:
    shown = to_uint8(np.array([-1000, 0, 100, 200, 3000], np.int16), (0, 200))
    assert shown.tolist() == [0, 0, 128, 255, 255]


def test_suffixes_are_lower_case_and_dotted() -> None:
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in IMAGE_SUFFIXES)
    assert {".dcm", ".dicom", ".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp"} <= IMAGE_SUFFIXES


def test_error_shows_a_name_with_control_characters_on_one_line(tmp_path: Path) -> None:
    path = tmp_path / "a\n\x1b[31m.png"
    path.write_bytes(b"")
    with pytest.raises(DecodeError) as raised:
        read_image(path)
    assert "\n" not in str(raised.value)
    assert "\x1b" not in str(raised.value)
