"""Faults put into a command that runs in this process: it dies, or the disk refuses, at one chosen operation.

An operation is what changes the disk below the attacked folder: opening a file to write, each write, fsync, rename,
unlink, mkdir, rmdir, link, symlink, truncate. They are seen through an audit hook, before they happen; so after one is
before the next.
"""

from __future__ import annotations

import errno
import gc
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from cass_cli import files

Operation = tuple[str, str]  # its kind; the path, in the attacked folder, without the numbers of drafts
WRITING = os.O_WRONLY | os.O_RDWR
FILLING = ("open", "write", "fsync", "mkdir", "link", "symlink")  # what a full disk refuses; it lets remove and rename
EVENTS = {
    "os.rename": "rename",
    "os.remove": "unlink",
    "os.mkdir": "mkdir",
    "os.rmdir": "rmdir",
    "os.link": "link",
    "os.symlink": "symlink",
    "os.truncate": "truncate",
}


class Killed(BaseException):
    """What stands for `kill -9`: after it, the process changes nothing on the disk any more."""


@dataclass
class Layer:
    """What is seen below `root`, and what happens at operation `at`: `error` is raised, or `Killed` where it is 0."""

    root: Path
    at: int = -1
    error: int = 0
    halfway: bool = False  # of a write, the first half is done
    lasting: bool = False  # an error is raised at each later operation too, as by a disk that stays full
    seen: list[Operation] = field(default_factory=list)
    struck: str = ""  # the path of the operation where it happened
    dead: bool = False
    active: ClassVar[Layer | None] = None

    def meet(self, kind: str, path: Path, half: Callable[[], object] = lambda: None) -> None:
        """Count an operation that is about to happen, and let happen instead what is to happen."""
        if self.dead:
            raise Killed
        number = len(self.seen)
        self.seen.append((kind, _plain(path, self.root)))
        if number != self.at and not (self.lasting and 0 <= self.at < number):
            return
        if self.error and kind not in FILLING:
            if number == self.at and not self.lasting:
                self.at += 1  # the next one that can be refused
            return
        if self.halfway and number == self.at:
            half()
        self.struck = self.struck or str(path)
        if not self.error:
            self.dead = True
            raise Killed
        raise OSError(self.error, os.strerror(self.error), str(path))

    def holds(self, path: str) -> Path | None:
        """Return the path if it lies in the attacked folder."""
        found = os.path.abspath(path)  # noqa: PTH100 - links stay what they are
        return Path(found) if found.startswith(f"{self.root}{os.sep}") else None


_within = threading.local()


@contextmanager
def attacked(layer: Layer) -> Iterator[Layer]:
    """Let `layer` see, and attack, what the block does; afterwards nothing is held that a dead process would free."""
    _install()
    write, fsync = files._write, os.fsync

    def watched_write(descriptor: int, data: Any) -> int:
        path = layer.holds(_path_of(descriptor))
        if path is not None:
            layer.meet("write", path, lambda: os.write(descriptor, memoryview(data).cast("B")[: len(data) // 2]))
        return write(descriptor, data)

    def watched_fsync(descriptor: Any) -> None:
        number = descriptor if isinstance(descriptor, int) else descriptor.fileno()
        path = layer.holds(_path_of(number))
        if path is not None and path.is_file():
            layer.meet("fsync", path)
        fsync(descriptor)

    files._write, os.fsync = watched_write, watched_fsync  # type: ignore[assignment]
    Layer.active = layer
    try:
        yield layer
    finally:
        Layer.active = None
        files._write, os.fsync = write, fsync
        gc.collect()
        files._live.clear()


@cache
def _install() -> None:
    """Once: such a hook can never be taken away."""
    sys.addaudithook(_hook)


def _hook(event: str, args: tuple[Any, ...]) -> None:
    layer = Layer.active
    if layer is None or getattr(_within, "hook", False) or (event != "open" and event not in EVENTS):
        return
    _within.hook = True
    try:
        found = _operation(event, args)
        path = layer.holds(found[1]) if found else None
        if found and path is not None:
            layer.meet(found[0], path)
    finally:
        _within.hook = False


def _operation(event: str, args: tuple[Any, ...]) -> Operation | None:
    """Return the kind and the path of what an audit event tells, None where it changes nothing."""
    if event == "open":
        path, _, flags = args
        if not isinstance(path, (str, bytes, os.PathLike)) or not isinstance(flags, int) or not flags & WRITING:
            return None
        return "open", os.fsdecode(path)
    kind = EVENTS[event]
    if kind in ("link", "symlink"):
        return kind, os.fsdecode(args[1])
    if isinstance(args[0], int):
        return kind, _path_of(args[0])
    folder = args[-1] if kind in ("unlink", "mkdir", "rmdir") else -1  # where a folder is removed piece by piece
    name = os.fsdecode(args[0])
    return kind, name if not isinstance(folder, int) or folder < 0 else f"{_path_of(folder)}/{name}"


def _path_of(descriptor: int) -> str:
    try:
        return str(Path(f"/proc/self/fd/{descriptor}").readlink()).removesuffix(" (deleted)")
    except OSError:
        return ""


def _plain(path: Path, root: Path) -> str:
    parts = []
    for part in path.relative_to(root).parts:
        draft = files.DRAFT.fullmatch(part)
        parts.append(f"{draft['name']}.{draft['ending']}" if draft else part)
    return "/".join(parts)


FULL = {"ENOSPC": errno.ENOSPC, "EDQUOT": errno.EDQUOT, "EFBIG": errno.EFBIG}
