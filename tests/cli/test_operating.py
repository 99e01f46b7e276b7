"""Operating points, calibration and use, as `cass evaluate` tells of them."""

from __future__ import annotations

import csv
import html
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, brier_score_loss, precision_score, recall_score

import cass_cli
from cass_cli.cli.app import run
from tests.cli.conftest import make_pictures

FIGURES = ("precision-recall", "decision", "risk-coverage", "calibration")


@pytest.fixture(scope="module")
def probed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs with a probe of three classes of 40 pictures: `p`. Copy it before writing into it, or evaluate it anew."""
    base = tmp_path_factory.mktemp("probed")
    make_pictures(base / "pictures", per_class=40, classes=("dark", "grey", "light"))
    named = ["--data", str(base / "pictures"), "--runs", str(base / "runs"), "--name", "p", "--init-from", "random"]
    small = ["--image-size", "32", "--cnn", "test_resnet", "--vit", "test_vit"]
    assert run(["finetune", *named, *small, "--set", "data.fractions=[0.4, 0.3, 0.3]"]) == 0
    return base / "runs"


def evaluated(runs: Path, capsys: pytest.CaptureFixture[str], *more: str) -> dict[str, Any]:
    capsys.readouterr()
    assert run(["evaluate", "--runs", str(runs), "--resamples", "50", "--json", *more]) == 0
    value: dict[str, Any] = json.loads(capsys.readouterr().out)
    return value


def answers(trial: Path, candidate: str, split: str = "test") -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The true class of each image and its probabilities by class, as the CSV of predictions has them."""
    with (trial / f"predictions-{split}.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    begin = f"{candidate}:"
    given = {
        key.removeprefix(begin): np.array([float(row[key]) for row in rows]) for key in rows[0] if key.startswith(begin)
    }
    return np.array([row["label"] for row in rows]), given


def test_each_class_has_the_threshold_that_validation_predictions_give(
    probed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    value = evaluated(probed, capsys, "--operating-point", "sensitivity=0.9", "--operating-point", "youden")
    evaluated(probed, capsys, "--split", "val")
    assert set(value["operating_points"]) == set(value["scores"])
    for candidate, points in value["operating_points"].items():
        assert [point["goal"] for point in points] == ["sensitivity=0.9", "youden"]
        test, val = (answers(Path(value["trial"]), candidate, split) for split in ("test", "val"))
        for name, at in points[0]["classes"].items():
            for (labels, given), told in (
                (val, at["validation"]),
                (test, {k: v["value"] for k, v in at["measures"].items()}),
            ):
                chosen = given[name] >= at["threshold"]
                assert told["sensitivity"] == pytest.approx(recall_score(labels == name, chosen))
                assert told["specificity"] == pytest.approx(recall_score(labels != name, ~chosen))
            assert at["measures"]["ppv"]["value"] == pytest.approx(
                precision_score(test[0] == name, test[1][name] >= at["threshold"])
            )
            assert at["validation"]["sensitivity"] >= 0.9
            assert at["measures"]["specificity"]["low"] <= at["measures"]["specificity"]["value"]
            assert at["at_prevalence"] is None


def test_calibration_and_use_are_told_of_without_being_asked_for(
    probed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    value = evaluated(probed, capsys)
    assert value["operating_points"] == {}
    trial = Path(value["trial"])
    for candidate, use in value["use"].items():
        labels, given = answers(trial, candidate)
        for name, found in use["per_class"].items():
            assert found["brier"]["value"] == pytest.approx(brier_score_loss(labels == name, given[name]))
        assert use["risk"]["value"] == pytest.approx(1 - value["scores"][candidate]["metrics"]["accuracy"]["value"])
    with (trial / "curves-test.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["candidate"] for row in rows} == set(value["scores"])
    labels, given = answers(trial, "cnn")
    mine = [
        row for row in rows if (row["curve"], row["candidate"], row["class"]) == ("precision-recall", "cnn", "grey")
    ]
    recall = np.array([float(row["x"]) for row in mine])
    area = (np.diff(recall, prepend=0) * [float(row["y"]) for row in mine]).sum()
    assert area == pytest.approx(average_precision_score(labels == "grey", given["grey"]))
    assert {row["curve"] for row in rows} == {"precision-recall", "decision", "risk-coverage"}
    for kind in FIGURES:
        assert (trial / "figures" / f"{kind}-test.png").read_bytes().startswith(b"\x89PNG")


def test_thresholds_and_predictions_are_validation_s_whatever_the_test_labels_are(
    probed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With every test image in the folder of another class the thresholds stay; and asking changes no score."""
    asked = ("--operating-point", "specificity=0.8")
    first, plain = evaluated(probed, capsys, *asked), evaluated(probed, capsys)
    assert first["scores"] == plain["scores"]
    moved = tmp_path / "pictures"
    shutil.copytree(probed.parent / "pictures", moved)
    with (probed / "p" / "splits.csv").open() as file:
        test = [row["image"] for row in csv.DictReader(file) if row["split"] == "test"]
    others = {"dark": "grey", "grey": "light", "light": "dark"}
    for name in test:
        label, _, file_name = name.partition("/")
        shutil.copy(probed.parent / "pictures" / others[label] / file_name, moved / name)
    second = evaluated(probed, capsys, "--data", str(moved), *asked)
    for candidate, (before,) in first["operating_points"].items():
        (after,) = second["operating_points"][candidate]
        for name, at in before["classes"].items():
            assert after["classes"][name]["threshold"] == at["threshold"]
            assert after["classes"][name]["validation"] == at["validation"]
    assert first["operating_points"] != second["operating_points"]


def test_of_two_classes_the_second_is_positive_unless_the_other_is_named(
    tuned: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ("--operating-point", "youden", "--prevalence", "0.02")
    second = evaluated(tuned, capsys, *asked)
    first = evaluated(tuned, capsys, *asked, "--positive", "dark")
    for value, name in ((second, "light"), (first, "dark")):
        (point,) = value["operating_points"][value["recommended"]]
        assert list(point["classes"]) == list(value["use"]["cnn"]["per_class"]) == [name]
        at = point["classes"][name]
        assert at["at_prevalence"]["prevalence"] == 0.02
        assert f"Positive class: {name!r}" in " ".join(value["notes"])
    assert run(["evaluate", "--runs", str(tuned), "--resamples", "20", *asked]) == 0
    said = capsys.readouterr().out
    assert "Threshold for youden on validation images" in said
    assert "LR+" in said and "2 %" in said and "Calibration of 'light'" in said


def test_the_report_tells_of_both_or_how_to_measure_them(
    probed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = tmp_path / "runs"
    shutil.copytree(probed, runs, symlinks=True, ignore=shutil.ignore_patterns("evaluation-*"))

    def page() -> str:
        assert run(["report", "--runs", str(runs)]) == 0
        return html.unescape((runs / "p" / "report.html").read_text())

    value = evaluated(runs, capsys)
    assert "Calibration of each class against the rest" in page()
    assert "cass evaluate --operating-point sensitivity=0.95 --run" in page()
    evaluated(runs, capsys, "--operating-point", "sensitivity=0.9", "--prevalence", "grey=0.02")
    whole = page()
    assert "--operating-point sensitivity=0.95" not in whole
    assert "at thresholds that validation images chose for sensitivity=0.9" in whole
    assert "grey, where the prevalence is" in whole and "LR+" in whole
    assert all(
        caption in whole for caption in ("Abstention: wrong answers", "Decision curves: what", "Calibration: how")
    )
    path = Path(value["trial"]) / "evaluation-test.json"
    old = json.loads(path.read_text())
    del old["use"], old["operating_points"]  # as 0.1.0 wrote it
    path.write_text(json.dumps(old))
    assert "abstention have not been measured. Measure them with cass evaluate --run" in page().replace("<code>", "")


def test_a_damaged_operating_point_is_told_of(probed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = tmp_path / "runs"
    shutil.copytree(probed, runs, symlinks=True, ignore=shutil.ignore_patterns("evaluation-*"))
    value = evaluated(runs, capsys, "--operating-point", "youden")
    path = Path(value["trial"]) / "evaluation-test.json"
    whole = path.read_text()

    def broken(change: Any) -> str:
        found = json.loads(whole)
        change(found)
        path.write_text(json.dumps(found))
        assert run(["report", "--runs", str(runs)]) == 0
        return " ".join(capsys.readouterr().out.split())

    def measures(found: Any) -> Any:
        return found["operating_points"][value["recommended"]][0]["classes"]["grey"]["measures"]

    assert "lacks some of its measures" in broken(lambda found: measures(found).pop("ppv"))
    assert "intervals with one end" in broken(lambda found: measures(found)["ppv"].update(low=None))
    assert "use is not of the candidates" in broken(lambda found: found["use"].pop("cnn"))
    assert "lacks some of its measures" in broken(lambda found: found["use"]["cnn"]["per_class"]["grey"].pop("slope"))
    assert "is damaged" not in broken(lambda _: None)


def test_where_validation_shows_one_class_only_there_is_a_note(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_pictures(tmp_path / "pictures", per_class=6)
    splits = {"dark": ["train", "train", "val", "val", "test", "test"], "light": [*["train"] * 4, "test", "test"]}
    rows = [f"{c}/{i:02d}.png,{c},{split}" for c, of in splits.items() for i, split in enumerate(of)]
    (tmp_path / "labels.csv").write_text("\n".join(["image,label,split", *rows]) + "\n")
    named = ["--data", str(tmp_path / "pictures"), "--labels", str(tmp_path / "labels.csv")]
    small = ["--image-size", "32", "--cnn", "test_resnet", "--vit", "test_vit", "--init-from", "random"]
    where = ["--runs", str(tmp_path / "runs")]
    columns = ["--split-column", "split", "--label-column", "label"]
    assert run(["finetune", *named, *small, *where, *columns]) == 0
    value = evaluated(tmp_path / "runs", capsys, "--operating-point", "sensitivity=0.95")
    (point,) = value["operating_points"][value["recommended"]]
    assert point["classes"]["light"]["threshold"] is None
    assert run(["evaluate", *where, "--operating-point", "sensitivity=0.95"]) == 0
    assert "Validation images show 'light' in none or in all" in " ".join(capsys.readouterr().out.split())


BAD_INPUT = [
    (["--operating-point", "0.95"], "--operating-point 0.95 is none"),
    (["--operating-point", "recall=0.95"], "sensitivity=0.95"),
    (["--prevalence", "0.02"], "none is asked for"),
    (["--operating-point", "youden", "--prevalence", "2"], "no share"),
    (["--operating-point", "youden", "--prevalence", "0.02"], "3 are told of"),
    (["--operating-point", "youden", "--prevalence", "gray=0.02"], "Did you mean 'grey'"),
    (["--positive", "lihgt"], "Did you mean 'light'"),
]


@pytest.mark.parametrize(("arguments", "said"), BAD_INPUT, ids=lambda value: " ".join(value)[:48])
def test_bad_input_says_what_and_what_to_try(
    probed: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert run(["evaluate", "--runs", str(probed), *arguments]) == 2
    captured = capsys.readouterr()
    assert said in captured.err.replace("\n", " ")
    assert "Traceback" not in captured.err


def test_the_function_gives_frames(probed: Path) -> None:
    asked: dict[str, Any] = {"operating_point": ["youden"], "prevalence": {"grey": 0.1}, "resamples": 20}
    found = cass_cli.evaluate("p", runs=probed, write=False, **asked)
    points = found.operating_points
    assert set(points["class"]) == {"dark", "grey", "light"}
    assert set(points[points.prevalence == 0.1].measure) == {"ppv", "npv"}
    assert set(found.use.measure) == {"brier", "slope", "intercept", "aurc", "risk"}
    assert any("Thresholds for youden" in note for note in found.notes)
    one = cass_cli.evaluate("p", runs=probed, write=False, operating_point=["youden"], positive="grey", prevalence=0.1)
    assert set(one.operating_points["class"]) == {"grey"}
