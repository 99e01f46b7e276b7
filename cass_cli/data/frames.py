"""Several images in one file: frames of a recording, pages of a TIFF, slices of a volume. How many, and their names.

An image within a file is called `dir/scan.dcm#frame=003` or `dir/brain.nii.gz#slice=060`, from 0, with zeros so that
sorting is right. All images of a file have its label and its split, and are one group, which no split takes apart.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import Field, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self, TypeVar

from cass_cli.data.decode.facts import DecodeError, ImageFacts, PixelRules
from cass_cli.data.decode.image import describe_image
from cass_cli.data.decode.kinds import NIFTI_SUFFIXES, STILL_SUFFIXES, suffix_of
from cass_cli.data.decode.spread import around_middle, evenly, middle
from cass_cli.errors import DataError
from cass_cli.words import count, shown, shown_list

_NAMED = re.compile(r"(.+)#(?:frame|slice)=(\d{1,9})", re.DOTALL)
READERS = 8  # threads that read headers


@dataclass(frozen=True)
class FrameRules:
    """Which images of a file are taken."""

    frames: str | int = "first"  # or "all", "middle", or how many, evenly spread
    slices: int = 1  # of a volume, in a row around its middle

    def of(self, facts: ImageFacts) -> list[int]:
        """Return those that are taken of a file with this header."""
        if facts.unit == "slice":
            return around_middle(facts.pages, self.slices)
        if isinstance(self.frames, int):
            return evenly(facts.pages, self.frames)
        return {"first": [0], "middle": [middle(facts.pages)]}.get(self.frames) or list(range(facts.pages))


FIRST = FrameRules()


class Table(Protocol):
    """What is asked of a table of images."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    @property
    def root(self) -> Path: ...
    @property
    def names(self) -> tuple[str, ...]: ...
    @property
    def groups(self) -> tuple[str, ...] | None: ...
    @property
    def groups_by(self) -> str: ...
    @property
    def notes(self) -> tuple[str, ...]: ...
    @property
    def rules(self) -> PixelRules: ...
    @property
    def archive(self) -> bool: ...
    def select(self, indices: Sequence[int], /) -> Self: ...


T = TypeVar("T", bound=Table)


def file_of(name: str) -> str:
    """Return the file that an image is in, or is."""
    found = _NAMED.fullmatch(name) if "#" in name else None
    return found[1] if found else name


def frame_of(name: str) -> int | None:
    """Return which image of its file a name means, None for a file that is not taken apart."""
    found = _NAMED.fullmatch(name) if "#" in name else None
    return int(found[2]) if found else None


def ending_of(name: str) -> str:
    """Return what follows the file in the name of an image, "" for a file that is not taken apart."""
    return name[len(file_of(name)) :]


def with_frames(table: T, how: FrameRules) -> T:
    """Return the table with a row for each image that is taken of each of its files; rows keep their order.

    Rows that name one image of a file already stay, called as cass calls it. So does a file whose header cannot be
    read: decoding tells why. Headers are read of volumes, of files named so, and unless the first frames are asked for
    of all files that may hold several. Raises `DataError` for files that are called as images within a file are, for
    images that a file does not hold, and where one image comes twice.
    """
    if table.archive:
        return table
    clashing = [name for name in table.names if "#" in name and file_of(name) != name and _exists(table.root / name)]
    if clashing:
        raise DataError(
            f"{count(len(clashing), 'file is', 'files are')} called as cass calls one image of several in a file: "
            f"{shown_list(clashing)}",
            hint="Give them names that do not end in #frame=… or #slice=…",
        )
    facts = _headers(table, how)
    rows = [(row, name) for row, file in enumerate(table.names) for name in _names(file, facts.get(file_of(file)), how)]
    names = tuple(name for _, name in rows)
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise DataError(
            f"{count(len(twice), 'image is', 'images are')} named twice: {shown_list(twice)}",
            hint="Name each frame or slice once, or its file alone.",
        )
    if names == table.names and not any(map(ending_of, names)):
        return table
    table = table.select([row for row, _ in rows])
    notes = (*table.notes, *_notes(facts.values(), how))
    files = Counter(map(file_of, names))
    if max(files.values()) == 1:
        return replace(table, names=names, notes=notes)
    known = table.groups or ("",) * len(names)
    groups = (
        group or (file if files[file] > 1 else "") for group, file in zip(known, map(file_of, names), strict=True)
    )
    return replace(table, names=names, groups=tuple(groups), groups_by=table.groups_by or "files of several images",
                   notes=notes)  # fmt: skip


def _exists(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # too long a name
        return False


def _headers(table: Table, how: FrameRules) -> dict[str, ImageFacts]:
    """Return the header of each file that may hold several images and has to be asked, by its name."""
    files = list(dict.fromkeys(file_of(name) for name in table.names if _is_asked(name, how)))

    def look(file: str) -> ImageFacts | None:
        try:
            return describe_image(table.root / file, table.rules)
        except DecodeError:
            return None

    with ThreadPoolExecutor(READERS) as pool:
        return {file: facts for file, facts in zip(files, pool.map(look, files), strict=True) if facts is not None}


def _is_asked(name: str, how: FrameRules) -> bool:
    if frame_of(name) is not None:
        return True
    suffix = suffix_of(name)
    return suffix in NIFTI_SUFFIXES or (how.frames != "first" and suffix not in STILL_SUFFIXES)


def _names(name: str, facts: ImageFacts | None, how: FrameRules) -> Iterator[str]:
    index, file = frame_of(name), file_of(name)
    if facts is None or (index is None and facts.unit == "frame" and facts.pages == 1):
        yield name
        return
    if index is not None and index >= facts.pages:
        raise DataError(f"{shown(name)} is named, and {shown(file)} has {count(facts.pages, facts.unit)}, from 0.")
    width = max(3, len(str(facts.pages - 1)))
    wanted = how.of(facts) if index is None else [index]
    yield from (f"{file}#{facts.unit}={number:0{width}}" for number in wanted)


def _notes(facts: Collection[ImageFacts], how: FrameRules) -> Iterator[str]:
    """Say what was taken of how many files, a sentence each."""
    volumes = [fact for fact in facts if fact.unit == "slice"]
    several = [fact for fact in facts if fact.unit == "frame" and fact.pages > 1]
    if volumes:
        what = "the middle slice of each" if how.slices == 1 else f"up to {how.slices} middle slices of each"
        yield f"{count(len(volumes), 'volume')}: {what} (--slices)."
    if later := sum(fact.volumes > 1 for fact in volumes):
        yield f"{count(later, 'file holds', 'files hold')} several volumes: the first, or what --channels chooses."
    if several:
        images = sum(len(how.of(fact)) for fact in several)
        yield f"{count(len(several), 'file')} of several frames: {count(images, 'image')} (--frames {how.frames})."
