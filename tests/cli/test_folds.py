"""`cass finetune --folds`, and what other commands make of it, as users run them."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import f1_score

import cass_cli
from cass_cli.cli.app import run
from cass_cli.engine.finetuning import job, trial
from cass_cli.scores.over_folds import summarise_folds
from tests.cli.conftest import TINY, make_pictures

ARMS = TINY[: TINY.index("--epochs")] + TINY[TINY.index("--cnn") : TINY.index("--init")]
SCRATCH, ONCE = "random-probe-folds", "pretrained-probe-folds"


@pytest.fixture(scope="module")
def crossed(pretrained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the pretraining with two cross-validations on the same folds: from random weights, and of its arms."""
    runs = tmp_path_factory.mktemp("crossed") / "runs"
    shutil.copytree(pretrained, runs, symlinks=True, ignore=shutil.ignore_patterns("finetune"))
    asked = ["finetune", "--runs", str(runs), "--folds", "3"]
    assert run([*asked, "--init-from", "random"]) == 0
    assert run([*asked, "--pretrain-once"]) == 0
    return runs


@pytest.fixture
def runs(crossed: Path, tmp_path: Path) -> Path:
    """A copy of it, to be written into."""
    shutil.copytree(crossed, tmp_path / "runs", symlinks=True)
    return tmp_path / "runs"


def record(runs: Path, variant: str = SCRATCH, name: str = "p") -> dict[str, Any]:
    path = runs / name / "finetune" / variant / "1" / "cross-validation.json"
    value: dict[str, Any] = json.loads(path.read_text())
    return value


def table(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def test_every_image_is_tested_once_and_the_folds_are_kept(crossed: Path) -> None:
    variant = crossed / "p" / "finetune" / SCRATCH
    dealt = {row["image"]: row["fold"] for row in table(variant / "folds.csv")}
    assert len(dealt) == 40
    tested = {n: [row["image"] for row in table(variant / "1" / f"fold{n}" / "predictions.csv")] for n in (1, 2, 3)}
    assert sorted(name for names in tested.values() for name in names) == sorted(dealt)
    assert all(dealt[name] == str(fold) for fold, names in tested.items() for name in names)
    assert not list(variant.rglob("*.safetensors")), "the classifiers of folds are not kept"
    assert (crossed / "p/finetune" / ONCE / "folds.csv").read_bytes() == (variant / "folds.csv").read_bytes()


def test_the_record_says_what_the_folds_say(crossed: Path) -> None:
    found, variant = record(crossed), crossed / "p" / "finetune" / SCRATCH
    folds = [json.loads((variant / "1" / f"fold{n}" / "summary.json").read_text()) for n in (1, 2, 3)]
    assert found["picks"] == [fold["judgement"]["pick"] for fold in folds]
    chosen = [fold["test"][fold["judgement"]["pick"]]["macro_f1"] for fold in folds]
    assert found["values"]["pick"]["macro_f1"] == chosen
    assert found["ratio"] == sum(found["tested"]) / sum(found["trained"])
    expected = summarise_folds(chosen, found["ratio"])
    assert found["mean"]["pick"]["macro_f1"] == expected.as_dict()
    labels, answers = [], []
    for n, pick in enumerate(found["picks"], 1):
        for row in table(variant / "1" / f"fold{n}" / "predictions.csv"):
            labels.append(row["image"].startswith("light"))
            answers.append(float(row[f"{pick}:light"]) > float(row[f"{pick}:dark"]))
    pooled = found["pooled"]["pick"]["macro_f1"]
    assert pooled["value"] == pytest.approx(f1_score(labels, answers, average="macro"))
    assert pooled["low"] <= pooled["value"] <= pooled["high"]
    assert found["leak"] == ""


def test_finished_folds_are_kept_and_the_rest_is_as_if_never_interrupted(
    runs: Path, crossed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what decides in a fold are its validation images, never those that it tests."""
    variant = runs / "p" / "finetune" / SCRATCH
    shutil.rmtree(variant / "1" / "fold2")
    (variant / "1" / "cross-validation.json").unlink()
    began, judged = [], []
    run_trial, judge = job.run_trial, trial.judge
    monkeypatch.setattr(job, "run_trial", lambda *a: (began.append(a[1].fold), run_trial(*a)))
    monkeypatch.setattr(trial, "judge", lambda *a, **k: (judged.append(a[1]), judge(*a, **k))[1])
    assert run(["finetune", "--resume", "--runs", str(runs), "--run", f"p/finetune/{SCRATCH}"]) == 0
    assert began == [2]
    validates = [row for row in table(variant / "folds.csv") if "2" in row["validates"].split(";")]
    assert [["dark", "light"][label] for label in judged[0]] == [row["label"] for row in validates]
    assert not [row for row in validates if row["fold"] == "2"]
    for file in ("cross-validation.json", "fold2/predictions.csv"):
        assert (variant / "1" / file).read_bytes() == (crossed / "p/finetune" / SCRATCH / "1" / file).read_bytes()


def test_arms_pretrained_on_tested_images_are_refused_or_named(
    crossed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["finetune", "--runs", str(crossed), "--folds", "3", "--variant", "again"]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "p was pretrained on 28 of the 40 images that the folds test" in said
    assert "--pretrain-once" in said
    assert not (crossed / "p/finetune/again").exists()
    assert "pretrained on 28 of the 40" in record(crossed, ONCE)["leak"]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["--resume", "--folds", "4", "--init-from", "random"], "finetune.folds was 3, now 4"),
        (["--resume", "--folds", "3", "--seed", "1", "--init-from", "random"], "finetune.seed was 0, now 1"),
        (["--folds", "3", "--init-from", "random"], "exists already, and 2 more"),
        (["--folds", "1"], "greater than or equal to 2"),
        (["--folds", "3", "--seeds", "2"], "take --seeds 1"),
        (["--folds", "41", "--init-from", "random", "--variant", "x"], "40 labelled images of"),
        (["--folds", "3", "--unlabelled", "cross-teach"], "cross-teach cannot be tested on folds"),
        (["--pretrain-once"], "without --folds"),
    ],
)
def test_what_makes_no_sense_is_said(
    crossed: Path, asked: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["finetune", "--runs", str(crossed), "--run", "p", *asked]) == 2
    assert said in " ".join(capsys.readouterr().err.split())


def test_a_dry_run_shows_folds_and_what_is_left(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(runs / "p/finetune" / SCRATCH / "1" / "fold3")
    asked = ["finetune", "--runs", str(runs), "--run", f"p/finetune/{SCRATCH}", "--resume", "--dry-run"]
    assert run(asked) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "40, each tested once in 3 folds" in said
    assert "3 folds dealt by seed 0; 2 finished and kept, 1 to do" in said


def test_compare_tests_the_same_folds_and_names_the_leak(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both = [f"p/finetune/{SCRATCH}", f"p/finetune/{ONCE}"]
    assert run(["compare", *both, "--runs", str(runs), "--json", "--csv", str(tmp_path / "scores.csv")]) == 0
    found = json.loads(capsys.readouterr().out)["folds"]
    assert {test["candidate"] for test in found["tests"]} == {"cnn", "vit", "mean", "joint", "pick"}
    first = found["tests"][0]
    one, two = (record(runs, variant)["values"]["cnn"]["macro_f1"] for variant in (SCRATCH, ONCE))
    assert first["test"]["difference"] == pytest.approx(np.mean(one) - np.mean(two))
    assert any("pretrained once: Pretrained once: p was pretrained on 28" in note for note in found["notes"])
    rows = table(tmp_path / "scores.csv")
    assert {row["fold"] for row in rows} == {"1", "2", "3"}
    other = runs / "p/finetune" / ONCE / "1/cross-validation.json"
    other.write_text(other.read_text().replace(record(runs)["digest"], "f" * 16))
    assert run(["compare", *both, "--runs", str(runs), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["folds"]
    assert found["tests"] == []
    assert any("not tested on the same folds" in note for note in found["notes"])
    assert run(["compare", *both, "--runs", str(runs), "--figure", str(tmp_path / "scores.png")]) == 2
    assert "not cross-validations" in capsys.readouterr().err.replace("\n", " ")
    assert not (tmp_path / "scores.png").exists()


def test_the_report_has_a_section(crossed: Path, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    assert run(["report", "p", "--runs", str(crossed), "--out", str(page)]) == 0
    html = page.read_text()
    assert "From scratch, probe, cross-validation" in html
    assert "What validation chose in each fold" in html
    assert "Pretrained once: p was pretrained on 28 of the 40" in html
    assert "has not been measured. Measure it with <code>cass finetune --folds" not in html


@pytest.mark.parametrize("command", [["evaluate"], ["predict", "x"], ["errors"], ["card"]])
def test_commands_that_need_one_classifier_say_that_there_is_none(
    crossed: Path, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    where = [f"p/finetune/{SCRATCH}"] if command == ["card"] else ["--run", f"p/finetune/{SCRATCH}/1/fold2"]
    assert run([*command, *where, "--runs", str(crossed)]) == 2
    assert "is a cross-validation: it says how well such classifiers do" in " ".join(capsys.readouterr().err.split())


def test_folds_leave_the_latest_classifier_what_others_go_on_with(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["finetune", "--runs", str(runs), "--init-from", "random", "--variant", "plain"]) == 0
    assert run(["finetune", "--runs", str(runs), "--init-from", "random", "--folds", "2", "--variant", "again"]) == 0
    capsys.readouterr()
    assert run(["card", "p", "--runs", str(runs)]) == 0
    assert "finetune/plain/1/seed0" in capsys.readouterr().out.replace("\n", "")


def test_python_gives_the_folds_and_what_they_say(crossed: Path) -> None:
    found = cass_cli.load_run("p", runs=crossed).finetuning(SCRATCH)
    assert [trial.fold for trial in found.trials] == [1, 2, 3]
    assert set(found.scores["fold"]) == {1, 2, 3}
    frame = found.cross_validation.query("candidate == 'pick' and metric == 'macro_f1'").iloc[0]
    assert frame["mean"] == record(crossed)["mean"]["pick"]["macro_f1"]["mean"]
    assert frame["pooled"] == record(crossed)["pooled"]["pick"]["macro_f1"]["value"]


def test_several_labels_an_image_without_a_run_and_the_publishers_test(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = make_pictures(tmp_path / "pictures", per_class=14)
    rows = [["image", "dark", "odd", "patient", "split"]]
    for label in ("dark", "light"):
        for i in range(14):
            split = "test" if i < 4 else ""
            rows.append([f"{label}/{i:02d}.png", int(label == "dark"), i % 2, f"{label}{i // 2}", split])
    (data / "labels.csv").write_text("".join(",".join(map(str, row)) + "\n" for row in rows))
    asked = ["finetune", "--data", str(data), "--labels", "labels.csv", *ARMS, "--init-from", "random"]
    assert run([*asked, "--runs", str(tmp_path), "--name", "m", "--folds", "2"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "8 test images of the publisher left alone" in said
    folds = table(tmp_path / "m/finetune" / SCRATCH / "folds.csv")
    assert len(folds) == 20
    homes: dict[str, set[str]] = {}
    for row in folds:
        homes.setdefault(row["group"], set()).add(row["fold"] + row["validates"])
    assert all(len(home) == 1 for home in homes.values())
    found = record(tmp_path, name="m")
    assert (found["left_alone"], found["groups"], sum(found["tested"])) == (8, 10, 20)
    assert found["pooled"]["pick"]["macro_f1"]["low"] is not None
    assert "  folds: null  # default" in (tmp_path / "m/config.yaml").read_text(), "later fine-tunings are on the split"
