"""MLflow: a store of files beside the runs, or what $MLFLOW_TRACKING_URI names.

Its client writes what it is given: of itself it adds no user, host, command or commit.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping

from cass_cli.reports.trackers.tracker import PROJECT, Begun, Curve, Told

STORE = "mlruns"
ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ALLOW_FILE_STORE": "true",  # no longer MLflow's default, which needs a database
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # else training waits minutes for a server that is gone
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",  # seconds
}
MOST = 100  # settings that are taken at once
LONGEST = 500  # characters of one
EPOCH = "epoch"  # the curve by which it is seen which epochs are there: the last that is written of each


class MLflow:
    """Keeps a curve as a run of the experiment `cass`, or of $MLFLOW_EXPERIMENT_NAME."""

    def begin(self, curve: Curve, told: Told) -> Begun:
        """Go on with the run that was begun, or begin one: also where that is gone, or knows of later epochs."""
        for name, value in ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        from mlflow.tracking import MlflowClient

        elsewhere = bool(os.environ.get("MLFLOW_TRACKING_URI"))
        store = (curve.runs / STORE).absolute()
        self.client = MlflowClient() if elsewhere else MlflowClient(store.as_uri())
        self.id, epochs = told["id"], self._epochs(told["id"])
        if epochs is None or epochs > curve.epochs:
            run = self.client.create_run(self._experiment(), run_name=curve.name, tags={"run": curve.run})
            self.id, epochs = run.info.run_id, 0
        self.client.set_terminated(self.id, status="RUNNING")
        self._settings(curve)
        where = "what MLFLOW_TRACKING_URI names" if elsewhere else f"{store}"
        return Begun(self.id, epochs, f"MLflow keeps the curves in {where}")

    def point(self, epoch: int, values: Mapping[str, float]) -> None:
        """Write a value a curve."""
        self._log(epoch, {**values, EPOCH: epoch})

    def end(self, epoch: int, scores: Mapping[str, float] | None) -> None:
        """Write the scores as a last point, and say how the training ended."""
        if scores:
            self._log(epoch, scores)
        self.client.set_terminated(self.id, status="KILLED" if scores is None else "FINISHED")

    def _log(self, epoch: int, values: Mapping[str, float]) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self.client.log_batch(self.id, metrics=[Metric(name, value, now, epoch) for name, value in values.items()])

    def _epochs(self, run: str) -> int | None:
        """Return the last epoch that is there, 0 without any; None where there is no such run."""
        from mlflow.exceptions import MlflowException

        try:
            if not run or self.client.get_run(run).info.lifecycle_stage != "active":
                return None
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise
        return max((point.step for point in self.client.get_metric_history(run, EPOCH)), default=0)

    def _experiment(self) -> str:
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
        found = self.client.get_experiment_by_name(name)
        return str(found.experiment_id if found else self.client.create_experiment(name))

    def _settings(self, curve: Curve) -> None:
        """Write the settings, which MLflow keeps for ever: what a resumed run changes stands beside them as a tag."""
        from mlflow.entities import Param, RunTag

        there = self.client.get_run(self.id).data.params
        asked = {name: str(value)[:LONGEST] for name, value in curve.settings.items()}
        new = [Param(name, value) for name, value in asked.items() if name not in there]
        changed = [RunTag(name, value) for name, value in asked.items() if there.get(name, value) != value]
        for first in range(0, len(new), MOST):
            self.client.log_batch(self.id, params=new[first : first + MOST])
        self.client.log_batch(self.id, tags=changed)
