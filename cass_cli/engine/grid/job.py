"""A grid from its file to its results: what it needs, doing it, and what came of it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

from cass_cli.config.grid_file import Grid
from cass_cli.engine.grid.cells import GridCell, expand
from cass_cli.engine.grid.cluster import Cluster, check_cluster
from cass_cli.engine.grid.results import Found, GridResults, finished, results_of
from cass_cli.engine.grid.running import FAILED, PROGRAM, RUNNING, Ended, GridWatcher, Records, at_work, run_tasks
from cass_cli.engine.grid.submitting import Job, Wave, queued_tasks, submit, waves_of
from cass_cli.engine.grid.tasks import DONE, Task, tasks_of
from cass_cli.engine.signals import resumed_by, stop_on_signal
from cass_cli.errors import ConfigError, RunError, did_you_mean
from cass_cli.files import telling, write_text
from cass_cli.lock import holder, locked
from cass_cli.words import count, shown

ENDING = ".grid"  # of the folder with what a grid knows, beside the runs
LOOK_AGAIN = 5.0  # seconds
PATIENCE = 1.0  # seconds: one that only watches holds the lock for a moment
MOST_TOLD = 10


@dataclass(frozen=True)
class GridWork:
    """A grid with its cells, what is to do for them, and where that is kept."""

    grid: Grid
    runs: Path
    cells: tuple[GridCell, ...]
    chains: tuple[tuple[Task, ...], ...]
    records: Records

    @property
    def tasks(self) -> list[Task]:
        """Return all that is to do, in order."""
        return [task for chain in self.chains for task in chain]

    def runs_now(self, task: Task) -> bool:
        """Return whether a task is being done: one whose process was killed says so no longer by itself."""
        return task.state != DONE and self.records.told(task).get("state") == RUNNING and at_work(task)

    def queued(self) -> dict[str, str]:
        """Return those of its tasks that a scheduler has, with the ids of their jobs."""
        return queued_tasks(self.records.folder)

    def waves(self, cluster: Cluster) -> list[Wave]:
        """Return what would be submitted now."""
        return waves_of(self.chains, self.queued(), cluster)

    def failed(self) -> list[Ended]:
        """Return the tasks that failed when they were last done, as it is written down."""
        found = []
        for task in self.tasks:
            told = self.records.told(task)
            if task.state != DONE and told.get("state") == FAILED:
                found.append(Ended(task, told["code"], told["seconds"], told["reason"], self.records.log(task)))
        return found

    def results(self) -> tuple[GridResults, list[Found]]:
        """Return what the finished cells say together, and each by itself."""
        found = finished(self.cells, self.runs)
        return results_of(self.grid, found, self.cells), found

    def tell_failures(self, failed: Sequence[Ended]) -> None:
        """Raise `RunError` naming the tasks that failed, if any did."""
        if not failed:
            return
        lines = [f"{each.task.name}: {each.reason} (log: {each.log})" for each in failed[:MOST_TOLD]]
        more = [f"and {len(failed) - MOST_TOLD:,} more"] if len(failed) > MOST_TOLD else []
        raise RunError(
            "\n".join([f"{count(len(failed), 'task')} of {len(self.tasks):,} failed.", *lines, *more]),
            hint="Mend what they say, then do the same again: what is done is not done twice.",
        )


def plan_grid(grid: Grid, runs: Path) -> GridWork:
    """Return what a grid needs; raises `ConfigError` where a cell cannot work, before anything is run."""
    cells = expand(grid)
    if not cells:
        raise ConfigError("Every cell of the grid is left out.", hint="See its `exclude`.")
    chains = tasks_of(grid, cells, runs)
    return GridWork(grid, runs, tuple(cells), tuple(map(tuple, chains)), Records(runs / f"{grid.name}{ENDING}"))


def only_tasks(work: GridWork, names: Sequence[str]) -> GridWork:
    """Return the part of a grid whose tasks have these names, in which * stands for anything; all of it for none."""
    if not names:
        return work
    known = [task.name for task in work.tasks]
    for name in names:
        if not any(fnmatchcase(task, name) for task in known):
            raise ConfigError(
                f"--only: there is no task '{shown(name)}'.{did_you_mean(name, known)}",
                hint="--dry-run --json lists them.",
            )
    chains = [tuple(t for t in chain if any(fnmatchcase(t.name, name) for name in names)) for chain in work.chains]
    return replace(work, chains=tuple(chain for chain in chains if chain))


def grid_job(work: GridWork, *, watch: GridWatcher, gpus: Sequence[str], again: str, part: bool = False) -> list[Ended]:
    """Do what is not done and in no queue; return what failed. One process at a time does a grid, or several `part`s.

    Raises `Interrupted`, naming the command `again`, when it is stopped, and `RunError` where another does it, where
    another grid of this name was done in this folder, or the disk is full.
    """
    for gpu in gpus:
        if not gpu.strip().isdecimal():
            raise ConfigError(f"--gpus: '{shown(gpu)}' is no number of a GPU.", hint="As in --gpus 0,1.")
    with nullcontext() if part else _alone(work):
        _check_same(work)
        queued = {} if part else work.queued()  # a job of the queue is such a part
        chains = [chain for chain in work.chains if not any(task.name in queued for task in chain)]
        if queued:
            watch.queued(len(queued))
        with resumed_by(again):
            ended = run_tasks(chains, work.records, watch=watch, gpus=[gpu.strip() for gpu in gpus])
    return [each for each in ended if each.code]


def submit_grid(work: GridWork, cluster: Cluster, command: Sequence[str], again: str) -> list[Job]:
    """Hand what is neither done nor in a queue to a scheduler, as jobs that do parts of it: `cass command --only …`."""
    check_cluster(cluster)
    command = [sys.executable, *PROGRAM, *command]
    with _alone(work), resumed_by(again):
        _check_same(work)
        return submit(work.waves(cluster), cluster, work.records.folder, command, f"cass-{work.grid.name}")


@contextmanager
def _alone(work: GridWork) -> Iterator[None]:
    """Keep every other process from doing the grid, but for parts of it."""
    folder = work.records.folder
    with telling(folder, "Choose another --runs."):
        folder.mkdir(parents=True, exist_ok=True)
    lock = folder / "lock"
    with locked(lock, wait=PATIENCE) as alone:
        if not alone:
            who = holder(lock) or "another process"
            raise RunError(f"{folder} is being done by {who}.", hint="See how far it is with --watch.")
        yield


def _check_same(work: GridWork) -> None:
    """Raise `RunError` where the folder holds the results of another grid of this name."""
    title = work.records.folder / "title.txt"
    before = title.read_text(encoding="utf-8").strip() if title.is_file() else None
    if before == work.grid.title:
        return
    if before is not None:
        raise RunError(
            f"{work.records.folder} is of another grid: '{shown(before)}'.",
            hint="Rename the file, or choose another --runs.",
        )
    write_text(title, work.grid.title + "\n")


def _idle(lock: Path) -> bool:
    """Return whether no process does the grid."""
    if not lock.exists():
        return True
    with locked(lock, wait=False) as free:
        return free


def watch_grid(work: GridWork, show: Callable[[], None]) -> None:
    """Show how far a grid is, again and again, until all is done or nothing works on it any more."""
    with stop_on_signal() as stop:
        while True:
            show()
            busy = not _idle(work.records.folder / "lock") or any(map(work.runs_now, work.tasks))
            if not busy and not work.queued():
                return
            until = time.monotonic() + LOOK_AGAIN
            while time.monotonic() < until:
                time.sleep(0.1)
                stop.check()
