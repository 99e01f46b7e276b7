"""`cass evaluate`, `cass predict` and `cass compare` as users run them."""

from __future__ import annotations

import csv
import html
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score, roc_auc_score

from cass_cli.cli.app import run
from cass_cli.reports.evaluation import HIGHEST, LOWEST, _classes_shown
from cass_cli.scores.metrics import score
from tests.cli.conftest import make_pictures

pytestmark = pytest.mark.drawn


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def evaluated(runs: Path, capsys: pytest.CaptureFixture[str], *more: str) -> dict[str, Any]:
    capsys.readouterr()
    assert run(["evaluate", "--runs", str(runs), "--resamples", "50", "--json", *more]) == 0
    value: dict[str, Any] = json.loads(capsys.readouterr().out)
    return value


def test_scores_are_those_that_scikit_learn_gives_for_the_exported_predictions(
    tuned: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    value = evaluated(tuned, capsys, "--label-fraction", "0.3")
    folder = Path(value["trial"])
    rows = read(folder / "predictions-test.csv")
    assert len(rows) == 8
    labels = np.array([row["label"] == "light" for row in rows], dtype=int)
    for name in ("cnn", "vit", "mean"):
        p = np.array([[float(row[f"{name}:{c}"]) for c in ("dark", "light")] for row in rows])
        chosen, found = p.argmax(axis=1), value["scores"][name]["metrics"]
        np.testing.assert_allclose(p.sum(axis=1), 1)
        f1 = f1_score(labels, chosen, average="macro", zero_division=np.nan)
        assert found["macro_f1"]["value"] == pytest.approx(f1)
        assert found["balanced_accuracy"]["value"] == pytest.approx(balanced_accuracy_score(labels, chosen))
        assert found["auroc"]["value"] == pytest.approx(roc_auc_score(labels, p[:, 1]))
        assert found["macro_f1"]["low"] <= found["macro_f1"]["value"] <= found["macro_f1"]["high"]
    pick = value["recommended"]
    assert [row["chosen"] for row in rows] == [
        "light" if float(row[f"{pick}:light"]) > float(row[f"{pick}:dark"]) else "dark" for row in rows
    ]
    # The trial's own summary, written when it ended, says the same.
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["test"]["vit"]["macro_f1"] == pytest.approx(value["scores"]["vit"]["metrics"]["macro_f1"]["value"])
    assert value["over_seeds"]["vit"]["n"] == 2


def test_latest_and_largest_by_default_and_figures_are_written(tuned: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["evaluate", "--runs", str(tuned), "--resamples", "20"]) == 0
    said = capsys.readouterr().out
    assert said.index("macro F1") < said.index("balanced accuracy")
    assert "Recommended:" in said
    folder = tuned / "p" / "finetune" / "pretrained-paper" / "1" / "seed0"
    figures = {path.name for path in (folder / "figures").iterdir()}
    assert figures >= {"confusion-test.png", "roc-test.png", "reliability-test.png", "training.png"}
    assert all((folder / "figures" / name).read_bytes().startswith(b"\x89PNG") for name in figures)


def test_scores_are_shown_before_figures_are_drawn(
    tuned: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> Path:
        raise RuntimeError("no figure")

    monkeypatch.setattr("cass_cli.reports.evaluation.plot_confusion", fail)
    assert run(["evaluate", "--runs", str(tuned), "--resamples", "0"]) == 1
    said = capsys.readouterr()
    assert "Recommended:" in said.out
    assert "Written:" not in said.out
    assert "no figure" in said.err


def test_of_many_classes_the_highest_and_lowest_are_shown() -> None:
    rng = np.random.default_rng(0)
    labels, p = np.arange(400) % 99, rng.dirichlet(np.ones(100), size=400)
    p[np.arange(400), labels] += rng.random(400) / 5
    p[:, 99] = 0  # of this class F1 is undefined
    scores = score(labels, p / p.sum(axis=1, keepdims=True), [f"class {c}" for c in range(100)], resamples=0)
    f1 = [estimate.value for estimate in scores.per_class["f1"]]
    best, worst = _classes_shown(scores).values()
    assert (len(best), len(worst)) == (HIGHEST, LOWEST)
    defined = sorted(value for value in f1 if not np.isnan(value))
    assert [f1[c] for c in worst] == defined[:LOWEST]
    assert [f1[c] for c in reversed(best)] == defined[-HIGHEST:]
    few = score(labels[labels < 3], rng.dirichlet(np.ones(3), size=(labels < 3).sum()), "abc", resamples=0)
    assert _classes_shown(few) == {"": [0, 1, 2]}


@pytest.fixture(scope="module")
def lopsided(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs with a probe of two classes whose test split has one image, of a third: `p`."""
    base = tmp_path_factory.mktemp("lopsided")
    make_pictures(base / "pictures", per_class=4, classes=("dark", "grey", "light"))
    splits = [f"{c}/{i:02d}.png,{c},{'val' if i == 3 else 'train'}" for c in ("dark", "light") for i in range(4)]
    (base / "labels.csv").write_text("\n".join(["image,label,split", *splits, "grey/00.png,grey,test"]) + "\n")
    named = ["--data", str(base / "pictures"), "--labels", str(base / "labels.csv"), "--runs", str(base / "runs")]
    named += ["--label-column", "label", "--split-column", "split", "--name", "p", "--init-from", "random"]
    assert run(["finetune", *named, "--image-size", "32", "--cnn", "test_resnet", "--vit", "test_vit"]) == 0
    return base / "runs"


def test_one_test_image_is_scored_and_called_that(lopsided: Path, capsys: pytest.CaptureFixture[str]) -> None:
    value = evaluated(lopsided, capsys)
    found = value["scores"][value["recommended"]]
    assert found["images"] == 1
    assert found["metrics"]["accuracy"] == {"value": 0.0, "low": None, "high": None}
    assert any("The test split has one image" in note for note in value["notes"])
    assert run(["evaluate", "--runs", str(lopsided)]) == 0
    said = capsys.readouterr().out
    assert "1 test image, 3 classes" in said
    assert "train on" not in said


def test_classes_without_a_training_or_a_test_image_are_named_beside_the_score(
    lopsided: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    untaught, untested = "No training image shows 'grey'", "No test image shows 'dark', 'light'"
    value = evaluated(lopsided, capsys)
    assert value["unseen"] == ["grey"]
    assert value["scores"]["cnn"]["per_class"]["recall"]["grey"]["value"] == 0
    assert run(["evaluate", "--runs", str(lopsided), "--resamples", "0"]) == 0
    assert untaught in capsys.readouterr().out
    copied = tmp_path / "runs"
    shutil.copytree(lopsided, copied, symlinks=True)
    assert run(["finetune", "--runs", str(copied), "--init-from", "random", "--overwrite"]) == 0
    said = capsys.readouterr().out
    assert untaught in said
    assert untested in said
    assert run(["finetune", "--runs", str(copied), "--init-from", "random", "--overwrite", "--json"]) == 0
    (trial,) = json.loads(capsys.readouterr().out)["trials"]
    assert (trial["unseen"], trial["untested"]) == (["grey"], ["dark", "light"])
    assert run(["report", "--runs", str(copied)]) == 0
    page = html.unescape((copied / "p" / "report.html").read_text())
    assert page.count(untaught) == 1
    assert untested in page


def test_the_test_split_decides_nothing(tuned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With every test label turned round the scores change, the recommendation and thresholds do not."""
    first = evaluated(tuned, capsys)
    moved = tmp_path / "pictures"
    shutil.copytree(tuned.parent / "pictures", moved)
    with (tuned / "p" / "splits.csv").open() as file:
        test = [row["image"] for row in csv.DictReader(file) if row["split"] == "test"]
    for name in test:
        (moved / name).write_bytes(
            (moved / name.replace("dark", "x").replace("light", "dark").replace("x", "light")).read_bytes()
        )
    second = evaluated(tuned, capsys, "--data", str(moved))
    assert first["scores"] != second["scores"]
    assert first["judgement"] == second["judgement"]


def test_other_classes_are_refused(tuned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    moved = tmp_path / "pictures"
    shutil.copytree(tuned.parent / "pictures", moved)
    (moved / "third").mkdir()
    shutil.copy(moved / "dark" / "00.png", moved / "third" / "00.png")
    assert run(["evaluate", "--runs", str(tuned), "--data", str(moved)]) == 2
    assert "the arms learned dark, light" in capsys.readouterr().err


def test_predict_agrees_with_evaluate(tuned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    value = evaluated(tuned, capsys)
    pick = value["recommended"]
    known = {row["image"]: row for row in read(Path(value["trial"]) / "predictions-test.csv")}
    data, out = tuned.parent / "pictures", tmp_path / "answers.csv"
    assert run(["predict", str(data), "--runs", str(tuned), "--out", str(out), "--json"]) == 0
    counted = json.loads(capsys.readouterr().out)
    rows = read(out)
    assert counted["images"] == len(rows) == 40
    assert counted["low_confidence"] == sum(row["low_confidence"] == "yes" for row in rows)
    for row in rows:
        assert row["arms_agree"] == ("yes" if row["cnn"] == row["vit"] else "no")
        assert float(row["confidence"]) == max(float(row["p:dark"]), float(row["p:light"]))
        image = known.get(str(Path(row["image"]).relative_to(data)))
        if image:
            assert float(row["p:light"]) == pytest.approx(float(image[f"{pick}:light"]), abs=1e-5)
            assert row["chosen"] == image["chosen"]


def test_predict_reports_bad_files_and_goes_on(tuned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, out = make_pictures(tmp_path / "new", per_class=3), tmp_path / "answers.csv"
    (data / "dark" / "00.png").write_bytes(b"")
    (tmp_path / "names.csv").write_text("image\nnew/light/02.png\nnew/light/01.png\n")
    single = tmp_path / "notes.txt"
    single.write_text("no image")
    paths = [str(data / "dark"), str(tmp_path / "names.csv"), str(single), str(data / "light" / "00.png")]
    assert run(["predict", *paths, "--runs", str(tuned), "--out", str(out)]) == 0
    rows = read(out)
    assert [row["status"].partition(":")[0] for row in rows] == ["unreadable", *["ok"] * 4, "unreadable", "ok"]
    assert rows[0]["chosen"] == ""
    assert [Path(row["image"]).name for row in rows[3:5]] == ["01.png", "02.png"]
    assert "Skipped" in capsys.readouterr().out
    assert run(["predict", *paths, "--runs", str(tuned), "--out", str(out)]) == 2
    assert "exists already" in capsys.readouterr().err
    assert run(["predict", *paths, "--runs", str(tuned), "--out", "-", "--answer-by", "cnn"]) == 0
    assert capsys.readouterr().out.count("\n") == 8


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_predict_that_could_read_nothing_fails_and_says_why(
    tuned: Path, tmp_path: Path, more: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = make_pictures(tmp_path / "new", per_class=2), tmp_path / "answers.csv"
    for path in (data / "dark").iterdir():
        path.write_bytes(path.read_bytes()[:100])
    command = ["predict", "--runs", str(tuned), "--out", str(out), "--overwrite", *more]
    assert run([*command, str(data / "dark")]) == 2
    said = capsys.readouterr()
    assert "None of the 2 images can be read" in said.err
    assert "00.png is unreadable: " in said.err
    assert [row["status"].partition(":")[0] for row in read(out)] == ["unreadable"] * 2
    assert not more or json.loads(said.out)["unreadable"] == 2
    assert run([*command, str(data)]) == 0
    said = capsys.readouterr()
    assert more or "2 of 4 images answered" in said.out
    assert more or "; 2 cannot be read" in said.out


def test_compare_tabulates_and_tests(tuned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = {kind: tmp_path / f"table.{kind}" for kind in ("csv", "markdown", "latex")}
    options = [text for kind, path in files.items() for text in (f"--{kind}", str(path))]
    assert run(["compare", "p", "--runs", str(tuned), "--json", *options]) == 0
    value = json.loads(capsys.readouterr().out)
    cells = {(c["method"], c["candidate"], c["fraction"]): c for c in value["cells"]}
    assert {key[0] for key in cells} == {"CASS", "From scratch"}
    assert {key[2] for key in cells if key[0] == "CASS"} == {0.3, 1.0}
    own = cells["CASS", "vit", 1.0]["values"]
    other = cells["From scratch", "vit", 1.0]["values"]
    test = next(t for t in value["tests"] if (t["candidate"], t["fraction"]) == ("vit", 1.0))
    assert test["test"]["difference"] == pytest.approx(np.mean([own[seed] - other[seed] for seed in ("0", "1")]))
    for seed in (0, 1):
        path = tuned / "p" / "finetune" / "pretrained-paper" / "1" / f"seed{seed}" / "summary.json"
        summary = json.loads(path.read_text())
        assert own[str(seed)] == summary["test"]["vit"]["macro_f1"]
        assert (
            cells["CASS", "pick", 1.0]["values"][str(seed)] == summary["test"][summary["judgement"]["pick"]]["macro_f1"]
        )
    rows = read(files["csv"])
    assert len(rows) == sum(len(cell["values"]) for cell in value["cells"])
    assert "| CASS | cnn (test_resnet) |" in files["markdown"].read_text()
    latex = files["latex"].read_text()
    assert latex.startswith("\\begin{tabular}{llrr}")
    assert r"test\_resnet" in latex
    assert all(line.count(" & ") == 3 for line in latex.splitlines() if line.endswith(r"\\"))


def test_compare_draws(tuned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    drawn = [tmp_path / "labels.png", tmp_path / "seconds.pdf"]
    options = ["--figure", str(drawn[0]), "--figure-seconds", str(drawn[1])]
    assert run(["compare", "p", "--runs", str(tuned), *options]) == 0
    assert [path.read_bytes()[:4] for path in drawn] == [b"\x89PNG", b"%PDF"]


BAD_INPUT = [
    (["evaluate", "--runs", "{tmp}"], "There is no run"),
    (["evaluate", "--runs", "{runs}", "--variant", "imagenett"], "no fine-tuning 'imagenett'"),
    (["evaluate", "--runs", "{runs}", "--label-fraction", "0.5"], "It has: 0.3 with seed 0"),
    (["evaluate", "--runs", "{runs}", "--seed", "7"], "seed 7"),
    (["evaluate", "--runs", "{runs}", "--split", "tests"], "Did you mean 'test'"),
    (["evaluate", "--runs", "{runs}", "--data", "{tmp}"], "is empty"),
    (["predict", "{tmp}/no.png", "--runs", "{runs}"], "no.png"),
    (["predict", "{tmp}", "--runs", "{runs}"], "is empty"),
    (["predict", "{data}", "--runs", "{runs}", "--answer-by", "resnet"], "no 'resnet'"),
    (["predict", "{data}", "--runs", "{runs}", "--out", "{data}/dark/00.png/where.csv"], "where.csv"),
    (["predict", "--runs", "{runs}"], "images"),
    (["compare", "q", "--runs", "{runs}"], "no run 'q'"),
    (["compare", "--runs", "{runs}", "--metric", "f1"], "There is no metric 'f1'"),
    (["compare", "--runs", "{runs}", "--figure", "{tmp}/scores.jpg"], "ends in none of .png, .pdf, .svg"),
    (["compare", "--runs", "{runs}", "--figure-seconds", "/dev/stdout"], "ends in none of .png, .pdf, .svg"),
]


@pytest.mark.parametrize(("arguments", "said"), BAD_INPUT, ids=lambda value: " ".join(value)[:48])
def test_bad_input_says_what_where_and_what_to_try(
    tuned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    filled = [text.format(runs=tuned, data=tuned.parent / "pictures", tmp=empty) for text in arguments]
    assert run(filled) == 2
    captured = capsys.readouterr()
    assert said in captured.err.replace("\n", " ")
    assert "Traceback" not in captured.err
    assert list(empty.iterdir()) == []


def test_a_run_that_was_never_fine_tuned_says_how(
    pretrained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ignored = shutil.ignore_patterns("finetune")
    shutil.copytree(pretrained, tmp_path / "runs", symlinks=True, ignore=ignored)
    for command in (
        ["evaluate", "--runs"],
        ["predict", str(pretrained.parent / "pictures"), "--runs"],
        ["compare", "--runs"],
    ):
        assert run([*command, str(tmp_path / "runs")]) == 2
        assert "cass finetune" in capsys.readouterr().err


def test_a_summary_that_is_none_is_named(tuned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(tuned, tmp_path / "runs", symlinks=True)
    path = tmp_path / "runs" / "p" / "finetune" / "pretrained-paper" / "1" / "seed0" / "summary.json"
    path.write_text("{}")
    assert run(["evaluate", "--runs", str(tmp_path / "runs")]) == 2
    assert "summary.json is damaged: run is missing" in capsys.readouterr().err
