"""A sweep of more than there is room for is refused before any of it is run."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from cass_cli.engine.grid import forecast
from cass_cli.engine.grid.cluster import LOCAL, SLURM, Cluster
from cass_cli.engine.grid.forecast import check_room
from cass_cli.engine.grid.tasks import Task
from cass_cli.errors import DataError, RunError
from cass_cli.runs.directory import Run

GIB = 2**30


@pytest.fixture
def chains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[Task]]:
    """Three pretrainings of 2, 6 and unknown GiB, on a machine of 8; one more is begun, and is not looked at."""
    sizes = {"pretrain-small": 2, "pretrain-large": 6}

    def plan(task: Task) -> SimpleNamespace:
        if task.name not in sizes:
            raise DataError("its folder is gone")
        return SimpleNamespace(memory_bytes=sizes[task.name] * GIB, weight_bytes=GIB, device="cpu")

    monkeypatch.setattr(forecast, "_plan", plan)
    monkeypatch.setattr(forecast, "_key", lambda task: task.name)
    monkeypatch.setattr(forecast, "memory_limit", lambda: None)
    monkeypatch.setattr(forecast, "total_memory", lambda: 8 * GIB)
    (tmp_path / "runs" / "begun").mkdir(parents=True)
    names = ("small", "large", "gone", "begun")
    return [[Task(f"pretrain-{name}", "pretrain", Run(tmp_path / "runs" / name), {}, None)] for name in names]


@pytest.mark.parametrize(
    ("cluster", "refused"),
    [
        (None, 0),
        (Cluster(LOCAL, jobs=2), 1),  # 4 GiB for each
        (Cluster(LOCAL, jobs=8), 2),
        (Cluster(SLURM, mem="4G"), 1),
        (Cluster(SLURM, mem="1G", gpus_per_node="1"), 0),  # it is the GPU's that counts, which is not here
        (Cluster(SLURM), 0),
    ],
)
def test_memory(cluster: Cluster | None, refused: int, chains: list[list[Task]], tmp_path: Path) -> None:
    if not refused:
        check_room(chains, tmp_path / "runs", cluster, lambda _done, _all: None)
        return
    with pytest.raises(RunError) as told:
        check_room(chains, tmp_path / "runs", cluster, lambda _done, _all: None)
    assert told.value.what.startswith(f"{refused} pretraining")
    assert "pretrain-large: about 6.0 GiB of " in told.value.what
    assert "Nothing was run." in told.value.hint


def test_disk(chains: list[list[Task]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=2e9))
    with pytest.raises(RunError, match=r"2 pretrainings would leave about 2\.1 GB in .*, and 2\.0 GB are free"):
        check_room(chains, tmp_path / "not" / "there", None, lambda _done, _all: None)
