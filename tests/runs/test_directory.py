"""What a start may take away: nothing that is worth keeping, and nothing that cannot be looked through."""

from __future__ import annotations

import errno
import json
import os
import platform
from pathlib import Path
from typing import Any

import pytest

from cass_cli.errors import RunError
from cass_cli.files import draft_of
from cass_cli.runs.directory import ENVIRONMENT, Run, barely_begun, check_new, create_run, default_name, environment
from cass_cli.runs.latest import latest_of, point_latest
from cass_cli.runs.names import find
from cass_cli.runs.trials import variants_of


@pytest.fixture
def begun(tmp_path: Path) -> Path:
    """A run that was stopped before its first checkpoint."""
    run = tmp_path / "run"
    (run / "checkpoints/last").mkdir(parents=True)
    for name in (ENVIRONMENT, "config.yaml", "splits.csv", "images.json", "manifest.json"):
        (run / name).write_text("{}")
    (run / "metrics.jsonl").write_text('{"epoch": 1}\n')
    draft_of(run / "checkpoints/last/state.pt").touch()
    return run


def test_what_was_barely_begun_is_begun_again(begun: Path) -> None:
    assert barely_begun(begun)
    create_run(begun.parent, begun.name)
    assert list(begun.iterdir()) == []


@pytest.mark.parametrize("name", ["checkpoints/last/state.pt", "notes.txt", "arms/cnn.safetensors"])
def test_what_holds_anything_else_is_kept(begun: Path, name: str) -> None:
    (begun / name).parent.mkdir(exist_ok=True)
    (begun / name).touch()
    with pytest.raises(RunError, match="exists already"):
        create_run(begun.parent, begun.name)


def test_a_log_of_epochs_is_kept_though_the_checkpoints_are_gone(begun: Path) -> None:
    (begun / "metrics.jsonl").write_text('{"epoch": 1}\n{"epoch": 2}\n')
    assert not barely_begun(begun)


def test_a_folder_of_others_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "film").mkdir()
    (tmp_path / "film" / "film.mp4.part").touch()  # as a browser calls what it has not yet fetched
    for overwrite in (False, True):
        with pytest.raises(RunError, match="is no run of cass" if overwrite else "exists already"):
            create_run(tmp_path, "film", overwrite=overwrite)
    assert (tmp_path / "film" / "film.mp4.part").exists()


def test_what_cannot_be_looked_through_is_not_taken_for_empty(begun: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = os.scandir

    def refuse(path: Any) -> Any:
        if Path(path).name == "checkpoints":
            raise OSError(errno.EIO, "Input/output error", str(path))
        return listed(path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", refuse)
        with pytest.raises(RunError, match="Input/output error"):
            create_run(begun.parent, begun.name)
    assert (begun / "metrics.jsonl").exists()


def test_of_a_link_what_it_leads_to_is_replaced(begun: Path, tmp_path: Path) -> None:
    link = tmp_path / "runs" / "r"
    link.parent.mkdir()
    link.symlink_to(begun)
    (begun / "summary.json").touch()
    create_run(link.parent, link.name, overwrite=True)
    assert link.is_symlink()
    assert link.resolve() == begun.resolve()
    assert list(begun.iterdir()) == []


def test_a_name_of_as_many_bytes_as_may_be(tmp_path: Path) -> None:
    name = "画" * 80
    run = create_run(tmp_path, name)
    point_latest(run.path)
    assert latest_of(tmp_path) == run.path
    for path in (run.config, run.summary):
        path.touch()
    create_run(tmp_path, name, overwrite=True)
    assert list(run.path.iterdir()) == []


def test_what_was_renamed_to_be_deleted_is_no_run_and_no_fine_tuning(begun: Path) -> None:
    variant = begun / "finetune" / "a"
    for path in (begun, variant, draft_of(begun, "removed"), draft_of(variant, "removed")):
        path.mkdir(parents=True, exist_ok=True)
        (path / "config.yaml").touch()
    assert [each.name for each in variants_of(Run(begun))] == ["a"]
    with pytest.raises(RunError) as told:
        find(begun.parent, "nothing")
    assert "Runs: run." in f"{told.value.hint}."
    assert "removed" not in told.value.hint


@pytest.mark.parametrize(("started", "command"), [
    (["/usr/bin/cass", "pretrain", "--preset", "demo"], "cass pretrain --preset demo"),
    (["/x/cass_cli/__main__.py", "pretrain"], "cass pretrain"),
    (["train.py", "--fast"], "python train.py --fast"),
    (["/x/ipykernel_launcher.py", "-f", "/tmp/kernel.json"], "python"),
    ([""], "python"),
], ids=str)  # fmt: skip
def test_a_run_says_what_made_it(started: list[str], command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", started)
    assert " ".join(environment()["command"]) == command


def test_a_log_without_end_is_not_read(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.metrics.write_text("")
    os.truncate(run.metrics, 10**12)
    for read in (run.metrics_mark, lambda: run.rewind(1, {"bytes": 10, "sha256": ""})):
        with pytest.raises(RunError, match=r"metrics\.jsonl is damaged: it has 1,000,000\.0 MB"):
            read()
    assert not barely_begun(tmp_path, ours=True)


@pytest.mark.parametrize("name", ["\x1b[2Jx", "a\nb", "a\u202eb", "caf\udce9", "a\tb"])
def test_a_name_that_cannot_be_shown_cannot_name_a_run(tmp_path: Path, name: str) -> None:
    with pytest.raises(RunError, match="cannot name a run") as told:
        check_new(tmp_path, name)
    assert told.value.what.isprintable()
    assert default_name(None, Path(name), "cass").isprintable()


@pytest.mark.parametrize("name", ["a:b", "NUL", "a?", "run."])
def test_a_new_run_can_be_moved_to_windows(tmp_path: Path, name: str) -> None:
    with pytest.raises(RunError, match="Windows could not hold the run"):
        check_new(tmp_path, name)
    assert check_new(tmp_path, default_name(None, Path(name), "cass"))
    (tmp_path / name).mkdir()  # an older run goes on
    (tmp_path / name / "config.yaml").write_text("")
    assert check_new(tmp_path, name, overwrite=True)


def test_what_a_run_ran_on_tells_neither_kernel_nor_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["/home/anna/bin/cass", "pretrain", "--data", "/home/anna/isic", "--name=a"])
    told = environment()
    assert told["command"] == ["cass", "pretrain", "--data", "isic", "--name=a"]
    assert told["platform"] == f"{platform.system()} {platform.machine()}"
    assert not {part for part in (platform.node(), platform.release()) if part and part in json.dumps(told)}
