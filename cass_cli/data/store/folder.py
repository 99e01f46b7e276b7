"""The folder of cached images: where it is, what is in it, and how to empty it."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cass_cli.data.space import default_cache_dir
from cass_cli.data.store.file import Header, read_header
from cass_cli.lock import locked

FINISHED, PARTIAL, LOCK = ".img", ".part", ".lock"  # suffixes of `<key>`: the file, its growing form, its lock


@dataclass(frozen=True)
class CacheEntry:
    """One cache file, as `cass cache list` shows it."""

    path: Path
    bytes: int
    images: int
    size: int  # pixels along each side
    root: str
    last_used: float  # seconds since 1970
    complete: bool  # False: an interrupted build, which a further run goes on with


def image_folder() -> Path:
    """Return the folder of the cache files."""
    return default_cache_dir() / "images"


def list_caches() -> tuple[CacheEntry, ...]:
    """Return every cache file, the last used first; a damaged one counts no images."""
    folder = image_folder()
    paths = [p for p in folder.iterdir() if p.suffix in {FINISHED, PARTIAL}] if folder.is_dir() else []
    entries = [_entry(path) for path in paths if path.is_file()]
    return tuple(sorted(entries, key=lambda entry: -entry.last_used))


def _entry(path: Path) -> CacheEntry:
    facts = path.stat()
    with path.open("rb") as file:
        header = read_header(file) or Header("", 0, 0, "?")
    return CacheEntry(
        path=path,
        bytes=facts.st_size,
        images=max(0, (facts.st_size - header.offset) // header.image_bytes) if header.size else 0,
        size=header.size,
        root=header.root,
        last_used=facts.st_mtime,
        complete=path.suffix == FINISHED,
    )


def clear_caches(*, unused_days: float = 0.0, partial_only: bool = False) -> int:
    """Delete cache files not used for `unused_days`, or only unfinished ones; returns the bytes freed.

    Files that a run is building are left alone. A run that reads one keeps reading it: the system frees it after.
    """
    freed = 0
    for entry in list_caches():
        if (partial_only and entry.complete) or time.time() - entry.last_used < unused_days * 86_400 > 0:
            continue
        lock = entry.path.with_suffix(LOCK)
        with suppress(OSError), locked(lock, wait=False) as ours:  # on Windows a file in use stays
            if ours:
                entry.path.unlink()
                freed += entry.bytes
                lock.unlink()
    return freed
