"""Who may write to a run or to one of its fine-tunings: one process at a time.

The locks lie in `.locks/RUN/` beside the run, not in it, so they hold while a run is replaced. A pretraining has the
run for itself; fine-tunings of different names may work beside each other.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from cass_cli.errors import DataError, RunError
from cass_cli.files import no_link, telling
from cass_cli.lock import holder, locked

LOCKS = ".locks"
WHOLE = "run"
FINE_TUNING = "finetune-"
PATIENCE = 1.0  # seconds: one that only looks whether a lock is free holds it for a moment


class BusyError(RunError):
    """Another process works on the run."""


@contextmanager
def writing_run(run: Path, *, besides: str = "") -> Iterator[None]:
    """Keep every other process from working on the run and on its fine-tunings, but for the one called `besides`.

    Raises `RunError` saying who does.
    """
    with ExitStack() as stack:
        folder = stack.enter_context(_folder(run))
        stack.enter_context(_held(folder / WHOLE, run))
        for lock in sorted(folder.glob(f"{FINE_TUNING}*")):
            name = lock.name.removeprefix(FINE_TUNING)
            if name != besides:
                with _held(lock, run / "finetune" / name):
                    pass
        yield


@contextmanager
def writing_finetuning(run: Path, name: str) -> Iterator[None]:
    """Keep every other process from working on the fine-tuning called `name`, and from replacing the run."""
    with ExitStack() as stack:
        folder = stack.enter_context(_folder(run))
        stack.enter_context(_held(folder / f"{FINE_TUNING}{name}", run / "finetune" / name))
        with _held(folder / WHOLE, run):
            pass
        yield


@contextmanager
def _folder(run: Path) -> Iterator[Path]:
    """Make the folder of the run's locks; afterwards remove what was made of it, if nothing else is in there now."""
    place = run.resolve()  # a link to a run and the run have the same lock
    folder, made = place.parent / LOCKS / place.name, not place.parent.exists()
    try:
        with telling(run, "Choose another --runs."):
            _make(folder)
        yield folder
    finally:
        for path in (folder, folder.parent, *([place.parent] if made else [])):
            with suppress(OSError):  # of a folder that is not empty
                path.rmdir()


def _make(folder: Path) -> None:
    """Make the folder; that of all locks is as open to others as the folder of runs that it lies in."""
    for path in (folder.parent, folder):
        no_link(path)
    if not folder.parent.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with suppress(OSError):
            folder.parent.chmod(folder.parent.parent.stat().st_mode & 0o7777)
    folder.mkdir(exist_ok=True)


@contextmanager
def _held(lock: Path, what: Path) -> Iterator[None]:
    with ExitStack() as stack:
        try:
            with telling(what, "Choose another --runs."):
                alone = _enter(stack, lock)
        except DataError:
            _unlink(lock)
            raise
        if not alone:
            who = holder(lock)
            raise BusyError(
                f"{what} is being written by {who or 'another process'}.", hint="Wait for it, or stop it first."
            )
        stack.callback(_unlink, lock)
        yield


def _unlink(lock: Path) -> None:
    with suppress(OSError):  # Windows removes no open file; one that stays is as good as none
        lock.unlink()


def _enter(stack: ExitStack, lock: Path) -> bool:
    while True:
        try:
            return stack.enter_context(locked(lock, wait=PATIENCE))
        except FileNotFoundError:  # another process had the last lock of the folder, and removed both
            _make(lock.parent)
