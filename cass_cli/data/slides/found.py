"""Paths that a user gives → the whole-slide images there, each under a name of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from cass_cli.errors import DataError
from cass_cli.words import shown

SLIDE_SUFFIXES = (".svs", ".tif", ".tiff", ".ndpi", ".mrxs", ".scn", ".vms", ".vmu", ".bif", ".svslide", ".czi")
"""What folders are searched for. A slide in DICOM is many files: it is named by one of them."""


def find_slides(paths: Iterable[Path]) -> dict[str, Path]:
    """Return the slides by name, sorted: files as they are given, folders searched to any depth, each file once.

    The name is the file's without its suffix: folders and tiles are called by it. Raises `DataError` for a path that is
    not there, a folder without slides, a name that is no name for a folder, and for two slides of one name.
    """
    files = {file.resolve(): file for path in paths for file in _slides_at(path.expanduser())}
    named: dict[str, Path] = {}
    for file in sorted(files.values(), key=lambda file: (slide_name(file.name), str(file))):
        name = slide_name(file.name)
        if not name or not name.isprintable():
            raise DataError(
                f"The name of {shown(str(file))} cannot name a folder of tiles.",
                hint="Give it a name of printable characters.",
            )
        other = next((other for known, other in named.items() if known.casefold() == name.casefold()), None)
        if other is not None:
            raise DataError(
                f"Two slides are called {name}: {shown(str(other))} and {shown(str(file))}.",
                hint="Rename one of them, or tile them into two folders: --out.",
            )
        named[name] = file
    return named


def slide_name(file: str) -> str:
    """Return the name of a slide: its file's without suffix, and without dots before it, which would hide its tiles."""
    stem, dot, suffix = file.rpartition(".")
    return (stem if dot and stem and not suffix.isdecimal() else file).strip(". ")


def _slides_at(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
        return
    if not path.is_dir():
        raise DataError(f"There is no slide {shown(str(path))}.", hint="Check the path.")
    found = [file for file in path.rglob("*") if _is_slide(file.relative_to(path)) and file.is_file()]
    if not found:
        raise DataError(
            f"There is no slide in {shown(str(path))}.",
            hint=f"Slides are files ending in {', '.join(SLIDE_SUFFIXES)}; name others one by one.",
        )
    yield from found


def _is_slide(path: Path) -> bool:
    return path.suffix.lower() in SLIDE_SUFFIXES and not any(part.startswith(".") for part in path.parts)
