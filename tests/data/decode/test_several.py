"""One frame of several in a file: the same pixels as those of a file with this frame alone."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from cass_cli.data.decode import facts, tiff_directories
from cass_cli.data.decode.depth import to_uint8
from cass_cli.data.decode.facts import DecodeError, PixelRules
from cass_cli.data.decode.image import describe_image, read_image
from tests.data.decode.odd_files import colours, greys, rgb, saved
from tests.data.decode.raw_formats import tiff_bytes

C, G = colours(), greys()
PAGES = [C, 255 - C, np.ascontiguousarray(C[::-1]), np.roll(C, 9, 1)]
DEEP = [G.astype(np.uint16) * factor for factor in (10, 90, 250)]


def together(pages: list[NDArray[Any]], kind: str, **how: Any) -> bytes:
    buffer = io.BytesIO()
    first, *others = map(Image.fromarray, pages)
    first.save(buffer, kind, save_all=True, append_images=others, **how)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("kind", "pages", "how"),
    [
        ("TIFF", PAGES, {}),
        ("TIFF", PAGES, {"compression": "tiff_lzw"}),
        ("TIFF", DEEP, {}),
        ("TIFF", [G, C, G[:9, :7], C[:8]], {}),
        ("WEBP", PAGES, {"lossless": True}),
        ("PNG", PAGES, {}),
    ],
)
def test_a_frame_has_the_pixels_that_it_has_alone(
    kind: str, pages: list[NDArray[Any]], how: dict[str, Any], tmp_path: Path
) -> None:
    path, alone = tmp_path / "all", tmp_path / "alone"
    path.write_bytes(together(pages, kind, **how))
    assert describe_image(path).pages == len(pages)
    for frame in (2, 0, 1, *range(3, len(pages))):
        alone.write_bytes(saved(pages[frame], kind, **how))
        decoded = read_image(path, frame=frame)
        assert np.array_equal(decoded.pixels, read_image(alone).pixels) and not decoded.several_pages
        assert np.array_equal(read_image(path, frame=frame, size=8).pixels, read_image(alone, size=8).pixels)
    first = read_image(path)
    assert first.several_pages and np.array_equal(first.pixels, read_image(path, frame=0).pixels)
    with pytest.raises(DecodeError, match=f"it has no frame {len(pages)}, counted from 0"):
        read_image(path, frame=len(pages))


def test_a_page_of_16_bit_colour_has_the_pixels_that_it_has_alone(tmp_path: Path) -> None:
    single = [tiff_bytes(page.astype(np.uint16) * 16) for page in PAGES[:2]]
    path, alone = tmp_path / "all.tif", tmp_path / "alone.tif"
    path.write_bytes(bytes(chained(*single)))
    alone.write_bytes(single[1])
    assert describe_image(path).pages == 2
    assert np.array_equal(read_image(path, frame=1).pixels, read_image(alone).pixels)
    window = PixelRules(window=(0, 4095))
    assert np.array_equal(read_image(path, frame=1, rules=window).pixels, to_uint8(PAGES[1] * np.uint16(16), (0, 4095)))


def chained(first: bytes, second: bytes) -> bytearray:
    """Return a little-endian TIFF of both pages: the first one's directory points to the second's, moved behind it."""
    whole = bytearray(first)
    base = len(whole)
    moved = bytearray(second)
    start = int.from_bytes(moved[4:8], "little")
    for entry in range(start + 2, start + 2 + 12 * int.from_bytes(moved[start : start + 2], "little"), 12):
        tag, kind, count = (int.from_bytes(moved[entry + a : entry + b], "little") for a, b in ((0, 2), (2, 4), (4, 8)))
        if tag == 273 or count * {3: 2, 4: 4}.get(kind, 1) > 4:  # offsets of strips, and of values that lie elsewhere
            value = int.from_bytes(moved[entry + 8 : entry + 12], "little")
            moved[entry + 8 : entry + 12] = (value + base).to_bytes(4, "little")
    begin = int.from_bytes(whole[4:8], "little")
    after = begin + 2 + 12 * int.from_bytes(whole[begin : begin + 2], "little")
    whole[after : after + 4] = (start + base).to_bytes(4, "little")
    return whole + moved


def test_frames_of_a_gif_are_whole_pictures(tmp_path: Path) -> None:
    pages = [page // 64 * 64 for page in PAGES]  # few colours, so that palettes hold them
    pages[1][:12] = pages[0][:12]  # of which only the change is stored
    path = tmp_path / "a.gif"
    path.write_bytes(together(pages, "GIF"))
    for frame, page in enumerate(pages):
        assert np.array_equal(read_image(path, frame=frame).pixels, page)


def test_pages_may_be_larger_than_is_allowed(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(together([C[:5, :5], C], "TIFF"))
    rules = PixelRules(max_pixels=100)
    assert read_image(path, frame=0, rules=rules).pixels.shape == (5, 5, 3)
    with pytest.raises(DecodeError, match="36 × 24 pixels, more than --max-pixels 100"):
        read_image(path, frame=1, rules=rules)


def test_a_file_that_states_too_many_frames_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(together(PAGES, "TIFF"))
    monkeypatch.setattr(facts, "MOST_FRAMES", 3)
    monkeypatch.setattr(tiff_directories, "MOST_FRAMES", 3)
    with pytest.raises(DecodeError, match="damaged: it states 4 frames"):
        describe_image(path)
    assert read_image(path).several_pages  # which asks for no more than the first


def test_previews_behind_a_photograph_are_no_frames(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(together(PAGES[:2], "MPO"))
    assert describe_image(path).pages == 1
    assert not read_image(path).several_pages


def test_frames_of_dicom_have_their_own_rescaling_and_window(tmp_path: Path) -> None:
    pytest.importorskip("pydicom", reason="the optional extra 'dicom' is not installed")
    from pydicom.dataset import Dataset

    from tests.data.decode.dicom_files import ct, dicom, stored

    frames = np.stack([ct(), ct() + 50, ct()[::-1]])
    data = dicom(frames, frames=3)
    data.PerFrameFunctionalGroupsSequence = [Dataset() for _ in frames]
    for number, group in enumerate(data.PerFrameFunctionalGroupsSequence):
        group.FrameVOILUTSequence = [Dataset()]
        group.FrameVOILUTSequence[0].WindowCenter, group.FrameVOILUTSequence[0].WindowWidth = 40 + 100 * number, 400
    path, alone = tmp_path / "all.dcm", tmp_path / "alone.dcm"
    path.write_bytes(stored(data))
    asked = PixelRules(window=(-160, 240))
    for number, frame in enumerate(frames):
        alone.write_bytes(stored(dicom(frame, WindowCenter=40 + 100 * number, WindowWidth=400)))
        assert np.array_equal(read_image(path, frame=number).pixels, read_image(alone).pixels)
        assert np.array_equal(read_image(path, frame=number, rules=asked).pixels, rgb(to_uint8(frame, (-160, 240))))
    with pytest.raises(DecodeError, match="it has no frame 3, counted from 0, only 3"):
        read_image(path, frame=3)
    alone.write_bytes(
        stored(dicom(ct(), RescaleSlope=2, RescaleIntercept=-1024, PhotometricInterpretation="MONOCHROME1"))
    )
    inverted = to_uint8(-(2.0 * ct() - 1024), (-240, 160))
    assert np.array_equal(read_image(alone, rules=asked).pixels, rgb(inverted))
    data.NumberOfFrames = 200_000
    path.write_bytes(stored(data))
    for read in (read_image, describe_image):
        with pytest.raises(DecodeError, match="damaged: it states 200,000 frames"):
            read(path)
