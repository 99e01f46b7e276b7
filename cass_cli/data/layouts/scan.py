"""Walk a data folder once: every image file in it, and what was passed over.

The folder is untrusted: links may loop or lead elsewhere, folders may be unreadable, names may be any bytes.
"""

from __future__ import annotations

import os
import re
import stat
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from heapq import heappop, heappush
from pathlib import Path

from cass_cli.data.decode.kinds import HEAD, IMAGE_SUFFIXES, begins_as_image, begins_as_numbers, suffix_of
from cass_cli.data.layouts.masks import find_masks
from cass_cli.data.layouts.vocabulary import split_in
from cass_cli.data.slides.found import SLIDE_SUFFIXES
from cass_cli.errors import DataError
from cass_cli.words import count, shown, shown_list

IGNORED = {"__macosx", "@eadir", "thumbs.db", "desktop.ini"}
INNERMOST, MOST_TABLES = 2, 20  # how deep tables further down are looked for, and how many may lie there
TABLE_SUFFIXES = {".csv", ".tsv", ".tab", ".csv.gz", ".tsv.gz"}
SHEET_SUFFIXES = {".xlsx", ".xls", ".ods", ".json", ".jsonl", ".parquet", ".arff"}  # tables too, which are not read
SLIDES = frozenset(SLIDE_SUFFIXES) - IMAGE_SUFFIXES
ARCHIVE_SUFFIXES = {".gz", ".zip", ".tar", ".7z", ".rar"}
# Files that hold images, or whole archives of them, in formats that are not read: their folder may be a class.
UNREAD_SUFFIXES = {
    *SLIDES,
    *ARCHIVE_SUFFIXES,
    *(".jxl", ".npy", ".mat", ".h5", ".hdf5", ".vsi", ".mha", ".mhd", ".nrrd", ".fits"),
    *(".dng", ".cr2", ".nef", ".psd", ".exr"),
}
DICOMDIR = "DICOMDIR"
_JOINTS = re.compile(r"[._-]")


@dataclass(frozen=True)
class Scan:
    """The files under `root`: image names (POSIX, relative, sorted) and what else was met."""

    root: Path  # resolved
    images: tuple[str, ...]
    tables: tuple[str, ...]  # .csv, .tsv and spreadsheets about the images, see `_beside`
    texts: tuple[str, ...]  # .txt files there
    masks: tuple[str, ...]  # segmentation masks, left out
    unread: tuple[str, ...]  # images in formats that are not read
    notes: tuple[str, ...]


@dataclass
class _Walk:
    """What the walk has gathered so far."""

    images: list[str]
    others: Counter[str]
    unread: list[str]
    tables: list[str]
    links: list[str]  # a heap: the first by name is followed first
    unreadable: list[str]
    empty: list[str]
    seen: set[tuple[int, int]]


def scan_folder(root: Path, *, allow_outside: bool = False, all_masks: bool = False) -> Scan:
    """Return every image under `root`, sorted by name; one `os.scandir` a folder, no stat of plain files.

    Links that resolve outside `root` are an error unless `allow_outside`. A linked folder is read once: a link to
    a folder already read is left out, so loops end. Segmentation masks are left out as `find_masks` tells them, with
    `all_masks` wherever they lie.
    Raises DataError for a missing, unreadable or empty folder and for one without any image.
    """
    root = _existing_folder(root)
    walk = _Walk([], Counter(), [], [], [], [], [], set())
    _read_tree(root, "", walk)
    aliases = _follow_links(root, walk, allow_outside)
    if walk.unreadable:
        raise DataError(
            f"{count(len(walk.unreadable), 'folder')} under {root} cannot be read: {shown_list(walk.unreadable)}",
            hint="Give yourself read permission (chmod -R u+rX), or move the folder away.",
        )
    _without_arrays(walk)
    masks = find_masks(walk.images, everywhere=all_masks)
    images = tuple(sorted(name for name in walk.images if name not in masks))
    if not images:
        raise _nothing_found(root, walk.others, len(masks))
    beside = _beside(walk.tables, images)
    return Scan(
        root,
        images,
        tuple(name for name in beside if table_suffix(name) != ".txt"),
        tuple(name for name in beside if table_suffix(name) == ".txt"),
        tuple(sorted(masks)),
        tuple(sorted(walk.unread)),
        tuple(_notes(walk.others, masks, aliases, walk.empty)),
    )


def _beside(tables: Sequence[str], images: Sequence[str]) -> list[str]:
    """Return the tables that may be about all of the images: in the root, in a folder around them, or further down.

    Those further down count only where they are few: a table a patient is about that patient. Texts among them count
    where they are called as lists of a split.
    """
    low, high = images[0].split("/")[:-1], images[-1].split("/")[:-1]  # images are sorted
    shared = next((i for i, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), min(len(low), len(high)))
    around = {"/".join(low[:depth]) for depth in range(shared + 1)}
    near = [name for name in tables if name.rpartition("/")[0] in around]
    inner = [
        name for name in tables if name not in near and name.count("/") <= INNERMOST and table_suffix(name) != ".txt"
    ]
    lists = [name for name in tables if name not in near and table_suffix(name) == ".txt" and split_in(Path(name).stem)]
    return sorted([*near, *(part for parts in (inner, lists) if len(parts) <= MOST_TABLES for part in parts)])


def _existing_folder(root: Path) -> Path:
    try:
        resolved = root.expanduser().resolve(strict=True)
    except (OSError, RuntimeError) as error:  # RuntimeError: a link loop before Python 3.13
        raise DataError(f"There is no folder {shown(str(root))}.", hint="Check the path.") from error
    if not resolved.is_dir():
        raise DataError(f"{shown(str(root))} is a file, not a folder of images.", hint="Give the folder it is in.")
    return resolved


def _read_tree(root: Path, start: str, walk: _Walk) -> None:
    """Add everything below `root/start` to `walk`; links are put aside in `walk.links`."""
    pending = [start]
    while pending:
        folder = pending.pop()
        prefix = f"{folder}/" if folder else ""
        try:
            status = os.stat(root / folder)
            walk.seen.add((status.st_dev, status.st_ino))
            here = list(_visible_entries(root / folder))
            if not here:
                walk.empty.append(folder)
            for entry in here:
                if entry.is_symlink():
                    heappush(walk.links, prefix + entry.name)
                elif entry.is_dir(follow_symlinks=False):
                    pending.append(prefix + entry.name)
                elif not entry.is_file(follow_symlinks=False):  # a pipe, a device: never opened
                    walk.others[_kind(entry.name)] += 1
                elif is_image(entry.path, entry.name):
                    walk.images.append(prefix + entry.name)
                else:
                    _put_aside(prefix + entry.name, walk)
        except OSError as error:
            walk.unreadable.append(f"{folder or '.'} ({error.strerror or error})")


def _without_arrays(walk: _Walk) -> None:
    """Put aside .npy files that bear the name of an image beside them: its embedding, mask or labels."""
    arrays = {name for name in walk.images if name.lower().endswith(".npy")}
    if not arrays:
        return
    bare = {name.rpartition(".")[0] for name in walk.images if name not in arrays}

    def belongs(name: str) -> bool:
        stem = name.rpartition(".")[0]
        return stem in bare or any(stem[: match.start()] in bare for match in _JOINTS.finditer(stem))

    for name in (theirs := {name for name in arrays if belongs(name)}):
        _put_aside(name, walk)
    walk.images[:] = [name for name in walk.images if name not in theirs]


def _put_aside(name: str, walk: _Walk) -> None:
    """Note a file that is no image."""
    suffix = table_suffix(name)
    if suffix in UNREAD_SUFFIXES:
        walk.unread.append(name)
    elif suffix in TABLE_SUFFIXES | SHEET_SUFFIXES | {".txt"}:
        walk.tables.append(name)
    walk.others[_kind(name)] += 1


def _visible_entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if not entry.name.startswith(".") and entry.name.lower() not in IGNORED:
                yield entry


def _follow_links(root: Path, walk: _Walk, allow_outside: bool) -> int:
    """Resolve the links put aside, which may bring further ones; return how many led to a folder already read."""
    outside: list[str] = []
    aliases = 0
    real = cache(partial(os.path.realpath, strict=True))  # of folders: links lie, and lead, in few of them
    while walk.links:
        # Real folders were all read first, so a linked folder never displaces the real one.
        name = heappop(walk.links)
        try:
            target, status = _link_end(f"{root}/{name}", real)
        except (OSError, RuntimeError):  # leads nowhere or in a circle: an image by name fails in decoding, by name
            if suffix_of(name) in IMAGE_SUFFIXES:
                walk.images.append(name)
            continue
        is_dir = stat.S_ISDIR(status.st_mode)
        if not is_dir and not stat.S_ISREG(status.st_mode):
            walk.others[_kind(name)] += 1
        elif not is_dir and not is_image(target, name):
            if allow_outside or Path(target).is_relative_to(root):
                _put_aside(name, walk)
            else:
                walk.others[_kind(name)] += 1
        elif not allow_outside and not Path(target).is_relative_to(root):
            outside.append(name)
        elif not is_dir:
            walk.images.append(name)
        elif (status.st_dev, status.st_ino) in walk.seen:
            aliases += 1
        else:
            _read_tree(root, name, walk)
    if outside:
        raise outside_error(outside, root, ("link leads", "links lead"))
    return aliases


def _link_end(link: str, real: Callable[[str], str]) -> tuple[str, os.stat_result]:
    """Return the path that `link` ends at, free of links, and its status; raises OSError where it ends nowhere.

    As `os.path.realpath`, which would ask for every folder on the way each time: links share most of it.
    """
    folder, last = os.path.split(os.path.join(real(os.path.dirname(link)), os.readlink(link)))
    end = os.path.join(real(folder), last)
    if last in {"", ".", ".."} or os.path.islink(end) or os.name == "nt":  # Windows has its own spelling of targets
        end = os.path.realpath(end, strict=True)
    return end, os.lstat(end)


def outside_error(names: list[str], root: Path, noun: tuple[str, str]) -> DataError:
    """Return the error for what leaves the data root; `noun` is ("link leads", "links lead") or the like."""
    return DataError(
        f"{count(len(names), *noun)} out of the data folder {root}: {shown_list(names)}",
        hint="Pass --allow-outside if you trust them.",
    )


def is_image(path: str, name: str) -> bool:
    """True for a known image suffix, and for files without one, as DICOM often is, that begin as an image.

    An array of labels or scores, which an .npy may hold too, is none.
    """
    kind = _kind(name)
    if kind and kind != ".npy":
        return kind in IMAGE_SUFFIXES
    try:
        with open(path, "rb") as file:
            head = file.read(HEAD)
    except OSError:
        return bool(kind)
    return not begins_as_numbers(head) if kind else begins_as_image(head)


def table_suffix(name: str) -> str:
    """Return the suffix of a table, which may be compressed: `.csv.gz`."""
    lower = name.lower()
    return next((suffix for suffix in TABLE_SUFFIXES if lower.endswith(suffix)), suffix_of(name.rpartition("/")[2]))


def _kind(name: str) -> str:
    """Return the suffix, in lower case, or DICOMDIR for the index of DICOM media, which holds no image."""
    return DICOMDIR if name.rpartition("/")[2].upper() == DICOMDIR else suffix_of(name)


def _nothing_found(root: Path, others: Counter[str], masks: int) -> DataError:
    if any(suffix in SLIDES for suffix in others):
        return DataError(f"{root} holds whole slides and no image.", hint="Cut them into images first: cass tile")
    known = f"Images are files ending in {', '.join(sorted(IMAGE_SUFFIXES))}."
    if masks:
        return DataError(f"{root} holds {count(masks, 'mask')} but no image.", hint=known)
    if not others:
        return DataError(f"The folder {root} is empty.", hint="Check the path.")
    return DataError(
        f"There is no image among the {count(sum(others.values()), 'file')} in {root} ({_by_suffix(others)}).",
        hint=known,
    )


def _by_suffix(others: Counter[str]) -> str:
    ranked = sorted(others.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{shown(suffix) or 'no suffix'} {n:,}" for suffix, n in ranked[:5])


def _notes(others: Counter[str], masks: set[str], aliases: int, empty: list[str]) -> Iterator[str]:
    unread = Counter({suffix: n for suffix, n in others.items() if suffix not in TABLE_SUFFIXES})
    if unread:
        total = count(sum(unread.values()), "file is no image", "files are no images")
        yield f"{total} ({_by_suffix(unread)}): left out."
    if slides := sum(n for suffix, n in others.items() if suffix in SLIDES):
        yield f"{count(slides, 'whole slide is', 'whole slides are')} left out: cass tile cuts them into images."
    if masks:
        yield f"{count(len(masks), 'mask')} of segmentations ({shown_list(sorted(masks), 2)}): left out."
    if empty:
        yield f"{count(len(empty), 'folder is', 'folders are')} empty: {shown_list(sorted(empty), 5)}."
    if aliases:
        yield f"{count(aliases, 'linked folder leads', 'linked folders lead')} to a folder already read: left out."
