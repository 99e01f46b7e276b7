"""Two processes under torchrun, or in a job step of SLURM, train what one process trains."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

# Arms without batch norm: its statistics are of a process's own share, so they cannot agree.
ARGUMENTS = [
    *("pretrain", "--image-size", "32", "--epochs", "2", "--batch-size", "8", "--device", "cpu", "--precision", "fp32"),
    *("--cnn", "test_convnext", "--vit", "test_vit", "--init", "random", "--set", "arms.outputs=16"),
    *("--set", "optim.cnn=sgd", "--set", "optim.vit=sgd", "--cache", "ram", "--name", "run", "--json"),
]
# Trains in float64; every rank writes down its final weights, so that the test can compare them.
RANK_SCRIPT = """
import sys, torch
from cass_cli.engine.pretraining import job
from tests.engine.tiny import train_in_double
train_in_double()
train = job._train
def spy(session, run, *others, **more):
    result = train(session, run, *others, **more)
    torch.save(session.method.state_dict(), run.path / f"rank{session.world.rank}.pt")
    return result
job._train = spy
from cass_cli.cli.app import run
sys.exit(run(sys.argv[1:]))
"""


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment(), check=False)


def environment() -> dict[str, str]:
    here = os.pathsep.join([str(Path(__file__).parents[3]), os.environ.get("PYTHONPATH", "")])
    return os.environ | {"PYTHONPATH": here}


def srun(command: list[str]) -> list[tuple[int, str, str]]:
    """Start two processes with what SLURM tells the two tasks of a step; return code, output and errors of each."""
    step = {"SLURM_JOB_ID": str(os.getpid()), "SLURM_STEP_ID": "0", "SLURM_NTASKS": "2", "SLURM_STEP_NUM_TASKS": "2"}
    step |= {"SLURM_STEP_NUM_NODES": "1", "SLURM_STEP_NODELIST": "gpu[03]", "SLURM_STEP_TASKS_PER_NODE": "2"}
    tasks = [
        subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment() | step | {"SLURM_PROCID": rank, "SLURM_LOCALID": rank},
        )
        for rank in "01"
    ]
    said = [task.communicate(timeout=300) for task in tasks]
    return [(task.returncode, *texts) for task, texts in zip(tasks, said, strict=True)]


@pytest.fixture
def torchrun() -> list[str]:
    return [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "rank.py"
    path.write_text(RANK_SCRIPT)
    return path


def weights(runs: Path, rank: int = 0) -> dict[str, torch.Tensor]:
    tensors: dict[str, torch.Tensor] = torch.load(runs / "run" / f"rank{rank}.pt", weights_only=True)
    return tensors


def test_two_processes_hold_the_same_weights_and_follow_one(
    tmp_path: Path, class_folders: Path, torchrun: list[str], script: Path
) -> None:
    data = ["--data", str(class_folders)]
    both = run([*torchrun, str(script), *ARGUMENTS, *data, "--runs", str(tmp_path / "two")])
    assert both.returncode == 0, both.stderr
    alone = run([sys.executable, str(script), *ARGUMENTS, *data, "--runs", str(tmp_path / "one")])
    assert alone.returncode == 0, alone.stderr

    ranks = [weights(tmp_path / "two", rank) for rank in (0, 1)]
    assert all(torch.equal(ranks[0][key], ranks[1][key]) for key in ranks[0])

    losses = [
        [json.loads(line)["loss"] for line in (tmp_path / out / "run" / "metrics.jsonl").read_text().splitlines()]
        for out in ("two", "one")
    ]
    assert len(losses[0]) == 2
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    single = weights(tmp_path / "one")
    for key, value in single.items():
        torch.testing.assert_close(ranks[0][key], value, rtol=1e-6, atol=1e-9)

    assert json.loads(both.stdout)["epochs"] == 2  # rank 0 alone speaks
    assert len(list((tmp_path / "two").iterdir())) == 2  # the run and `latest`


def test_dinos_centre_and_teacher_are_those_of_the_whole_batch(
    tmp_path: Path, class_folders: Path, script: Path
) -> None:
    """Batches of 8, 8, 8 and 4, half of each a process; a Transformer, whose result does not depend on the rest.

    The processes are the tasks of a job step: what `srun` starts trains what `torchrun` starts.
    """
    settings = ["--method", "dino", "--arm", "vit", "--epochs", "1", "--set", "method.prototypes=32"]
    settings += ["--set", "optim.warmup=0", "--set", "optim.vit=adamw", "--data", str(class_folders)]
    both = srun([sys.executable, str(script), *ARGUMENTS, *settings, "--runs", str(tmp_path / "two")])
    assert [code for code, _, _ in both] == [0, 0], both
    assert json.loads(both[0][1])["epochs"] == 1
    assert both[1][1] == ""  # the first alone speaks
    alone = run([sys.executable, str(script), *ARGUMENTS, *settings, "--runs", str(tmp_path / "one")])
    assert alone.returncode == 0, alone.stderr
    ranks = [weights(tmp_path / "two", rank) for rank in (0, 1)]
    assert all(torch.equal(ranks[0][key], ranks[1][key]) for key in ranks[0])
    single = weights(tmp_path / "one")
    assert single["methods.vit.centre"].abs().max() > 1e-3
    for key, value in single.items():
        torch.testing.assert_close(ranks[0][key], value, rtol=1e-6, atol=1e-9)


def test_module_starts_under_torchrun(tmp_path: Path, class_folders: Path, torchrun: list[str]) -> None:
    """The command as the README gives it, with an error that every process meets."""
    result = run(
        [*torchrun, "-m", "cass_cli", *ARGUMENTS, "--data", str(tmp_path / "nowhere"), "--runs", str(tmp_path)]
    )
    assert result.returncode != 0
    assert "nowhere" in result.stderr


# Prints the loss of a batch of five images, of which either process has its share, and the gradient of a projector.
TERMS_SCRIPT = """
import json, os, torch, torch.distributed as dist
from cass_cli.methods.vicreg import vicreg_loss
rank, size = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
if size > 1:
    dist.init_process_group("gloo")
torch.manual_seed(0)
one, two = torch.randn(2, 5, 4)
layer = torch.nn.Linear(4, 6)
mine = torch.arange(rank, 5, size)
loss = vicreg_loss(layer(one[mine]), layer(two[mine])) * len(mine) / 5
loss.backward()
found = torch.cat([loss.detach().flatten(), layer.weight.grad.flatten()])
if size > 1:
    dist.all_reduce(found)
if rank == 0:
    print(json.dumps(found.tolist()))
if size > 1:
    dist.destroy_process_group()
"""


def test_vicregs_terms_are_those_of_the_whole_batch(tmp_path: Path, torchrun: list[str]) -> None:
    """With three images here and two there: the loss, and what it asks of the weights."""
    path = tmp_path / "terms.py"
    path.write_text(TERMS_SCRIPT)
    both, alone = run([*torchrun, str(path)]), run([sys.executable, str(path)])
    assert both.returncode == alone.returncode == 0, both.stderr + alone.stderr
    found, expected = (json.loads(result.stdout) for result in (both, alone))
    assert len(found) == 1 + 6 * 4
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_two_processes_learn_the_same_targets_as_one(
    tmp_path: Path, class_folders: Path, torchrun: list[str], script: Path
) -> None:
    torch.manual_seed(0)
    save_file(timm.create_model("test_convnext2", num_classes=0).state_dict(), tmp_path / "teacher.safetensors")
    settings = ["--method", "distill", "--targets", "test_convnext2", "--data", str(class_folders)]
    settings += ["--weights", f"targets={tmp_path / 'teacher.safetensors'}", "--set", "optim.warmup=0"]
    both = run([*torchrun, str(script), *ARGUMENTS, *settings, "--runs", str(tmp_path / "two")])
    assert both.returncode == 0, both.stderr
    alone = run([sys.executable, str(script), *ARGUMENTS, *settings, "--runs", str(tmp_path / "one")])
    assert alone.returncode == 0, alone.stderr
    ranks = [weights(tmp_path / "two", rank) for rank in (0, 1)]
    assert all(torch.equal(ranks[0][key], ranks[1][key]) for key in ranks[0])
    for key, value in weights(tmp_path / "one").items():
        torch.testing.assert_close(ranks[0][key], value, rtol=1e-6, atol=1e-9)
