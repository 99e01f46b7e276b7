"""Labels and splits that folder names tell: class folders, train/val/test folders, Dermofit's case folders."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from cass_cli.data.layouts.records import Records, split_name
from cass_cli.words import count, shown

# Folders that hold images of every kind; their names are no classes.
CONTAINERS = {
    *("image", "images", "img", "imgs", "data", "dataset", "photos", "pictures", "slices", "scans"),
    *("jpg", "jpeg", "png", "tif", "tiff", "bmp", "dicom", "dcm", "mask", "masks", "segmentation", "segmentations"),
}


def is_container(folder: str) -> bool:
    """True for a folder name such as `images` or `ISIC_2019_Training_Input`, which names no class."""
    return folder.lower() in CONTAINERS or folder.lower().endswith("_input")


def read_class_folders(names: Sequence[str], *, demand: int = 2) -> Records | None:
    """Read `[train/]<class>/…/<image>` paths; None unless at least `demand` class folders are there.

    Wrapping folders (a single folder around everything) are looked through. Images that lie in no class folder are
    left out and counted in the notes.
    """
    prefix = _wrapping_folders(names)
    splits, inner, notes = _by_split(names, prefix)
    folders = [path.partition("/")[0] if "/" in path else "" for path in inner]
    classes = {folder for folder in folders if folder and (demand < 2 or not is_container(folder))}
    if len(classes) < demand:
        return None
    rows = [i for i, folder in enumerate(folders) if folder in classes and (splits is None or splits[i])]
    if len(rows) < len(names):
        notes.append(f"{count(len(names) - len(rows), 'image')} lie outside the class folders: left out.")
    kind = "class folders" if splits is None else "class folders in split folders"
    where = f" under {shown(prefix)}" if prefix else ""
    return Records(
        names=[names[i] for i in rows],
        labels=[(folders[i],) for i in rows],
        splits=None if splits is None else [splits[i] for i in rows],
        notes=[f"Layout: {kind}{where} ({count(len(classes), 'class', 'classes')}).", *notes],
    )


def read_flat(names: Sequence[str]) -> Records:
    """Take every image as unlabelled; train/val/test folders still give the split."""
    splits, _, notes = _by_split(names, _wrapping_folders(names))
    rows = [i for i in range(len(names)) if splits is None or splits[i]]
    if len(rows) < len(names):
        notes.append(f"{count(len(names) - len(rows), 'image')} lie outside the split folders: left out.")
    return Records(
        names=[names[i] for i in rows],
        splits=None if splits is None else [splits[i] for i in rows],
        notes=["Layout: a folder of images without labels.", *notes],
    )


def read_dermofit(names: Sequence[str]) -> Records | None:
    """Read Dermofit's `<class>/<case>/<image>`; the case is the group where any case holds several images."""
    records = read_class_folders(names)
    if records is None:
        return None
    cases = [name.rpartition("/")[0] for name in records.names]
    sizes = Counter(cases)
    several = sum(size > 1 for size in sizes.values())
    notes = ["Layout: Dermofit (class folders holding one folder a case).", *records.notes[1:]]
    if several:
        notes.append(f"Grouped by case folder: {several:,} of {len(sizes):,} cases hold several images.")
    return Records(
        names=records.names,
        labels=records.labels,
        splits=records.splits,
        groups=cases if several else None,
        notes=notes,
    )


def looks_like_dermofit(names: Sequence[str]) -> bool:
    """True when every image lies at `<class>/<case>/<image>` and bears its case's name."""
    return all(_is_case(name.split("/")) for name in names)


def _is_case(parts: list[str]) -> bool:
    return len(parts) >= 3 and parts[-1].lower().startswith(parts[-2].lower())


def splits_of_paths(names: Sequence[str]) -> list[str] | None:
    """Return the split that a folder of each path names, or None unless every path has exactly one such folder."""
    found = [{split for part in name.split("/")[:-1] if (split := split_name(part))} for name in names]
    if not all(len(splits) == 1 for splits in found):
        return None
    return [splits.pop() for splits in found]


def _wrapping_folders(names: Sequence[str]) -> str:
    """Return the prefix (ending in "/" or empty) of the folders that merely wrap the one below."""
    prefix = ""
    while True:
        tops = {name[len(prefix) :].partition("/")[0] for name in names}
        top = next(iter(tops))
        if len(tops) > 1 or split_name(top):
            return prefix
        inside = f"{prefix}{top}/"
        if not all(name.startswith(inside) and "/" in name[len(inside) :] for name in names):
            return prefix
        prefix = inside


def _by_split(names: Sequence[str], prefix: str) -> tuple[list[str] | None, list[str], list[str]]:
    """Return the split of each name (None: no split folders; "": beside them), the path below it, and notes."""
    paths = [name[len(prefix) :] for name in names]
    tops = {path.partition("/")[0] for path in paths if "/" in path}
    named = {top: split for top in tops if (split := split_name(top))}
    if not named or ("train" not in named.values() and len(named) < len(tops)):
        return None, paths, []
    splits = [named.get(path.partition("/")[0], "") if "/" in path else "" for path in paths]
    inner = [path.partition("/")[2] if split else path for path, split in zip(paths, splits, strict=True)]
    listing = ", ".join(f"{shown(top)} → {named[top]}" for top in sorted(named))
    return splits, inner, [f"Splits come from the folders ({listing})."]
