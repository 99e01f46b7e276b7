"""Where there is space for images: how much memory may be taken, and the user's cache folder."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

SHARE = 0.5  # of what is available: the rest is for the arms, their gradients and the file cache
CGROUP = Path("/sys/fs/cgroup")


def fits_in_memory(needed: int) -> bool:
    """Tell whether `needed` bytes are at most half of the available memory; every process of a run takes its own."""
    processes = max(1, int(os.environ.get("LOCAL_WORLD_SIZE", "1")))  # set by torchrun
    return needed * processes <= SHARE * available_memory()


def available_memory() -> int:
    """Return the bytes that can be had without swapping: the machine's, or the container's where that is less."""
    limits = [_machine(), *_container()]
    return min(limits)


def total_memory() -> int:
    """Return the bytes of memory that are built in, 0 where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows
        return 0


def memory_limit() -> int | None:
    """Return the bytes that a container (cgroup 2 or 1) may take, None where that is no less than all."""
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        try:
            limit = int((CGROUP / name).read_text())
        except (OSError, ValueError):  # no such file, or "max"
            continue
        return limit if limit < total_memory() else None
    return None


def _machine() -> int:
    try:
        found = re.search(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text())
        if found:
            return int(found.group(1)) * 1024
    except OSError:
        pass
    return total_memory() // 2 or 4 * 2**30  # macOS does not tell what is available: half of what is built in


def _container() -> list[int]:
    """Return what a memory limit (cgroup 2 or 1) leaves, if there is one; file cache counts as free."""
    for limit, used, cached in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "total_inactive_file"),
    ):
        try:
            most, now = int((CGROUP / limit).read_text()), int((CGROUP / used).read_text())
            facts = (CGROUP / limit).with_name("memory.stat").read_text()
        except (OSError, ValueError):  # no such file, or "max"
            continue
        found = re.search(rf"^{cached} (\d+)$", facts, re.MULTILINE)
        return [max(0, most - now + int(found.group(1) if found else 0))]
    return []


def default_cache_dir() -> Path:
    """Return $CASS_CACHE, else `cass` in the user's cache directory (XDG, macOS or Windows). It may not exist yet.

    A user without a home has one among the temporary files.
    """
    if own := os.environ.get("CASS_CACHE"):
        return Path(own).expanduser()
    if sys.platform == "darwin":
        return home() / "Library" / "Caches" / "cass"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or home() / "AppData" / "Local") / "cass"
    xdg = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (xdg if xdg.is_absolute() else home() / ".cache") / "cass"  # the standard ignores relative paths


def writable_cache_dir() -> Path:
    """Return the cache folder, or one of the user's own among the temporary files where that can't be written."""
    folder = default_cache_dir()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        return _temporary() / "cass"
    return folder if os.access(folder, os.W_OK) else _temporary() / "cass"


def home() -> Path:
    """Return the user's home, a folder among the temporary files for one without."""
    try:
        return Path.home()
    except RuntimeError:  # a user without one, as in some containers
        return _temporary()


def _temporary() -> Path:
    """Return a folder that no other user writes to."""
    folder = Path(tempfile.gettempdir()) / f"cass-{os.getuid() if hasattr(os, 'getuid') else 'user'}"
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    if hasattr(os, "getuid") and (folder.is_symlink() or folder.stat().st_uid != os.getuid()):
        folder = Path(tempfile.mkdtemp(prefix="cass-"))
    return folder
