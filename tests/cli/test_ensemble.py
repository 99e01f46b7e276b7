"""`cass ensemble`, as users run it: an average of fine-tunings that is used as one of them."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from cass_cli.cli.app import run

TRAINED = ("--recipe", "paper", "--epochs", "1", "--batch-size", "8", "--no-guard")


@pytest.fixture(scope="module")
def averaged(pretrained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pretraining with two fine-tunings of two fractions and seeds, and their average."""
    runs = tmp_path_factory.mktemp("averaged") / "runs"
    shutil.copytree(pretrained, runs, symlinks=True, ignore=shutil.ignore_patterns("finetune"))
    several = ["--runs", str(runs), "--label-fraction", "0.3,1", "--seeds", "2"]
    assert run(["finetune", *several]) == 0
    assert run(["finetune", *several, *TRAINED]) == 0
    assert run(["ensemble", "--runs", str(runs)]) == 0
    return runs


@pytest.fixture
def runs(averaged: Path, tmp_path: Path) -> Path:
    """A copy of it, to be written into."""
    shutil.copytree(averaged, tmp_path / "runs", symlinks=True)
    return tmp_path / "runs"


def summary(runs: Path, trial: str = "ensemble/1/seed0", name: str = "p") -> dict[str, Any]:
    value: dict[str, Any] = json.loads((runs / name / "finetune" / trial / "summary.json").read_text())
    return value


def predictions(runs: Path, variant: str, *more: str) -> list[dict[str, str]]:
    assert run(["evaluate", "--runs", str(runs), "--variant", variant, *more]) == 0
    (found,) = (runs / "p" / "finetune" / variant).rglob("predictions-test.csv")
    with found.open() as file:
        return list(csv.DictReader(file))


def test_each_trial_is_averaged_with_that_of_the_same_labels(averaged: Path) -> None:
    for fraction in ("0.3", "1"):
        for seed in ("seed0", "seed1"):
            found = summary(averaged, f"ensemble/{fraction}/{seed}")
            places = {name: member["place"] for name, member in found["members"].items()}
            assert places == {name: f"{name}/{fraction}/{seed}" for name in ("pretrained-paper", "pretrained-probe")}
            assert found["labels"] == summary(averaged, f"pretrained-probe/{fraction}/{seed}")["labels"]
            assert list(found["test"]) == ["pretrained-paper", "pretrained-probe", "mean", "ensemble"]
            assert sum(found["judgement"]["weights"].values()) == pytest.approx(1)
            for name in found["members"]:
                of = summary(averaged, f"{name}/{fraction}/{seed}")
                assert found["test"][name]["auroc"] == pytest.approx(of["test"][of["judgement"]["pick"]]["auroc"])


def test_it_answers_by_what_validation_picked_of_each(runs: Path) -> None:
    whole = predictions(runs, "ensemble")
    judged = summary(runs)["judgement"]
    mixed = np.zeros(len(whole))
    for name, weight in judged["weights"].items():
        pick = summary(runs, f"{name}/1/seed0")["judgement"]["pick"]
        alone = np.array([float(row[f"{pick}:light"]) for row in predictions(runs, name)])
        sharper = np.stack([1 - alone, alone], axis=1) ** (1 / judged["temperatures"][name])
        mixed += weight * sharper[:, 1] / sharper.sum(axis=1)
    assert np.allclose(mixed, [float(row["ensemble:light"]) for row in whole], atol=1e-3)


def test_it_is_predicted_with_compared_and_reported(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = yaml.safe_load((runs / "p" / "config.yaml").read_text())["data"]["path"]
    assert run(["predict", data, "--runs", str(runs), "--variant", "ensemble", "--out", str(runs / "p.csv")]) == 0
    rows = list(csv.DictReader((runs / "p.csv").open()))
    assert {row["status"] for row in rows} == {"ok"}
    capsys.readouterr()
    assert run(["compare", "--runs", str(runs)]) == 0
    assert "Ensemble of 2" in capsys.readouterr().out
    assert run(["report", "--runs", str(runs)]) == 0
    assert run(["attention-maps", "--runs", str(runs), "--run", "p/finetune/ensemble"]) == 2
    assert "Name one of them: pretrained-paper, pretrained-probe." in " ".join(capsys.readouterr().err.split())


def test_all_seeds_become_one(runs: Path) -> None:
    asked = ["ensemble", "pretrained-probe", "--runs", str(runs), "--across-seeds", "--label-fraction", "0.3"]
    assert run([*asked, "--variant", "seeds"]) == 0
    found = summary(runs, "seeds/0.3/seed0")
    places = {member["place"] for member in found["members"].values()}
    assert places == {"pretrained-probe/0.3/seed0", "pretrained-probe/0.3/seed1"}
    alone = [summary(runs, f"pretrained-probe/0.3/seed{seed}")["labels"] for seed in (0, 1)]
    assert max(alone) < found["labels"] <= sum(alone)  # it has seen those of both
    assert not (runs / "p" / "finetune" / "seeds" / "1").exists()


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ((), "exists already"),
        (("nothing", "--overwrite"), "no finished fine-tuning 'nothing'"),
        (("ensemble", "--overwrite"), "no finished fine-tuning 'ensemble'"),
        (("pretrained-probe", "--overwrite"), "no two trials to average"),
        (("--label-fraction", "0.5", "--overwrite"), "no two trials with label fraction 0.5"),
        (("--variant", "../x"), "cannot name a fine-tuning"),
        (("--variant", "pretrained-probe", "--overwrite"), "is a fine-tuning of its own"),
    ],
)
def test_what_cannot_be_is_said_and_nothing_lost(
    averaged: Path, asked: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["ensemble", *asked, "--runs", str(averaged)]) == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert summary(averaged)["members"]


def test_a_member_that_is_gone_is_named(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(runs / "p" / "finetune" / "pretrained-probe" / "1" / "seed0")
    assert run(["evaluate", "--runs", str(runs), "--variant", "ensemble"]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "pretrained-probe/1/seed0, which is gone" in said
    again = said.partition("Average what is there: cass ")[2].split()
    assert again[:3] == ["ensemble", "pretrained-paper", "pretrained-probe"]
    assert run(again) == 0  # of the three that are left


def test_what_sees_images_otherwise_is_not_averaged(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["finetune", "--runs", str(runs), "--variant", "large", "--probe-size", "48"]) == 0
    assert run(["ensemble", "pretrained-probe", "large", "--runs", str(runs), "--variant", "both"]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "pretrained-probe sees images of 32 pixels, large of 48" in said
    assert not (runs / "p" / "finetune" / "both").exists()


def test_what_has_been_made_again_since_is_not_answered_by(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    again = ["finetune", "--runs", str(runs), "--variant", "pretrained-probe", "--overwrite"]
    assert run([*again, "--set", "finetune.layers=1"]) == 0
    assert run(["evaluate", "--runs", str(runs), "--variant", "ensemble"]) == 2
    assert "pretrained-probe/1/seed0, which has been made again since" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("asked", [("--resume",), ("--variant", "ensemble", "--resume"), ("--variant", "ensemble")])
def test_an_average_is_not_fine_tuned(
    averaged: Path, asked: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """The latest fine-tuning is the average, where nobody names another."""
    assert run(["finetune", "--runs", str(averaged), *asked, "--label-fraction", "0.5"]) == 2
    assert "ensemble averages other fine-tunings" in " ".join(capsys.readouterr().err.split())


def test_a_share_of_which_there_is_one_trial_is_passed_over(runs: Path) -> None:
    shutil.rmtree(runs / "p" / "finetune" / "pretrained-probe" / "1" / "seed1")
    assert run(["ensemble", "pretrained-probe", "--runs", str(runs), "--across-seeds", "--variant", "seeds"]) == 0
    assert (runs / "p" / "finetune" / "seeds" / "0.3").exists()
    assert not (runs / "p" / "finetune" / "seeds" / "1").exists()


def test_labels_that_were_changed_since_are_told(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = Path(yaml.safe_load((runs / "p" / "config.yaml").read_text())["data"]["path"])
    names = sorted(path.relative_to(data).as_posix() for path in data.rglob("*.png"))
    labels = runs / "labels.csv"
    labels.write_text("\n".join(["image,label", *(f"{name},{name.split('/')[0]}" for name in names)]) + "\n")
    where = ["--runs", str(runs), "--data", str(data), "--labels", str(labels), "--init-from", "random"]
    tiny = ["--image-size", "32", "--cnn", "test_resnet", "--vit", "test_vit", "--name", "told", "--seeds", "2"]
    assert run(["finetune", *where, *tiny]) == 0
    average = ["ensemble", "--runs", str(runs), "--run", "told", "--across-seeds"]
    assert run(average) == 0
    rows = (runs / "told" / "splits.csv").read_text().splitlines()
    tested = next(line.split(",")[0] for line in rows if ",test," in line)
    other = {"light": "dark", "dark": "light"}[tested.split("/")[0]]
    labels.write_text(labels.read_text().replace(f"{tested},{tested.split('/')[0]}", f"{tested},{other}"))
    before = summary(runs, "ensemble/1/seed0", name="told")
    assert run([*average, "--overwrite"]) == 2
    assert "are not those that random-probe-seed0 was scored on" in " ".join(capsys.readouterr().err.split())
    assert summary(runs, "ensemble/1/seed0", name="told") == before


def test_it_is_called_by_its_name_and_made_anew_where_it_is_damaged(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["compare", "--runs", str(runs)]) == 0
    said = capsys.readouterr().out
    assert "Ensemble of 2" in said
    assert "[ensemble]" not in said
    (runs / "p" / "finetune" / "ensemble" / "0.3" / "seed0" / "summary.json").write_text("{")
    assert run(["ensemble", "--runs", str(runs), "--overwrite"]) == 0
    assert summary(runs, "ensemble/0.3/seed0")["members"]


def test_a_damaged_fine_tuning_can_be_replaced(runs: Path) -> None:
    first = runs / "p" / "finetune" / "pretrained-probe" / "0.3" / "seed0" / "summary.json"
    first.write_text("{")
    again = ["finetune", "--runs", str(runs), "--variant", "pretrained-probe", "--overwrite", "--label-fraction", "0.3"]
    assert run(again) == 0
    assert json.loads(first.read_text())["recipe"] == "probe"
    assert run(["ensemble", "--runs", str(runs), "--variant", "pretrained-probe", "--overwrite"]) == 2
