"""`cass evaluate --patient-rule` and `--subgroup`, as users run them."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import f1_score

import cass_cli
from cass_cli.cli.app import run

ARMS = ("--cnn", "test_resnet", "--vit", "test_vit", "--image-size", "32", "--device", "cpu", "--precision", "fp32")


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of two data sets: 120 images of 60 patients, of one class each (`one`), or of several (`many`)."""
    base, rng = tmp_path_factory.mktemp("clinic"), np.random.default_rng(0)
    rows = []
    for i in range(120):
        patient, label = i // 2, i // 2 % 2
        pixels = rng.integers(0, 120, (32, 32, 3)) + rng.integers(0, 60) + 50 * label
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(base / f"{i:03d}.png")
        about = {"patient": f"p{patient}", "sex": "fm"[patient % 3 % 2], "age": 20 + patient}
        rows.append({"image": f"{i:03d}.png", "dx": "ab"[label], "a": label, "b": int(i % 3 == 0), **about})
    tables = {"one": ["image", "dx", "patient", "sex", "age"], "many": ["image", "a", "b", "patient"]}
    for name, columns in tables.items():
        with (base / f"{name}.csv").open("w", newline="") as file:
            table = csv.DictWriter(file, columns, extrasaction="ignore")
            table.writeheader()
            table.writerows(rows)
        where = ("--data", str(base), "--labels", f"{name}.csv", "--name", name, "--runs", str(base / "runs"))
        assert run(["finetune", *where, *ARMS, "--init-from", "random", "--recipe", "probe"]) == 0
    return base


def evaluated(clinic: Path, name: str, capsys: pytest.CaptureFixture[str], *more: str) -> dict[str, Any]:
    capsys.readouterr()
    words = ["evaluate", "--runs", str(clinic / "runs"), "--run", name, "--resamples", "40", "--json", *more]
    assert run(words) == 0, capsys.readouterr().err
    value: dict[str, Any] = json.loads(capsys.readouterr().out)
    return value


def predicted(value: dict[str, Any]) -> list[dict[str, str]]:
    with (Path(value["trial"]) / "predictions-test.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def patients(clinic: Path) -> dict[str, dict[str, str]]:
    with (clinic / "one.csv").open(newline="") as file:
        return {row["image"]: row for row in csv.DictReader(file)}


def test_patients_are_scored_as_the_mean_of_their_images(clinic: Path, capsys: pytest.CaptureFixture[str]) -> None:
    value, people = evaluated(clinic, "one", capsys, "--patient-rule", "mean"), patients(clinic)
    pick, given, truth = value["recommended"], defaultdict(list), {}
    for row in predicted(value):
        patient = people[row["image"]]["patient"]
        given[patient].append([float(row[f"{pick}:{c}"]) for c in "ab"])
        truth[patient] = "ab".index(row["label"])
    chosen = [int(np.mean(given[patient], axis=0).argmax()) for patient in truth]
    found = value["patients"]["scores"][pick]
    assert found["images"] == len(truth) == 12
    assert found["metrics"]["macro_f1"]["value"] == pytest.approx(f1_score([*truth.values()], chosen, average="macro"))
    assert run(["evaluate", "--runs", str(clinic / "runs"), "--run", "one", "--patient-rule", "max"]) == 0
    assert f"one answer a patient ({pick})" in capsys.readouterr().out


@pytest.mark.parametrize("rule", ["max", "noisy-or"])
def test_several_classes_a_patient_have_thresholds_of_their_own(
    rule: str, clinic: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    value = evaluated(clinic, "many", capsys, "--patient-rule", rule)
    pick, people, given, truth = value["recommended"], patients(clinic), defaultdict(list), defaultdict(list)
    for row in predicted(value):
        patient = people[row["image"]]["patient"]
        given[patient].append([float(row[f"{pick}:{c}"]) for c in "ab"])
        truth[patient].append([int(row[f"true:{c}"]) for c in "ab"])
    found = value["patients"]["scores"][pick]
    merged = [np.max(p, axis=0) if rule == "max" else 1 - np.prod(1 - np.array(p), axis=0) for p in given.values()]
    chosen = np.array(merged) >= found["thresholds"]
    shown = np.array([np.max(t, axis=0) for t in truth.values()])
    f1 = f1_score(shown, chosen, average="macro", zero_division=np.nan)
    assert found["metrics"]["macro_f1"]["value"] == pytest.approx(f1)
    assert found["thresholds"] != value["scores"][pick]["thresholds"]
    assert "Thresholds for patients were chosen on validation patients." in value["patients"]["notes"]


def test_each_group_is_scored_by_itself(clinic: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    value, people = evaluated(clinic, "one", capsys, "--subgroup", "sex", "--subgroup", "age"), patients(clinic)
    pick, rows = value["recommended"], predicted(value)
    for name, group in value["subgroups"]["sex"][pick]["groups"].items():
        own = [row for row in rows if people[row["image"]]["sex"] == name]
        assert group["images"] == len(own)
        assert group["units"] == len({people[row["image"]]["patient"] for row in own})
        f1 = f1_score([row["label"] for row in own], [row["chosen"] for row in own], average="macro")
        assert group["metrics"]["macro_f1"]["value"] == pytest.approx(f1)
    assert set(value["subgroups"]["age"][pick]["groups"]) <= {"18 to < 40", "40 to < 65", "≥ 65"}
    capsys.readouterr()
    assert run(["evaluate", "--runs", str(clinic / "runs"), "--run", "one", "--subgroup", "sex"]) == 0
    said = capsys.readouterr().out
    assert f"sex ({pick})" in said
    assert "too few to say" in said
    assert run(["report", str(clinic / "runs" / "one")]) == 0
    page = (clinic / "runs" / "one" / "report.html").read_text()
    assert "of each group of sex" in page
    assert "Fewer than two groups have 30 images or more" in page
    assert run(["card", "one", "--runs", str(clinic / "runs"), "--out", str(tmp_path / "card")]) == 0
    card = (tmp_path / "card" / "model-card.md").read_text()
    assert "macro F1 by sex: f " in card
    assert "No external test was made" in card


def test_a_table_of_metadata_tells_more(clinic: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = clinic / "scanners.csv"
    table.write_text("person,scanner\n" + "".join(f"p{i},{'AB'[i // 10 % 2]}\n" for i in range(60)))
    value = evaluated(clinic, "many", capsys, "--subgroup", "scanner", "--metadata", str(table))
    groups = value["subgroups"]["scanner"]["mean"]["groups"]
    assert {*groups} == {"A", "B"}
    assert sum(group["images"] for group in groups.values()) == len(predicted(value))


def test_a_column_that_names_images_is_told_at_once(clinic: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = clinic / "numbers.csv"
    table.write_text("image,number\n" + "".join(f"{i:03d}.png,n{i}\n" for i in range(120)))
    words = ("--subgroup", "number", "--metadata", str(table), "--split", "train")
    assert run(["evaluate", "--runs", str(clinic / "runs"), "--run", "one", *words]) == 2
    assert "at most 50 groups are compared" in " ".join(capsys.readouterr().err.split())


def test_in_python_it_is_the_same(clinic: Path, capsys: pytest.CaptureFixture[str]) -> None:
    value = evaluated(clinic, "one", capsys, "--patient-rule", "mean", "--subgroup", "sex")
    asked: dict[str, Any] = {"patient_rule": "mean", "subgroup": ["sex"], "resamples": 40, "write": False}
    found = cass_cli.evaluate("one", runs=clinic / "runs", **asked)
    assert found.patients is not None
    for row in found.patients.to_dict("records"):
        assert row["value"] == pytest.approx(
            value["patients"]["scores"][row["candidate"]]["metrics"][row["metric"]]["value"], nan_ok=True
        )
    assert {*found.subgroups["group"]} == {"f", "m"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--patient-rule", "meen"), "Did you mean 'mean'"),
        (("--subgroup", "sec"), "Did you mean 'sex'"),
        (("--metadata", "x.csv"), "Add --subgroup"),
        (("--metadata", "nowhere.csv", "--subgroup", "sex"), "nowhere.csv"),
    ],
)
def test_bad_input_is_told(words: tuple[str, ...], said: str, clinic: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["evaluate", "--runs", str(clinic / "runs"), "--run", "one", *words]) == 2
    assert said in " ".join("".join(capsys.readouterr()).split())


def test_without_patients_there_is_no_answer_for_them(tuned: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["evaluate", "--runs", str(tuned), "--patient-rule", "mean"]) == 2
    assert "--group-column or --group-pattern" in " ".join(capsys.readouterr().err.split())


def predicted_patients(out: Path) -> dict[str, dict[str, str]]:
    with out.with_name(f"{out.stem}-patients.csv").open(newline="") as file:
        return {row["patient"]: row for row in csv.DictReader(file)}


def named(clinic: Path, name: str, value: dict[str, Any], place: Path) -> tuple[list[str], Path]:
    """Return the images that were scored, and a table that names the patient of each."""
    rows, people = predicted(value), patients(clinic)
    table = place / "patients.csv"
    table.write_text("file,patient\n" + "".join(f"{r['image']},{people[r['image']]['patient']}\n" for r in rows))
    return [str(clinic / row["image"]) for row in rows], table


@pytest.mark.parametrize(("name", "rule"), [("one", "mean"), ("one", "max"), ("many", "noisy-or")])
def test_patients_of_new_images_have_the_answers_that_were_scored(
    name: str, rule: str, clinic: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    value, out = evaluated(clinic, name, capsys, "--patient-rule", rule), tmp_path / "new.csv"
    images, table = named(clinic, name, value, tmp_path)
    words = ["predict", *images, "--runs", str(clinic / "runs"), "--run", name, "--out", str(out)]
    assert run([*words, "--groups", str(table), "--patient-rule", rule]) == 0
    said, found, people = capsys.readouterr().out, predicted_patients(out), patients(clinic)
    assert "12 patients" in said and str(tmp_path / "new-patients.csv") in said.replace("\n", "")
    if name == "one":
        dx = {row["patient"]: row["dx"] for row in people.values()}
        f1 = f1_score([dx[p] for p in found], [row["chosen"] for row in found.values()], average="macro")
    else:
        with (clinic / "many.csv").open(newline="") as file:
            shown = defaultdict(set)
            for row in csv.DictReader(file):
                shown[row["patient"]] |= {c for c in "ab" if row[c] == "1"}
        truth = [[c in shown[p] for c in "ab"] for p in found]
        chosen = [[c in row["chosen"].split(";") for c in "ab"] for row in found.values()]
        f1 = f1_score(truth, chosen, average="macro", zero_division=np.nan)
    scored = value["patients"]["scores"][value["recommended"]]
    assert scored["metrics"]["macro_f1"]["value"] == pytest.approx(f1)
    assert [row["images"] for row in found.values()] == ["2"] * 12
    with out.open(newline="") as file:
        assert {row["patient"] for row in csv.DictReader(file)} == {*found}


def test_images_without_a_patient_are_left_to_themselves(
    clinic: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "who.csv").write_text("image,who,day\n000.png,x,1\n001,x,2\nbad.png,y,1\n")
    (tmp_path / "bad.png").write_bytes(b"no image")
    images = [str(clinic / "000.png"), str(clinic / "001.png"), str(clinic / "002.png"), str(tmp_path / "bad.png")]
    words = ["predict", *images, "--runs", str(clinic / "runs"), "--run", "one", "--out", str(tmp_path / "p.csv")]
    words += ["--groups", str(tmp_path / "who.csv")]
    assert run(words) == 2
    assert "--group-column" in capsys.readouterr().err
    assert run([*words, "--group-column", "who", "--json"]) == 0
    value = json.loads(capsys.readouterr().out)["patients"]
    found = predicted_patients(tmp_path / "p.csv")
    assert {name: row["images"] for name, row in found.items()} == {"x": "2", "y": "0", images[2]: "1"}
    assert found["y"]["chosen"] == ""
    assert (value["patients"], value["rule"]) == (2, "mean")
    assert "Of 1 of 4 images no patient is known" in value["notes"][0]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--patient-rule", "max"), "Add --groups"),
        (("--group-column", "who"), "Add --groups"),
        (("--groups", "{table}", "--patient-rule", "median"), "mean, max, noisy-or"),
        (("--groups", "{table}", "--out", "-"), "Name a file with --out"),
        (("--groups", "{table}", "--out", "/dev/stdout"), "Name a file with --out"),
        (("--groups", "{table}", "--out", "/dev/null"), "Name a file with --out"),
        (("--groups", "{table}", "--group-column", "whom"), "no column 'whom'"),
        (("--groups", "{table}.no"), "who.csv.no"),
    ],
)
def test_what_cannot_be_asked_of_patients_is_told_before_anything_is_read(
    more: tuple[str, ...], said: str, clinic: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "who.csv").write_text("image,who\n000.png,x\n")
    words = ["predict", str(clinic / "000.png"), "--runs", str(clinic / "runs"), "--run", "one"]
    words += [word.format(table=tmp_path / "who.csv") for word in more]
    assert run([*words, *([] if "--out" in more else ["--out", str(tmp_path / "out.csv")])]) == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert not [*tmp_path.glob("out*")]


def test_patients_in_python(clinic: Path) -> None:
    images = [clinic / "000.png", clinic / "002.png", clinic / "001.png"]
    frame = cass_cli.predict(clinic / "runs" / "one", images, groups=["x", "y", "x"], patient_rule="max")
    assert frame[["patient", "images"]].values.tolist() == [["x", 2], ["y", 1]]
    alone = cass_cli.predict(clinic / "runs" / "one", images)
    most = alone.filter(like="p:").iloc[[0, 2]].max()
    assert frame.loc[0, ["p:a", "p:b"]].tolist() == pytest.approx((most / most.sum()).tolist())


def test_patients_of_whom_none_has_a_label_are_told_before_anything_is_answered(
    clinic: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rng, rows = np.random.default_rng(7), ["image,dx,patient"]
    for i in range(6):  # each patient has an image of either class
        Image.fromarray(rng.integers(0, 255, (32, 32, 3), dtype=np.uint8)).save(tmp_path / f"new{i}.png")
        rows.append(f"new{i}.png,{'ab'[i % 2]},q{i // 2}")
    (tmp_path / "site.csv").write_text("\n".join(rows) + "\n")
    monkeypatch.setattr("cass_cli.engine.finetuning.external.answer", lambda *_, **__: pytest.fail("it answered"))
    words = ["evaluate", "--runs", str(clinic / "runs"), "--run", "one", "--external", str(tmp_path / "site.csv")]
    assert run([*words, "--group-column", "patient", "--patient-rule", "mean"]) == 2
    assert "No patient has a label" in capsys.readouterr().err
