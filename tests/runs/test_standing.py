"""How far the latest run has come, and what `cass` without a command says of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cass_cli.cli.app import run
from cass_cli.reports.guide import WAY, lines_of, next_command
from cass_cli.runs.standing import Standing, standing
from cass_cli.runs.writers import writing_finetuning, writing_run
from tests.reports.runs_on_disk import add_trial, write_run


def latest(folder: Path, name: str = "one") -> Standing:
    link = folder / "latest"
    link.unlink(missing_ok=True)
    link.symlink_to(name)
    found = standing(folder)
    assert found is not None
    return found


def test_a_run_from_its_first_epoch_to_its_report(tmp_path: Path) -> None:
    write_run(tmp_path / "begun", epochs=9, done=2)
    found = latest(tmp_path, "begun")
    assert lines_of(found) == ["pretraining: 2 of 9 epochs done, not finished"]
    assert next_command(found) == "cass pretrain --resume --name begun"
    one = write_run(tmp_path / "one")
    found = latest(tmp_path)
    assert lines_of(found) == ["pretrained: 3 epochs"] and next_command(found) == "cass finetune"
    trial = add_trial(one)
    found = latest(tmp_path)
    assert lines_of(found)[1] == (
        "fine-tuning pretrained-paper: 1 trial; answers by the mean of both arms, test macro F1 0.723 with all labels"
    )
    assert next_command(found) == "cass report"
    (one / "report.html").touch()
    assert next_command(latest(tmp_path)) == "cass predict IMAGES"
    (trial / "evaluation-test.json").unlink()
    assert next_command(latest(tmp_path)) == "cass evaluate"
    (trial.parent / "seed1").mkdir()
    found = latest(tmp_path)
    assert "1 trial, 1 not finished" in lines_of(found)[1]
    assert next_command(found) == "cass finetune --resume --run one --variant pretrained-paper"


def test_what_runs_is_said_to_run_and_needs_no_command(tmp_path: Path) -> None:
    write_run(tmp_path / "one", epochs=9, done=2)
    with writing_run(tmp_path / "one"):
        found = latest(tmp_path)
        assert lines_of(found) == ["pretraining: 2 of 9 epochs done, running now"] and next_command(found) == ""
    (tmp_path / ".locks" / "one").mkdir(parents=True)
    (tmp_path / ".locks" / "one" / "run").touch()  # left by a process that was killed
    assert "not finished" in lines_of(latest(tmp_path))[0]
    add_trial(tmp_path / "one")
    with writing_finetuning(tmp_path / "one", "pretrained-paper"):
        found = latest(tmp_path)
        assert found.fine_tunings[0].running and not found.running and next_command(found) == ""


def test_the_answer_is_of_the_largest_fraction_and_the_lowest_seed(tmp_path: Path) -> None:
    one = write_run(tmp_path / "one")
    add_trial(one, seed=3)
    add_trial(one, seed=2)
    small = one / "finetune" / "pretrained-paper" / "0.1" / "seed0"
    small.mkdir(parents=True)
    (small / "summary.json").write_text("{}")
    (tuned,) = latest(tmp_path).fine_tunings
    assert (tuned.finished, tuned.fraction, tuned.pick) == (3, 1.0, "mean")
    assert tuned.test == pytest.approx(0.72345678 + 0.02)


def test_damaged_files_and_missing_runs_are_no_error(tmp_path: Path) -> None:
    assert standing(tmp_path / "nowhere") is None and standing(tmp_path) is None
    one = write_run(tmp_path / "one")
    trial = add_trial(one)
    for path in (one / "summary.json", one / "metrics.jsonl", trial / "summary.json", one / "config.yaml"):
        path.write_bytes(b"\xff[1, 2")
    found = latest(tmp_path)
    assert found.epochs is None and not found.finished and found.fine_tunings[0].pick == ""
    assert lines_of(found)
    (trial / "summary.json").write_text(json.dumps({"judgement": [], "test": {"mean": 3}}))
    assert latest(tmp_path).fine_tunings[0].test is None


def test_cass_alone_shows_the_way_and_imports_nothing_heavy(tmp_path: Path) -> None:
    write_run(tmp_path / "runs" / "one", epochs=9, done=2)
    (tmp_path / "runs" / "latest").symlink_to("one")
    code = (
        f"import os, sys; sys.path.insert(0, {str(Path.cwd())!r}); os.chdir({str(tmp_path)!r});"
        "from cass_cli.cli.app import run; code = run([]);"
        "heavy = {'torch', 'timm', 'numpy', 'pandas', 'sklearn', 'yaml', 'scipy'} & set(sys.modules);"
        "sys.exit(str(heavy) if heavy else code)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    places = [result.stdout.index(command) for command in WAY]
    assert places == sorted(places) and [command.split()[1] for command in WAY] == [
        *("inspect", "pretrain", "finetune", "evaluate", "report")
    ]
    assert "Latest run: one" in result.stdout and "2 of 9 epochs done" in result.stdout
    assert "Next: cass pretrain --resume --name one" in result.stdout


def test_without_runs_it_shows_the_way_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run([]) == 0
    shown = capsys.readouterr().out
    assert "cass inspect FOLDER" in shown and "Latest run" not in shown and "--preset demo" in shown


@pytest.mark.parametrize("epochs", ['"x"', "[1]", "1e999", "1" * 4000, "-3", "null", "[" * 10**5])
def test_odd_numbers_of_epochs_are_none(tmp_path: Path, epochs: str) -> None:
    write_run(tmp_path / "one", epochs=9, done=2)
    (tmp_path / "one" / "summary.json").write_text(f'{{"epochs": {epochs}}}')
    with (tmp_path / "one" / "metrics.jsonl").open("a") as file:
        file.write(f'{{"epoch": {epochs}}}\n')
    assert not latest(tmp_path).finished


def test_settings_without_end_are_not_read(tmp_path: Path) -> None:
    write_run(tmp_path / "one")
    (tmp_path / "latest").symlink_to("one")
    os.truncate(tmp_path / "one" / "config.yaml", 10**12)
    assert standing(tmp_path) is None
