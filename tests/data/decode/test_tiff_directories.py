"""Pages of a TIFF: counted without a decoder, and of so many parts that none is opened."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from PIL import Image

from cass_cli.data.decode.facts import USUAL, DecodeError
from cass_cli.data.decode.image import describe_here, describe_image, read_image
from cass_cli.data.decode.tiff_directories import count_pages
from cass_cli.data.decode.watched import Costly, WatchedFile
from tests.faults.forged_images import tiff_of_directories, tiff_of_strips


def counted(path: Path) -> int:
    with WatchedFile(path, alone=True) as file:
        return count_pages(file)


@pytest.mark.parametrize("pages", [1, 2, 300])
def test_pages_are_counted(pages: int, tmp_path: Path) -> None:
    path = tmp_path / "some.tif"
    path.write_bytes(tiff_of_directories(pages))
    with Image.open(path) as image:
        assert counted(path) == pages == image.n_frames
    assert describe_image(path).pages == pages
    assert read_image(path).several_pages == (pages > 1)
    images = [Image.new("L", (3, 3)) for _ in range(pages)]
    for number, how in enumerate(({}, {"big_tiff": True})):
        images[0].save(path.with_stem(f"{number}"), save_all=True, append_images=images[1:], **how)
        assert counted(path.with_stem(f"{number}")) == pages


def test_pages_end_where_they_come_back_or_lead_out(tmp_path: Path) -> None:
    path = tmp_path / "some.tif"
    path.write_bytes(tiff_of_directories(3, looped=True))
    assert counted(path) == 3
    path.write_bytes(tiff_of_directories(3)[:200])
    assert counted(path) == 2
    path.write_bytes(b"MM\0*" + struct.pack(">I", 8) + struct.pack(">H", 0) + struct.pack(">I", 2**31))
    assert counted(path) == 1


@pytest.mark.parametrize("first", [True, False])
def test_a_page_of_very_many_parts_is_not_even_opened(
    first: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "some.tif"
    if first:
        tiff_of_strips(path, 60_000)
    else:
        head = tiff_of_directories(2)
        at = head.index(struct.pack("<HHI", 273, 4, 1), 8 + 2 + 12 * 9 + 4)
        path.write_bytes(head[:at] + struct.pack("<HHI", 273, 4, 60_000) + head[at + 8 :])
    monkeypatch.setattr(Image, "open", Image.open if not first else lambda *_, **__: pytest.fail("it was opened"))
    with pytest.raises(Costly):
        describe_here(path, USUAL)


def test_far_too_many_pages_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for place in ("facts", "tiff_directories"):
        monkeypatch.setattr(f"cass_cli.data.decode.{place}.MOST_FRAMES", 50)
    path = tmp_path / "some.tif"
    path.write_bytes(tiff_of_directories(60))
    with pytest.raises(DecodeError, match="it states 51 frames"):
        describe_image(path)
