"""Odd image files, each with what cass must make of it: one table for the tests and for benchmarks/odd_files.py."""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tests.data.decode.raw_formats import png_bytes, tiff_bytes

HEIGHT, WIDTH = 24, 36
MAX_PIXELS = 1_000_000  # what the table is read with
ORIENTATION = 0x0112


@dataclass(frozen=True)
class OddFile:
    """A file, how it comes to be, and what it gives: pixels [H, W, 3] to within `within` grey levels, or a reason."""

    name: str
    what: str
    content: bytes | Callable[[Path], None]
    gives: NDArray[np.uint8] | str
    within: int = 0

    def write(self, folder: Path) -> Path:
        """Make the file in `folder` and return its path."""
        path = folder / self.name
        if isinstance(self.content, bytes):
            path.write_bytes(self.content)
        else:
            self.content(path)
        return path


def odd_files() -> list[OddFile]:
    """Return the table, less DICOM, whose part is in `dicom_files.py` as it needs pydicom."""
    return [*_jpegs(), *_pngs(), *_tiffs(), *_others(), *_broken()]


def colours() -> NDArray[np.uint8]:
    """Return a smooth colour image [H, W, 3] without symmetry, so that JPEG keeps it and turning it shows."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(float)
    planes = (40 + 5 * x, 20 + 8 * y, 230 - 3 * x - 3 * y)
    return np.stack(planes, axis=-1).clip(0, 255).astype(np.uint8)


def greys() -> NDArray[np.uint8]:
    """Return a smooth grey image [H, W]."""
    return colours()[..., 0] // 2 + colours()[..., 1] // 2


def rgb(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.repeat(grey[..., None], 3, axis=2)


def stretched(values: NDArray[Any], low: float | None = None, high: float | None = None) -> NDArray[np.uint8]:
    """Window `values` onto 0..255, by the 0.5th and 99.5th percentiles unless given: the stated rule, written anew."""
    exact = values.astype(np.float64)
    low = np.percentile(exact, 0.5) if low is None else low
    high = np.percentile(exact, 99.5) if high is None else high
    return np.rint(np.interp(exact, [low, high], [0, 255])).astype(np.uint8)


def saved(image: Image.Image | NDArray[Any], kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return exif


def _turned(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Return the stored pixels as they are to be shown (EXIF 2.3, tag 274)."""
    mirrored = pixels[:, ::-1]
    ways = {
        2: mirrored,
        3: pixels[::-1, ::-1],
        4: pixels[::-1],
        5: pixels.swapaxes(0, 1),
        6: np.rot90(pixels, -1),
        7: np.rot90(pixels, -1)[:, ::-1][::-1, ::-1],
        8: np.rot90(pixels),
    }
    return ways[orientation]


def _without_adobe(jpeg: bytes) -> bytes:
    """Drop the APP14 segment, Adobe's marker."""
    at = jpeg.index(b"\xff\xee")
    (length,) = struct.unpack(">H", jpeg[at + 2 : at + 4])
    return jpeg[:at] + jpeg[at + 2 + length :]


def _jpegs() -> list[OddFile]:
    c, g, best = colours(), greys(), {"quality": 100, "subsampling": 0}
    cmyk = saved(Image.fromarray(c).convert("CMYK"), "JPEG", quality=100)
    uninverted = saved(
        Image.fromarray(255 - np.asarray(Image.fromarray(c).convert("CMYK")), "CMYK"), "JPEG", quality=100
    )
    pair = saved(c, "MPO", save_all=True, append_images=[Image.fromarray(255 - c)], **best)
    table = [
        OddFile("rgb.jpg", "JPEG", saved(c, "JPEG", **best), c, 3),
        OddFile("grey.jpg", "JPEG, grey", saved(g, "JPEG", quality=100), rgb(g), 2),
        OddFile("progressive.jpg", "JPEG, progressive", saved(c, "JPEG", progressive=True, **best), c, 3),
        OddFile("subsampled.jpg", "JPEG, chroma at half size", saved(c, "JPEG", quality=95, subsampling=2), c, 12),
        OddFile("cmyk.jpg", "JPEG, CMYK, inverted with Adobe's marker", cmyk, c, 4),
        OddFile("cmyk_plain.jpg", "JPEG, CMYK without Adobe's marker", _without_adobe(uninverted), c, 4),
        OddFile("stereo.jpg", "JPEG holding two pictures (MPO)", pair, c, 3),
        OddFile("named.png", "JPEG named .png", saved(c, "JPEG", **best), c, 3),
        OddFile("UPPER.JPG", "JPEG, suffix in capitals", saved(c, "JPEG", **best), c, 3),
    ]
    for way in range(2, 9):
        what = f"JPEG, EXIF orientation {way}"
        table.append(OddFile(f"exif{way}.jpg", what, saved(c, "JPEG", exif=_exif(way), **best), _turned(c, way), 3))
    return table


def _pngs() -> list[OddFile]:
    c, g = colours(), greys()
    alpha = np.linspace(0, 255, WIDTH).astype(np.uint8)[None].repeat(HEIGHT, 0)
    over_black = np.rint(c * (alpha[..., None] / 255.0)).astype(np.uint8)
    grey_over_black = rgb(np.rint(g * (alpha / 255.0)).astype(np.uint8))
    palette = Image.fromarray(c).quantize(32)
    shown = np.asarray(palette.convert("RGB"))
    holed = np.where(np.asarray(palette)[..., None] == 3, 0, shown)
    deep, dark = g.astype(np.uint16) * 201 + 900, g.astype(np.uint16) * 16  # dark: 12 bits in a 16-bit file
    deep_c = c.astype(np.uint16) * 13 + 7
    alpha16 = alpha.astype(np.uint16) * 257
    rgba16, la16 = np.dstack([deep_c, alpha16]), np.dstack([dark, alpha16])
    shown16 = np.rint(stretched(deep_c) * (alpha[..., None] / 255.0)).astype(np.uint8)
    shown_la16 = rgb(np.rint(stretched(dark) * (alpha / 255.0)).astype(np.uint8))
    grey_key = np.where(g == g[5, 5], 0, g)
    animated = saved(c, "PNG", save_all=True, append_images=[Image.fromarray(255 - c)])
    turn = ((b"eXIf", _exif(6).tobytes().removeprefix(b"Exif\0\0")),)
    png = partial(png_bytes, depth=16)
    return [
        OddFile("rgb.png", "PNG", saved(c, "PNG"), c),
        OddFile("rgba.png", "PNG with alpha 0 to 255", saved(np.dstack([c, alpha]), "PNG"), over_black, 1),
        OddFile("la.png", "PNG, grey with alpha", saved(np.dstack([g, alpha]), "PNG"), grey_over_black, 1),
        OddFile("palette.png", "PNG, palette", saved(palette, "PNG"), shown),
        OddFile("palette_t.png", "PNG, palette with a transparent entry", saved(palette, "PNG", transparency=3), holed),
        OddFile(
            "key.png", "PNG, grey with a transparent value", saved(g, "PNG", transparency=int(g[5, 5])), rgb(grey_key)
        ),
        OddFile("grey.png", "PNG, grey", saved(g, "PNG"), rgb(g)),
        OddFile("bits1.png", "PNG, 1 bit", png_bytes(g >> 7, depth=1, colour=0), rgb((g >> 7) * 255)),
        OddFile("bits2.png", "PNG, 2 bits", png_bytes(g >> 6, depth=2, colour=0), rgb((g >> 6) * 85)),
        OddFile("bits4.png", "PNG, 4 bits", png_bytes(g >> 4, depth=4, colour=0), rgb((g >> 4) * 17)),
        OddFile("grey16.png", "PNG, 16-bit grey", png(deep, colour=0), rgb(stretched(deep)), 1),
        OddFile("grey12.png", "PNG, 12-bit grey in 16 bits", png(dark, colour=0), rgb(stretched(dark)), 1),
        OddFile("constant16.png", "PNG, 16-bit grey, constant", png(deep * 0 + 700, colour=0), rgb(g * 0)),
        OddFile(
            "mask16.png",
            "PNG, 16-bit grey, one pixel of 864 set",
            png(_one_pixel(), colour=0),
            rgb(_one_pixel() // 257 * 255),
        ),
        OddFile("rgb16.png", "PNG, 16-bit colour", png(deep_c, colour=2), stretched(deep_c), 1),
        OddFile("rgba16.png", "PNG, 16-bit colour with alpha", png(rgba16, colour=6), shown16, 2),
        OddFile("la16.png", "PNG, 16-bit grey with alpha", png(la16, colour=4), shown_la16, 2),
        OddFile("exif.png", "PNG, EXIF orientation 6", saved(c, "PNG", exif=_exif(6)), _turned(c, 6)),
        OddFile(
            "exif16.png",
            "PNG, 16-bit colour, EXIF orientation 6",
            png(deep_c, colour=2, extra=turn),
            _turned(stretched(deep_c), 6),
            1,
        ),
        OddFile("animated.png", "PNG, animated", animated, c),
    ]


def _one_pixel() -> NDArray[np.uint16]:
    mask = np.zeros((HEIGHT, WIDTH), np.uint16)
    mask[3, 4] = 257
    return mask


def _tiffs() -> list[OddFile]:
    c, g = colours(), greys()
    deep, signed = g.astype(np.uint16) * 16 + 7, g.astype(np.int16) * 16 - 2000
    real = (g / np.float32(255)).astype(np.float32)
    holed = real.copy()
    holed[:2], holed[2, 0], holed[2, 1] = np.nan, np.inf, -np.inf
    finite = holed[np.isfinite(holed)]
    shown_holed = stretched(np.nan_to_num(holed, nan=-9), np.percentile(finite, 0.5), np.percentile(finite, 99.5))
    deep_c = c.astype(np.uint16) * 16
    pages = saved(c, "TIFF", save_all=True, append_images=[Image.fromarray(255 - c)] * 2)
    opaque = np.dstack([c, np.full_like(g, 255)])
    grey_deep, colour_deep = rgb(stretched(deep)), stretched(deep_c)
    return [
        OddFile("rgb.tif", "TIFF", saved(c, "TIFF"), c),
        OddFile("lzw.tif", "TIFF, LZW", saved(c, "TIFF", compression="tiff_lzw"), c),
        OddFile("jpeg.tif", "TIFF holding a JPEG", saved(c, "TIFF", compression="jpeg", quality=100), c, 12),
        OddFile(
            "bilevel.tif",
            "TIFF, 1 bit, fax G4",
            saved(Image.fromarray(g > 127), "TIFF", compression="group4"),
            rgb((g > 127) * np.uint8(255)),
        ),
        OddFile("tiled.tif", "TIFF, 16 × 16 tiles", tiff_bytes(c, tile=16), c),
        OddFile(
            "tiled16.tif", "TIFF, 16-bit grey, tiles, deflate", tiff_bytes(deep, tile=16, deflate=True), grey_deep, 1
        ),
        OddFile("planes.tif", "TIFF, planes stored apart", tiff_bytes(c, planar=True), c),
        OddFile("big.tif", "BigTIFF", tiff_bytes(c, big=True), c),
        OddFile("rgba.tif", "TIFF with alpha", tiff_bytes(opaque, extra_sample=2), c),
        OddFile("cmyk.tif", "TIFF, CMYK", saved(Image.fromarray(c).convert("CMYK"), "TIFF"), c, 1),
        OddFile("grey16.tif", "TIFF, 16-bit grey", tiff_bytes(deep), grey_deep, 1),
        OddFile("grey16be.tif", "TIFF, 16-bit grey, big-endian", tiff_bytes(deep, order=">"), grey_deep, 1),
        OddFile(
            "grey16i.tif",
            "TIFF, 16-bit grey, white is zero",
            tiff_bytes(deep, photometric=0),
            rgb(stretched(-deep.astype(int))),
            1,
        ),
        OddFile("signed16.tif", "TIFF, signed 16-bit grey", tiff_bytes(signed), rgb(stretched(signed)), 1),
        OddFile(
            "int32.tif",
            "TIFF, signed 32-bit grey",
            tiff_bytes(signed.astype(np.int32) * 999),
            rgb(stretched(signed)),
            1,
        ),
        OddFile("float.tif", "TIFF, 32-bit float", tiff_bytes(real), rgb(stretched(real)), 1),
        OddFile("float_nan.tif", "TIFF, float with NaN and ±infinity", tiff_bytes(holed), rgb(shown_holed), 1),
        OddFile("float_const.tif", "TIFF, float, constant", tiff_bytes(real * 0 + 0.5), rgb(g * 0)),
        OddFile("float_none.tif", "TIFF, float, all NaN", tiff_bytes(real * np.nan), rgb(g * 0)),
        OddFile(
            "float_tiled.tif",
            "TIFF, float, tiles, big-endian",
            tiff_bytes(real, tile=16, order=">"),
            rgb(stretched(real)),
            1,
        ),
        OddFile("rgb16.tif", "TIFF, 12-bit colour in 16 bits", tiff_bytes(deep_c), colour_deep, 1),
        OddFile("rgb16be.tif", "TIFF, the same, big-endian", tiff_bytes(deep_c, order=">"), colour_deep, 1),
        OddFile("rgb16z.tif", "TIFF, the same, deflate", tiff_bytes(deep_c, deflate=True), colour_deep, 1),
        OddFile("rgb16t.tif", "TIFF, the same, tiles", tiff_bytes(deep_c, tile=16), colour_deep, 1),
        OddFile("rgb16p.tif", "TIFF, the same, planes stored apart", tiff_bytes(deep_c, planar=True), "planes"),
        OddFile("float64.tif", "TIFF, 64-bit float", tiff_bytes(real.astype(np.float64)), "kind of TIFF"),
        OddFile("pages.tif", "TIFF, three pages", pages, c),
        OddFile("turned.tif", "TIFF, orientation 6", saved(c, "TIFF", tiffinfo={274: 6}), _turned(c, 6)),
    ]


def _others() -> list[OddFile]:
    c, g = colours(), greys()
    clear = np.dstack([c, np.where(g > 100, 255, 0).astype(np.uint8)])
    moving = {"save_all": True, "append_images": [Image.fromarray(255 - c)]}
    gif = Image.fromarray(c).quantize(64)
    twelve = g.astype(np.uint16) * 16
    pgm = b"P5\n%d %d\n4095\n" % (WIDTH, HEIGHT) + twelve.astype(">u2").tobytes()
    over_black = np.where(g[..., None] > 100, c, 0)
    return [
        OddFile("rgb.bmp", "BMP", saved(c, "BMP"), c),
        OddFile("palette.bmp", "BMP, palette", saved(gif, "BMP"), np.asarray(gif.convert("RGB"))),
        OddFile("bits1.bmp", "BMP, 1 bit", saved(Image.fromarray(g > 127), "BMP"), rgb((g > 127) * np.uint8(255))),
        OddFile("lossless.webp", "WebP, lossless", saved(c, "WEBP", lossless=True), c),
        OddFile("lossy.webp", "WebP, lossy", saved(c, "WEBP", quality=100), c, 12),
        OddFile("alpha.webp", "WebP with alpha", saved(clear, "WEBP", lossless=True), over_black),
        OddFile("moving.webp", "WebP, animated", saved(c, "WEBP", lossless=True, **moving), c),
        OddFile(
            "moving.gif",
            "GIF, animated",
            saved(gif, "GIF", save_all=True, append_images=[gif.rotate(180)]),
            np.asarray(gif.convert("RGB")),
        ),
        OddFile("rgb.jp2", "JPEG 2000, lossless", saved(c, "JPEG2000"), c),
        OddFile("grey12.pgm", "PGM, 12-bit grey", pgm, rgb(stretched(twelve)), 1),
        OddFile("nosuffix", "PNG without a suffix", saved(c, "PNG"), c),
        OddFile("new\nline.png", "PNG, a newline in its name", saved(c, "PNG"), c),
        OddFile(os.fsdecode(b"caf\xe9.png"), "PNG, a name that is not UTF-8", saved(c, "PNG"), c),
        OddFile("pixel.png", "PNG of one pixel", saved(c[:1, :1], "PNG"), c[:1, :1]),
    ]


def _broken() -> list[OddFile]:
    c = colours()
    jpeg, png, tiff = saved(c, "JPEG"), saved(c, "PNG"), saved(c, "TIFF")
    noise = np.random.default_rng(0).integers(0, 256, 500, np.uint8).tobytes()
    bomb = png_bytes(np.zeros((1, 1), np.uint8), depth=1, colour=0, claims=(50_000, 50_000))
    hidden = OddFile("locked.png", "PNG without read permission", partial(_locked, png), "ermission denied")
    return [
        OddFile("empty.jpg", "empty file", b"", "empty"),
        OddFile("text.jpg", "text named .jpg", b"Patient 12, see the other folder.\n", "text"),
        OddFile("page.png", "HTML named .png (a failed download)", b"<!DOCTYPE html><html>", "text"),
        OddFile("noise.png", "random bytes", noise, "not an image"),
        OddFile("cut.jpg", "JPEG, second half missing", jpeg[: len(jpeg) // 2], "truncated"),
        OddFile("late.jpg", "JPEG, the last 40 bytes missing", jpeg[:-40], "truncated"),
        OddFile("cut.png", "PNG, second half missing", png[: len(png) // 2], "truncated"),
        OddFile("cut.tif", "TIFF, last third missing", tiff[: len(tiff) * 2 // 3], "cut.tif"),
        OddFile("head.jpg", "JPEG, the first 20 bytes", jpeg[:20], "JPEG"),
        OddFile("flipped.png", "PNG, pixels damaged", png[:60] + noise[:40] + png[100:], "flipped.png"),
        OddFile("bomb.png", "PNG that claims 50,000 × 50,000", bomb, "--max-pixels"),
        OddFile("folder.png", "a folder named .png", lambda path: path.mkdir(), "folder"),
        OddFile("gone.png", "a link to nothing", lambda path: path.symlink_to("nowhere.png"), "o such file"),
        OddFile("loop.png", "a link to itself", lambda path: path.symlink_to(path.name), "symbolic links"),
        OddFile("pipe.png", "a named pipe", os.mkfifo, "not a regular file"),
        OddFile("text.dcm", "text named .dcm", b"not a scan\n" * 40, "text.dcm"),
        *([hidden] if os.geteuid() != 0 else []),  # root may read everything
    ]


def _locked(content: bytes, path: Path) -> None:
    path.write_bytes(content)
    path.chmod(0)
