"""Which run is the latest is known wherever runs are kept: with links, without, and in a copy that has lost them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from cass_cli.errors import DataError, RunError
from cass_cli.runs.directory import create_run
from cass_cli.runs.latest import latest_of, point_latest
from cass_cli.runs.names import find, find_runs, run_flags, trial_flags
from cass_cli.runs.trials import variants_of
from cass_cli.runs.writers import writing_run


def make_run(path: Path) -> Path:
    for folder in (path, path / "finetune/imagenet-probe", path / "finetune/random-probe"):
        (folder / "1/seed0").mkdir(parents=True)
        (folder / "config.yaml").write_text(f"# {folder.name}")
        (folder / "1/seed0/summary.json").write_text("{}")
    (path / "splits.csv").touch()
    (path / "metrics.jsonl").write_text(path.name)
    return path


def no_links(*_arguments: object, **_more: object) -> None:
    raise OSError(95, "Operation not supported")


@pytest.fixture(params=["links", "no links", "copied"])
def runs(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Runs `a` and `b`, of which `a` is the latest, and of its fine-tunings `random-probe`."""
    if request.param == "no links":
        monkeypatch.setattr(Path, "symlink_to", no_links)
    first = make_run(tmp_path / "first/a")
    make_run(tmp_path / "first/b")
    point_latest(first)
    point_latest(first / "finetune/random-probe")
    if request.param == "copied":
        shutil.copytree(tmp_path / "first", tmp_path / "runs")  # follows links
        assert (tmp_path / "runs/latest/finetune/latest").is_dir()
    else:
        (tmp_path / "first").rename(tmp_path / "runs")
    monkeypatch.chdir(tmp_path)
    return Path("runs")


def test_every_spelling_of_latest_means_the_run_by_its_name(runs: Path) -> None:
    for name in (None, "latest", "runs/latest", str(runs.absolute() / "latest"), "latest/config.yaml"):
        assert find(runs, name).run.path.resolve() == (runs / "a").resolve(), name
    assert find(runs, None).fine_tuning().name == "random-probe"
    for name in ("latest/finetune/latest", "a/finetune/latest", "latest/finetune/random-probe/1/seed0"):
        found = find(runs, name)
        assert (found.run.path.name, found.fine_tuning().name) == ("a", "random-probe")


def test_nothing_is_counted_twice(runs: Path) -> None:
    run = find(runs, None).run
    assert [variant.name for variant in variants_of(run)] == ["imagenet-probe", "random-probe"]
    assert len(find_runs(runs, ["latest", "a", "runs/a"])) == 1
    with pytest.raises(RunError, match=r"Runs: a, b\."):
        find(runs, "c")


def test_what_is_made_next_is_the_latest(runs: Path) -> None:
    assert run_flags(find(runs, "a").run) == ""
    assert trial_flags(find(runs, "a").trial("random-probe")) == ""
    point_latest(runs / "b")
    point_latest(runs / "a/finetune/imagenet-probe")
    assert find(runs, None).run.path.name == "b"
    assert find(runs, "a").fine_tuning().name == "imagenet-probe"
    assert run_flags(find(runs, "a").run) == " --run a"
    point_latest(runs / "a")
    assert find(runs, None).run.path.name == "a"
    assert not list(runs.glob(".latest-*"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_run(tmp_path / "a")
    make_run(tmp_path / "b")
    return tmp_path


def test_without_links_it_is_a_file_with_the_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Path, "symlink_to", no_links)
        point_latest(folder / "a")
    assert (folder / "latest").read_text() == "a\n"
    point_latest(folder / "b")  # where links can be made again
    assert (folder / "latest").is_symlink()
    assert latest_of(folder) == folder / "b"
    with monkeypatch.context() as patch:
        patch.setattr(Path, "symlink_to", no_links)
        point_latest(folder / "a")
    assert not (folder / "latest").is_symlink()
    assert latest_of(folder) == folder / "a"


@pytest.mark.parametrize(
    "make",
    [lambda path: path.write_text("a\nb"), lambda path: path.write_text("thesis"), Path.mkdir],
    ids=["lines", "word", "folder"],
)
def test_what_the_user_calls_latest_is_left_alone(folder: Path, make: Callable[[Path], object]) -> None:
    make(folder / "latest")
    before = (folder / "latest").read_text() if (folder / "latest").is_file() else None
    assert latest_of(folder) is None
    point_latest(folder / "a")
    assert latest_of(folder) == folder / "a"
    if before is None:
        (folder / "latest").rmdir()
    else:
        assert (folder / "latest").read_text() == before
        (folder / "latest").unlink()
    assert latest_of(folder) == folder / "a"
    point_latest(folder / "b")
    assert sorted(path.name for path in folder.iterdir()) == ["a", "b", "latest"]


def test_a_copy_is_left_alone_and_stands_for_its_original_until_another_is_the_latest(folder: Path) -> None:
    shutil.copytree(folder / "a", folder / "latest")
    assert latest_of(folder) == folder / "a"
    point_latest(folder / "b")
    assert latest_of(folder) == folder / "b"
    assert (folder / "latest/metrics.jsonl").read_text() == "a"


def test_a_copy_without_its_original_is_a_run(folder: Path) -> None:
    (folder / "a").rename(folder / "latest")
    assert find(folder, None).run.path == folder / "latest"
    point_latest(folder / "latest")
    assert find(folder, None).run.path == folder / "latest"
    assert (folder / "latest/metrics.jsonl").read_text() == "a"


def test_a_latest_that_leads_nowhere_is_none(folder: Path) -> None:
    (folder / "latest").symlink_to("gone")
    assert latest_of(folder) is None
    (folder / "latest").unlink()
    (folder / "latest").symlink_to("latest")
    assert latest_of(folder) is None


@pytest.mark.parametrize("name", ["latest", "Latest", ".latest"])
def test_no_run_is_called_so(folder: Path, name: str) -> None:
    with pytest.raises(RunError, match="cannot name a run"):
        create_run(folder, name)


def test_a_start_that_is_refused_leaves_no_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_file: object) -> bool:
        raise DataError("cannot be locked")

    monkeypatch.setattr("cass_cli.lock._try_lock", refuse)
    before = sorted(folder.iterdir())
    with pytest.raises(DataError, match="cannot be locked"), writing_run(folder / "a"):
        raise AssertionError
    assert sorted(folder.iterdir()) == before
    with pytest.raises(DataError, match="cannot be locked"), writing_run(folder / "inner" / "new"):
        raise AssertionError
    assert not (folder / "inner").exists()
