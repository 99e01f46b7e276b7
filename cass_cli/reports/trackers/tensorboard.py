"""TensorBoard: event files in the run's own folder, written as they come.

TensorBoard's own writer names its files by the host, and writes from a thread, which keeps errors to itself; so here is
its record format alone. An event file that goes on begins with the epoch from which earlier files no longer count.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from cass_cli.reports.trackers.tracker import Begun, Curve, Told
from cass_cli.runs.directory import Run


class TensorBoard:
    """Writes a curve to tensorboard/ in the folder of its run or trial."""

    def begin(self, curve: Curve, told: Told) -> Begun:
        """Open a new event file beside those of the processes before."""
        from tensorboard.compat.proto.event_pb2 import SessionLog
        from tensorboard.plugins.hparams.summary_v2 import hparams_pb
        from tensorboard.summary.writer.record_writer import RecordWriter

        folder = Run(curve.folder).tensorboard
        folder.mkdir(parents=True, exist_ok=True)
        earlier = len(list(folder.glob("events.out.tfevents.*")))
        epochs = min(told["epochs"], curve.epochs) if earlier else 0
        path = folder / f"events.out.tfevents.{time.time():010.0f}.cass.{earlier:04}"  # read in this order
        self.file = path.open("xb")
        self.records = RecordWriter(self.file)
        self._write(file_version="brain.Event:2")
        if earlier:
            self._write(step=epochs + 1, session_log=SessionLog(status=SessionLog.START))
        else:
            self._write(summary=hparams_pb(dict(curve.settings)))
        return Begun("", epochs, f"TensorBoard shows the curves in {curve.runs / curve.run}")

    def point(self, epoch: int, values: Mapping[str, float]) -> None:
        """Write a value a curve."""
        from tensorboard.compat.proto.summary_pb2 import Summary

        told = [Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        self._write(step=epoch, summary=Summary(value=told))

    def end(self, epoch: int, scores: Mapping[str, float] | None) -> None:
        """Write the scores as a last point, and close the file."""
        if scores:
            self.point(epoch, scores)
        self.file.close()

    def _write(self, **fields: Any) -> None:
        from tensorboard.compat.proto.event_pb2 import Event

        self.records.write(Event(wall_time=time.time(), **fields).SerializeToString())
        self.records.flush()
