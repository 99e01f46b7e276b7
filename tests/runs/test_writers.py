"""One process writes to a run at a time; fine-tunings of different names work beside each other."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import pytest

from cass_cli.errors import RunError
from cass_cli.lock import holder, locked
from cass_cli.runs import writers
from cass_cli.runs.writers import LOCKS, writing_finetuning, writing_run


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writers, "PATIENCE", 0.0)


@contextmanager
def refused(what: str) -> Iterator[None]:
    with pytest.raises(RunError, match=f"{what} is being written by process {os.getpid()} on .* since 2"):
        yield


@pytest.mark.parametrize(
    ("first", "second", "who"),
    [
        ("run", "run", "p"),
        ("run", "a", "p"),
        ("a", "run", "p/finetune/a"),
        ("a", "a", "p/finetune/a"),
        ("a", "b", ""),
    ],
)
def test_who_may_work_beside_whom(tmp_path: Path, first: str, second: str, who: str) -> None:
    def writing(name: str) -> AbstractContextManager[None]:
        return writing_run(tmp_path / "p") if name == "run" else writing_finetuning(tmp_path / "p", name)

    with writing(first):
        with refused(str(tmp_path / who)) if who else nullcontext(), writing(second):
            pass
        assert (tmp_path / LOCKS / "p").is_dir()
    with writing(second):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_fine_tuning_may_replace_the_run_that_it_makes(tmp_path: Path) -> None:
    with writing_finetuning(tmp_path / "p", "a"), writing_run(tmp_path / "p", besides="a"):
        pass
    with (
        writing_finetuning(tmp_path / "p", "a"),
        writing_finetuning(tmp_path / "p", "b"),
        refused(str(tmp_path / "p/finetune/a")),
        writing_run(tmp_path / "p", besides="b"),
    ):
        pass


def test_the_lock_of_a_link_is_that_of_the_run(tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    (tmp_path / "link").symlink_to("p")
    with writing_run(tmp_path / "p"), refused(str(tmp_path / "link")), writing_run(tmp_path / "link"):
        pass


@pytest.mark.skipif(sys.platform == "win32", reason="links are for administrators")
@pytest.mark.parametrize("place", [".locks", ".locks/p", ".locks/p/run", ".locks/p/finetune-a"])
def test_a_link_among_the_locks_is_not_followed(tmp_path: Path, place: str) -> None:
    """What is locked is signed: through a link that would write over a file of others."""
    others = tmp_path / "others"
    others.mkdir()
    (others / "run").write_text("theirs")
    link = tmp_path / "runs" / place
    link.parent.mkdir(parents=True)
    link.symlink_to(others / "run" if "/p/" in place else others)
    what = re.escape(repr(link.name))
    with pytest.raises(RunError, match=f"{what} is a link"), writing_finetuning(tmp_path / "runs/p", "a"):
        pass
    assert [(path.name, path.read_text()) for path in others.iterdir()] == [("run", "theirs")]


def test_a_folder_of_runs_goes_only_if_it_was_made(tmp_path: Path) -> None:
    with writing_run(tmp_path / "new/p"):
        pass
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "mine").mkdir()
    with writing_run(tmp_path / "mine/p"):
        pass
    assert list(tmp_path.iterdir()) == [tmp_path / "mine"]


def test_a_lock_of_a_killed_process_holds_nobody(tmp_path: Path) -> None:
    run = tmp_path / "p"
    code = (
        "import os, sys; from pathlib import Path; from cass_cli.runs.writers import writing_run\n"
        "with writing_run(Path(sys.argv[1])): os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(run)], check=False).returncode == 9
    assert (tmp_path / LOCKS / "p/run").is_file()
    with writing_run(run):
        pass
    assert not (tmp_path / LOCKS).exists()


def test_a_lock_on_a_full_disk_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("cass_cli.lock.os.write", full)
    with locked(tmp_path / "lock") as held, locked(tmp_path / "lock", wait=False) as again:
        assert (held, again, holder(tmp_path / "lock")) == (True, False, "")
