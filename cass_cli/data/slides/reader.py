"""One whole-slide image, opened through OpenSlide: what it says of itself, and any part of it as pixels.

OpenSlide reads every scanner's format with its pyramid, bounds and magnification, and decodes only what is asked for;
tifffile would read the TIFFs among them, and leave scale, missing tiles and the other formats to us. It is the optional
extra `cass-cli[slides]`.

Legend: x, y are pixels of level 0, the full resolution; a downsample d takes d × d of them for one pixel.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from PIL import Image

from cass_cli.errors import DataError
from cass_cli.words import shown

MICROMETRES = 10.0  # µm a pixel × magnification: 0.25 µm is 40×, 0.5 µm is 20×
SENSIBLE = (0.05, 20.0)  # µm a pixel: a TIFF of 72 dots an inch states 353, and means a screen
SAME = 1.05  # a slide of 0.2525 µm counts as one of 0.25: scanners differ from what they are called by some per cent
NEAR = 1.005  # levels are 4.0003 rather than 4


class SlideError(DataError):
    """One slide that gives no tiles; `reason` says why in a few words."""

    def __init__(self, path: Path, reason: str, *, hint: str = "") -> None:
        super().__init__(f"Cannot tile {shown(str(path))}: {reason}.", hint=hint)
        self.reason = reason


@dataclass(frozen=True)
class Resolution:
    """What tiles show: a magnification or µm a pixel; neither: all that the slide has."""

    magnification: float | None = None
    mpp: float | None = None


class Slide:
    """An open slide. Several threads may read from it at once."""

    def __init__(self, path: Path, handle: Any) -> None:
        self.path = path
        self._handle = handle
        stated = handle.properties
        mpp = _number(stated.get("openslide.mpp-x"))  # of plain TIFFs, OpenSlide takes it from the resolution tags
        mpp = mpp if mpp and SENSIBLE[0] <= mpp <= SENSIBLE[1] else None
        power = _number(stated.get("openslide.objective-power"))
        self.magnification = power or (MICROMETRES / mpp if mpp else None)
        self.mpp = mpp or (MICROMETRES / power if power else None)
        self.background = f"#{stated.get('openslide.background-color', 'ffffff')}"
        bounds = [_number(stated.get(f"openslide.bounds-{name}")) for name in ("x", "y", "width", "height")]
        whole = (0, 0, *handle.dimensions)
        self.bounds = tuple(int(b or 0) for b in bounds) if bounds[2] and bounds[3] else whole  # x, y, width, height
        self.downsamples = tuple(float(d) for d in handle.level_downsamples)

    def downsample(self, asked: Resolution) -> float:
        """Return how much coarser than level 0 the tiles are; raises `SlideError` where that is not known, or finer."""
        if asked.magnification is None and asked.mpp is None:
            return 1.0
        if self.magnification is None or self.mpp is None:
            raise SlideError(self.path, "it states neither its magnification nor µm a pixel")
        if asked.magnification is not None:
            wanted = self.magnification / asked.magnification
            stated = f"it was scanned at {self.magnification:.3g}×, less than {asked.magnification:.3g}×"
        else:
            assert asked.mpp is not None, "one of the two is asked for"
            wanted = asked.mpp / self.mpp
            stated = f"it was scanned at {self.mpp:.3g} µm a pixel, coarser than {asked.mpp:.3g}"
        if wanted * SAME < 1:
            raise SlideError(self.path, stated)
        return max(wanted, 1.0)

    def level(self, downsample: float) -> int:
        """Return the coarsest level that is no coarser than asked."""
        return max(i for i, d in enumerate(self.downsamples) if d <= max(downsample, 1.0) * NEAR)

    def part(self, x: int, y: int, extent: tuple[float, float], size: tuple[int, int]) -> Image.Image:
        """Return the part of `extent` level-0 pixels from x, y, as RGBA of `size`, antialiased.

        It is read from the coarsest level that need not be enlarged. Raises `SlideError` where that is damaged.
        """
        level = self.level(min(e / s for e, s in zip(extent, size, strict=True)))
        stored = [e / self.downsamples[level] for e in extent]  # pixels of the level
        exact = all(abs(e - s) < 0.5 for e, s in zip(stored, size, strict=True))
        wanted = size if exact else (math.ceil(stored[0] - 1e-6), math.ceil(stored[1] - 1e-6))
        region = self._read(x, y, level, wanted)
        box = (0.0, 0.0, min(stored[0], wanted[0]), min(stored[1], wanted[1]))
        return region if exact else region.resize(size, Image.Resampling.BILINEAR, box=box)

    def tile(self, x: int, y: int, extent: float, size: int) -> Image.Image:
        """Return the square of `extent` level-0 pixels as RGB of size × size; what was not scanned is background."""
        part = self.part(x, y, (extent, extent), (size, size))
        if part.getchannel("A").getextrema() == (255, 255):
            return part.convert("RGB")
        ground = Image.new("RGB", part.size, self.background)
        ground.paste(part, mask=part.getchannel("A"))
        return ground

    def _read(self, x: int, y: int, level: int, size: tuple[int, int]) -> Image.Image:
        try:
            region: Image.Image = self._handle.read_region((x, y), level, size)
        except openslide(self.path).OpenSlideError as error:
            raise SlideError(self.path, f"damaged at x {x}, y {y} ({_short(error)})") from error
        return region


@contextmanager
def opened(path: Path) -> Iterator[Slide]:
    """Open a slide; raises `SlideError` for what is none or is damaged, and without the extra."""
    library = openslide(path)
    try:
        with path.open("rb"):  # OpenSlide does not tell what may not be read from what it does not know
            pass
        handle = library.OpenSlide(str(path))
    except library.OpenSlideUnsupportedFormatError as error:
        raise SlideError(path, "damaged, or of no format that OpenSlide reads (its TIFFs are tiled)") from error
    except library.OpenSlideError as error:
        raise SlideError(path, f"damaged ({_short(error)})") from error
    except OSError as error:
        raise SlideError(path, (error.strerror or str(error)).lower()) from error
    with handle:
        yield Slide(path, handle)


def openslide(path: Path) -> ModuleType:
    """Return the library, which is an optional extra; without it raises `SlideError` for `path`."""
    try:
        import openslide as library
    except ImportError as error:  # also where the package is there and the library that it calls is not
        raise SlideError(
            path,
            "whole slides need an optional part: pip install 'cass-cli[slides]'",
            hint="Run: pip install 'cass-cli[slides]'",
        ) from error
    return library


def _number(text: str | None) -> float | None:
    """Return a number that is stated, None for none and for what is no finite positive number or zero."""
    try:
        number = float(text or "nan")
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _short(error: Exception) -> str:
    return shown((str(error).strip() or type(error).__name__).splitlines()[0])[:100].rstrip(". ")
