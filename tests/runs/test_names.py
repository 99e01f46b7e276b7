"""A name means one thing, however it is spelled and wherever it is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cass_cli.config.load import Layer
from cass_cli.errors import RunError
from cass_cli.runs.directory import Run
from cass_cli.runs.names import Named, find, find_runs, run_flags, run_to_tune, trial_flags
from cass_cli.runs.trials import Variant


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Runs `a`, fine-tuned twice, and `b`, the latest, without a fine-tuning; we stand beside their folder."""
    folder = tmp_path / "runs"
    for name in ("a", "b"):
        (folder / name).mkdir(parents=True)
        (folder / name / "config.yaml").touch()
        (folder / name / "splits.csv").touch()
    for variant in ("imagenet", "pretrained"):
        for trial in ("0.1/seed0", "0.1/seed3", "1/seed0"):
            path = folder / "a/finetune" / variant / trial
            path.mkdir(parents=True)
            (path / "summary.json").write_text("{}")
        (folder / "a/finetune" / variant / "config.yaml").touch()
    (folder / "a/finetune/latest").symlink_to("imagenet")
    (folder / "latest").symlink_to("b")
    monkeypatch.chdir(tmp_path)
    return Path("runs")


def means(named: Named) -> tuple[str, str, float | None, int | None]:
    return named.run.path.name, named.variant.name if named.variant else "", named.fraction, named.seed


@pytest.mark.parametrize("start", ["", "runs/", "./runs/../runs/", "{here}/runs/"])
@pytest.mark.parametrize(
    ("rest", "meaning"),
    [
        ("a", ("a", "", None, None)),
        ("latest", ("b", "", None, None)),
        ("a/config.yaml", ("a", "", None, None)),
        ("a/finetune", ("a", "", None, None)),
        ("a/finetune/pretrained", ("a", "pretrained", None, None)),
        ("a/finetune/latest", ("a", "imagenet", None, None)),
        ("a/finetune/pretrained/0.1", ("a", "pretrained", 0.1, None)),
        ("a/finetune/pretrained/0.1/seed3", ("a", "pretrained", 0.1, 3)),
        ("a/finetune/pretrained/0.1/seed3/summary.json", ("a", "pretrained", 0.1, 3)),
    ],
)
def test_every_spelling_means_the_same(runs: Path, start: str, rest: str, meaning: tuple[object, ...]) -> None:
    assert means(find(runs, start.format(here=Path.cwd()) + rest)) == meaning


def test_from_another_folder_the_runs_folder_or_the_path_leads_there(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    for folder, name in ((Path("../runs"), "a"), (runs, "../runs/a"), (runs, str(tmp_path / "runs/a"))):
        assert means(find(folder, name)) == ("a", "", None, None)
    assert means(find(Path("../runs"), None)) == ("b", "", None, None)
    with pytest.raises(RunError, match=r"There is no run in runs yet[^§]*--runs"):
        find(runs, None)


def test_a_folder_below_runs_goes_before_one_here(runs: Path) -> None:
    Path("a").mkdir()
    Path("a/config.yaml").touch()
    assert find(runs, "a").run.path == runs / "a"
    assert find(runs, "./a").run.path == runs / "a"


def test_what_is_nothing_of_cass_is_said(runs: Path, tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    with pytest.raises(RunError, match="pictures is no run of cass"):
        find(runs, "pictures")
    with pytest.raises(RunError, match=r"no run 'aa' in runs. Did you mean 'a'\?\nRuns: a, b\."):
        find(runs, "aa")
    (runs / "latest").unlink()
    with pytest.raises(RunError, match=r"runs has no latest run.\nRuns: a, b\."):
        find(runs, None)


def test_a_project_folder_called_finetune_is_no_fine_tuning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = tmp_path / "finetune" / "project"
    (project / "runs" / "a").mkdir(parents=True)
    for folder in (project, project / "runs" / "a"):
        (folder / "config.yaml").touch()
    monkeypatch.chdir(project)
    assert means(find(Path("runs"), "a")) == ("a", "", None, None)


def test_a_folder_of_runs_and_a_run_may_be_called_finetune(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.yaml").touch()  # of another tool
    for run in ("finetune/a", "runs/finetune"):
        (tmp_path / run).mkdir(parents=True)
        (tmp_path / run / "config.yaml").touch()
    monkeypatch.chdir(tmp_path)
    assert means(find(Path("finetune"), "a")) == ("a", "", None, None)
    assert means(find(Path("runs"), "finetune")) == ("finetune", "", None, None)


def test_where_one_stands_has_a_name(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(runs / "a")
    assert find(Path("nowhere"), ".").run.path == Path.cwd()
    monkeypatch.chdir("finetune")
    for name in ("..", "."):
        assert find(Path("nowhere"), name).run.path == Path.cwd().parent


def test_the_latest_fine_tuning_is_asked_for_where_the_link_is_gone(runs: Path) -> None:
    (runs / "a/finetune/latest").unlink()
    run = find(runs, "a")
    with pytest.raises(RunError, match=r"Which fine-tuning of runs/a\?\n.*--variant: imagenet, pretrained"):
        run.fine_tuning()
    assert trial_flags(run.trial("imagenet")) == " --run a --variant imagenet"
    (runs / "a/finetune/latest").symlink_to("gone")
    with pytest.raises(RunError, match="Which fine-tuning"):
        run.trial()
    (runs / "a/finetune/imagenet/config.yaml").unlink()
    assert run.fine_tuning().name == "pretrained"  # the only one


def test_the_fine_tuning_is_named_by_path_or_option_else_the_latest(runs: Path) -> None:
    run = find(runs, "a")
    assert run.fine_tuning().name == run.fine_tuning("latest").name == "imagenet"
    assert run.fine_tuning("pretrained").name == "pretrained"
    inside = find(runs, "a/finetune/pretrained")
    assert inside.fine_tuning().name == inside.fine_tuning("pretrained").name == "pretrained"
    with pytest.raises(RunError, match="is no fine-tuning 'imagenet'"):
        inside.fine_tuning("imagenet")
    with pytest.raises(RunError, match=r"no fine-tuning 'imagenett'. Did you mean 'imagenet'"):
        run.fine_tuning("imagenett")
    with pytest.raises(RunError, match="a has no fine-tuning 'imagenett'"):
        find(runs, "a/finetune/imagenett")
    with pytest.raises(RunError, match=r"no finished trial of label fraction 0.5.*\nIt has"):
        find(runs, "a/finetune/imagenet/0.5").trial()
    with pytest.raises(RunError, match="b has not been fine-tuned yet"):
        find(runs, "b").fine_tuning()


def test_the_trial_is_that_of_the_path_else_of_the_most_labels_and_the_lowest_seed(runs: Path) -> None:
    def trial(name: str, **options: float) -> tuple[str, float, int]:
        found = find(runs, name).trial(**options)  # type: ignore[arg-type]
        return found.variant.name, found.fraction, found.seed

    assert trial("a") == ("imagenet", 1.0, 0)
    assert trial("a", fraction=0.1) == ("imagenet", 0.1, 0)
    assert trial("a/finetune/pretrained/0.1") == ("pretrained", 0.1, 0)
    assert trial("a/finetune/pretrained/0.1", seed=3) == ("pretrained", 0.1, 3)
    assert trial("a/finetune/pretrained/0.1/seed3", fraction=0.1, seed=3) == ("pretrained", 0.1, 3)
    with pytest.raises(RunError, match=r"names 0.1, and --label-fraction 1"):
        trial("a/finetune/pretrained/0.1", fraction=1)
    with pytest.raises(RunError, match=r"names 3, and --seed 0"):
        trial("a/finetune/pretrained/0.1/seed3", seed=0)
    with pytest.raises(RunError, match=r"no finished trial of label fraction 0.5"):
        trial("a", fraction=0.5)
    with pytest.raises(RunError, match=r"label fraction 1 and seed 3"):
        trial("a", seed=3)


def test_all_trials_of_what_is_named_the_pretrained_first(runs: Path) -> None:
    def trials(name: str) -> list[str]:
        return [f"{t.variant.name} {t.fraction:g} {t.seed}" for t in find(runs, name).trials()]

    assert trials("a")[:3] == ["pretrained 0.1 0", "pretrained 0.1 3", "pretrained 1 0"]
    assert len(trials("a")) == 6
    assert len(trials("a/finetune/imagenet")) == 3
    assert trials("a/finetune/imagenet/0.1") == ["imagenet 0.1 0", "imagenet 0.1 3"]
    assert trials("a/finetune/imagenet/0.1/seed3") == ["imagenet 0.1 3"]
    assert trials("b") == []
    for missing in ("0.5", "0.1/seed7"):
        with pytest.raises(RunError, match="no finished trial of label fraction"):
            trials(f"a/finetune/imagenet/{missing}")


def test_runs_are_told_once(runs: Path) -> None:
    names = ["a", "runs/a/finetune/imagenet", str(Path.cwd() / "runs/a"), "latest", "b"]
    assert [run.path.name for run in find_runs(runs, names)] == ["a", "b"]
    assert [run.path.name for run in find_runs(runs, [])] == ["b"]


def test_the_options_that_lead_to_a_run_lead_to_it(runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = Run(runs / "a"), Run(runs / "b")
    assert run_flags(b) == ""
    assert run_flags(a) == " --run a"
    assert run_flags(b, option="--name", always=True) == " --name b"
    (tmp_path / "else where").mkdir()
    monkeypatch.chdir(tmp_path / "else where")
    away = Run(tmp_path / "runs" / "a")
    assert run_flags(away) == f" --runs {tmp_path / 'runs'} --run a"
    monkeypatch.chdir(tmp_path)
    Path("runs").rename("my runs")
    assert run_flags(Run(Path("my runs/a"))) == " --runs 'my runs' --run a"


def test_the_options_that_lead_to_a_trial_lead_to_it(runs: Path) -> None:
    run = Run(runs / "a")
    pretrained, imagenet = Variant(run, "pretrained"), Variant(run, "imagenet")
    assert trial_flags(imagenet.trial(1, 0)) == " --run a"
    assert trial_flags(pretrained.trial(1, 0)) == " --run a --variant pretrained"
    assert trial_flags(pretrained.trial(0.1, 3)) == " --run a --variant pretrained --label-fraction 0.1 --seed 3"


def test_a_fine_tuning_is_about_a_run_unless_images_are_named(runs: Path) -> None:
    images = [Layer("flag", {"data.path": "pictures"})]

    def tunes(run: str | None, layers: list[Layer], **how: Any) -> str:
        named = run_to_tune(runs, run, layers, **{"preset": None, "name": None, "resume": False} | how)
        return named.run.path.name if named else "new"

    assert tunes(None, []) == "b" and tunes("a", []) == "a"
    assert tunes(None, images) == "new" and tunes(None, [], preset="demo") == "new"
    assert tunes("a", images) == "a", "its images are elsewhere now"
    assert tunes(None, images, resume=True) == "b" and tunes(None, [], name="a") == "a"
