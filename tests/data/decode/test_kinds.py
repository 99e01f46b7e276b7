from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cass_cli.data.decode import picture
from cass_cli.data.decode.depth import to_uint8
from cass_cli.data.decode.facts import DecodeError, PixelRules
from cass_cli.data.decode.image import describe_image, read_image
from cass_cli.data.decode.kinds import HEAD, begins_as_image, kind_of, stem_of, suffix_of
from cass_cli.data.layouts.scan import scan_folder
from tests.data.decode.odd_files import colours, greys, rgb, saved
from tests.data.decode.raw_formats import tiff_bytes

C, G = colours(), greys()
AVIF = pytest.mark.skipif(not picture.AVIF, reason="this build of Pillow reads no AVIF")


@pytest.mark.parametrize("suffix", [".j2k", ".j2c", ".jpx", ".jpf", ".jp2"])
def test_jpeg_2000_is_read_by_all_its_names(suffix: str, tmp_path: Path) -> None:
    big = np.kron(C, np.ones((4, 4, 1), np.uint8))  # OpenJPEG refuses to write the small one
    buffer = io.BytesIO()
    Image.fromarray(big).save(buffer, "JPEG2000", no_jp2=suffix in {".j2k", ".j2c"})
    path = tmp_path / f"a{suffix}"
    path.write_bytes(buffer.getvalue())
    assert scan_folder(tmp_path).images == (path.name,)
    assert np.array_equal(read_image(path).pixels, big)


@AVIF
@pytest.mark.parametrize("name", ["a.avif", "a.AVIF", "a"])
def test_avif_is_read(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(saved(C, "AVIF", quality=100, subsampling="4:4:4"))
    assert scan_folder(tmp_path).images == (name,)
    assert np.abs(read_image(tmp_path / name).pixels.astype(int) - C).max() <= 6
    assert describe_image(tmp_path / name).format == "AVIF"


@AVIF
def test_a_pillow_without_avif_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture, "AVIF", False)
    (tmp_path / "a.avif").write_bytes(saved(C, "AVIF"))
    with pytest.raises(DecodeError, match="this build of Pillow reads no AVIF"):
        read_image(tmp_path / "a.avif")


def heic() -> bytes:
    heif = pytest.importorskip("pillow_heif", reason="the optional extra 'heic' is not installed")
    heif.register_heif_opener(thumbnails=False)
    return saved(np.kron(C, np.ones((4, 4, 1), np.uint8)), "HEIF", quality=100, chroma=444)


@pytest.mark.parametrize("name", ["a.heic", "a.heif", "a", "a.jpg"])
def test_heic_is_read_by_the_extra(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(heic())
    assert scan_folder(tmp_path).images == (name,)
    pixels = read_image(tmp_path / name).pixels
    assert np.abs(pixels[::4, ::4].astype(int) - C).max() <= 12
    assert describe_image(tmp_path / name).format == "HEIF"


def test_without_the_extra_heic_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x18ftypheic" + b"\0" * 99)
    (tmp_path / "b.heic").write_bytes(saved(C, "PNG"))  # so called, and read all the same
    assert scan_folder(tmp_path).images == ("a.heic", "b.heic")
    with pytest.raises(DecodeError, match=r"HEIC needs an optional part: pip install 'cass-cli\[heic\]'"):
        read_image(tmp_path / "a.heic")
    assert np.array_equal(read_image(tmp_path / "b.heic").pixels, C)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "BMP", "WEBP", "GIF", "JPEG2000"])
def test_images_without_suffix_are_found_by_how_they_begin(kind: str, tmp_path: Path) -> None:
    big = Image.fromarray(np.kron(C, np.ones((4, 4, 1), np.uint8)))
    big.save(tmp_path / "1.2.840", kind)
    (tmp_path / "BMI").write_bytes(b"BMI of the patients\n" * 20)
    (tmp_path / "README").write_text("MM, II and GIF\n" * 20)
    assert scan_folder(tmp_path).images == ("1.2.840",)
    assert read_image(tmp_path / "1.2.840").pixels.shape == (96, 144, 3)


def test_arrays_of_labels_are_no_images(tmp_path: Path) -> None:
    np.save(tmp_path / "labels.npy", np.arange(9))
    np.save(tmp_path / "a.npy", G)
    (tmp_path / "damaged.npy").write_bytes(b"?")  # which decoding tells
    scan = scan_folder(tmp_path)
    assert (scan.images, scan.unread) == (("a.npy", "damaged.npy"), ("labels.npy",))


def test_a_name_has_one_suffix() -> None:
    names = ("a/b.nii.gz", "a/B.NII.GZ", "a.b/c", "x.tar.gz", "MR.1.2.3", "a.png")
    assert [suffix_of(name) for name in names] == [".nii.gz", ".nii.gz", "", ".gz", "", ".png"]
    assert [stem_of(name) for name in ("a/b.nii.gz", "a.png", "a.b.png")] == ["a/b", "a", "a.b"]
    assert kind_of("brain.nii.gz", b"\x1f\x8b" + bytes(HEAD)) == "nifti"
    assert not begins_as_image(b"\x1f\x8b" + bytes(HEAD))


@pytest.mark.parametrize("kind", ["TIFF", "PNG"])
def test_a_window_is_laid_over_deep_pixels_alone(kind: str, tmp_path: Path) -> None:
    deep = G.astype(np.uint16) * 100
    Image.fromarray(deep).save(tmp_path / "deep", kind)
    Image.fromarray(G).save(tmp_path / "plain", kind)
    window = PixelRules(window=(5000, 15_000))
    assert np.array_equal(read_image(tmp_path / "deep", rules=window).pixels, rgb(to_uint8(deep, (5000, 15_000))))
    assert np.array_equal(read_image(tmp_path / "plain", rules=window).pixels, rgb(G))


def test_channels_of_a_colour_image_can_be_chosen(tmp_path: Path) -> None:
    Image.fromarray(C).save(tmp_path / "a.png")
    Image.fromarray(G).save(tmp_path / "grey.png")
    green = PixelRules(channels=(1,))
    assert np.array_equal(read_image(tmp_path / "a.png", rules=green).pixels, rgb(C[..., 1]))
    assert np.array_equal(read_image(tmp_path / "a.png", rules=PixelRules(channels=(2, 1, 0))).pixels, C[..., ::-1])
    assert np.array_equal(read_image(tmp_path / "grey.png", rules=green).pixels, rgb(G))
    with pytest.raises(DecodeError, match="has 3 channels, counted from 0, and --channels 3 asks for others"):
        read_image(tmp_path / "a.png", rules=PixelRules(channels=(3,)))


def test_a_tiff_of_many_channels_says_how_many(tmp_path: Path) -> None:
    for order, big in (("<", False), (">", False), ("<", True)):
        (tmp_path / "a.tif").write_bytes(tiff_bytes(np.stack([G] * 5, axis=-1), order=order, big=big, photometric=1))
        with pytest.raises(DecodeError, match=r"a TIFF with 5 channels, which is not read: save it as \.npy"):
            read_image(tmp_path / "a.tif")
