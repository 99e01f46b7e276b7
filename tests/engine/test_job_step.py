"""A step of several tasks is several processes that train together; whatever else SLURM sets is a world of one."""

from __future__ import annotations

import os

import pytest

from cass_cli.cli.app import run
from cass_cli.engine.distributed import World, world_from_environment
from cass_cli.engine.job_step import join_step
from cass_cli.errors import ConfigError

ALLOCATION = {"SLURM_JOB_ID": "4711", "SLURM_NTASKS": "8", "SLURM_NODELIST": "gpu[03-04]"}
BATCH = ALLOCATION | {"SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0"}
STEP = BATCH | {
    "SLURM_STEP_ID": "2",
    "SLURM_STEP_NUM_TASKS": "6",
    "SLURM_STEP_NUM_NODES": "2",
    "SLURM_STEP_NODELIST": "gpu[03-04,07],login",
    "SLURM_STEP_TASKS_PER_NODE": "4,2",
    "SLURM_NODEID": "1",
    "SLURM_PROCID": "5",
    "SLURM_LOCALID": "1",
}


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the environment be one's own, without what a launcher or SLURM may have told the tests."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "CUDA_VISIBLE"))}
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        own.pop(name, None)
    monkeypatch.setattr(os, "environ", own)


@pytest.mark.parametrize(
    "variables",
    [
        ALLOCATION,
        BATCH,
        BATCH | {"SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "1"},  # of a shell that salloc starts as a step
        STEP | {"SLURM_PTY_PORT": "40000", "SLURM_PROCID": "0"},  # srun --ntasks 6 --pty bash
    ],
    ids=["salloc", "sbatch", "one task", "a shell"],
)
def test_what_is_no_step_of_several_tasks_waits_for_nobody(variables: dict[str, str], told: None) -> None:
    os.environ.update(variables)
    join_step("pretrain")
    assert world_from_environment() == World()
    assert "MASTER_ADDR" not in os.environ


def test_a_task_takes_its_place(told: None) -> None:
    os.environ.update(STEP)
    join_step("pretrain")
    assert world_from_environment() == World(rank=5, size=6, local_rank=1)
    assert os.environ["MASTER_ADDR"] == "gpu03"
    assert os.environ["LOCAL_WORLD_SIZE"] == "2"
    port = os.environ.pop("MASTER_PORT")
    for name in ("RANK", "WORLD_SIZE"):
        del os.environ[name]
    os.environ.update({"SLURM_PROCID": "0", "SLURM_NODEID": "0", "SLURM_LOCALID": "0"})
    join_step("pretrain")
    assert os.environ["MASTER_PORT"] == port  # which all have to know
    assert os.environ["LOCAL_WORLD_SIZE"] == "4"


def test_a_task_that_sees_its_own_gpu_alone_takes_that(told: None) -> None:
    os.environ.update(STEP | {"CUDA_VISIBLE_DEVICES": "3"})
    join_step("pretrain")
    assert world_from_environment().local_rank == 0


@pytest.mark.parametrize(
    ("nodes", "first"),
    [("gpu03", "gpu03"), ("a,b", "a"), ("rack[2-3]n[07,09]-ib,x", "rack2n07-ib"), ("n[010]", "n010")],
)
def test_the_first_node_leads(nodes: str, first: str, told: None) -> None:
    os.environ.update(STEP | {"SLURM_STEP_NODELIST": nodes})
    join_step("pretrain")
    assert os.environ["MASTER_ADDR"] == first


def test_who_says_otherwise_wins(told: None) -> None:
    os.environ.update(STEP | {"MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "5000"})
    join_step("pretrain")
    assert (os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"]) == ("10.0.0.1", "5000")
    os.environ.update({"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0"})
    join_step("pretrain")
    assert world_from_environment() == World()


def test_other_commands_work_in_the_first_task_alone(told: None, capsys: pytest.CaptureFixture[str]) -> None:
    os.environ.update(STEP)
    assert run(["compare"]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "This is task 6 of 6 of a job step, and `cass compare` works in one process." in said
    with pytest.raises(ConfigError):
        join_step("grid")
    os.environ["SLURM_PROCID"] = "0"
    join_step("grid")
    join_step("pretrain")  # that the grid starts
    assert world_from_environment() == World()
