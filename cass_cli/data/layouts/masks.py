"""Which of the image files are segmentation masks: drawn beside the images, and no images to learn from."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from posixpath import commonpath

from cass_cli.data.decode.kinds import NIFTI_SUFFIXES, stem_of, suffix_of
from cass_cli.data.layouts.vocabulary import is_container, is_mask_folder, split_in

ENDINGS = (
    *("mask", "segmentation", "segmented", "seg", "gt", "groundtruth", "ground truth", "ground_truth", "ground-truth"),
    *("annotation", "contour", "roi", "lesion", "label", "labels"),
)
IMAGE_WORDS = ("img_", "image_", "im_", "img", "image")
_PREFIX = re.compile(r"(mask|segmentation|seg|gt|groundtruth)[ _-]", re.IGNORECASE)
_MASK = re.compile(rf"[ _-]?({'|'.join(ENDINGS)})([ _-]?\d+)?$", re.IGNORECASE)


def find_masks(names: Sequence[str], *, everywhere: bool = False) -> set[str]:
    """Return those of the image paths `names` that are masks.

    A mask bears the name of an image with an ending such as `_mask` or `_segmentation` and lies beside it (of a volume,
    also that of several contrasts with endings of their own: `7_seg.nii.gz` beside `7_t1.nii.gz`), or lies in a folder
    called `masks`, `Ground Truth`, … while the image, or a folder of images, lies outside one. With
    `everywhere`, the ending `mask` is enough.
    """
    stems = {stem_of(name) for name in names}
    stems |= {re.split(r"[_-][^_/-]+$", stem_of(name))[0] for name in names if _is_volume(name) and not _bare(name)}
    beside = {name for name in names if ((bare := _bare(name)) and bare in stems) or _prefixed(name, stems)}
    if everywhere:
        beside |= {name for name in names if stem_of(name).lower().endswith("mask")}
    return beside | _in_mask_folders([name for name in names if name not in beside])


def _is_volume(name: str) -> bool:
    return suffix_of(name) in NIFTI_SUFFIXES


def _bare(name: str) -> str:
    """Return the path of the image that a mask beside it belongs to, "" where the name has no such ending."""
    stem = stem_of(name)
    if not stem.lower().rstrip("0123456789_- ").endswith(ENDINGS):  # most names: told without the expression
        return ""
    bare = _MASK.sub("", stem)
    return "" if bare == stem or bare.endswith("/") else bare


def _prefixed(name: str, stems: set[str]) -> bool:
    """Whether a name after `mask_` is that of an image beside it: `mask_7.png` beside 7.png or img_7.png."""
    folder, _, file = stem_of(name).rpartition("/")
    if not (match := _PREFIX.match(file)):
        return False
    rest = file[match.end() :]
    return any((f"{folder}/{word}{rest}" if folder else f"{word}{rest}") in stems for word in ("", *IMAGE_WORDS))


def _in_mask_folders(names: Sequence[str]) -> set[str]:
    """Return the images in folders called as masks are, where their counterparts lie elsewhere."""
    held: dict[str, list[str]] = defaultdict(list)  # mask folder → its images
    outside: list[str] = []
    around = len(commonpath(names).split("/")) if len({name.partition("/")[0] for name in names}) == 1 else 0
    for name in names:
        folder = _mask_folder(name, around)
        (outside if folder is None else held[folder]).append(name)
    if not held or not outside:
        return set()
    pictured = {_stem(name) for name in outside}
    parents = {name.rpartition("/")[0] for name in outside}
    shown_beside = {p.rpartition("/")[0] for p in parents if is_container(p.rpartition("/")[2])}
    masks: set[str] = set()
    for folder, inside in held.items():
        known = sum(_stem(name) in pictured or _MASK.sub("", _stem(name)) in pictured for name in inside)
        if _counts(inside) and not _beside_pictures(folder, outside):
            continue  # class folders of the same numbers: `roi/1.png` and `background/1.png`
        if 2 * known >= len(inside) or folder.rpartition("/")[0] in shown_beside:
            masks.update(inside)
    return masks


def _counts(names: Sequence[str]) -> bool:
    return all(_stem(name).isdecimal() and len(_stem(name)) < 5 for name in names)


def _beside_pictures(folder: str, outside: Sequence[str]) -> bool:
    """Whether the pictures lie in a folder called as such, or in a split, beside the folder of masks or around it."""
    words = {part for name in outside for part in name.split("/")[:-1]}
    return any(is_container(word) or split_in(word) for word in words) or not words or folder.count("/") > 0


def _mask_folder(name: str, around: int) -> str | None:
    """Return the path of the first folder of `name` called as folders of masks are, below the first `around`."""
    parts = name.split("/")[:-1]
    for depth, part in enumerate(parts):
        if depth >= around and is_mask_folder(part):
            return "/".join(parts[: depth + 1])
    return None


def _stem(name: str) -> str:
    return stem_of(name.rpartition("/")[2])
