"""What lies in a run and is not of it is named before anything is read or written; users' own links go on working."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest

from cass_cli.errors import RunError
from cass_cli.runs.directory import check_new
from cass_cli.runs.names import find
from cass_cli.runs.own import OWN, check_no_loop, check_own

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="links are for administrators, and pipes have no names")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "runs" / "p"
    for name in ("figures", "finetune/v/1/seed0/figures", "checkpoints/last"):
        (folder / name).mkdir(parents=True)
    (folder / "config.yaml").touch()
    (folder / "finetune/latest").symlink_to("v")
    (tmp_path / "others").mkdir()
    (tmp_path / "others/a.png").touch()
    return folder


@pytest.mark.parametrize("place", ["metrics.jsonl", "figures/a.png", "finetune/v/1/seed0/evaluation-test.json", "arms"])
@pytest.mark.parametrize("target", ["others/a.png", "others", "gone", "runs/pp"])
def test_a_link_out_of_the_run_is_named_with_where_it_leads(run: Path, tmp_path: Path, place: str, target: str) -> None:
    (run / place).symlink_to(tmp_path / target)
    with pytest.raises(RunError, match=f"{re.escape(place)} is a link .* to {re.escape(str(tmp_path / target))}"):
        check_own(run)
    with pytest.raises(RunError, match=re.escape(place)):
        find(tmp_path / "runs", "p")


def test_a_pipe_is_named(run: Path) -> None:
    os.mkfifo(run / "finetune/v/1/seed0/summary.json")
    with pytest.raises(RunError, match=r"v/1/seed0/summary.json is no file, but a pipe"):
        check_own(run)


def test_a_link_to_itself_is_named(run: Path, tmp_path: Path) -> None:
    (tmp_path / "runs/q").symlink_to("q")
    for refused in (
        lambda: find(tmp_path / "runs", "q"),
        lambda: check_new(tmp_path / "runs", "q", overwrite=True),
        lambda: check_no_loop(tmp_path / "runs/q"),
    ):
        with pytest.raises(RunError, match="leads to itself"):
            refused()
    (run / "figures/a.png").symlink_to("a.png")
    with pytest.raises(RunError, match="leads to itself"):
        check_own(run)


def test_links_of_users_are_theirs(run: Path, tmp_path: Path) -> None:
    """The folder of the run, the folder of runs, a link within the run, and what cass does not know in it."""
    (run / "figures/b.png").symlink_to("../config.yaml")
    (run / "my-data").symlink_to(tmp_path / "others")
    run.rename(tmp_path / "moved")
    run.symlink_to(tmp_path / "moved")
    check_own(run)
    (tmp_path / "elsewhere").symlink_to(tmp_path / "runs")
    assert find(tmp_path / "elsewhere", "p").run.path.samefile(tmp_path / "moved")
    assert "my-data" not in OWN


def test_folders_in_folders_are_looked_through_however_deep(run: Path) -> None:
    deepest, usual = run / "figures", sys.getrecursionlimit()
    for _ in range(300):
        (deepest := deepest / "a").mkdir()
    (deepest / "b").symlink_to("/")
    try:
        sys.setrecursionlimit(300)
        with pytest.raises(RunError, match="is a link that leads out of the run"):
            check_own(run)
    finally:
        sys.setrecursionlimit(usual)
