"""One DICOM file → uint8 RGB pixels, through the optional extra `cass-cli[dicom]`.

Grey: stored values → rescale slope and intercept (or modality table) → window → 8 bits. The window is the file's
first VOI window (LINEAR, LINEAR_EXACT or SIGMOID) or VOI table; without one, images of up to 8 bits keep their full
range and pass unchanged, deeper ones follow `depth.py`. MONOCHROME1 is inverted, so that air is dark everywhere.
Pixel padding has no say in the window and is shown black. Colour: YBR becomes RGB, palettes are looked up.
Of several frames the first is read, and only it is decoded.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from cass_cli.data.decode.depth import to_uint8
from cass_cli.data.decode.facts import DecodeError, ImageFacts, check_pixels

try:
    from pydicom import dcmread
    from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi
    from pydicom.pixels.utils import pixel_array
except ImportError:
    INSTALLED = False
else:
    INSTALLED = True

warnings.filterwarnings("ignore", category=UserWarning, module=r"pydicom\.")  # small breaches of the standard


def read_dicom(path: Path, file: BinaryIO, *, max_pixels: int) -> tuple[NDArray[np.uint8], bool]:
    """Return (uint8 [H, W, 3] of the first frame, whether there are more); raises `DecodeError`."""
    dataset = _read(path, file)
    check_pixels(path, int(dataset.Columns), int(dataset.Rows), max_pixels)
    several = _frames(dataset) > 1
    try:
        pixels = pixel_array(dataset, index=0)  # colour comes as RGB, whatever the file holds
    except (NotImplementedError, RuntimeError, AttributeError) as error:
        syntax = dataset.file_meta.TransferSyntaxUID.name if hasattr(dataset, "file_meta") else "unknown"
        raise DecodeError(path, f"its compression cannot be decoded ({syntax})") from error
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        table = apply_color_lut(pixels, dataset)[..., :3]
        pixels = table >> 8 if table.dtype.itemsize == 2 else table  # entries are scaled to 16 bits, not measured
    elif pixels.ndim == 2:
        pixels = np.repeat(_grey(pixels, dataset)[..., None], 3, axis=2)
    elif int(dataset.BitsStored) > 8:
        pixels = to_uint8(pixels)
    return np.ascontiguousarray(pixels, dtype=np.uint8), several


def describe_dicom(path: Path, file: BinaryIO) -> ImageFacts:
    """Read the header alone; raises `DecodeError`."""
    dataset = _read(path, file, stop_before_pixels=True)
    return ImageFacts(
        width=int(dataset.Columns),
        height=int(dataset.Rows),
        mode=str(dataset.PhotometricInterpretation),
        bit_depth=int(dataset.BitsStored),
        format="DICOM",
        pages=_frames(dataset),
    )


def _read(path: Path, file: BinaryIO, *, stop_before_pixels: bool = False) -> Any:
    """Return the data set, known to describe an image."""
    if not INSTALLED:
        raise DecodeError(
            path,
            "DICOM needs an optional part: pip install 'cass-cli[dicom]'",
            hint="Run: pip install 'cass-cli[dicom]'",
        )
    # force: old files come without the 128-byte preamble; what is no DICOM then lacks the attributes below
    dataset = dcmread(file, force=True, stop_before_pixels=stop_before_pixels)
    needed = ("Rows", "Columns", "BitsStored", "PhotometricInterpretation")
    if not all(keyword in dataset for keyword in needed):
        raise DecodeError(path, "a DICOM file without an image" if "SOPClassUID" in dataset else "not a DICOM image")
    return dataset


def _frames(dataset: Any) -> int:
    return int(dataset.get("NumberOfFrames") or 1)


def _grey(stored: NDArray[Any], dataset: Any) -> NDArray[np.uint8]:
    """Map the stored values of one frame, [H, W], to 8 bits by the rules above."""
    bits = int(dataset.BitsStored)
    values: NDArray[np.float64] = np.asarray(apply_modality_lut(stored, dataset), dtype=np.float64)
    padding = dataset.get("PixelPaddingValue")
    if padding is not None and "VOILUTSequence" not in dataset:
        limit = dataset.get("PixelPaddingRangeLimit", padding)
        low, high = sorted((int(padding), int(limit)))
        values[(stored >= low) & (stored <= high)] = np.nan
    window: tuple[float, float] | None
    if "WindowCenter" in dataset and "WindowWidth" in dataset:
        values, window = _windowed(values, dataset)
    elif "VOILUTSequence" in dataset:
        values = np.asarray(apply_voi(values.astype(np.int64), dataset), dtype=np.float64)
        window = 0.0, 2.0 ** int(dataset.VOILUTSequence[0].LUTDescriptor[2]) - 1
    elif bits <= 8:
        first = -(2 ** (bits - 1)) if dataset.get("PixelRepresentation") else 0
        ends = np.asarray(apply_modality_lut(np.array([first, first + 2**bits - 1]), dataset), dtype=np.float64)
        window = float(ends.min()), float(ends.max())
    else:
        window = None
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        values, window = -values, None if window is None else (-window[1], -window[0])
    return to_uint8(values, window)


def _windowed(values: NDArray[np.float64], dataset: Any) -> tuple[NDArray[np.float64], tuple[float, float]]:
    """Return the values and the (black, white) ends of the first VOI window, as in PS3.3 C.11.2."""
    center, width = _first(dataset.WindowCenter), _first(dataset.WindowWidth)
    function = str(dataset.get("VOILUTFunction") or "LINEAR").upper()
    if function == "SIGMOID":
        return 1 / (1 + np.exp(np.clip(-4 * (values - center) / width, -700, 700))), (0.0, 1.0)
    if function == "LINEAR_EXACT":
        return values, (center - width / 2, center + width / 2)
    # LINEAR: a width of 1 is a threshold
    half = max((width - 1) / 2, 1e-6)
    return values, (center - 0.5 - half, center - 0.5 + half)


def _first(value: Any) -> float:
    """Return the first of the values; a file may name several windows, the first being its default."""
    return float(value if isinstance(value, (str, int, float)) else value[0])
