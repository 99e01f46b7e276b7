"""Match image names in a table to files: as written, in the usual image folders, by stem, by the end of a path."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cass_cli.data.decode.kinds import IMAGE_SUFFIXES, stem_of, suffix_of
from cass_cli.data.frames import ending_of, file_of
from cass_cli.data.layouts.scan import Scan, outside_error
from cass_cli.data.layouts.tables import Table
from cass_cli.data.layouts.vocabulary import is_container
from cass_cli.errors import DataError
from cass_cli.words import count, shown, shown_list


@dataclass(frozen=True)
class Found:
    """The image of each name, "" for none, and what had to be done to find them."""

    names: list[str]
    absent: list[str]  # names that are no file, as the table writes them
    notes: list[str]


def find_images(
    raw_names: Sequence[str], index: Index, table: Path, *, allow_outside: bool, skip_missing: bool = False
) -> Found:
    """Return the image, relative to the data root, that each name in `table` means.

    A name is looked for relative to the root, then in the usual image folders, then anywhere under the root, each
    time as written and without extension; then with another extension, in other letter case, and by the end of its
    path. What follows the name of a file, as `frames.py` writes it, is kept. Raises DataError for names that fit
    several files, or a file outside the root (unless `allow_outside`), and unless `skip_missing` for names that fit
    none, or where none fits; each lists up to ten.
    """
    root = index.scan.root
    found: list[str] = []
    absent: list[str] = []
    outside: list[str] = []
    several: list[str] = []
    bent: dict[str, list[str]] = {}
    twice: set[str] = set()
    moved: dict[str, str] = {}  # image → the name that found it by its file alone
    for raw in raw_names:
        hits, how, leaves = _find(raw if index.hits(raw) else file_of(raw), index, table, allow_outside)
        if how == _MOVED and moved.setdefault(hits[0], file_of(raw)) != file_of(raw):
            twice.add(hits[0])
        if leaves:
            outside.append(raw)
        elif not hits:
            absent.append(raw)
        elif len(hits) > 1:
            several.append(f"{raw} ({shown_list(hits, 3)})")
        if how:
            bent.setdefault(how, []).append(raw)
        ending = "" if index.hits(raw) else ending_of(raw)  # some files are called so themselves
        found.append(hits[0] + ending if hits else "")
    if twice:  # two names of one file: it is not the one that either means
        absent += [raw for raw, name in zip(raw_names, found, strict=True) if file_of(name) in twice]
        bent[_MOVED] = [raw for raw in bent[_MOVED] if raw not in set(absent)]
        found = ["" if file_of(name) in twice else name for name in found]
    if outside:
        name = shown(table.name)
        raise outside_error(outside, root, (f"path in {name} leads", f"paths in {name} lead"))
    if several:
        raise DataError(
            f"{count(len(several), 'name')} in {shown(table.name)} fit several files: {shown_list(several)}",
            hint="Write the path relative to the data folder, with its extension.",
        )
    if absent and (not skip_missing or not any(found)):
        raise _absent_error(absent, len(raw_names), root, table)
    notes = [f"{count(len(names), 'name')} in {shown(table.name)} {how}." for how, names in bent.items() if names]
    if absent:
        gone = f"{count(len(absent), 'row')} of {shown(table.name)} without a file"
        notes.append(f"{gone}: left out ({shown_list(absent)}).")
    return Found(found, absent, notes)


def _find(raw: str, index: Index, table: Path, allow_outside: bool) -> tuple[list[str], str, bool]:
    """Return (the images that a name fits, how it had to be bent, whether it leaves the root, which is not allowed)."""
    if hits := index.hits(raw):
        return hits, "", False
    if raw in index.masks:
        return [raw], "", False
    elsewhere = raw.startswith(("/", "..")) or "/../" in raw  # then the file that is meant may be there
    hits, how = ([], "") if elsewhere else index.near(raw)
    if hits or not raw:
        return hits, how, False
    name, leaves = _beyond_the_scan(raw, index.scan.root, table, allow_outside)
    if name and (allow_outside or not leaves):
        return [name], "", False
    hits, how = index.near(raw) if elsewhere else ([], "")
    return hits, how, leaves and not hits and not allow_outside


def _absent_error(absent: list[str], total: int, root: Path, table: Path) -> DataError:
    rest = f" To go on with the other {total - len(absent):,}: --missing skip." if len(absent) < total else ""
    return DataError(
        f"{shown(table.name)} names {count(len(absent), 'image')} of {total:,} that are not under {root}: "
        f"{shown_list([name or '(an empty cell)' for name in absent])}",
        hint="Check that the table belongs to this folder and that the image column is the right one "
        f"(--image-column).{rest}",
    )


SEVERAL = 20  # files of one name, of which it is dear to find the best
LONGEST = 4096  # bytes of a path, at most, on any usual system


class Index:
    """File names and extension-less names of a scan → paths, built once for all rows of a table."""

    def __init__(self, scan: Scan) -> None:
        self.scan = scan
        self.opened: dict[Path, Table] = {}  # tables about the images, as they were read
        self.root = f"{scan.root}/"
        self.exact = set(scan.images)
        self.masks = set(scan.masks)  # left out unless a table names one as it lies
        self.by_file: dict[str, list[str]] = {}
        self.by_stem: dict[str, list[str]] = {}
        self.bare = {stem_of(name): name for name in scan.images}  # path without its suffix → image
        self.deepest = max((name.count("/") for name in scan.images), default=0) + 1
        self._folded: dict[str, list[str]] | None = None
        for name in scan.images:
            file = name.rpartition("/")[2]
            self.by_file.setdefault(file, []).append(name)
            self.by_stem.setdefault(stem_of(file) or file, []).append(name)

    def has(self, raw: str) -> bool:
        """Whether `raw` may name an image, by its file name alone."""
        if len(raw) > LONGEST:
            return False
        if file_of(raw) != raw and self.has(file_of(raw)):
            return True
        file = raw.replace("\\", "/").rpartition("/")[2]
        known = file in self.by_file or file in self.by_stem or _stem(file) in self.by_stem
        return bool(file) and (known or bool(self._folds(file)))

    def hits(self, raw: str) -> list[str]:
        """Return the paths that `raw` fits best: one, several equally good, or none."""
        name = raw.removeprefix(self.root)
        if name in self.exact:
            return [name]
        if len(name) > LONGEST:
            return []
        for tidy in dict.fromkeys((name, name.replace("\\", "/"))):  # CSVs written on Windows
            if tidy.startswith("/"):
                continue
            parts = [part for part in tidy.split("/") if part not in ("", ".")]
            if not parts or ".." in parts:
                continue
            folder, file = "/".join(parts[:-1]), parts[-1]
            if (whole := "/".join(parts)) in self.bare and len(self.by_stem.get(file, ())) > SEVERAL:
                return [self.bare[whole]]
            for candidates in (self.by_file.get(file, ()), self.by_stem.get(file, ())):
                if hits := _best([c for c in candidates if _lies_in(c, folder)], folder):
                    return hits
        return []

    def near(self, raw: str) -> tuple[list[str], str]:
        """Return the paths that `raw` fits when bent, and how it was: (none, "") where it fits nothing."""
        folder, _, file = raw.replace("\\", "/").rpartition("/")
        if not file or len(raw) > LONGEST or ".." in folder.split("/"):
            return [], ""
        stem = _stem(file)
        parts = [*folder.split("/"), file]
        first = max(1, len(parts) - self.deepest)
        for skipped in range(first, len(parts)):  # the end of the path, whole: told without looking at all so called
            end = "/".join(parts[skipped:])
            if end in self.exact or end in self.bare:
                return [end if end in self.exact else self.bare[end]], _SHORTENED
        exact = [*self.by_file.get(file, []), *self.by_stem.get(file, [])]
        other = self.by_stem.get(stem, []) if stem != file else []
        for candidates, how in ((other, "bear another extension than the files"), (self._folds(file), _CASE)):
            if hits := _best([c for c in candidates if _lies_in(c, folder)], folder):
                return hits, how
        for candidates in (exact, other):
            ends = [c for c in candidates if f"/{folder}".endswith(f"/{parent}" if (parent := _folder(c)) else "")]
            if ends:
                longest = max(len(_folder(c)) for c in ends)
                return [c for c in ends if len(_folder(c)) == longest], _SHORTENED
        alone = sorted(set(exact)) if folder else []
        return (alone, _MOVED) if len(alone) == 1 else ([], "")

    def _folds(self, file: str) -> list[str]:
        """Return the images called `file` in another letter case."""
        if self._folded is None:
            self._folded = {}
            for name, paths in (*self.by_file.items(), *self.by_stem.items()):
                self._folded.setdefault(name.casefold(), []).extend(paths)
        return list(dict.fromkeys(self._folded.get(file.casefold(), [])))


_SHORTENED = "begin with folders that are not there: shortened"
_MOVED = "tell other folders than the files lie in: found by their file names"
_CASE = "differ from the files in upper and lower case"


def _folder(path: str) -> str:
    return path.rpartition("/")[0]


def _stem(file: str) -> str:
    """Return a file name without its image suffix."""
    return stem_of(file) if suffix_of(file.rpartition("/")[2]) in IMAGE_SUFFIXES else file


def _best(fitting: list[str], folder: str) -> list[str]:
    if len(fitting) < 2:
        return fitting
    ranks = [_rank(c, folder) for c in fitting]
    return [c for c, rank in zip(fitting, ranks, strict=True) if rank == min(ranks)]


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
    plain = _stem(raw) != raw and not raw.startswith("/") and ".." not in raw
    if plain and table.is_relative_to(root):
        return "", False  # the scan would have met it
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
