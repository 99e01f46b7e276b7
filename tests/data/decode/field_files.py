"""DICOM files as they are found: written before the standard, by half, or wrongly; importing this needs pydicom."""

from __future__ import annotations

import io
from copy import deepcopy
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.tag import Tag
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    RLELossless,
)

from tests.data.decode.dicom_files import ct, dicom, packed, stored, to_ybr
from tests.data.decode.odd_files import OddFile, colours, greys, rgb, saved, stretched


def bare(data: Dataset, syntax: UID = ImplicitVRLittleEndian) -> bytes:
    """Return the data set alone, as files before 1993 hold it: no preamble, no file meta, no transfer syntax."""
    buffer = io.BytesIO()
    data = deepcopy(data)
    del data.file_meta
    data.save_as(buffer, implicit_vr=syntax.is_implicit_VR, little_endian=syntax.is_little_endian)
    return buffer.getvalue()


def unstated(data: Dataset, syntax: UID = ImplicitVRLittleEndian) -> bytes:
    """Return the file with preamble and file meta, and no transfer syntax among it."""
    buffer = io.BytesIO()
    data.file_meta = FileMetaDataset()
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID
    data.preamble = b"\0" * 128
    data.save_as(buffer, implicit_vr=syntax.is_implicit_VR, little_endian=syntax.is_little_endian)
    return buffer.getvalue()


def written(data: Dataset, syntax: UID) -> bytes:
    """Return the file in another transfer syntax without compression."""
    buffer = io.BytesIO()
    data.file_meta.TransferSyntaxUID = syntax
    data.save_as(buffer, implicit_vr=syntax.is_implicit_VR, little_endian=syntax.is_little_endian)
    return buffer.getvalue()


def without(data: Dataset, *keywords: str) -> Dataset:
    for keyword in keywords:
        delattr(data, keyword)
    return data


def emptied(data: Dataset, *keywords: str) -> Dataset:
    """Leave the elements, without a value."""
    for keyword in keywords:
        data[keyword].value = None
    return data


def raw(data: Dataset, keyword: str, vr: str, value: bytes) -> Dataset:
    """Put bytes in place of an element, unchecked."""
    tag = Tag(keyword)
    data._dict[tag] = RawDataElement(tag, vr, len(value), value, 0, False, True)
    return data


def claiming(data: bytes, syntax: UID, truth: UID) -> bytes:
    """Return the file with another transfer syntax in its header than its pixels have."""
    old, new = (uid.encode() + b"\0" * (len(uid) % 2) for uid in (truth, syntax))
    head = b"\x02\0\x10\0UI"
    assert data.count(head) == 1
    where = data.index(head)
    group = int.from_bytes(data[140:144], "little") + len(new) - len(old)
    data = data[:where] + head + len(new).to_bytes(2, "little") + new + data[where + 8 + len(old) :]
    return data[:140] + group.to_bytes(4, "little") + data[144:]


def palette(entries: NDArray[Any], *, bits: int, first: int = 0) -> dict[str, Any]:
    """Return the elements of a palette that runs red through `entries`, green backwards, blue nowhere."""
    elements: dict[str, Any] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for name, values in (("Red", entries), ("Green", entries[::-1]), ("Blue", entries * 0)):
        elements[f"{name}PaletteColorLookupTableDescriptor"] = [len(entries), first, bits]
        data = values.tobytes()
        elements[f"{name}PaletteColorLookupTableData"] = data + b"\0" * (len(data) % 2)
    return elements


def segmented() -> dict[str, Any]:
    """Return a palette of 256 entries, written as a start and a straight line to the end."""
    elements: dict[str, Any] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for name, (start, end) in (("Red", (0, 65535)), ("Green", (65535, 0)), ("Blue", (0, 0))):
        elements[f"{name}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
        words = np.array([0, 1, start, 1, 255, end], "<u2")
        elements[f"Segmented{name}PaletteColorLookupTableData"] = words.tobytes()
    return elements


def enhanced(pixels: NDArray[Any]) -> Dataset:
    """Return an object whose rescaling and window stand in the groups of its frames."""
    scale, window, frame, shared = Dataset(), Dataset(), Dataset(), Dataset()
    scale.RescaleSlope, scale.RescaleIntercept = 1, -1024
    window.WindowCenter, window.WindowWidth = 40, 400
    frame.FrameVOILUTSequence = [window]
    shared.PixelValueTransformationSequence = [scale]
    frames = {"PerFrameFunctionalGroupsSequence": [frame], "SharedFunctionalGroupsSequence": [shared]}
    return dicom(pixels[None], frames=1, **frames)


def ybr_422(pixels: NDArray[np.uint8]) -> bytes:
    """Return Y Y B R of each two pixels."""
    ybr = to_ybr(pixels)
    even, odd = ybr[:, ::2], ybr[:, 1::2]
    return np.stack([even[..., 0], odd[..., 0], even[..., 1], even[..., 2]], -1).tobytes()


def with_pixels(data: Dataset, pixels: bytes) -> Dataset:
    data["PixelData"].value = pixels
    return data


def field_table() -> list[OddFile]:
    return [*_syntaxes(), *_missing(), *_windows(), *_palettes(), *_kinds()]


def _syntaxes() -> list[OddFile]:
    c, g, v = colours(), greys(), ct()
    deep, twelve = rgb(stretched(v)), g.astype(np.uint16) * 16
    rle = stored(packed(dicom(twelve, bits=12), RLELossless))
    swapped = with_pixels(dicom(v), v.astype(">i2").tobytes())
    jpeg = with_pixels(dicom(g), encapsulate([saved(g, "JPEG", quality=100)]))
    jpeg["PixelData"].is_undefined_length = True
    files = [
        ("bare_implicit", "no meta, implicit", bare(dicom(v)), deep, 1),
        ("bare_explicit", "no meta, explicit", bare(dicom(v), ExplicitVRLittleEndian), deep, 1),
        ("bare_big", "no meta, big endian", bare(swapped, ExplicitVRBigEndian), deep, 1),
        ("1.2.840.113619.2.55.3", "no meta, named by its UID", bare(dicom(g)), rgb(g), 0),
        ("MR.1.3.12.2.1107.5.2.32.35162.1999", "named by its UID", stored(dicom(g)), rgb(g), 0),
        ("a.IMA", "named as Siemens does", stored(dicom(g)), rgb(g), 0),
        ("unstated_implicit.dcm", "no transfer syntax, implicit", unstated(dicom(v)), deep, 1),
        (
            "unstated_explicit.dcm",
            "no transfer syntax, explicit",
            unstated(dicom(c), ExplicitVRLittleEndian),
            c,
            0,
        ),
        ("big.dcm", "big endian", written(swapped, ExplicitVRBigEndian), deep, 1),
        ("big8.dcm", "big endian, 8 bits", written(dicom(g), ExplicitVRBigEndian), rgb(g), 0),
        ("deflated.dcm", "deflated", written(dicom(v), DeflatedExplicitVRLittleEndian), deep, 1),
        (
            "plain_as_jpeg.dcm",
            "says JPEG, is not compressed",
            claiming(stored(dicom(g)), JPEGBaseline8Bit, ExplicitVRLittleEndian),
            rgb(g),
            0,
        ),
        (
            "rle_as_plain.dcm",
            "says uncompressed, is RLE",
            claiming(rle, ExplicitVRLittleEndian, RLELossless),
            rgb(stretched(twelve)),
            1,
        ),
        ("jpeg_as_plain.dcm", "says uncompressed, is JPEG", stored(jpeg), rgb(g), 3),
        (
            "private.dcm",
            "in a maker's own syntax",
            claiming(stored(dicom(g)), UID("1.2.3.4.5.6"), ExplicitVRLittleEndian),
            "compression cannot be decoded (1.2.3.4.5.6)",
            0,
        ),
    ]
    return [OddFile(name, f"DICOM, {what}", content, gives, within) for name, what, content, gives, within in files]


def _missing() -> list[OddFile]:
    c, g, v = colours(), greys(), ct()
    odd = g[:3, :3]
    twelve = g.astype(np.uint16) * 16
    optional = ("BitsStored", "HighBit", "PixelRepresentation", "PhotometricInterpretation", "SamplesPerPixel")
    named = bare(raw(dicom(g, PatientName="a"), "PatientName", "PN", b"M\xfcller"))
    private = dicom(g, SpecificCharacterSet="ISO_IR 999", PatientName="x")
    private.private_block(0x0029, "CASS", create=True).add_new(1, "UN", b"\xff\xfe\0")
    files: list[tuple[str, str, bytes, Any, int]] = [
        ("least.dcm", "no optional element", stored(without(dicom(g), *optional)), rgb(g), 0),
        ("least16.dcm", "12 bits, HighBit alone", stored(without(dicom(twelve, bits=12), "BitsStored")), 0, 1),
        ("empty.dcm", "empty elements", stored(emptied(dicom(g), *optional[:3])), rgb(g), 0),
        ("colour.dcm", "colour that is not called so", stored(without(dicom(c), *optional[3:4])), c, 0),
        ("allocated.dcm", "BitsAllocated missing", stored(without(dicom(twelve, bits=12), "BitsAllocated")), 0, 1),
        ("nobits.dcm", "no bits at all", stored(without(dicom(g), "BitsAllocated", "BitsStored")), "how many bits", 0),
        ("norows.dcm", "Rows missing", stored(without(dicom(g), "Rows")), "rows and columns", 0),
        ("odd.dcm", "9 bytes of pixels, not padded", stored(with_pixels(dicom(odd), odd.tobytes())), rgb(odd), 0),
        ("odd8.dcm", "8 of 9 bytes", stored(with_pixels(dicom(odd), odd.tobytes()[:8])), 1, 0),
        ("short.dcm", "pixels cut short", stored(with_pixels(dicom(v), v.tobytes()[:-90])), "cut short (1,638 of", 0),
        ("frames.dcm", "NumberOfFrames empty", stored(raw(dicom(g), "NumberOfFrames", "IS", b"")), rgb(g), 0),
        ("noframes.dcm", "NumberOfFrames 0", stored(raw(dicom(g), "NumberOfFrames", "IS", b"0 ")), rgb(g), 0),
        ("un.dcm", "Rows of unknown type", stored(raw(dicom(g), "Rows", "UN", b"\x18\0")), rgb(g), 0),
        ("ds.dcm", "Columns as text", stored(raw(dicom(g), "Columns", "DS", b"36")), rgb(g), 0),
        (
            "lower.dcm",
            "in small letters",
            stored(raw(dicom(g), "PhotometricInterpretation", "CS", b"monochrome2 ")),
            2,
            0,
        ),
        ("latin.dcm", "Latin-1 where ASCII is promised", named, rgb(g), 0),
        ("charset.dcm", "unknown letters, private elements", stored(private), rgb(g), 0),
    ]
    wanted = {
        0: rgb(stretched(twelve)),
        1: rgb(np.append(odd.ravel()[:8], 0).reshape(3, 3).astype(np.uint8)),
        2: rgb(g),
    }
    return [
        OddFile(name, f"DICOM, {what}", content, wanted[gives] if isinstance(gives, int) else gives, within)
        for name, what, content, gives, within in files
    ]


def _windows() -> list[OddFile]:
    v = ct()
    hounsfield = {"RescaleSlope": 1, "RescaleIntercept": -1024}
    soft = hounsfield | {"WindowCenter": 40, "WindowWidth": 400}
    shown = rgb(stretched(v.astype(int) - 1024, 40 - 0.5 - 199.5, 40 - 0.5 + 199.5))
    plain, small = rgb(stretched(v)), v * 1e-4
    fine = {"RescaleSlope": 1e-4, "RescaleIntercept": 0, "WindowCenter": 0.1, "WindowWidth": 0.1}
    files = [
        ("zero.dcm", "window of no width", dicom(v, **soft | {"WindowWidth": 0}), plain),
        ("nowindow.dcm", "empty window", emptied(dicom(v, **soft), "WindowCenter", "WindowWidth"), plain),
        ("words.dcm", "window in words", raw(dicom(v, **soft), "WindowWidth", "DS", b"wide"), plain),
        ("slope.dcm", "empty slope", emptied(dicom(v, **soft), "RescaleSlope"), shown),
        ("slope0.dcm", "slope of zero", dicom(v, **soft | {"RescaleSlope": 0}), shown),
        ("fine.dcm", "slope 0.0001, window 0.1 wide", dicom(v, **fine), rgb(stretched(small, 0.05, 0.15))),
        ("table.dcm", "VOI table without an item", dicom(v, **soft, VOILUTSequence=[]), shown),
        ("enhanced.dcm", "enhanced CT", enhanced(v), shown),
    ]
    return [OddFile(name, f"DICOM, {what}", stored(data), gives, 1) for name, what, data, gives in files]


def _palettes() -> list[OddFile]:
    g = greys()
    ramp = np.arange(256)
    full = np.stack([g, 255 - g, g * 0], -1)
    less = 25 + np.arange(201)  # entries of values 10 to 210
    clipped = np.clip(g.astype(int), 10, 210) - 10
    part = np.stack([less[clipped], less[::-1][clipped], clipped * 0], -1).astype(np.uint8)
    wide = g.astype(np.uint16) * 4
    large = np.stack([wide // 4, 255 - wide // 4, wide * 0], -1).astype(np.uint8)
    mixed = {**palette(ramp[:55].astype(np.uint8), bits=8, first=200), "PhotometricInterpretation": "MONOCHROME2"}
    over = np.clip(g.astype(int) - 200, 0, 54)
    marked = np.where((g >= 200)[..., None], np.stack([over, 54 - over, over * 0], -1), rgb(g)).astype(np.uint8)
    files = [
        ("bytes.dcm", "palette of 8 bits", dicom(g, **palette(ramp.astype(np.uint8), bits=8)), full),
        (
            "odd_palette.dcm",
            "palette of 201 entries from 10",
            dicom(g, **palette(less.astype(np.uint8), bits=8, first=10)),
            part,
        ),
        ("words_8.dcm", "8 bits in words", dicom(g, **palette(ramp.astype("<u2"), bits=8)), full),
        ("twice.dcm", "8 bits, twice a word", dicom(g, **palette((ramp * 257).astype("<u2"), bits=8)), full),
        ("said_16.dcm", "8 bits, called 16", dicom(g, **palette(ramp.astype("<u2"), bits=16)), full),
        (
            "large.dcm",
            "1,024 entries",
            dicom(wide, bits=10, **palette((np.arange(1024) // 4).astype(np.uint8), bits=8)),
            large,
        ),
        ("segmented.dcm", "segmented palette", dicom(g, **segmented()), full),
        ("mixed.dcm", "grey, coloured above 200", dicom(g, **mixed, PixelPresentation="MIXED"), marked),
    ]
    table = [OddFile(name, f"DICOM, {what}", stored(data), gives, 1) for name, what, data, gives in files]
    implicit = written(dicom(g, **palette((ramp * 257).astype("<u2"), bits=16)), ImplicitVRLittleEndian)
    lost = stored(dicom(g, PhotometricInterpretation="PALETTE COLOR"))
    return [
        *table,
        OddFile("palette_implicit.dcm", "DICOM, palette, implicit", implicit, full),
        OddFile("nopalette.dcm", "DICOM, palette missing", lost, "palette is missing"),
    ]


def _kinds() -> list[OddFile]:
    c, g = colours(), greys()
    bits = (g > 128).astype(np.uint8)
    single = dicom(g, BitsAllocated=1, BitsStored=1, HighBit=0)
    single = with_pixels(single, np.packbits(bits, bitorder="little").tobytes())
    wide = g.astype(np.uint32) * 70_000
    floats = without(dicom(wide), "PixelData", "BitsStored", "HighBit", "PixelRepresentation")
    floats.FloatPixelData = (g / 7).astype("<f4").tobytes()
    planes = dicom(c, PlanarConfiguration=1)
    half = dicom(c, PhotometricInterpretation="YBR_FULL_422")
    coarse = c.copy()
    coarse[:, 1::2] = coarse[:, ::2]
    report = without(dicom(g), "PixelData", "Rows", "Columns")
    report.SOPClassUID = report.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.88.11"
    files = [
        ("bit.dcm", "1 bit a pixel", stored(single), rgb(bits * 255), 0),
        ("wide.dcm", "32 bits", stored(dicom(wide)), rgb(stretched(wide)), 1),
        ("float.dcm", "floating point", stored(floats), rgb(stretched(g / 7)), 1),
        ("planes.dcm", "planes of colour", stored(with_pixels(planes, c.transpose(2, 0, 1).tobytes())), c, 0),
        ("422.dcm", "YBR_FULL_422, uncompressed", stored(with_pixels(half, ybr_422(coarse))), coarse, 2),
        ("sr.dcm", "a report", stored(report), "without pixel data (Basic Text SR)", 0),
        ("nopix.dcm", "pixels missing", stored(without(dicom(g), "PixelData")), "without pixel data (Secondary", 0),
    ]
    return [OddFile(name, f"DICOM, {what}", content, gives, within) for name, what, content, gives, within in files]
