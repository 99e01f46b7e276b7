"""Jobs of a grid: what SLURM is asked for, what it is not asked for twice, and what a worker does with a warning."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cass_cli.engine.grid import running, submitting
from cass_cli.engine.grid.cluster import DEBUG, LOCAL, SLURM, Cluster, asked_cluster, check_cluster, memory_of
from cass_cli.engine.grid.submitting import queued_tasks, submit, waves_of
from cass_cli.engine.grid.tasks import Task
from cass_cli.errors import ConfigError, RunError
from cass_cli.runs.directory import Run

ASKED = {"time": "1-06:00:00", "partition": "gpu", "account": "derma", "mem": "32G", "gpus_per_node": "a100:1"}
SBATCH = """#!/bin/sh
number=$(($(ls {told} | wc -l) + 100))
cp "$1" {told}/$number
echo "Submitted batch job $number"
"""


@pytest.fixture
def chains(tmp_path: Path) -> list[list[Task]]:
    """Two runs to pretrain, of which one is, and one of transfer, each with a fine-tuning."""
    found = []
    for name in "ab":
        run = Run(tmp_path / "runs" / name)
        found.append([Task(f"pretrain-{name}", "pretrain", run, {}, None)])
        found[-1].append(Task(f"finetune-{name}", "finetune", run, {}, None, trials=()))
    found.append([Task("finetune-c", "finetune", Run(tmp_path / "runs" / "c"), {}, None, transfer=True)])
    return found


@pytest.fixture
def never_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a fine-tuning without trials count as one that is not done."""
    of_task = Task.state.fget  # type: ignore[attr-defined]
    monkeypatch.setattr(Task, "state", property(lambda task: "open" if task.kind == "finetune" else of_task(task)))


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Put a SLURM on the PATH that notes what it is given; return how to read the options of what it was given."""
    pytest.importorskip("submitit", reason="the optional extra 'cluster' is not installed")
    tools, told = tmp_path / "bin", tmp_path / "told"
    tools.mkdir(), told.mkdir()
    queue = tmp_path / "queue"
    queue.touch()
    for name, text in (
        ("sbatch", SBATCH.format(told=told)),
        ("srun", "#!/bin/sh\n"),
        ("squeue", f"#!/bin/sh\ncat {queue}"),
    ):
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")

    def options(number: int) -> list[str]:
        lines = (told / str(number)).read_text().splitlines()
        return [line.removeprefix("#SBATCH ").replace("'", "") for line in lines if line.startswith("#SBATCH")]

    return options


def test_slurm_is_given_two_waves_once(
    tmp_path: Path, chains: list[list[Task]], never_done: None, slurm: Callable[..., list[str]]
) -> None:
    folder = tmp_path / "runs" / "g.grid"
    cluster = asked_cluster(SLURM, **ASKED, cpus_per_task=4, jobs=1)
    assert cluster
    check_cluster(cluster)
    waves = waves_of(chains, {}, cluster)
    assert [[[task.name for task in job.tasks] for job in wave.jobs] for wave in waves] == [
        [["pretrain-a"], ["pretrain-b"]],
        [["finetune-c"]],
        [["finetune-a"], ["finetune-b"]],
    ]
    folder.mkdir(parents=True)
    jobs = submit(waves, cluster, folder, ["cass", "grid", "g.yaml"], "cass-g")
    assert [job.id for job in jobs] == ["100_0", "100_1", "101", "102_0", "102_1"]

    first = slurm(100)
    for option in cluster.flags("cass-g", 2):  # what --dry-run shows is what is asked
        assert option in first
    asked = ["--partition=gpu", "--account=derma", "--mem=32G", "--gpus-per-node=a100:1", "--cpus-per-task=4"]
    for option in (*asked, "--time=1800", "--array=0-1%1", "--signal=USR2@120", "--requeue"):
        assert option in first
    assert not [option for number in (100, 101) for option in slurm(number) if "dependency" in option]
    assert "--dependency=afterany:100" in slurm(102)
    assert "srun" in (tmp_path / "told" / "100").read_text().splitlines()[-1]

    queue = tmp_path / "queue"
    queue.write_text("\n".join(job.id for job in jobs))
    assert set(queued_tasks(folder)) == {task.name for chain in chains for task in chain}
    assert waves_of(chains, queued_tasks(folder), cluster) == []
    queue.write_text("100_1\n102_1\n7\n")  # what ran a is over, and failed; 7 is another's
    again = submit(waves_of(chains, queued_tasks(folder), cluster), cluster, folder, ["cass", "grid", "g.yaml"], "g")
    assert [[task.name for task in job.tasks] for job in again] == [["pretrain-a"], ["finetune-c"], ["finetune-a"]]
    assert "--dependency=afterany:100:103" in slurm(105)  # b is still being pretrained
    pickled = b"".join(path.read_bytes() for path in (folder / "jobs").glob("103_submitted.pkl"))
    assert b"--only=pretrain-a" in pickled
    assert len(pickled) < 1000


def test_a_scheduler_that_refuses_or_is_silent_is_told(
    tmp_path: Path, chains: list[list[Task]], never_done: None, slurm: Callable[..., list[str]]
) -> None:
    (tmp_path / "bin" / "sbatch").write_text("#!/bin/sh\necho 'Requested time limit is invalid' >&2\nexit 1\n")
    cluster, folder = Cluster(SLURM), tmp_path / "runs" / "g.grid"
    folder.mkdir(parents=True)
    with pytest.raises(RunError, match=r"SLURM took no jobs: .*Requested time limit is invalid"):
        submit(waves_of(chains, {}, cluster), cluster, folder, ["cass"], "g")
    assert queued_tasks(folder) == {}
    told = {"id": "1", "cluster": SLURM, "host": "x", "tasks": ["pretrain-a"]}
    (folder / "jobs.json").write_text(json.dumps({"jobs": [told, {"id": "2"}, 3]}))
    (tmp_path / "bin" / "squeue").write_text("#!/bin/sh\necho 'Unable to contact slurm controller' >&2\nexit 1\n")
    with pytest.raises(RunError, match="squeue failed: Unable to contact"):
        queued_tasks(folder)


def test_what_waits_for_a_pretraining_does_not_begin_without_it(
    tmp_path: Path, chains: list[list[Task]], never_done: None
) -> None:
    from tests.engine.grid.test_running import Heard

    records = running.Records(tmp_path / "runs" / "g.grid")
    (ended,) = running.run_tasks([chains[0][1:]], records, watch=Heard())
    assert (ended.code, ended.reason) == (2, f"{tmp_path / 'runs' / 'a'} is not pretrained")
    assert records.told(chains[0][1])["state"] == "failed"


WORK = """
import os, pathlib, signal, sys, time
place = pathlib.Path(sys.argv[1]) / sys.argv[2].removeprefix("--only=")
if (place / "saved").exists():
    (place / "summary.json").touch()
    sys.exit()
def save(*_):
    (place / "saved").touch()
    sys.exit(152)
signal.signal(signal.SIGXCPU, save)
place.mkdir(parents=True, exist_ok=True)
(place / "new").write_text(f"{os.getpid()} {os.getppid()}")
(place / "new").rename(place / "at-work")
time.sleep(60)
"""


def work_in(runs: Path, code: str = WORK) -> list[str]:
    """Return a command that does, in place of cass, what a task is about."""
    runs.mkdir(exist_ok=True)
    script = runs / "work.py"
    script.write_text(code)
    return [sys.executable, str(script), str(runs)]


def until(there: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not there():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_of_two_workers_one_is_warned_and_goes_on_and_one_is_killed_and_submitted_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("submitit", reason="the optional extra 'cluster' is not installed")
    runs, folder = tmp_path / "runs", tmp_path / "runs" / "g.grid"
    folder.mkdir(parents=True)
    command = work_in(runs)
    warned, killed = (Task(name, "pretrain", Run(runs / name), {}, None) for name in ("warned", "killed"))
    cluster = Cluster(LOCAL, minutes=10, warning=60, jobs=2)
    waves = waves_of([[warned], [killed]], {}, cluster)
    jobs = submit(waves, cluster, folder, command, "g")
    assert [[task.name for task in job.tasks] for job in jobs] == [["warned"], ["killed"]]
    assert set(queued_tasks(folder)) == {"warned", "killed"}
    until(lambda: all((runs / name / "at-work").exists() for name in ("warned", "killed")))
    _, job = (runs / "warned" / "at-work").read_text().split()
    os.kill(int(job), signal.SIGUSR2)  # as a scheduler does, before the time is up
    until(lambda: warned.state == "done")  # by the same job, which was begun once more
    assert (runs / "warned" / "saved").exists()

    process, _ = map(int, (runs / "killed" / "at-work").read_text().split())
    assert set(queued_tasks(folder)) >= {"killed"}
    os.kill(process, signal.SIGKILL)
    (runs / "killed" / "saved").touch()
    until(lambda: not queued_tasks(folder))
    assert killed.state != "done"
    submit(waves_of([[warned], [killed]], queued_tasks(folder), cluster), cluster, folder, command, "g")
    until(lambda: killed.state == "done")


def test_a_job_that_is_ended_has_its_task_saved_and_is_not_begun_again(tmp_path: Path) -> None:
    pytest.importorskip("submitit", reason="the optional extra 'cluster' is not installed")
    task = Task("task", "pretrain", Run(tmp_path / "runs" / "task"), {}, None)
    cluster = Cluster(LOCAL, minutes=10)
    (job,) = submit(waves_of([[task]], {}, cluster), cluster, tmp_path, work_in(tmp_path / "runs"), "g")
    until((tmp_path / "runs" / "task" / "at-work").exists)
    os.kill(int(job.id), signal.SIGTERM)
    os.waitpid(int(job.id), 0)
    assert (tmp_path / "runs" / "task" / "saved").exists()
    assert task.state == "begun"


def test_jobs_that_are_done_here_and_now_stop_no_other(tmp_path: Path) -> None:
    pytest.importorskip("submitit", reason="the optional extra 'cluster' is not installed")
    runs = tmp_path / "runs"
    code = "import sys, pathlib; p = pathlib.Path(sys.argv[1]) / sys.argv[2][7:]; p.name == 'wrong' and sys.exit(2); "
    command = work_in(runs, code + "p.mkdir(); (p / 'summary.json').touch()")
    tasks = [Task(name, "pretrain", Run(runs / name), {}, None) for name in ("wrong", "right")]
    cluster = Cluster(DEBUG)
    submit(waves_of([[task] for task in tasks], {}, cluster), cluster, tmp_path, command, "g")
    assert [task.state for task in tasks] == ["open", "done"]
    assert queued_tasks(tmp_path) == {}


@pytest.mark.parametrize(
    ("time", "minutes"), [("90", 90), ("90:30", 90.5), ("8:00:00", 480), ("2-12", 3600), ("1-00:30:00", 1470)]
)
def test_time_is_read_as_slurm_reads_it(time: str, minutes: float) -> None:
    cluster = asked_cluster(SLURM, time=time)
    assert cluster
    assert cluster.minutes == minutes


def test_memory_is_read_as_slurm_reads_it() -> None:
    assert [memory_of(text) for text in ("512", "2G", "1T", "100K")] == [2**29, 2**31, 2**40, 102400]


@pytest.mark.parametrize(
    ("kind", "asked", "said"),
    [
        (None, {"partition": "gpu"}, "--partition is for jobs of a cluster"),
        ("slrm", {}, "Did you mean 'slurm'"),
        (LOCAL, {"mem": "3G"}, "--mem does nothing with --cluster local"),
        (DEBUG, {"time": "90"}, "--time does nothing with --cluster debug"),
        (SLURM, {"time": "soon"}, "'soon' is no time"),
        (SLURM, {"time": "4"}, "--time 4 is too short"),
        (SLURM, {"mem": "much"}, "'much' is no memory"),
        (SLURM, {"gpus_per_node": "all"}, "'all' is no number of GPUs"),
        (LOCAL, {"gpus_per_node": "a100:1"}, "'a100:1' is no number of GPUs"),
    ],
)
def test_what_a_cluster_cannot_be_asked_is_told(kind: str | None, asked: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        asked_cluster(kind, **asked)


def test_what_submits_has_to_be_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(ConfigError, match=r"pip install 'cass-cli\[cluster\]'"):
        check_cluster(Cluster(LOCAL))


def test_slurm_has_to_be_here(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("submitit", reason="the optional extra 'cluster' is not installed")
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    with pytest.raises(ConfigError, match="There is no sbatch here"):
        check_cluster(Cluster(SLURM))
    assert submitting._queue() == set()
