"""Curves as each tracker's own package, or for Weights & Biases its own records, read them back."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

Curves = dict[str, list[tuple[int, float]]]  # by name: every point, in the order in which it was written


def tensorboard(folder: Path) -> Curves:
    """What TensorBoard shows of the event files in the folder of a run or trial."""
    module = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    found = module.EventAccumulator(str(folder / "tensorboard"), size_guidance={"scalars": 0}).Reload()
    return {tag: [(event.step, event.value) for event in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


def mlflow_run(runs: Path, name: str) -> Any:
    """What MLflow knows of the run of that name, of which there is one."""
    tracking = pytest.importorskip("mlflow.tracking")
    client = tracking.MlflowClient((runs / "mlruns").as_uri())
    experiment = client.get_experiment_by_name("cass").experiment_id
    (run,) = [run for run in client.search_runs([experiment]) if run.info.run_name == name]
    return client, run


def mlflow(runs: Path, name: str) -> Curves:
    """Every point that MLflow holds of the run."""
    client, run = mlflow_run(runs, name)
    return {
        key: [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, key)]
        for key in run.data.metrics
    }


def wandb_records(file: Path) -> Iterator[Any]:
    """The records of a .wandb file: blocks of 32 KiB, in which pieces follow a crc, a length and a kind (LevelDB)."""
    proto = pytest.importorskip("wandb.proto.wandb_internal_pb2")
    data, at, parts = file.read_bytes(), 7, b""
    while at + 7 <= len(data):
        left = 2**15 - at % 2**15
        _, length, kind = struct.unpack("<IHB", data[at : at + 7])
        if left < 7 or not kind:
            at += left
            continue
        parts += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # the whole, or the last piece
            record = proto.Record()
            record.ParseFromString(parts)
            parts = b""
            yield record


def wandb(runs: Path, name: str) -> Curves:
    """Every point in the folder of the run of that name, of which there is one."""
    found = []
    for file in sorted((runs / "wandb").glob("offline-run-*/*.wandb")):
        records = list(wandb_records(file))
        if name in {record.run.display_name for record in records}:
            found.append(records)
    (records,) = found
    curves: Curves = {}
    for record in records:
        told = {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in record.history.item}
        for key, value in told.items():
            if not key.startswith("_"):
                curves.setdefault(key, []).append((told["_step"], value))
    return curves


def curves(tracker: str, runs: Path, folder: Path, name: str) -> Curves:
    """What a tracker holds, but for what the clock decides."""
    found = {"mlflow": mlflow, "wandb": wandb}[tracker](runs, name) if tracker != "tensorboard" else tensorboard(folder)
    timed = ("seconds", "waiting", "images_per_second")
    return {key: points for key, points in found.items() if key not in timed}
