"""One DICOM file → a data set that states all that decoding asks for, whatever its writer left out or got wrong.

- No transfer syntax, or one that the pixel data contradict: it is told from the bytes.
- Missing, empty or of the wrong type: bits stored are those allocated, pixels are unsigned, samples interleaved, frames
  one; grey is MONOCHROME2, colour RGB (in a JPEG YBR).
- Settings of the frame (enhanced CT, MR) are put where those of single-frame files stand.
- A missing last byte of pixel data is zero. More is not made up.
"""

from __future__ import annotations

import math
import re
import warnings
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.encaps import get_frame
from pydicom.uid import (
    JPEG2000,
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    JPEGLSNearLossless,
    RLELossless,
)

from cass_cli.data.decode.cost import check_stream
from cass_cli.data.decode.deflated import inflated
from cass_cli.data.decode.facts import USUAL, DecodeError, PixelRules, check_frames, check_pixels
from cass_cli.data.decode.watched import WatchedFile

warnings.filterwarnings("ignore", category=UserWarning, module=r"pydicom\.")  # small breaches of the standard

PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
PIXEL_GROUP = (b"\xe0\x7f", b"\x7f\xe0")  # how each of them begins, in either order of bytes
ITEM = b"\xfe\xff\x00\xe0"  # compressed pixel data are a series of items, each of which begins so
NATIVE = {
    (True, True): ImplicitVRLittleEndian,
    (False, True): ExplicitVRLittleEndian,
    (False, False): ExplicitVRBigEndian,
}
JPEGS = {
    b"\xc0": JPEGBaseline8Bit,
    b"\xc1": JPEGExtended12Bit,
    b"\xc3": JPEGLosslessSV1,
    b"\xf7": JPEGLSNearLossless,
}  # by the marker that begins a frame


def read_header(path: Path, file: WatchedFile) -> Any:
    """Return the data set without its pixels; raises `DecodeError` for one that holds no image."""
    plain = inflated(path, file, USUAL, header=True)
    # force: old files come without the 128-byte preamble; what is no DICOM then lacks the elements below
    dataset = dcmread(plain, force=True, stop_before_pixels=True)
    if plain.read(2) not in PIXEL_GROUP:
        raise DecodeError(path, _without_pixels(dataset))
    _complete(path, dataset)
    return dataset


def read_dataset(path: Path, file: WatchedFile, frame: int, rules: PixelRules) -> Any:
    """Return the data set with pixels that pydicom can decode; raises `DecodeError` as `read_header` does."""
    file.header_is_read()
    dataset = dcmread(inflated(path, file, rules, header=False), force=True)
    keyword = next((name for name in PIXELS if name in dataset), None)
    if keyword is None:
        file.seek(0)
        read_header(path, file)  # which says what it is, if no pixels begin
        raise DecodeError(path, "its pixel data are cut short")
    dataset.file_meta.TransferSyntaxUID = _told_syntax(path, dataset)
    _complete(path, dataset)
    check_pixels(path, dataset.Columns, dataset.Rows, rules)
    check_frames(path, int(dataset.NumberOfFrames), frame)
    file.will_take(memory=dataset.Rows * dataset.Columns * (12 if dataset.SamplesPerPixel == 3 else 32))
    _lift_frame_settings(dataset, frame)
    if keyword == "PixelData" and not getattr(_syntax(dataset), "is_compressed", True):
        _check_length(path, dataset)
    elif keyword == "PixelData" and dataset.PixelData.startswith(ITEM):
        stream = get_frame(dataset.PixelData, frame, number_of_frames=int(dataset.NumberOfFrames))
        check_stream(path, file, stream, dataset.Columns, dataset.Rows)
    return dataset


def number(dataset: Any, keyword: str) -> float | None:
    """Return the first value of an element; None where it is missing, empty or no finite number."""
    try:
        value = dataset.get(keyword)
        if isinstance(value, bytes):  # its type says nothing (UN, OB): a short integer
            return int.from_bytes(value[:2], "little" if dataset.original_encoding[1] else "big") if value else None
        found = float(value if isinstance(value, (str, int, float)) else value[0])
    except Exception:  # on an element that breaks the rules pydicom raises almost anything
        return None
    return found if math.isfinite(found) else None


def _syntax(dataset: Any) -> UID | None:
    """Return the transfer syntax that the file states, if it is one that pydicom knows of."""
    stated = dataset.file_meta.get("TransferSyntaxUID")
    return stated if isinstance(stated, UID) and stated.is_transfer_syntax else None


def _without_pixels(dataset: Any) -> str:
    kind = dataset.get("SOPClassUID") or dataset.file_meta.get("MediaStorageSOPClassUID")
    if not kind:
        return "not a DICOM image"
    name = UID(str(kind)).name.removesuffix(" Storage")
    return f"a DICOM file without pixel data ({name})"


def _told_syntax(path: Path, dataset: Any) -> UID:
    """Return the transfer syntax as stated, unless it is missing or contradicts the pixel data."""
    stated = dataset.file_meta.get("TransferSyntaxUID")
    known = _syntax(dataset)
    if stated and known is None:
        return UID(str(stated))  # some maker's own
    data = dataset.get("PixelData") or b""
    packed = data.startswith(ITEM)
    if known is not None and known.is_compressed == packed:
        return known
    if not packed:
        return NATIVE[dataset.original_encoding]
    codec = _codec(data[16 + int.from_bytes(data[4:8], "little") :])  # the first item is a table, often empty
    if codec is None:
        raise DecodeError(path, "it is compressed and does not say how")
    return codec


def _codec(stream: bytes) -> UID | None:
    """Tell the compression of the first frame by how it begins."""
    if stream.startswith(b"\xff\xd8"):
        frame = re.search(rb"\xff([\xc0\xc1\xc3\xf7])\0", stream)
        return JPEGS[frame[1]] if frame else None
    if stream.startswith(b"\xff\x4f\xff\x51") or stream[4:8] == b"jP  ":
        return JPEG2000
    return RLELossless if re.match(rb"[\1-\x0f]\0\0\0\x40\0\0\0", stream) else None


def _complete(path: Path, dataset: Any) -> None:
    """Write what describes the pixels into `dataset`, each element of its right type."""
    size = {keyword: number(dataset, keyword) for keyword in ("Rows", "Columns")}
    allocated, stored, high = (number(dataset, name) for name in ("BitsAllocated", "BitsStored", "HighBit"))
    if not all(size.values()):
        raise DecodeError(path, "a DICOM file that does not say how many rows and columns it has")
    if not allocated and not stored:
        raise DecodeError(path, "a DICOM file that does not say how many bits a pixel has")
    allocated = allocated or 8 * math.ceil((stored or 0) / 8)
    stored = stored or (allocated if high is None else high + 1)
    kind = _photometric(dataset)
    grey = kind.startswith(("MONOCHROME", "PALETTE"))
    integers = {
        **size,
        "SamplesPerPixel": number(dataset, "SamplesPerPixel") or (1 if grey else 3),
        "BitsAllocated": allocated,
        "BitsStored": min(stored, allocated),
        "PixelRepresentation": number(dataset, "PixelRepresentation") or 0,
        "PlanarConfiguration": number(dataset, "PlanarConfiguration") or 0,
    }
    for keyword, value in integers.items():
        dataset.add_new(keyword, "US", int(value or 0))
    dataset.add_new("NumberOfFrames", "IS", max(1, int(number(dataset, "NumberOfFrames") or 1)))
    dataset.add_new("PhotometricInterpretation", "CS", kind)


def _photometric(dataset: Any) -> str:
    """Return the photometric interpretation, in capitals and with single blanks."""
    stated = " ".join(str(dataset.get("PhotometricInterpretation") or "").upper().split())
    if stated:
        return stated
    if (number(dataset, "SamplesPerPixel") or 1) > 1:
        return "YBR_FULL_422" if _syntax(dataset) in {JPEGBaseline8Bit, JPEGExtended12Bit} else "RGB"
    return "PALETTE COLOR" if "RedPaletteColorLookupTableDescriptor" in dataset else "MONOCHROME2"


def _lift_frame_settings(dataset: Any, frame: int) -> None:
    """Copy the rescaling and the window of a frame to the top, where nothing stands there."""
    for groups, place in (("PerFrameFunctionalGroupsSequence", frame), ("SharedFunctionalGroupsSequence", 0)):
        for group in (dataset.get(groups) or [])[place : place + 1]:
            for macro in ("PixelValueTransformationSequence", "FrameVOILUTSequence"):
                for element in (group.get(macro) or [()])[0]:
                    if element.tag not in dataset:
                        dataset[element.tag] = element


def _check_length(path: Path, dataset: Any) -> None:
    """Add a missing last byte to uncompressed pixels; raises `DecodeError` where more is missing."""
    values = dataset.Rows * dataset.Columns * dataset.SamplesPerPixel * int(dataset.NumberOfFrames)
    needed = math.ceil(values * dataset.BitsAllocated / 8)
    if dataset.PhotometricInterpretation == "YBR_FULL_422":
        needed = needed * 2 // 3  # two pixels share their colour
    held = len(dataset.PixelData or b"")
    if held == needed - 1:
        dataset["PixelData"].value += b"\0"
    elif held < needed:
        raise DecodeError(path, f"its pixel data are cut short ({held:,} of {needed:,} bytes)")
