"""One curve after the other, and the trackers that follow them.

A tracker learns of an epoch when that is saved. So nothing that it shows is ever taken back: epochs that a killed run
had not saved are told when the resumed run has trained them again, and those that were saved and not told are read from
metrics.jsonl. A tracker that fails is warned of once, and training goes on without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from cass_cli.config.schema import TrackerName
from cass_cli.reports.trackers.mlflow import MLflow
from cass_cli.reports.trackers.tensorboard import TensorBoard
from cass_cli.reports.trackers.tracker import TITLES, Curve, Told, Tracker, numbers, read_told, write_told
from cass_cli.reports.trackers.wandb import WandB
from cass_cli.runs.directory import Run
from cass_cli.runs.rows import Row
from cass_cli.words import shown

TRACKERS: Mapping[TrackerName, Callable[[], Tracker]] = {"tensorboard": TensorBoard, "mlflow": MLflow, "wandb": WandB}
NEW = Told(id="", epochs=0, finished=False)


class Followed:
    """What the trackers `names` are told; `note` and `warn` say what the user should know."""

    def __init__(
        self, names: Sequence[TrackerName], *, note: Callable[[str], None], warn: Callable[[str], None]
    ) -> None:
        self.names, self.note, self.warn = list(names), note, warn
        self.open: dict[TrackerName, Tracker] = {}
        self.files: Run | None = None  # of the curve that is followed now
        self.told: dict[str, Told] = {}
        self.waiting: list[tuple[int, Mapping[str, float]]] = []  # epochs that are not saved yet

    def begin(self, files: Run, curve: Callable[[], Curve], kind: type[Row], *, again: bool = True) -> None:
        """Follow a curve from where each tracker left it, or from its beginning, up to the rows that are there.

        Without `again` those trackers stay away that know its end.
        """
        self.files, self.waiting = files, []
        for name in list(self.names):
            with self._surviving(name):
                self.told = read_told(files.trackers)
                before = self.told.get(name, NEW)
                if before["finished"] and not again:
                    continue
                tracker = TRACKERS[name]()
                begun = tracker.begin(curve(), before)
                self.open[name] = tracker
                self.note(begun.note)
                epochs = begun.epochs
                for row in files.rows(kind):
                    if row["epoch"] > epochs:
                        tracker.point(row["epoch"], values_of(row))
                        epochs = row["epoch"]
                self._record(name, Told(id=begun.id, epochs=epochs, finished=False))

    def epoch(self, row: Mapping[str, object]) -> None:
        """Keep an epoch until it is saved."""
        self.waiting.append((int(str(row["epoch"])), values_of(row)))

    def saved(self) -> None:
        """Tell the epochs that waited for it."""
        for epoch, values in self.waiting:
            for name, tracker in list(self.open.items()):
                with self._surviving(name):
                    tracker.point(epoch, values)
                    self._record(name, Told(id=self.told[name]["id"], epochs=epoch, finished=False))
        self.waiting = []

    def finish(self, epoch: int, scores: Mapping[str, float]) -> None:
        """Tell the scores at the end of the curve."""
        for name, tracker in list(self.open.items()):
            with self._surviving(name):
                tracker.end(epoch, scores)
                self._record(name, Told(id=self.told[name]["id"], epochs=epoch, finished=True))
        self.open, self.files = {}, None

    def leave(self) -> None:
        """Close a curve that did not come to its end."""
        for name, tracker in list(self.open.items()):
            with self._surviving(name):
                tracker.end(0, None)
        self.open, self.files = {}, None

    def _record(self, name: TrackerName, told: Told) -> None:
        assert self.files, "a curve is followed"
        self.told[name] = told
        write_told(self.files.trackers, self.told)

    @contextmanager
    def _surviving(self, name: TrackerName) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # whatever a package, a disk or a server comes up with
            why = shown(str(error).partition("\n")[0]) or type(error).__name__
            self.warn(f"{TITLES[name]} failed, and training goes on without it: {why}")
            self.names.remove(name)
            self.open.pop(name, None)


def values_of(row: Mapping[str, object]) -> dict[str, float]:
    """Return the numbers of a row of metrics.jsonl, but for its epoch, which is the step."""
    return numbers({key: value for key, value in row.items() if key != "epoch"})
