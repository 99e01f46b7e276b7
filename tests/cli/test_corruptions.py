"""`cass evaluate --corruptions`, as users run it: a probe, trained arms, an ensemble, several labels, another site."""

from __future__ import annotations

import copy
import csv
import io
import json
import shutil
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import balanced_accuracy_score, f1_score

import cass_cli
from cass_cli.cli.app import run
from cass_cli.config.load import read_saved
from cass_cli.data.corruptions import AMOUNTS, KINDS, STRENGTHS, corrupt
from cass_cli.data.labelled_images import find_labelled
from cass_cli.data.store.store import CPU, build_store
from cass_cli.engine.finetuning.answers import Answered, answer_split
from cass_cli.engine.finetuning.corrupted import (
    Corrupted,
    CorruptionsAsked,
    corrupted_store,
    drawn_rows,
    score_corrupted,
)
from cass_cli.errors import RunError
from cass_cli.runs.directory import Run
from cass_cli.runs.records import read_evaluation
from cass_cli.runs.trials import Trial, trial_at
from cass_cli.seeds import stream_seed
from tests.cli.test_people import ARMS

PASSES = len(KINDS) * len(STRENGTHS)


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of images of 40 patients, two each, which show `one` class or `many`; and the same images in grey."""
    base, rng = tmp_path_factory.mktemp("clinic"), np.random.default_rng(0)
    rows = []
    for name in ("colour", "shades"):
        (base / name).mkdir()
    for i in range(80):
        label = i // 2 % 2
        pixels = rng.integers(0, 120, (32, 32, 3)) + rng.integers(0, 60, 3) + 50 * label
        picture = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
        picture.save(base / "colour" / f"{i:03d}.png")
        picture.convert("L").save(base / "shades" / f"{i:03d}.png")
        rows.append([f"{i:03d}.png", "ab"[label], label, int(i % 3 == 0), f"p{i // 2}"])
    tables = {"one": (0, 1, 4), "many": (0, 2, 3, 4)}
    for name, columns in tables.items():
        with (base / f"{name}.csv").open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow([("image", "dx", "a", "b", "patient")[c] for c in columns])
            table.writerows([row[c] for c in columns] for row in rows)
        where = ("--data", str(base / "colour"), "--labels", str(base / f"{name}.csv"), "--runs", str(base / "runs"))
        assert run(["finetune", *where, "--name", name, *ARMS, "--init-from", "random", "--recipe", "probe"]) == 0
    return base


def evaluated(runs: Path, *more: str) -> dict[str, Any]:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        assert run(["evaluate", "--runs", str(runs), "--corruptions", "--resamples", "20", "--json", *more]) == 0
    assert "about" in err.getvalue() and "passes over" in err.getvalue(), "the forecast, before"
    value: dict[str, Any] = json.loads(out.getvalue())
    return value


def no_picture(_figure: object, path: Path, *, dpi: int) -> None:
    """Stand in for what draws one, which takes most of an evaluation's time."""
    assert dpi and path.suffix == ".png"


@pytest.fixture(scope="module")
def scored(clinic: Path) -> dict[str, Any]:
    """What the command says of all test images of `one`, as JSON."""
    return evaluated(clinic / "runs", "--run", "one")


def test_scores_by_kind_and_strength(scored: dict[str, Any]) -> None:
    found, pick = scored["corruptions"], scored["recommended"]
    assert found["candidates"].keys() == scored["scores"].keys() == {"cnn", "vit", "mean", "joint"}
    assert (found["images"], found["of"], found["groups"], found["baseline"]) == (16, 16, 8, "cnn")
    for name, of in found["candidates"].items():
        plain = scored["scores"][name]["metrics"]
        assert of["clean"] == {metric: plain[metric]["value"] for metric in ("macro_f1", "balanced_accuracy")}
        every = [score for by in of["corrupted"].values() for score in by["macro_f1"]]
        assert len(every) == PASSES and of["corrupted"].keys() == KINDS.keys()
        assert of["mean"] == pytest.approx(np.mean(every))
        assert of["drop"]["value"] == pytest.approx(of["clean"]["macro_f1"] - np.mean(every))
        assert of["drop"]["low"] <= of["drop"]["high"]
    assert set(found["candidates"]["cnn"]["bce"].values()) <= {1, None}
    with (Path(scored["trial"]) / "corruptions-test.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4 * 2 * (PASSES + 1)
    asked = {"candidate": pick, "kind": "blur", "strength": "5", "metric": "macro_f1"}
    (cell,) = [float(row["value"]) for row in rows if asked.items() <= row.items()]
    assert cell == found["candidates"][pick]["corrupted"]["blur"]["macro_f1"][4]


def test_the_report_tells_of_them_and_what_was_not_asked_for_is_gone(
    scored: dict[str, Any], clinic: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = Path(shutil.copytree(clinic / "runs", tmp_path / "runs", symlinks=True))
    trial = runs / Path(scored["trial"]).relative_to(clinic / "runs")
    assert run(["report", str(runs / "one")]) == 0
    page = (runs / "one" / "report.html").read_text()
    assert "on corrupted images, test split, by strength" in page
    assert "Scores on corrupted images, by kind and strength" in page
    assert "cass evaluate --corruptions" not in page
    assert run(["card", "one", "--runs", str(runs), "--out", str(tmp_path / "card")]) == 0
    checklist = (tmp_path / "card" / "checklist-claim.md").read_text()
    assert "on 16 test images that were corrupted (Gaussian noise, Gaussian blur, " in checklist
    assert (trial / "corruptions-example-test.png").is_file()
    assert len(list(trial.rglob("corruptions*"))) == 3
    monkeypatch.setattr("cass_cli.reports.curves.write_picture", no_picture)
    cass_cli.evaluate(trial, resamples=0)
    assert not list(trial.rglob("corruptions*"))
    for picture in trial.rglob("*.png"):
        picture.unlink()
    assert run(["report", str(runs / "one")]) == 0
    assert "cass evaluate --corruptions" in (runs / "one" / "report.html").read_text()


def table_of(run_path: Path) -> Any:
    """The run's table of images, as an evaluation reads it."""
    named = Run(run_path)
    return find_labelled(read_saved(named.config).config, named.splits)


@pytest.mark.parametrize(("kind", "strength"), [("noise", 5), ("jpeg", 5)])
def test_they_are_what_predict_answers_to_such_pixels(kind: str, strength: int, scored: dict[str, Any]) -> None:
    """The features that a probe keeps in its run are those of clean images: they must not be taken for these."""
    found, data = scored["corruptions"], table_of(Path(scored["trial"]).parents[3])
    assert list((Path(scored["trial"]).parents[3] / "features").rglob("*.npz")), "of clean images"
    rows = data.rows["test"]
    images = build_store(data.table.select(rows), size=32, mode="ram").images.numpy()
    pixels = [
        corrupt(image, kind, strength, seed=stream_seed(0, "corruptions", int(row), strength)).transpose(1, 2, 0)
        for row, image in zip(rows, images, strict=True)
    ]
    for name in ("cnn", "vit", "mean", "joint"):
        answers = cass_cli.predict(scored["trial"], list(pixels), answer_by=name)
        chosen = ["ab".index(c) for c in answers["chosen"]]
        told = found["candidates"][name]["corrupted"][kind]
        labels = data.labels[rows]
        assert told["macro_f1"][strength - 1] == pytest.approx(f1_score(labels, chosen, average="macro"))
        assert told["balanced_accuracy"][strength - 1] == pytest.approx(balanced_accuracy_score(labels, chosen))
    clean = [of["clean"]["macro_f1"] for of in found["candidates"].values()]
    worse = [of["corrupted"][kind]["macro_f1"][strength - 1] for of in found["candidates"].values()]
    assert clean != worse, "or nothing was shown"


@pytest.fixture
def trial(scored: dict[str, Any]) -> Trial:
    return trial_at(Run(Path(scored["trial"]).parents[3]), "random-probe/1/seed0")


def test_an_image_is_corrupted_alike_in_every_batch_and_sample(scored: dict[str, Any], trial: Trial) -> None:
    data = table_of(trial.variant.run.path)
    store = build_store(data.table, size=32, mode="ram")
    row_of = {row: row for row in range(len(data.table))}
    whole = corrupted_store(store, row_of, "noise", 2).batch(np.arange(12), CPU)
    few = corrupted_store(replace(store, where="off"), {7: 7, 3: 3}, "noise", 2).batch(np.array([7, 3]), CPU)
    assert (few == whole[[7, 3]]).all()
    noise = whole.int() - store.images[:12].int()
    assert (noise[0] != noise[1]).float().mean() > 0.9, "noise of its own in each image"
    other = corrupted_store(store, row_of, "noise", 3).batch(np.arange(12), CPU).int() - store.images[:12].int()
    same = (noise[7] / AMOUNTS["noise"][1] - other[7] / AMOUNTS["noise"][2]).abs() < 10
    assert same.float().mean() < 0.2, "and at each strength"


@pytest.fixture
def answered(trial: Trial) -> Answered:
    return answer_split(read_saved(trial.variant.config), trial, "test", on_progress=lambda _what, _done, _total: None)


def corrupted(answered: Answered, most: int | None) -> Corrupted:
    told: list[tuple[str, int, int]] = []
    found = score_corrupted(
        answered, CorruptionsAsked(most), resamples=0, on_progress=lambda *done: told.append(done), on_forecast=None
    )
    assert told[-1] == ("Predicting corrupted images", PASSES * found.images, PASSES * found.images)
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)
    return found


def test_a_sample_has_whole_patients_and_the_clean_answers_of_its_images(answered: Answered) -> None:
    found, at = corrupted(answered, 9), drawn_rows(answered, 9)
    assert (found.images, found.of, found.groups) == (8, 16, 4)
    rows = answered.rows[at]
    people = answered.data.groups(answered.rows)
    assert people and len(at) == 8 == sum(group in {people[i] for i in at} for group in people)
    labels = answered.data.labels[rows]
    assert set(labels) == {0, 1}
    for name, of in found.candidates.items():
        chosen = answered.probabilities[name][at].argmax(axis=1)
        assert of.clean["macro_f1"] == pytest.approx(f1_score(labels, chosen, average="macro"))


def test_scores_are_the_same_again_and_in_other_batches(
    answered: Answered, scored: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cass_cli.engine.inference.BATCH", 5)
    again = corrupted(answered, None).as_dict()["candidates"]
    for name, of in scored["corruptions"]["candidates"].items():
        assert again[name] == of | {"drop": of["drop"] | {"low": None, "high": None}}


def test_in_python_it_is_the_same(trial: Trial, scored: dict[str, Any]) -> None:
    found = cass_cli.evaluate(trial.path, corruptions=True, corruption_images="all", resamples=20, write=False)
    told, pick = scored["corruptions"]["candidates"], found.recommended
    assert found.corruptions is not None and found.robustness is not None
    rows = {(row["candidate"], row["kind"], row["strength"], row["metric"]): row["value"] for row in
            found.corruptions.to_dict("records")}  # fmt: skip
    assert rows[pick, "jpeg", 4, "macro_f1"] == told[pick]["corrupted"]["jpeg"]["macro_f1"][3]
    assert rows[pick, "clean", 0, "balanced_accuracy"] == told[pick]["clean"]["balanced_accuracy"]
    frame = found.robustness[found.robustness["candidate"] == pick].set_index(["measure", "kind"])
    assert frame.loc[("drop", ""), ["value", "low", "high"]].tolist() == [*told[pick]["drop"].values()]
    assert frame.loc[("bce", ""), "value"] == pytest.approx(told[pick]["mean_bce"], nan_ok=True)
    assert any("bCE and rCE" in note for note in found.notes)


def test_several_labels_an_image_and_what_is_shown(
    clinic: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cass_cli.reports.curves.write_picture", no_picture)
    capsys.readouterr()
    words = ["evaluate", "--runs", str(clinic / "runs"), "--run", "many", "--corruptions", "--resamples", "10"]
    assert run(words) == 0
    told = capsys.readouterr()
    assert "Corrupted images: 30 passes over 16 images, about" in told.err
    said = " ".join(told.out.split())
    assert "mean over labels of (sensitivity + specificity) / 2" in said
    assert "bCE and rCE divide balanced errors by those of cnn, this run's own" in said
    assert "Corrupted in 6 ways at 5 strengths: all 16 images, 8 whole groups. It took" in said
    assert all(title in said for title in KINDS.values())


def test_grey_images_of_another_site_have_no_colour(clinic: Path) -> None:
    found = cass_cli.evaluate(
        "one",
        runs=clinic / "runs",
        external=clinic / "shades",
        labels=clinic / "one.csv",
        allow_overlap=True,
        corruptions=True,
        resamples=0,
        write=False,
    )
    assert found.corruptions is not None
    assert {*found.corruptions["kind"]} == KINDS.keys() - {"colour"} | {"clean"}
    assert any("All of these images are grey" in note for note in found.notes)


def test_trained_arms_and_their_average(tuned: Path, tmp_path: Path) -> None:
    runs = Path(shutil.copytree(tuned, tmp_path / "runs", symlinks=True))
    averaged = cass_cli.ensemble([], "p", runs=runs)
    for variant, baseline in (("pretrained-paper", "cnn"), (averaged.path.name, "pretrained-paper")):
        found = cass_cli.evaluate("p", runs=runs, variant=variant, corruptions=True, resamples=0, write=False)
        assert found.corruptions is not None
        for name, of in found.corruptions.groupby("candidate"):
            assert of["value"].nunique() > 2, name
        assert any(f"by those of {baseline}" in note for note in found.notes)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--corruption-images", "5"), "Add --corruptions."),
        (("--corruptions", "--corruption-images", "0"), "--corruption-images 0 is no number of images"),
        (("--corruptions", "--corruption-images", "most"), "Example: 500, or all."),
        (("--corruptions", "--corruption-images", "-3"), "is no number of images"),
    ],
)
def test_bad_input_is_told(words: tuple[str, ...], said: str, clinic: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["evaluate", "--runs", str(clinic / "runs"), "--run", "one", *words]) == 2
    assert said in " ".join("".join(capsys.readouterr()).split())


@pytest.mark.parametrize(
    "damage",
    [
        lambda of: of.update(baseline="nobody"),
        lambda of: of.update(metric="fame"),
        lambda of: of["candidates"].pop("vit"),
        lambda of: of["candidates"]["vit"]["corrupted"].pop("blur"),
        lambda of: of["candidates"]["vit"]["corrupted"]["blur"]["macro_f1"].pop(),
        lambda of: of["candidates"]["vit"]["clean"].pop("macro_f1"),
        lambda of: of["candidates"]["vit"]["drop"].update(low=None),
    ],
)
def test_a_damaged_record_is_named(damage: Callable[[Any], Any], scored: dict[str, Any], tmp_path: Path) -> None:
    value = copy.deepcopy(scored)
    path = tmp_path / "evaluation-test.json"
    path.write_text(json.dumps(value))
    read_evaluation(path)
    damage(value["corruptions"])
    path.write_text(json.dumps(value))
    with pytest.raises(RunError, match="is damaged: corruptions"):
        read_evaluation(path)
