"""Every command takes every spelling of a run, of a fine-tuning and of a trial, from any folder."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest

from cass_cli.cli.app import run
from tests.cli.conftest import TINY, TRAINED

MAPS = ("--samples", "4", "--compare", "none", "--json")
COMMANDS = {
    "evaluate": ["evaluate", "--resamples", "0", "--json", "--run"],
    "predict": ["predict", "{data}", "--out", "{tmp}/p.csv", "--overwrite", "--json", "--run"],
    "compare": ["compare", "--json"],
    "report": ["report", "--json", "--out", "{tmp}/report.html"],
    "attention-maps": ["attention-maps", *MAPS, "--arm", "cnn", "--out", "{tmp}", "--run"],
    "feature-maps": ["feature-maps", *MAPS, "--arm", "cnn", "--out", "{tmp}", "--run"],
    "similarity": ["similarity", *MAPS, "--out", "{tmp}", "--run"],
}
RUN = ("p", "latest", "{runs}/p", "../runs/latest")
FINE_TUNING = (
    "p/finetune/random-paper",
    "latest/finetune/random-paper",
    "{runs}/p/finetune/random-paper",
    "../runs/p/finetune/random-paper",
)
TRIAL = ("p/finetune/pretrained-paper/0.3/seed1", "{runs}/p/finetune/pretrained-paper/0.3/seed1")


@pytest.fixture
def answer(tuned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """What a command says of a name, in a folder beside the runs."""
    (tuned.parent / "beside").mkdir(exist_ok=True)
    monkeypatch.chdir(tuned.parent / "beside")

    def say(command: str, name: str) -> dict[str, Any]:
        filled = [part.format(data=tuned.parent / "pictures" / "dark", tmp=tmp_path) for part in COMMANDS[command]]
        capsys.readouterr()
        assert run([*filled, name.format(runs=tuned), "--runs", str(tuned)]) == 0, capsys.readouterr().err
        said: dict[str, Any] = json.loads(capsys.readouterr().out)
        return said

    return say


@pytest.mark.parametrize("command", list(COMMANDS))
@pytest.mark.parametrize("spellings", [RUN, FINE_TUNING, TRIAL], ids=["run", "fine-tuning", "trial"])
def test_all_spellings_of_one_thing_give_one_answer(answer: Any, command: str, spellings: tuple[str, ...]) -> None:
    first, *others = [_without_times(answer(command, name)) for name in spellings]
    assert all(other == first for other in others)


def _without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_times(v) for key, v in value.items() if "seconds" not in key and key != "bytes"}
    if isinstance(value, list):
        return [_without_times(item) for item in value]
    return str(Path(value).resolve()) if isinstance(value, str) and "/" in value else value


def test_what_a_fine_tuning_means_to_each_command(answer: Any) -> None:
    assert answer("evaluate", "p/finetune/random-paper")["trial"].endswith("p/finetune/random-paper/1/seed0")
    assert answer("evaluate", "p/finetune/pretrained-paper/0.3/seed1")["seed"] == 1
    assert {cell["method"] for cell in answer("compare", "p/finetune/random-paper")["cells"]} == {"From scratch"}
    assert {cell["fraction"] for cell in answer("compare", "p/finetune/pretrained-paper/0.3")["cells"]} == {0.3}
    assert answer("report", "p/finetune/random-paper")["runs"] == answer("report", "p")["runs"]
    for command in ("attention-maps", "feature-maps"):
        assert answer(command, "p/finetune/random-paper") != answer(command, "p")


def test_finetune_takes_the_run_of_a_fine_tuning_and_goes_on_with_it(
    tuned: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("p/finetune/random-paper", str(tuned / "p/finetune/random-paper/1")):
        capsys.readouterr()
        assert run(["finetune", "--runs", str(tuned), "--run", name, "--resume", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["variant"].endswith("finetune/random-paper")
        assert run(["finetune", "--runs", str(tuned), "--run", name, *TRAINED, "--init-from", "random"]) == 2
        assert "finetune/random-paper" in capsys.readouterr().err  # exists: the run was found


def test_a_fine_tunings_path_does_not_say_what_to_overwrite(tuned: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (tuned / "p/finetune/pretrained-paper/1/seed0/summary.json").stat().st_mtime_ns
    assert run(["finetune", "--runs", str(tuned), "--run", "p/finetune/random-paper", "--overwrite"]) == 2
    assert "--variant" in capsys.readouterr().err
    assert (tuned / "p/finetune/pretrained-paper/1/seed0/summary.json").stat().st_mtime_ns == before


def test_another_run_is_looked_for_in_runs_then_beside(
    tuned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "other").symlink_to(tuned / "p")
    for name, runs in (("other", tmp_path / "mine"), ("p", tmp_path / "mine")):
        command = ["similarity", "--run", str(tuned / "p"), "--runs", str(runs), "--compare", name, "--samples", "4"]
        assert run([*command, "--out", str(tmp_path), "--json"]) == 0, capsys.readouterr().err


def test_the_old_name_of_the_folder_works_and_says_the_new_one(
    tuned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["compare", "p", "--out", str(tuned), "--json"]) == 0
    said = capsys.readouterr()
    assert said.err == "--out is called --runs now.\n"
    assert json.loads(said.out)["cells"]
    assert run(["evaluate", f"--out={tuned}", "--resamples", "0", "--json"]) == 0
    assert "--out is called --runs now." in capsys.readouterr().err
    out = tmp_path / "p.csv"
    assert run(["predict", str(tuned.parent / "pictures/dark"), "--runs", str(tuned), "--out", str(out)]) == 0
    assert out.exists()
    assert "now" not in capsys.readouterr().err


def test_next_leads_to_this_run(
    pretrained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    data = str(pretrained.parent / "pictures")
    assert run(["pretrain", *TINY, "--data", data, "--runs", "my runs", "--name", "a"]) == 0
    assert "Next: cass finetune --runs 'my runs' --label-fraction 0.1" in capsys.readouterr().out
    assert run(["pretrain", *TINY, "--data", f"{data}/dark", "--runs", "my runs", "--name", "b"]) == 0
    assert "Next: cass finetune --runs 'my runs' --labels CSV --label-fraction 0.1" in capsys.readouterr().out
    quick = ["finetune", *TRAINED, "--run", "a", "--epochs", "1", "--init-from", "random"]
    assert run([*quick, "--runs", "my runs"]) == 0
    assert "Next: cass evaluate --runs 'my runs'\n" in capsys.readouterr().out
    assert run([*quick, "--runs", "my runs", "--variant", "v"]) == 0
    assert "Next: cass evaluate --runs 'my runs'\n" in capsys.readouterr().out  # it is the latest
    assert run(["evaluate", "--runs", "my runs", "--variant", "random-paper", "--resamples", "0"]) == 0
    said = capsys.readouterr().out
    assert "Next: cass report --runs 'my runs'\n" in said
    assert "cass predict IMAGES --runs 'my runs' --variant random-paper)\n" in said


def test_what_comes_next_works_as_it_is_printed(
    pretrained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(pretrained / "p", tmp_path / "runs/other", ignore=shutil.ignore_patterns("finetune"))
    (tmp_path / "runs/latest").symlink_to("other")  # what is found where the command forgets where it was
    monkeypatch.chdir(tmp_path)
    folder = "my [old] runs"
    begin = ["pretrain", *TINY, "--data", str(pretrained.parent / "pictures"), "--runs", folder, "--name", "a b"]
    assert run(begin) == 0
    done = ["pretrain"]
    while following := [line for line in capsys.readouterr().out.splitlines() if line.startswith("Next: cass ")]:
        words = shlex.split(following[0])[2:]
        assert words[words.index("--runs") + 1] == folder
        assert run(words) == 0
        done.append(words[0])
    assert done == ["pretrain", "finetune", "evaluate", "report"]
    assert (tmp_path / folder / "a b" / "report.html").is_file()
    assert not list((tmp_path / "runs").rglob("finetune"))
