"""Match image names in a CSV to files: exact, inside the usual image folders, or without extension."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from cass_cli.data.layouts.folders import is_container
from cass_cli.data.layouts.scan import Scan, outside_error
from cass_cli.errors import DataError
from cass_cli.words import count, shown, shown_list


def find_images(raw_names: Sequence[str], scan: Scan, table: Path, *, allow_outside: bool) -> list[str]:
    """Return the image, relative to the data root, that each name in `table` means.

    A name is looked for relative to the root, then in the usual image folders, then anywhere under the root, each
    time as written and without extension. Raises DataError for names that fit no file, several files, or a file
    outside the root (unless `allow_outside`); each lists up to ten.
    """
    index = _Index(scan)
    found: list[str] = []
    absent: list[str] = []
    outside: list[str] = []
    several: list[str] = []
    for raw in raw_names:
        hits = index.hits(raw)
        if not hits:
            name, leaves = _beyond_the_scan(raw, scan.root, table, allow_outside)
            hits = [name] if name else []
            if leaves and not allow_outside:
                outside.append(raw)
        if not hits:
            absent.append(raw)
        elif len(hits) > 1:
            several.append(f"{raw} ({shown_list(hits, 3)})")
        found.append(hits[0] if hits else "")
    if outside:
        name = shown(table.name)
        raise outside_error(outside, scan.root, (f"path in {name} leads", f"paths in {name} lead"))
    if absent:
        raise DataError(
            f"{shown(table.name)} names {count(len(absent), 'image')} of {len(raw_names):,} that are not under "
            f"{scan.root}: {shown_list(absent)}",
            hint="Check that the CSV belongs to this folder and that the image column is the right one "
            "(--image-column).",
        )
    if several:
        raise DataError(
            f"{count(len(several), 'name')} in {shown(table.name)} fit several files: {shown_list(several)}",
            hint="Write the path relative to the data folder, with its extension.",
        )
    return found


class _Index:
    """File names and extension-less names of a scan → paths, built once for all rows of a CSV."""

    def __init__(self, scan: Scan) -> None:
        self.root = f"{scan.root}/"
        self.exact = set(scan.images)
        self.by_file: dict[str, list[str]] = {}
        self.by_stem: dict[str, list[str]] = {}
        for name in scan.images:
            file = name.rpartition("/")[2]
            self.by_file.setdefault(file, []).append(name)
            self.by_stem.setdefault(file.rpartition(".")[0] or file, []).append(name)

    def hits(self, raw: str) -> list[str]:
        """Return the paths that `raw` fits best: one, several equally good, or none."""
        name = raw.removeprefix(self.root)
        if name in self.exact:
            return [name]
        for tidy in dict.fromkeys((name, name.replace("\\", "/"))):  # CSVs written on Windows
            path = PurePosixPath(tidy)
            if path.is_absolute() or ".." in path.parts:
                continue
            folder, file = "/".join(path.parts[:-1]), path.name
            for candidates in (self.by_file.get(file, []), self.by_stem.get(file, [])):
                fitting = [c for c in candidates if _lies_in(c, folder)]
                if fitting:
                    ranks = [_rank(c, folder) for c in fitting]
                    return [c for c, rank in zip(fitting, ranks, strict=True) if rank == min(ranks)]
        return []


def _lies_in(candidate: str, folder: str) -> bool:
    return not folder or f"/{candidate}".rpartition("/")[0].endswith(f"/{folder}")


def _rank(candidate: str, folder: str) -> int:
    """0: where the name says; 1: in an image folder of the root; 2: anywhere else."""
    parent = candidate.rpartition("/")[0]
    around = parent.removesuffix(folder).rstrip("/") if folder else parent
    if not around:
        return 0
    return 1 if is_container(around) and "mask" not in around.lower() else 2


def _beyond_the_scan(raw: str, root: Path, table: Path, allow_outside: bool) -> tuple[str, bool]:
    """Return (path, leaves the root) for a name the scan did not meet: `../x.png`, absolute, an odd suffix.

    The path is "" when there is no such file. Links are followed before judging. Whether a file outside exists is
    looked at only with `allow_outside`, or beside a CSV that the user keeps outside.
    """
    leaving = ""
    for base in (root, table.parent):
        try:
            target = (base / raw).resolve()
            if target.is_relative_to(root):
                if target.is_file():
                    return target.relative_to(root).as_posix(), False
            elif (base == root and not allow_outside) or target.is_file():
                leaving = leaving or str(target)
        except (OSError, RuntimeError, ValueError):  # a name too long, a link loop, a null byte: no such file
            continue
    return leaving, bool(leaving)
