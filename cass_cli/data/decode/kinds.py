"""What kind of image a file is: by how it begins, else by its suffix."""

from __future__ import annotations

import re
from typing import Literal

Kind = Literal["dicom", "npy", "nifti", "heic", "picture"]  # picture: what Pillow reads by itself

HEAD = 132  # bytes that the functions below ask for
DICOM_SUFFIXES = frozenset({".dcm", ".dicom", ".ima"})  # .ima: Siemens
NIFTI_SUFFIXES = frozenset({".nii", ".nii.gz"})
GZIPPED = frozenset({"gz", "GZ", "Gz"})
HEIC_SUFFIXES = frozenset({".heic", ".heif"})
STILL_SUFFIXES = frozenset(  # of one image a file
    {".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".pgm", ".ppm", ".jp2", ".j2k", ".j2c", ".jpx", ".jpf", ".npy"}
)
IMAGE_SUFFIXES = (
    DICOM_SUFFIXES
    | NIFTI_SUFFIXES
    | HEIC_SUFFIXES
    | STILL_SUFFIXES
    | {".png", ".tif", ".tiff", ".webp", ".gif", ".avif", ".avifs"}  # which may hold several
)

# The first element of a DICOM file without preamble: group 0002 or 0008, a low number, the two letters of its type.
_TYPED_START = re.compile(rb"(?:[\x02\x08]\0[\0-\x18]\0|\0[\x02\x08]\0[\0-\x18])(?:AE|AS|CS|DA|LO|OB|SH|TM|UI|UL)")
_UNTYPED_START = re.compile(rb"[\x02\x08]\0[\0-\x18]\0(.)\0\0\0", re.DOTALL)  # a length below 256 in their place

_PICTURE = re.compile(
    rb"\x89PNG\r\n\x1a\n|\xff\xd8\xff|II[*+]\0|MM\0[*+]|GIF8[79]a|RIFF....WEBP"
    rb"|BM.{4}\0{4}.{4}[\x0c\x28\x34\x38\x40\x6c\x7c]\0{3}"  # with the size of one of its headers: BM begins words
    rb"|\0\0\0\x0cjP  \r\n|\xff\x4f\xff\x51|....ftypavi[fs]",
    re.DOTALL,
)
_HEIC = re.compile(rb"....ftyp(?:hei[cxms]|hev[cxms]|mif1|msf1)", re.DOTALL)
_NPY = b"\x93NUMPY"
_NPY_AXES = re.compile(rb"'shape': \((?!1, *\d+\)|\d+, *1\))\d+, *\d")  # two at least, and no row or column


def kind_of(name: str, head: bytes) -> Kind:
    """Return what a file called so, whose first HEAD bytes are these, is to be read as."""
    suffix = suffix_of(name)
    if suffix in NIFTI_SUFFIXES:
        return "nifti"
    if begins_as_dicom(head) or suffix in DICOM_SUFFIXES:
        return "dicom"
    if head.startswith(_NPY) or suffix == ".npy":
        return "npy"
    if _begins_as_heic(head) or (suffix in HEIC_SUFFIXES and not _PICTURE.match(head)):
        return "heic"
    return "picture"


def begins_as_image(head: bytes) -> bool:
    """Tell an image whose name has no suffix from its first HEAD bytes."""
    return begins_as_dicom(head) or bool(_PICTURE.match(head)) or _begins_as_heic(head)


def begins_as_numbers(head: bytes) -> bool:
    """Tell from its first HEAD bytes an .npy of labels or scores, with fewer than the two axes of an image."""
    return head.startswith(_NPY) and not _NPY_AXES.search(head)


def begins_as_dicom(head: bytes) -> bool:
    """Tell from the first HEAD bytes of a file: by the marker behind the preamble, else by its first element.

    Where elements have no types, a second one of the same group must stand where the first one ends.
    """
    if head[128:132] == b"DICM" or _TYPED_START.match(head):
        return True
    start = _UNTYPED_START.match(head)
    return start is not None and head[8 + start[1][0] :][:2] == head[:2]


def _begins_as_heic(head: bytes) -> bool:
    """Tell by the brand; a file of the brand mif1 may be an AVIF, which its further brands say."""
    return bool(_HEIC.match(head)) and b"avif" not in head[8 : 4 + int.from_bytes(head[2:4], "big")]


def suffix_of(name: str) -> str:
    """Return what follows the last dot, with it, in lower case; "" for a number, as in `MR.1.3.12.2.1107`."""
    stem, dot, suffix = name.rpartition(".")
    if suffix in GZIPPED and stem[-4:].lower() == ".nii":
        return ".nii.gz"
    return f".{suffix.lower()}" if dot and stem and "/" not in suffix and not suffix.isdigit() else ""


def stem_of(name: str) -> str:
    """Return a path without what follows its last dot, "" where it has none; `.nii.gz` is one suffix."""
    stem, _, suffix = name.rpartition(".")
    return stem[:-4] if suffix in GZIPPED and stem[-4:].lower() == ".nii" else stem
