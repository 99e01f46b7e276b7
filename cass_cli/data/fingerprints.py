"""Which files a run was made from, so that others in their place are noticed: sizes, times, and what is in them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from cass_cli.data.frames import file_of
from cass_cli.data.sample_table import SampleTable
from cass_cli.words import count, shown_list

DIGEST = 16  # hexadecimal digits of a SHA-256
ARCHIVE = "the archive"  # by this name, as it may be called otherwise when it is moved


@dataclass(frozen=True)
class Fingerprint:
    """One file: its size in bytes, when it was written last in ns, and a digest of its contents."""

    size: int
    time: int
    digest: str = ""


Fingerprints = Mapping[str, Fingerprint]
"""By the name that the table of images has for a file."""


def fingerprints(table: SampleTable, rows: Iterable[int]) -> dict[str, Fingerprint]:
    """Return size and time of the files of these rows; of one that is gone, sizes and times of 0."""
    files = _files(table, rows)
    with _pool() as pool:
        return dict(zip(files, pool.map(_stat, files.values()), strict=True))


def with_digests(
    table: SampleTable,
    rows: Iterable[int],
    *,
    known: Fingerprints | None = None,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> dict[str, Fingerprint]:
    """Return them with digests; those of `known` are taken where size and time are the same, all others read."""
    files, found = _files(table, rows), fingerprints(table, rows)
    for name, before in (known or {}).items():
        if name in found and (before.size, before.time) == (found[name].size, found[name].time):
            found[name] = before
    todo = [name for name, one in found.items() if not one.digest]
    with _pool() as pool:
        for done, (name, digest) in enumerate(zip(todo, pool.map(lambda n: _digest(files[n]), todo), strict=True), 1):
            found[name] = Fingerprint(found[name].size, found[name].time, digest)
            on_progress(done, len(todo))
    return found


def differences(before: Fingerprints, now: Fingerprints) -> tuple[str, str]:
    """Return what cannot be the same files, and what may not be, each as part of a sentence; "" where there is none.

    Count, sizes and (where both have them) contents decide; times alone do not.
    """
    gone, come = sorted(before.keys() - now.keys()), sorted(now.keys() - before.keys())
    both = sorted(before.keys() & now.keys())
    sizes = [name for name in both if before[name].size != now[name].size]
    contents = [name for name in both if name not in sizes and _other_contents(before[name], now[name])]
    verified = all(now[name].digest for name in both)
    times = [] if verified else [name for name in both if name not in sizes and before[name].time != now[name].time]
    told = (
        _told(gone, "gone"),
        _told(come, "new"),
        _told(sizes, "of another size"),
        _told(contents, "of other contents"),
    )
    return "; ".join(filter(None, told)), _told(times, "of another time")


def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(min(8, (os.cpu_count() or 1) + 1))


def _told(names: Sequence[str], what: str) -> str:
    return f"{count(len(names), 'file')} {what} ({shown_list(names, 3)})" if names else ""


def _other_contents(before: Fingerprint, now: Fingerprint) -> bool:
    return "" not in (before.digest, now.digest) and before.digest != now.digest


def _files(table: SampleTable, rows: Iterable[int]) -> dict[str, Path]:
    if table.archive:
        return {f"{ARCHIVE} {part}".strip(): path for part, path in table.archive_files.items()}
    return {file_of(table.names[row]): table.path(row) for row in rows}


def _stat(path: Path) -> Fingerprint:
    try:
        found = path.stat()
    except OSError:
        return Fingerprint(0, 0)
    return Fingerprint(found.st_size, found.st_mtime_ns)


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:DIGEST]
    except OSError:
        return ""
