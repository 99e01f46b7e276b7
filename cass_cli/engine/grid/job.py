"""A grid from its file to its results: what it needs, doing it, and what came of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cass_cli.config.grid_file import Grid
from cass_cli.engine.grid.cells import GridCell, expand
from cass_cli.engine.grid.results import Found, GridResults, finished, results_of
from cass_cli.engine.grid.running import RUNNING, Ended, GridWatcher, Records, at_work, run_tasks
from cass_cli.engine.grid.tasks import DONE, Task, tasks_of
from cass_cli.engine.signals import resumed_by, stop_on_signal
from cass_cli.errors import ConfigError, RunError
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


def grid_job(work: GridWork, *, watch: GridWatcher, gpus: Sequence[str], again: str) -> list[Ended]:
    """Do what is not done; return what failed. One process at a time does a grid.

    Raises `Interrupted`, naming the command `again`, when it is stopped, and `RunError` where another does it, where
    another grid of this name was done in this folder, or the disk is full.
    """
    for gpu in gpus:
        if not gpu.strip().isdecimal():
            raise ConfigError(f"--gpus: '{shown(gpu)}' is no number of a GPU.", hint="As in --gpus 0,1.")
    folder = work.records.folder
    with telling(folder, "Choose another --runs."):
        folder.mkdir(parents=True, exist_ok=True)
    lock = folder / "lock"
    with locked(lock, wait=PATIENCE) as alone:
        if not alone:
            who = holder(lock) or "another process"
            raise RunError(f"{folder} is being done by {who}.", hint="See how far it is with --watch.")
        _check_same(work)
        with resumed_by(again):
            ended = run_tasks(work.chains, work.records, watch=watch, gpus=[gpu.strip() for gpu in gpus])
    return [each for each in ended if each.code]


def _check_same(work: GridWork) -> None:
    """Raise `RunError` where the folder holds the results of another grid of this name."""
    title = work.records.folder / "title.txt"
    if title.is_file() and (before := title.read_text(encoding="utf-8").strip()) != work.grid.title:
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
            if _idle(work.records.folder / "lock") and not any(map(work.runs_now, work.tasks)):
                return
            until = time.monotonic() + LOOK_AGAIN
            while time.monotonic() < until:
                time.sleep(0.1)
                stop.check()
