"""Whole-slide images drawn for tests: tiled TIFFs with a pyramid, as Aperio's scanners write them or without scale."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

GLASS = (243, 242, 244)
LEVELS = (1, 2, 4)


def glass(height: int = 512, width: int = 512) -> NDArray[np.uint8]:
    """An empty slide [H, W, 3]: nearly white, with the noise of a camera."""
    noise = np.random.default_rng(0).integers(-2, 3, (height, width, 3))
    return (np.array(GLASS) + noise).astype(np.uint8)


def stain(pixels: NDArray[np.uint8], x: int, y: int, width: int, height: int, seed: int = 0) -> None:
    """Lay tissue over a rectangle: pink to purple, every pixel another."""
    rng = np.random.default_rng(seed)
    pixels[y : y + height, x : x + width] = rng.integers((170, 70, 140), (225, 140, 195), (height, width, 3))


def write_slide(
    path: Path,
    pixels: NDArray[np.uint8],
    *,
    magnification: float | None = 40,
    mpp: float | None = 0.25,
    levels: tuple[int, ...] = LEVELS,
    dots_per_cm: float | None = None,
) -> Path:
    """Write pixels [H, W, 3] and their pyramid, each pixel of a level the mean of those that it stands for."""
    path.parent.mkdir(parents=True, exist_ok=True)
    stated = {"AppMag": magnification, "MPP": mpp}
    said = "".join(f"|{name} = {value}" for name, value in stated.items() if value is not None)
    with tifffile.TiffWriter(path) as file:
        for level in levels:
            file.write(
                shrunk(pixels, level),
                tile=(128, 128),
                photometric="rgb",
                compression="deflate",
                subfiletype=int(level > 1),
                description=f"Aperio Image Library v11{said}" if said else None,
                resolution=None if dots_per_cm is None else (dots_per_cm / level, dots_per_cm / level),
                resolutionunit=None if dots_per_cm is None else "CENTIMETER",
                metadata=None,
            )
    return path


def shrunk(pixels: NDArray[np.uint8], times: int) -> NDArray[np.uint8]:
    """The mean of each times × times pixels; what is left at the edges is dropped."""
    height, width = (side // times for side in pixels.shape[:2])
    blocks = pixels[: height * times, : width * times].reshape(height, times, width, times, 3)
    return blocks.mean(axis=(1, 3)).round().astype(np.uint8)


def damage(path: Path) -> Path:
    """Overwrite the compressed pixels of a slide, and leave what describes them."""
    with tifffile.TiffFile(path) as file:
        places = [
            (offset, length)
            for page in file.pages
            for offset, length in zip(page.dataoffsets, page.databytecounts, strict=True)
        ]
    with path.open("r+b") as raw:
        for offset, length in places:
            raw.seek(offset)
            raw.write(b"\xff" * length)
    return path


def draw_six(folder: Path) -> Path:
    """Draw six slides of 256 px at 40×: tiles of 32 px at 20× are four wide and high, the left half of them tissue."""
    for i, kind in enumerate(("normal", "test", "tumor") * 2):
        pixels = glass(256, 256)
        stain(pixels, 0, 0, 128, 256, seed=i)
        write_slide(folder / f"{kind}_{i}.svs", pixels, levels=(1, 2))
    return folder


def held(folder: Path) -> dict[str, bytes] | None:
    """Return all files of a folder; None where there is no folder."""
    if not folder.exists():
        return None
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
