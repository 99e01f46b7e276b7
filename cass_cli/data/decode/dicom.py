"""One DICOM file → uint8 RGB pixels, through the optional extra `cass-cli[dicom]`.

Grey: stored values → rescale slope and intercept (or modality table) → window → 8 bits. The window is the file's
first VOI window (LINEAR, LINEAR_EXACT or SIGMOID) or VOI table; without one, images of up to 8 bits keep their full
range and pass unchanged, deeper ones follow `depth.py`. MONOCHROME1 is inverted, so that air is dark everywhere.
Pixel padding has no say in the window and is shown black. Colour: YBR becomes RGB, palettes are looked up, also those
that colour a part of a grey image. Of several frames one is read, and only it is decoded. A window that the user asks
for, in rescaled values, goes before those of the file. What the file leaves out is filled in by `dicom_file.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi
from pydicom.pixels.utils import pixel_array

from cass_cli.data.decode.depth import to_uint8
from cass_cli.data.decode.dicom_file import number, read_dataset, read_header
from cass_cli.data.decode.facts import DecodeError, ImageFacts, PixelRules, check_frames
from cass_cli.data.decode.watched import WatchedFile


def read_dicom(path: Path, file: WatchedFile, *, frame: int, rules: PixelRules) -> tuple[NDArray[np.uint8], bool]:
    """Return (uint8 [H, W, 3] of a frame, counted from 0, whether there are others); raises `DecodeError`."""
    dataset = read_dataset(path, file, frame, rules)
    stored = _decoded(path, dataset, frame)  # colour comes as RGB, whatever the file holds
    if stored.ndim == 3:
        pixels = to_uint8(stored, rules.window) if dataset.BitsStored > 8 else stored
    elif dataset.PhotometricInterpretation == "PALETTE COLOR":
        pixels = _looked_up(stored, *_palette(path, dataset))
    else:
        coloured = _coloured_from(dataset)
        pixels = np.repeat(_grey(stored, dataset, coloured, rules.window)[..., None], 3, axis=2)
        if (stored >= coloured).any():
            pixels = np.where((stored >= coloured)[..., None], _looked_up(stored, *_palette(path, dataset)), pixels)
    return np.ascontiguousarray(pixels, dtype=np.uint8), int(dataset.NumberOfFrames) > 1


def describe_dicom(path: Path, file: WatchedFile) -> ImageFacts:
    """Read the header alone; raises `DecodeError`."""
    header = read_header(path, file)
    check_frames(path, int(header.NumberOfFrames))
    return ImageFacts(
        width=header.Columns,
        height=header.Rows,
        mode=header.PhotometricInterpretation,
        bit_depth=header.BitsStored,
        format="DICOM",
        pages=int(header.NumberOfFrames),
    )


def _decoded(path: Path, dataset: Any, frame: int) -> NDArray[Any]:
    """Return the stored values of a frame, [H, W], or its colours, [H, W, 3]."""
    syntax = dataset.file_meta.TransferSyntaxUID
    try:
        decodable = get_decoder(syntax).is_available
    except NotImplementedError:
        decodable = False
    if not decodable:
        raise DecodeError(path, f"its compression cannot be decoded ({syntax.name})")
    try:
        return pixel_array(dataset, index=frame)
    except RuntimeError as error:  # no decoder made sense of the bytes
        raise DecodeError(path, f"damaged, or of a kind of {syntax.name} that cass does not read") from error


def _grey(stored: NDArray[Any], dataset: Any, coloured: float, asked: tuple[float, float] | None) -> NDArray[np.uint8]:
    """Map the stored values of one frame, [H, W], to 8 bits by the rules above; `coloured` and more have no say.

    `asked` is the user's window: the values shown black and white, of MONOCHROME1 white and black.
    """
    values = _rescaled(stored, dataset)
    table = bool(dataset.get("VOILUTSequence")) and asked is None
    window = asked or _window(dataset)
    if window is not None or not table:
        values[_padding(stored, dataset) | (stored >= coloured)] = np.nan
    if window is not None and asked is None:
        values, window = _windowed(values, *window, str(dataset.get("VOILUTFunction") or "LINEAR").upper())
    elif table:
        values = np.asarray(apply_voi(values.astype(np.int64), dataset), dtype=np.float64)
        window = 0.0, 2.0 ** int(dataset.VOILUTSequence[0].LUTDescriptor[2]) - 1
    elif dataset.BitsStored <= 8 and asked is None:
        bits = dataset.BitsStored
        first = -(2 ** (bits - 1)) if dataset.PixelRepresentation else 0
        ends = _rescaled(np.array([first, first + 2**bits - 1]), dataset)
        window = float(ends.min()), float(ends.max())
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        values, window = -values, None if window is None else (-window[1], -window[0])
    return to_uint8(values, window)


def _rescaled(stored: NDArray[Any], dataset: Any) -> NDArray[np.float64]:
    """Apply the modality table, or slope and intercept; a slope of zero is no slope."""
    if dataset.get("ModalityLUTSequence"):
        return np.asarray(apply_modality_lut(stored, dataset), dtype=np.float64)
    values = stored.astype(np.float64)
    values *= number(dataset, "RescaleSlope") or 1.0
    values += number(dataset, "RescaleIntercept") or 0.0
    return values


def _padding(stored: NDArray[Any], dataset: Any) -> NDArray[np.bool_]:
    """Tell which stored values only fill up the rectangle."""
    padding = number(dataset, "PixelPaddingValue")
    if padding is None:
        return np.zeros(stored.shape, dtype=bool)
    limit = number(dataset, "PixelPaddingRangeLimit")
    low, high = sorted((padding, padding if limit is None else limit))
    return (stored >= low) & (stored <= high)


def _window(dataset: Any) -> tuple[float, float] | None:
    """Return (center, width) of the first VOI window, the default of several; None where there is no sensible one."""
    center, width = number(dataset, "WindowCenter"), number(dataset, "WindowWidth")
    return None if center is None or width is None or width <= 0 else (center, width)


def _windowed(
    values: NDArray[np.float64], center: float, width: float, function: str
) -> tuple[NDArray[np.float64], tuple[float, float]]:
    """Return the values and the (black, white) ends of the window, as in PS3.3 C.11.2."""
    if function == "SIGMOID":
        return 1 / (1 + np.exp(np.clip(-4 * (values - center) / width, -700, 700))), (0.0, 1.0)
    # LINEAR asks for a width of at least 1; rescaled by a small slope, images have smaller ones
    if function == "LINEAR_EXACT" or width < 1:
        return values, (center - width / 2, center + width / 2)
    # LINEAR: a width of 1 is a threshold
    half = max((width - 1) / 2, 1e-6)
    return values, (center - 0.5 - half, center - 0.5 + half)


def _coloured_from(dataset: Any) -> float:
    """Return the stored value from which on a grey image is coloured by its palette; infinity for a plain one."""
    if dataset.get("PixelPresentation") not in {"MIXED", "COLOR"}:
        return np.inf
    descriptor = dataset.get("RedPaletteColorLookupTableDescriptor")
    return float(descriptor[1]) if descriptor else np.inf


def _looked_up(stored: NDArray[Any], first: int, table: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the colours [H, W, 3] of the stored values; those beyond an end of the table take its end."""
    return table[np.clip(stored.astype(np.int64) - first, 0, len(table) - 1)]


def _palette(path: Path, dataset: Any) -> tuple[int, NDArray[np.uint8]]:
    """Return the stored value of the palette's first entry, and its colours [entries, 3].

    Entries of 8 bits may lie in words of 16, and some writers say 16 where they mean 8: a table is 16 bits deep when
    it holds a value that 8 bits can't.
    """
    descriptor = dataset.get("RedPaletteColorLookupTableDescriptor")
    if not descriptor:
        raise DecodeError(path, "its palette is missing")
    entries, first = int(descriptor[0]) or 2**16, int(descriptor[1])
    if "SegmentedRedPaletteColorLookupTableData" in dataset:
        table = apply_color_lut(np.arange(first, first + entries), dataset)[..., :3]
    else:
        columns = [_entries(dataset, colour, entries) for colour in ("Red", "Green", "Blue")]
        table = np.stack([column[: min(map(len, columns))] for column in columns], axis=-1)
    return first, (table >> 8 if table.max(initial=0) > 255 else table).astype(np.uint8)


def _entries(dataset: Any, colour: str, entries: int) -> NDArray[Any]:
    """Return what the palette holds of one colour."""
    data = dataset[f"{colour}PaletteColorLookupTableData"].value
    if not isinstance(data, bytes):  # written as numbers
        return np.asarray(data, dtype=np.uint16)
    order = "<" if dataset.original_encoding[1] else ">"
    wide = len(data) >= 2 * entries
    return np.frombuffer(data, f"{order}u2" if wide else "u1")[:entries]
