"""The one way in which cass writes files: whole or not at all; and removes them: at once, for whoever looks.

A draft beside the file, `.NAME.HOST-PID-N.part`, is opened exclusively, written, brought to the disk and put in the
file's place. What is removed is first renamed to `.NAME.HOST-PID-N.removed`. A process that is killed leaves such
drafts; the next one sweeps them.
"""

from __future__ import annotations

import errno
import hashlib
import io
import itertools
import json
import os
import platform
import re
import shutil
import stat
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from cass_cli.errors import RunError
from cass_cli.words import shown

FULL = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the quota is used up",
    errno.EFBIG: "it is larger than files may be here (ulimit -f)",
}
OPENED = re.compile(r"/dev/(stdout|stderr)|/(?:dev|proc/self)/fd/(\d{1,9})")  # a file behind it goes on where it is
STREAMS = {"stdout": 1, "stderr": 2}
NO_FILE = "is no file, but a pipe or device"
BUFFER = 1 << 20  # bytes
LONGEST = 100  # bytes of a file's name that its draft bears


def _machine() -> str:
    """Return what tells this machine, or container, from others that may write to the same folder."""
    numbers = Path("/proc/self/ns/pid")  # of processes; a container has its own
    with suppress(OSError):
        return f"{platform.node()} {numbers.readlink()}"
    return platform.node()


HOST = hashlib.sha256(_machine().encode()).hexdigest()[:6]
DRAFT = re.compile(r"\.(?P<name>.+)\.(?P<host>[0-9a-f]{6})-(?P<pid>\d+)-\d+\.(?P<ending>part|removed)", re.DOTALL)
OLD_AFTER = 3600  # seconds since the last write after which a draft is left over, if nobody can ask for its process

_numbers = itertools.count()
_live: set[Path] = set()  # drafts that this process is writing or removing


@contextmanager
def whole_file(path: Path, *, hint: str = "", durable: bool = True, asked: bool = False) -> Iterator[BinaryIO]:
    """Open a draft to write; when the block ends well, put it in the place of `path`, else remove it.

    The folder is made where there is none. A link under that name is replaced, and never written through; but where a
    user `asked` for this very path, a link stays one, and a pipe, a device, or what this process has open already
    (`/dev/stdout`, be it a file) is written to as it is. `durable` waits until the file is on the disk, so that what it
    makes superfluous may go. Raises `RunError`, with `hint`, where the file cannot be written, or is a pipe or device
    that nobody asked for: what was there before is then still there.
    """
    if asked and (opened := OPENED.fullmatch(str(path))):
        with telling(path, hint), _opened_again(STREAMS.get(opened[1]) or int(opened[2])) as stream:
            yield stream
        return
    if asked and path.exists() and not path.is_file():
        with telling(path, hint), path.open("wb") as special:
            yield special
        return
    if asked and path.is_symlink():
        path = Path(os.path.realpath(path))
    with telling(path, hint):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and not (path.is_file() or path.is_dir() or path.is_symlink()):
            raise OSError(errno.EPERM, f"it {NO_FILE}")
        draft, descriptor = _draft(path)
    raw = _Draft(descriptor)
    try:
        with io.BufferedWriter(raw, BUFFER) as file:
            yield file
            file.flush()
            if durable:
                raw.sync()
        draft.replace(path)
    except BaseException as error:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        failed = raw.failed or (error if isinstance(error, OSError) and error.filename == str(draft) else None)
        if failed and isinstance(error, Exception):
            raise cannot_write(path, failed, hint, wanted=raw.size) from error
        raise
    finally:
        raw.abandon()
        _live.discard(draft)
    if durable:
        _sync_folder(path.parent)


@contextmanager
def whole_text(path: Path, *, hint: str = "", asked: bool = False) -> Iterator[TextIO]:
    """Do the same for text: UTF-8, names that are not keeping their bytes, line ends as they are given."""
    with whole_file(path, hint=hint, asked=asked) as binary:
        text = io.TextIOWrapper(binary, encoding="utf-8", errors="surrogateescape", newline="", write_through=True)
        yield text
        text.flush()
        text.detach()


def write_text(path: Path, text: str, *, hint: str = "", asked: bool = False) -> None:
    """Write `text` to `path`, whole or not at all; `asked` as for `whole_file`."""
    with whole_text(path, hint=hint, asked=asked) as file:
        file.write(text)


def write_json(path: Path, value: Any, *, hint: str = "") -> None:
    """Write `value` to `path` as indented JSON, whole or not at all."""
    write_text(path, json_text(value), hint=hint)


def json_text(value: Any) -> str:
    """Return what `write_json` writes."""
    return json.dumps(value, indent=2, default=str) + "\n"


def append_text(path: Path, text: str, *, hint: str = "") -> None:
    """Write `text` at the end of `path`, in one piece, and to the disk; where it does not fit, nothing changes."""
    with telling(path, hint):
        descriptor = open_own(path, os.O_RDWR | os.O_APPEND)
        before = os.fstat(descriptor).st_size
        raw = _Draft(descriptor)
        try:
            with io.BufferedWriter(raw, BUFFER) as file:
                file.write(text.encode("utf-8", "surrogateescape"))
                file.flush()
                raw.sync()
        except OSError:
            with suppress(OSError):
                os.truncate(path, before)
            raise
        finally:
            raw.abandon()
    if not before:
        _sync_folder(path.parent)


def open_own(path: Path | str, flags: int) -> int:
    """Open a file, made where there is none, to change it in its place; return its descriptor (an opener of `open`).

    Raises `OSError` where that would change or await something of others: for a link, a file that has other names too,
    a pipe or a device.
    """
    no_link(path := Path(path))
    safely = sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"))  # not known everywhere
    descriptor = os.open(path, os.O_CREAT | safely | flags, 0o666)
    facts = os.fstat(descriptor)
    if stat.S_ISREG(facts.st_mode) and facts.st_nlink <= 1:
        return descriptor
    os.close(descriptor)
    what = "has another name too (a hard link)" if stat.S_ISREG(facts.st_mode) else NO_FILE
    raise OSError(errno.EPERM, f"'{path.name}' {what}")


def no_link(path: Path) -> None:
    """Raise `OSError` where `path` is a link."""
    if path.is_symlink():
        raise OSError(errno.ELOOP, f"'{path.name}' is a link, which is not followed; remove it")


def remove(path: Path) -> None:
    """Remove a file or folder, if it is there: from one moment to the next it is no longer under its name.

    Raises `RunError` where it may not be removed.
    """
    with telling(path, "Close what has it open, and check the folder's permissions."):
        aside = draft_of(path, "removed")
        _live.add(aside)
        try:
            try:
                path.rename(aside)
            except FileNotFoundError:
                return
            _delete(aside)
        finally:
            _live.discard(aside)


def sweep(folder: Path, *, deep: bool = False) -> None:
    """Remove what killed processes left in `folder`, and with `deep` in all folders below it."""
    for path in _left_over(folder, deep=deep):
        with suppress(OSError):
            _delete(path)


def draft_of(path: Path, ending: str = "part") -> Path:
    """Return a name beside `path` that nobody else has, and that is swept if this process is killed."""
    name = os.fsencode(path.name)[:LONGEST].decode("utf-8", "ignore")
    return path.with_name(f".{name}.{HOST}-{os.getpid()}-{next(_numbers)}.{ending}")


def is_draft(path: Path) -> bool:
    """Whether `path` is named as what a killed process leaves, today's or of an earlier version of cass."""
    return bool(DRAFT.fullmatch(path.name)) or path.name.endswith(".part") or path.name.startswith(".latest-")


@contextmanager
def telling(path: Path, hint: str = "") -> Iterator[None]:
    """Raise an `OSError` of the block as a `RunError` that says that `path` cannot be written, and why."""
    try:
        yield
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        raise cannot_write(path, error, hint) from error


def cannot_write(path: Path, error: OSError, hint: str = "", *, wanted: int = 0) -> RunError:
    """Return the error for the user: why `path` cannot be written, what is kept, and what to try."""
    name = shown(str(path))
    if error.errno not in FULL:
        return RunError(
            f"Cannot write {name}: {error.strerror or error}.",
            hint=hint or "Check the folder's permissions, or choose another.",
        )
    said = [f"Cannot write {name}: {FULL[error.errno]}."]
    if wanted > BUFFER:
        said.append(f"It needs more than {wanted / 1e6:,.1f} MB.")
    if error.errno == errno.ENOSPC and path.parent.is_dir():
        said.append(f"{shutil.disk_usage(path.parent).free / 1e6:,.1f} MB are free there.")
    said.append("What was there before is kept." if path.exists() else "Nothing half-written stays.")
    cure = "Raise that limit." if error.errno == errno.EFBIG else "Free some space."
    return RunError(" ".join(said), hint=f"{cure} {hint}".strip())


class _Draft(io.RawIOBase):
    """A file that remembers why it could not be written: libraries report that in many ways, or not at all."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self.failed: OSError | None = None
        self.size = 0  # bytes that it should have

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return os.lseek(self._descriptor, offset, whence)

    def write(self, data: Any) -> int:
        self.size += memoryview(data).nbytes
        try:
            return _write(self._descriptor, data)
        except OSError as error:
            self.failed = error
            raise

    def sync(self) -> None:
        try:
            os.fsync(self._descriptor)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # a file system that does not know how
                self.failed = error
                raise

    def close(self) -> None:
        super().close()
        self.abandon()

    def abandon(self) -> None:
        """Close the file, whatever is still to be written."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _write(descriptor: int, data: Any) -> int:
    """Write some of `data`, and return how many bytes (where the tests put in their faults)."""
    return os.write(descriptor, data)


def _opened_again(descriptor: int) -> BinaryIO:
    """Return what this process has open: where that stands, not at the file's beginning, and after what was said."""
    if sys.stdout:
        sys.stdout.flush()
    return os.fdopen(os.dup(descriptor), "wb")


def _draft(path: Path) -> tuple[Path, int]:
    """Open a draft of `path` that no other process and no other thread writes."""
    while True:
        draft = draft_of(path)
        with suppress(FileExistsError):  # left by an earlier process of this number
            descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
            _live.add(draft)
            return draft, descriptor


def _left_over(folder: Path, *, deep: bool) -> Iterable[Path]:
    if not folder.is_dir():
        return []
    found = list(folder.rglob(".*") if deep else folder.glob(".*"))
    drafts = [(path, match) for path in found if (match := DRAFT.fullmatch(path.name))]
    return [path for path, match in drafts if not _in_use(path, match["host"], int(match["pid"]))]


def _in_use(path: Path, host: str, pid: int) -> bool:
    """Whether the process `pid` of the machine `host` may still be writing the draft."""
    if host == HOST and pid == os.getpid():
        return path in _live
    try:
        if host != HOST or sys.platform == "win32":  # where asking would end it
            return time.time() - path.lstat().st_mtime < OLD_AFTER
        os.kill(pid, 0)
    except (ProcessLookupError, FileNotFoundError):
        return False
    except OSError:
        pass
    return True


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Bring to the disk which files a folder has, where the system can."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
