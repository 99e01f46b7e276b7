"""DICOM files of the odd-file table; importing this needs pydicom."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    RLELossless,
    SecondaryCaptureImageStorage,
    generate_uid,
)

from tests.data.decode.odd_files import OddFile, colours, greys, rgb, saved, stretched


def dicom(pixels: NDArray[Any], *, bits: int | None = None, frames: int = 0, **elements: Any) -> Dataset:
    """Return a data set of [H, W], [H, W, 3] or [F, H, W] (frames = F) with further elements by keyword."""
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=["cass"])
    image = pixels[0] if frames else pixels
    data.Rows, data.Columns = image.shape[:2]
    data.SamplesPerPixel = 3 if image.ndim == 3 else 1
    data.PhotometricInterpretation = "RGB" if image.ndim == 3 else "MONOCHROME2"
    if image.ndim == 3:
        data.PlanarConfiguration = 0
    data.BitsAllocated = 8 * pixels.dtype.itemsize
    data.BitsStored = bits or data.BitsAllocated
    data.HighBit = data.BitsStored - 1
    data.PixelRepresentation = int(pixels.dtype.kind == "i")
    if frames:
        data.NumberOfFrames = frames
    for keyword, value in elements.items():
        setattr(data, keyword, value)
    data.PixelData = pixels.tobytes() + b"\0" * (pixels.nbytes % 2)
    data["PixelData"].VR = "OW" if data.BitsAllocated > 8 else "OB"
    return data


def stored(data: Dataset, *, preamble: bool = True) -> bytes:
    """Return the bytes of the file, without the preamble and its marker where asked."""
    buffer = io.BytesIO()
    data.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue() if preamble else buffer.getvalue()[132:]


def packed(data: Dataset, syntax: Any) -> Dataset:
    data.compress(syntax, generate_instance_uid=False)
    return data


def holding_jpeg(data: Dataset, jpeg: bytes) -> Dataset:
    """Put a JPEG in place of the pixels, as ultrasound machines do."""
    data.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    data.PhotometricInterpretation = "YBR_FULL_422"
    data.PixelData = encapsulate([jpeg])
    data["PixelData"].is_undefined_length = True
    return data


def to_ybr(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return full-range YCbCr (PS3.3 C.7.6.3.1.2)."""
    r, g, b = (pixels[..., i].astype(float) for i in range(3))
    planes = (
        0.299 * r + 0.587 * g + 0.114 * b,
        -0.1687 * r - 0.3313 * g + 0.5 * b + 128,
        0.5 * r - 0.4187 * g - 0.0813 * b + 128,
    )
    return np.rint(np.stack(planes, -1)).clip(0, 255).astype(np.uint8)


def ct() -> NDArray[np.int16]:
    """Return stored values [H, W] whose slope 1 and intercept -1024 give -1024 .. about 1000 HU."""
    return greys().astype(np.int16) * 8


def _voi_table() -> Dataset:
    table = Dataset()
    table.LUTDescriptor = [256, 0, 8]
    table.add_new("LUTData", "US", list(range(255, -1, -1)))
    return table


def _red_green_blue() -> dict[str, Any]:
    ramp = np.arange(256, dtype=np.uint16)
    elements: dict[str, Any] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for name, values in (("Red", ramp * 257), ("Green", (255 - ramp) * 257), ("Blue", ramp * 0)):
        elements[f"{name}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
        elements[f"{name}PaletteColorLookupTableData"] = values.astype("<u2").tobytes()
    return elements


def dicom_table() -> list[OddFile]:
    c, g, v = colours(), greys(), ct()
    hounsfield = {"RescaleSlope": 1, "RescaleIntercept": -1024}
    soft = hounsfield | {"WindowCenter": 40, "WindowWidth": 400}
    shown = rgb(stretched(v.astype(int) - 1024, 40 - 0.5 - 199.5, 40 - 0.5 + 199.5))
    exact = rgb(stretched(v.astype(int) - 1024, 40 - 200, 40 + 200))
    sigmoid = rgb(np.rint(255 / (1 + np.exp(-4 * (v.astype(float) - 1064) / 400))).astype(np.uint8))
    padded = v.copy()
    padded[:3] = -2000
    shown_padded = rgb(
        np.where(padded == -2000, 0, stretched(v, *np.percentile(padded[3:], (0.5, 99.5)))).astype(np.uint8)
    )
    two = np.stack([g, 255 - g])
    large = g.repeat(4, 0).repeat(4, 1)  # OpenJPEG refuses to write the small one
    large_two, large_deep = np.stack([large, 255 - large]), large.astype(np.uint16) * 16
    twelve = g.astype(np.uint16) * 16
    voi = {"VOILUTSequence": [_voi_table()]}
    ybr = {"PhotometricInterpretation": "YBR_FULL"}
    ramp = np.stack([g, 255 - g, g * 0], -1)
    return [
        OddFile("ct.dcm", "DICOM, CT: slope, intercept, window 40/400", stored(dicom(v, **soft)), shown, 1),
        OddFile(
            "exact.dcm", "DICOM, window LINEAR_EXACT", stored(dicom(v, **soft, VOILUTFunction="LINEAR_EXACT")), exact, 1
        ),
        OddFile("sigmoid.dcm", "DICOM, window SIGMOID", stored(dicom(v, **soft, VOILUTFunction="SIGMOID")), sigmoid, 1),
        OddFile(
            "windows.dcm",
            "DICOM, two windows",
            stored(dicom(v, **hounsfield, WindowCenter=[40, 500], WindowWidth=[400, 9])),
            shown,
            1,
        ),
        OddFile(
            "mono1.dcm",
            "DICOM, MONOCHROME1, windowed",
            stored(dicom(v, **soft, PhotometricInterpretation="MONOCHROME1")),
            255 - shown,
            1,
        ),
        OddFile(
            "mono1_8.dcm",
            "DICOM, MONOCHROME1, 8 bits",
            stored(dicom(g, PhotometricInterpretation="MONOCHROME1")),
            rgb(255 - g),
        ),
        OddFile("nowindow.dcm", "DICOM, 12 bits, no window", stored(dicom(twelve, bits=12)), rgb(stretched(twelve)), 1),
        OddFile(
            "padding.dcm",
            "DICOM, padding value -2000, no window",
            stored(dicom(padded, PixelPaddingValue=-2000)),
            shown_padded,
            1,
        ),
        OddFile("grey8.dcm", "DICOM, 8 bits", stored(dicom(g)), rgb(g)),
        OddFile("voi.dcm", "DICOM, VOI table (inverting)", stored(dicom(g, **voi)), rgb(255 - g)),
        OddFile("rgb.dcm", "DICOM, colour", stored(dicom(c)), c),
        OddFile("ybr.dcm", "DICOM, YBR_FULL", stored(dicom(to_ybr(c), **ybr)), c, 2),
        OddFile("lut.dcm", "DICOM, palette colour", stored(dicom(g, **_red_green_blue())), ramp),
        OddFile("frames.dcm", "DICOM, two frames", stored(dicom(two, frames=2)), rgb(g)),
        OddFile(
            "rle.dcm", "DICOM, RLE", stored(packed(dicom(twelve, bits=12), RLELossless)), rgb(stretched(twelve)), 1
        ),
        OddFile(
            "j2k.dcm",
            "DICOM, JPEG 2000",
            stored(packed(dicom(large_deep, bits=12), JPEG2000Lossless)),
            rgb(stretched(large_deep)),
            1,
        ),
        OddFile(
            "frames_j2k.dcm",
            "DICOM, JPEG 2000, two frames",
            stored(packed(dicom(large_two, frames=2), JPEG2000Lossless)),
            rgb(large),
        ),
        OddFile(
            "jpeg.dcm",
            "DICOM, JPEG, YBR_FULL_422",
            stored(holding_jpeg(dicom(c), saved(c, "JPEG", quality=100, subsampling=0))),
            c,
            5,
        ),
        OddFile("bare.dcm", "DICOM without preamble", stored(dicom(g), preamble=False), rgb(g)),
        OddFile("IM0001", "DICOM without a suffix", stored(dicom(g)), rgb(g)),
        OddFile("cut.dcm", "DICOM, second half missing", stored(dicom(v))[:-900], "cut.dcm"),
        OddFile("report.dcm", "DICOM without an image", stored(_without_image()), "without pixel data"),
        OddFile(
            "huge.dcm", "DICOM that claims 60,000 × 60,000", stored(dicom(g, Rows=60000, Columns=60000)), "--max-pixels"
        ),
    ]


def _without_image() -> Dataset:
    data = dicom(greys())
    for keyword in ("PixelData", "Rows", "Columns", "BitsStored", "PhotometricInterpretation"):
        delattr(data, keyword)
    return data
