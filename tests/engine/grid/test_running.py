"""Doing tasks: what fails stops no other, what is stopped is stopped in good order, and all of it is written down."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from cass_cli.engine.grid import running
from cass_cli.engine.grid.running import Ended, Records, run_tasks
from cass_cli.engine.grid.tasks import DONE, OPEN, Task
from cass_cli.errors import Interrupted, RunError
from cass_cli.runs.directory import Run
from cass_cli.runs.writers import writing_run


class Heard:
    def __init__(self) -> None:
        self.said: list[str] = []

    def began(self, task: Task, gpu: str) -> None:
        self.said.append(f"{task.name} began {gpu}".strip())

    def waits(self, task: Task) -> None:
        self.said.append(f"{task.name} waits")

    def queued(self, tasks: int) -> None:
        self.said.append(f"{tasks} queued")

    def ended(self, ended: Ended) -> None:
        self.said.append(f"{ended.task.name} ended {ended.code}")


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Task]:
    """Make tasks that run Python in place of cass, and are done when their run has a summary."""
    monkeypatch.setattr(running, "PROGRAM", ("-c",))

    def task(name: str, code: str = "", *, run: str = "", kind: str = "pretrain") -> Task:
        path = tmp_path / "runs" / (run or name)
        own = (
            code
            or f"import pathlib; p = pathlib.Path({str(path)!r}); p.mkdir(parents=True); (p / 'summary.json').touch()"
        )
        made = Task(name, kind, Run(path), {}, None)
        monkeypatch.setitem(made.__dict__, "command", lambda: [own])
        return made

    return task


@pytest.fixture
def records(tmp_path: Path) -> Records:
    return Records(tmp_path / "runs" / "g.grid")


def wait_for(log: Path, said: str) -> None:
    """Wait until a log says something."""
    until = time.monotonic() + 30
    while time.monotonic() < until and not (log.is_file() and said in log.read_text()):
        time.sleep(0.05)


def test_what_fails_stops_only_what_needs_it(make: Callable[..., Task], records: Records) -> None:
    heard = Heard()
    wrong = make("wrong", "import sys; sys.exit('Error: the folder is gone.\\nLook for it.')")
    needing = make("needing", run="wrong", kind="finetune")
    ended = run_tasks([[wrong, needing], [make("right")]], records, watch=heard)
    assert [(each.task.name, each.code) for each in ended] == [("wrong", 1), ("right", 0)]
    assert heard.said == ["wrong began", "wrong ended 1", "right began", "right ended 0"]
    assert ended[0].reason == "Error: the folder is gone. Look for it."
    assert records.told(wrong)["state"] == "failed"
    assert records.told(ended[1].task)["state"] == "done"
    assert "Look for it." in records.log(wrong).read_text()


def test_what_is_done_is_not_done_again(make: Callable[..., Task], records: Records) -> None:
    task = make("task")
    assert task.state == OPEN
    assert len(run_tasks([[task]], records, watch=Heard())) == 1
    assert task.state == DONE
    assert run_tasks([[task]], records, watch=Heard()) == []


def test_each_gpu_has_a_run_at_a_time(make: Callable[..., Task], records: Records, tmp_path: Path) -> None:
    code = "import os, pathlib, time; p = pathlib.Path({!r}); p.mkdir(parents=True); time.sleep(1); "
    code += "(p / os.environ['CUDA_VISIBLE_DEVICES']).touch(); (p / 'summary.json').touch()"
    tasks = [make(name, code.format(str(tmp_path / "runs" / name))) for name in "abcd"]
    heard = Heard()
    assert len(run_tasks([[task] for task in tasks], records, watch=heard, gpus=["3", "5"])) == 4
    assert {said.split()[-1] for said in heard.said[:2]} == {"3", "5"}
    assert heard.said[0].endswith(("began 3", "began 5"))
    used = {path.name for path in (tmp_path / "runs").glob("?/*") if path.name.isdigit()}
    assert used == {"3", "5"}


def test_stopping_stops_the_task_and_begins_no_other(make: Callable[..., Task], records: Records) -> None:
    code = "import signal, sys, time; save = lambda *_: (print('saved', flush=True), sys.exit(152)); "
    code += "signal.signal(signal.SIGXCPU, save); "
    code += "print('at work', flush=True); time.sleep(60)"
    first, second = make("first", code), make("second")

    def stop_once_at_work() -> None:
        wait_for(records.log(first), "\nat work\n")
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=stop_once_at_work).start()
    with pytest.raises(Interrupted) as stopped:
        run_tasks([[first], [second]], records, watch=Heard())
    assert stopped.value.exit_code == 143
    assert records.log(first).read_text().rstrip().endswith("saved")
    assert second.state == OPEN
    assert records.told(first)["state"] == "stopped"


def test_a_signal_that_asks_for_saving_is_passed_on(make: Callable[..., Task], records: Records) -> None:
    code = "import signal, sys; signal.signal(signal.SIGUSR1, lambda *_: (print('saved', flush=True), sys.exit(0))); "
    code += "print('at work', flush=True); signal.pause()"
    task = make("task", code)

    def ask_once_at_work() -> None:
        wait_for(records.log(task), "\nat work\n")
        os.kill(os.getpid(), signal.SIGUSR1)

    threading.Thread(target=ask_once_at_work).start()
    assert [ended.code for ended in run_tasks([[task]], records, watch=Heard())] == [0]
    assert records.log(task).read_text().rstrip().endswith("saved")


def test_a_run_that_somebody_works_on_is_waited_for(
    make: Callable[..., Task], records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "BUSY", 0.05)
    task, heard = make("task"), Heard()
    worked = threading.Event()

    def work() -> None:
        with writing_run(task.run.path):
            worked.set()
            time.sleep(2.5)  # longer than anybody looks at a lock

    other = threading.Thread(target=work)
    other.start()
    worked.wait()
    run_tasks([[task]], records, watch=heard)
    other.join()
    assert heard.said == ["task waits", "task began", "task ended 0"]


def test_who_comes_between_look_and_beginning_is_waited_for(make: Callable[..., Task], records: Records) -> None:
    """Two grids that share a run begin its fine-tuning at once: the one that finds it taken has not failed."""
    code = "import pathlib, sys, time; print('at work', flush=True); p = pathlib.Path({!r}); q = p.with_name('taken')\n"
    code += "while not q.exists(): time.sleep(0.02)\n"
    code += "if not p.exists(): sys.exit('Error: it is being written.')\n(p / 'summary.json').touch()"
    path = records.folder.parent / "task"
    task, heard = make("task", code.format(str(path))), Heard()

    def come_between() -> None:
        wait_for(records.log(task), "\nat work\n")
        with writing_run(path):
            (path.parent / "taken").touch()
            until = time.monotonic() + 30
            while time.monotonic() < until and "task waits" not in heard.said:
                time.sleep(0.02)
            path.mkdir()

    other = threading.Thread(target=come_between)
    other.start()
    assert [found.code for found in run_tasks([[task]], records, watch=heard)] == [0]
    other.join()
    assert heard.said == ["task began", "task waits", "task began", "task ended 0"]


def test_a_task_that_outlived_its_grid_and_was_still_starting_when_this_one_looked_is_no_failure(
    make: Callable[..., Task], records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its run is there when that of this grid looks, which says so and ends; then it is waited for."""
    monkeypatch.setattr(running, "BUSY", 0.05)
    task = make("task", "import sys, time; time.sleep(1); sys.exit('Error: exists already.')")
    heard = Heard()

    def outlive() -> None:
        while "task began" not in heard.said:
            time.sleep(0.01)
        with writing_run(task.run.path):
            time.sleep(4)
            task.run.path.mkdir(exist_ok=True)
            task.run.summary.touch()

    other = threading.Thread(target=outlive)
    other.start()
    assert run_tasks([[task]], records, watch=heard) == []
    other.join()
    assert heard.said == ["task began", "task waits"]


def test_what_a_signal_ended_says_so(make: Callable[..., Task], records: Records) -> None:
    (ended,) = run_tasks([[make("big", "import os; os.kill(os.getpid(), 9)")]], records, watch=Heard())
    assert (ended.code, ended.reason) == (-9, "it was ended by signal 9, perhaps for want of memory")


def test_a_full_disk_ends_it_before_a_task_begins(
    make: Callable[..., Task], records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=1_000_000))
    heard = Heard()
    with pytest.raises(RunError, match="is full: 1 MB are free"):
        run_tasks([[make("a")], [make("b")]], records, watch=heard)
    assert heard.said == ["a began"]
