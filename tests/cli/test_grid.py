"""`cass grid` from a file to its table: gone on with after a kill, and the same as one that was not stopped."""

from __future__ import annotations

import json
import os
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from cass_cli.cli.app import run
from cass_cli.engine.grid import running

SMALL: dict[str, Any] = {
    "arms.init": "random",
    "arms.cnn": "test_resnet",
    "arms.vit": "test_vit",
    "data.image_size": 32,
    "train.epochs": 1,
    "train.batch_size": 8,
    "train.advice": False,
    "train.precision": "fp32",
}


@pytest.fixture
def file(tmp_path: Path, class_folders: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    axes = {"method": ["transfer", "cass"], "label_fraction": [0.5, 1], "finetune_seed": [0, 1]}
    grid = {
        "title": "Two starts",
        "settings": SMALL | {"data.path": str(class_folders)},
        "axes": axes,
        "against": {"method": "transfer"},
        "paper": [{"method": "cass", "label_fraction": 1, "cnn": 0.75}],
    }
    path = tmp_path / "starts.yaml"
    path.write_text(yaml.safe_dump(grid, sort_keys=False))
    return path


@pytest.mark.drawn
def test_from_a_file_to_its_table(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["grid", str(file), "--dry-run", "--json", "--price", "3600"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert [task["state"] for task in plan["tasks"]] == ["open"] * 3
    assert len(plan["cells"]) == 8
    assert plan["seconds"] > 0
    assert plan["price"] == pytest.approx(plan["seconds"])
    assert not Path("runs").exists()

    assert run(["grid", str(file), "--json"]) == 0
    results = json.loads(capsys.readouterr().out)
    assert (results["done"], results["cells"]) == (8, 8)
    assert (results["pretrained"], results["collapsed"]) == ({"cass": 1}, {"cass": {}})
    cass = [s for s in results["scores"] if s["values"] == {"method": "cass", "label_fraction": "1"}]
    assert {s["candidate"]: s["paper"] for s in cass}["cnn"] == 0.75
    trial = next(Path("runs").glob("*-cass-*/finetune/*/1"))
    told = [json.loads((trial / f"seed{seed}" / "summary.json").read_text()) for seed in (0, 1)]
    shown = next(s for s in cass if s["candidate"] == "vit")
    assert list(shown["of_each"].values()) == [summary["test"]["vit"][results["metric"]] for summary in told]
    table = Path("runs/starts.grid/table.md").read_text()
    assert "| cass | 1 |" in table
    assert "0.750" in table
    assert "Less transfer" in table
    assert Path("runs/starts.grid/table.tex").read_text().count(r"\toprule") == 2
    rows = Path("runs/starts.grid/results.csv").read_text().splitlines()
    assert rows[0].startswith("method,label_fraction,finetune_seed,run,trial,")
    assert Path("runs/starts.grid/figure.png").stat().st_size > 10_000

    pretraining = next(Path("runs").glob("*-cass-*/summary.json"))
    told = json.loads(pretraining.read_text())
    assert set(told["states"]) == {"cnn", "vit"}
    pretraining.write_text(json.dumps(told | {"states": {"cnn": "healthy", "vit": "collapsed"}}))
    assert run(["grid", str(file)]) == 0
    assert "Collapsed by the end of 1 pretraining by cass: vit in 1." in capsys.readouterr().out

    began = {path: path.stat().st_mtime_ns for path in Path("runs").rglob("summary.json")}
    assert run(["grid", str(file), "--watch"]) == 0
    assert "3 of 3 tasks done, 0 running, 0 failed" in capsys.readouterr().out
    assert run(["grid", str(file)]) == 0  # nothing is done twice
    assert {path: path.stat().st_mtime_ns for path in Path("runs").rglob("summary.json")} == began


def test_missing_data_fail_their_cells_alone(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    grid = yaml.safe_load(file.read_text())
    here = grid["settings"].pop("data.path")
    grid["axes"] = {"data": {"there": {"path": here}, "gone": {"path": "no/such/folder"}}, "method": ["transfer"]}
    grid.pop("against"), grid.pop("paper")
    file.write_text(yaml.safe_dump(grid, sort_keys=False))
    assert run(["grid", str(file), "--dry-run"]) == 0
    assert "no/such/folder" in " ".join(capsys.readouterr().out.split())
    assert run(["grid", str(file)]) == 2
    said = capsys.readouterr()
    assert "1 task of 2 failed" in said.err
    assert "no/such/folder" in "".join(said.err.split())
    assert "1 of 2 cells" in said.out
    assert "Traceback" not in said.err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--gpus", "0,x"], "'x' is no number of a GPU"),
        (["--small"], "no small variant"),
        (["--price", "1"], "--price is told of a forecast"),
        (["--watch", "--dry-run"], "--watch does nothing but watch"),
        (["--watch", "--cluster", "slurm"], "--watch does nothing but watch"),
        (["--cluster", "slurm", "--gpus", "0"], "--gpus is for this machine alone"),
        (["--partition", "gpu"], "--partition is for jobs of a cluster. Add --cluster slurm."),
        (["--only", "pretrain-x*"], "there is no task 'pretrain-x*'"),
    ],
)
def test_what_is_asked_wrongly_is_told(
    options: list[str], said: str, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["grid", str(file), *options]) == 2
    assert said in " ".join(capsys.readouterr().err.split())


def test_jobs_do_what_the_grid_would_do(file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("submitit", reason="the optional extra 'cluster' is not installed")
    grid = yaml.safe_load(file.read_text())
    grid["axes"] = {"method": ["transfer"], "label_fraction": [1]}
    grid.pop("against"), grid.pop("paper")
    file.write_text(yaml.safe_dump(grid, sort_keys=False))
    assert run(["grid", str(file), "--cluster", "slurm", "--time", "2-00", "--mem", "8G", "--dry-run"]) == 0
    said = " ".join(capfd.readouterr().out.split())
    assert "1 job for runs that need none sbatch --mem=8G --job-name=cass-starts --time=2880" in said
    assert run(["grid", str(file), "--cluster", "debug", "--json"]) == 0
    results = json.loads(capfd.readouterr().out)
    assert (results["done"], results["cells"]) == (1, 1)
    assert Path("runs/starts.grid/table.md").is_file()
    (task,) = Path("runs/starts.grid/tasks").glob("*.json")
    assert json.loads(task.read_text())["state"] == "done"


def test_what_a_worker_has_is_left_to_it(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every run has a task in the queue of a worker, which is this very process here."""
    assert run(["grid", str(file), "--dry-run", "--json"]) == 0
    names = [task["name"] for task in json.loads(capsys.readouterr().out)["tasks"]]
    worker = [sys.executable, "-c", "import time; time.sleep(60)", "submitit"]
    process = subprocess.Popen(worker)
    job = {"id": str(process.pid), "cluster": "local", "host": platform.node(), "tasks": names}
    folder = Path("runs/starts.grid")
    folder.mkdir(parents=True)
    (folder / "jobs.json").write_text(json.dumps({"jobs": [job]}))
    try:
        assert run(["grid", str(file)]) == 0
        said = capsys.readouterr().out
        assert "3 tasks in a queue or at work there" in said
        assert "None of 8 cells is finished." in said
    finally:
        process.kill()
        process.wait()
    assert run(["grid", str(file), "--watch"]) == 0  # it is gone: nothing is waited for
    assert "0 of 3 tasks done, 0 running, 0 failed" in capsys.readouterr().out


def test_another_grid_of_the_same_name_is_not_mixed_in(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = Path("runs/starts.grid")
    folder.mkdir(parents=True)
    (folder / "title.txt").write_text("Something else\n")
    assert run(["grid", str(file)]) == 2
    assert "is of another grid: 'Something else'" in " ".join(capsys.readouterr().err.split())


def test_watching_ends_where_a_killed_grid_left_a_task_behind(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["grid", str(file), "--dry-run", "--json"]) == 0
    name = json.loads(capsys.readouterr().out)["tasks"][0]["name"]
    state = Path("runs/starts.grid/tasks") / f"{name}.json"
    state.parent.mkdir(parents=True)
    state.write_text(json.dumps({"state": "running", "began": "2026-01-01 00:00:00"}))
    assert run(["grid", str(file), "--watch"]) == 0
    said = capsys.readouterr().out
    assert "0 of 3 tasks done, 0 running, 0 failed" in said
    assert "None of 8 cells is finished." in said


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="a task is found by way of Linux's /proc")
def test_a_grid_that_is_killed_again_and_again_ends_as_one_that_is_not(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed while it pretrains, with its task, and while it fine-tunes, alone. More: benchmarks/grid_kills.py."""
    grid = yaml.safe_load(file.read_text())
    grid["settings"]["train.channels_last"] = False  # as tests compute, so that whole and killed are made alike
    grid |= {"axes": {"method": ["cass"], "label_fraction": [0.5, 1]}, "against": {}, "paper": []}
    file.write_text(yaml.safe_dump(grid, sort_keys=False))
    command = [sys.executable, "-m", "cass_cli", "grid", str(file), "--runs", "killed"]
    for kind, with_task in (("pretrain", True), ("finetune", False)):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        task = when_one_runs(process, kind)
        for pid in [process.pid, *([task] if with_task else [])]:
            os.kill(pid, signal.SIGKILL)
        process.wait()
    began = {path: path.stat().st_mtime_ns for path in Path("killed").rglob("summary.json")}
    assert len(began) == 1  # of the pretraining
    subprocess.run(command, capture_output=True, check=True)
    assert {path: path.stat().st_mtime_ns for path in began} == began
    log = next(Path("killed/starts.grid/logs").glob("finetune-*")).read_text()
    assert log.count("$ cass finetune") == 1  # it outlived the grid, and went on to its end

    monkeypatch.setattr(running, "_watched", lambda arguments, *_how: run(arguments[3:]))
    assert run(["grid", str(file), "--runs", "whole"]) == 0
    one, other = (Path(runs, "starts.grid", "results.csv").read_text() for runs in ("whole", "killed"))
    assert one == other
    assert len(one.splitlines()) > 10


def when_one_runs(process: subprocess.Popen[bytes], kind: str) -> int:
    """Return the process of a task of this kind, once it has its run."""
    until = time.monotonic() + 400
    while time.monotonic() < until and process.poll() is None:
        for path in Path("/proc", str(process.pid), "task").glob("*/children"):
            for pid in path.read_text().split():
                if kind in Path("/proc", pid, "cmdline").read_text() and there(kind):
                    return int(pid)
        time.sleep(0.05)
    raise AssertionError(f"no {kind} began")


def there(kind: str) -> bool:
    return any(Path("killed").glob("*/config.yaml" if kind == "pretrain" else "*/finetune/*/config.yaml"))
