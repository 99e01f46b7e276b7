"""What shape images are brought to is the run's, and all that reads images for it does the same."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cass_cli.cli.app import run
from cass_cli.config.load import read_saved
from cass_cli.data.decode.square import squared
from cass_cli.engine.looking.look import Look, look_at
from cass_cli.engine.looking.sample import SampleRequest
from cass_cli.runs.directory import Run
from cass_cli.runs.names import find
from tests.cli.conftest import TINY

PROBE = ["finetune", "--recipe", "probe", "--device", "cpu"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Wide pictures in two classes that differ in brightness at their ends."""
    root, rng = tmp_path_factory.mktemp("wide"), np.random.default_rng(0)
    for label, name in enumerate(("dark", "light")):
        (root / name).mkdir()
        for i in range(20):
            pixels = rng.integers(0, 128, (40, 80, 3))
            pixels[:, :20] += 60 * label
            Image.fromarray(pixels.astype(np.uint8)).save(root / name / f"{i:02d}.png")
    return root


@pytest.fixture(scope="module")
def runs(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`p`, pretrained on padded images and probed, and again on cropped ones."""
    runs = tmp_path_factory.mktemp("fit") / "runs"
    assert run(["pretrain", *TINY, "--data", str(data), "--fit", "pad", "--runs", str(runs), "--name", "p"]) == 0
    assert run([*PROBE, "--runs", str(runs)]) == 0
    assert run([*PROBE, "--runs", str(runs), "--fit", "crop", "--variant", "cropped"]) == 0
    return runs


def looked(runs: Path, name: str, compare: str = "start") -> Look:
    found = find(runs, name)
    of = found.trial() if found.variant else found.run
    return look_at(of, SampleRequest(samples=2), runs=runs, compare=compare)


def test_it_is_kept_in_settings_and_beside_the_arms(runs: Path) -> None:
    tuned = runs / "p" / "finetune"
    for place, fit in ((runs / "p", "pad"), (tuned / "pretrained-probe", "pad"), (tuned / "cropped", "crop")):
        arms = place / "arms" if place.name == "p" else place / "1" / "seed0" / "arms"
        assert read_saved(place / "config.yaml").config.data.fit == fit
        assert {json.loads((arms / f"{arm}.json").read_text())["fit"] for arm in ("cnn", "vit")} == {fit}
    assert len(list((runs / "p" / "features").glob("vit-*"))) == 2, "features of other pictures are others"


@pytest.mark.parametrize(("variant", "fit"), [("pretrained-probe", "pad"), ("cropped", "crop")])
def test_new_images_are_read_as_those_of_the_run(
    runs: Path, data: Path, tmp_path: Path, variant: str, fit: str
) -> None:
    """What is square already, made so by hand, gets the same answers, and `evaluate` the same as `predict`."""
    for path in sorted((data / "light").iterdir()):
        with Image.open(path) as picture:
            squared(picture.convert("RGB"), 32, fit).save(tmp_path / path.name)  # type: ignore[arg-type]
    answers = []
    for folder in (data / "light", tmp_path):
        out = tmp_path / "answers.csv"
        asked = ["--run", str(runs / "p" / "finetune" / variant), "--out", str(out), "--overwrite"]
        assert run(["predict", str(folder), *asked]) == 0
        with out.open() as file:
            answers.append({Path(row["image"]).name: float(row["p:light"]) for row in csv.DictReader(file)})
    assert answers[0] == answers[1]
    assert run(["evaluate", "--run", str(runs / "p" / "finetune" / variant), "--resamples", "0"]) == 0
    trial = runs / "p" / "finetune" / variant / "1" / "seed0"
    with (trial / "predictions-test.csv").open() as file:
        scored = {row["image"]: row for row in csv.DictReader(file) if row["image"].startswith("light/")}
    picked = json.loads((trial / "summary.json").read_text())["judgement"]["pick"]
    assert scored
    for image, row in scored.items():
        assert float(row[f"{picked}:light"]) == pytest.approx(answers[0][Path(image).name], abs=2e-3)


def test_maps_lie_over_the_picture_that_the_arms_saw(runs: Path) -> None:
    """Also beside arms that were trained on another shape of it."""
    for name, fit in (("p", "pad"), ("p/finetune/cropped", "crop")):
        look = looked(runs, name)
        assert {shown.spec.fit for shown in look.models()} == {fit}
        with Image.open(look.sample.table.path(0)) as picture:
            expected = np.asarray(squared(picture.convert("RGB"), 32, fit))  # type: ignore[arg-type]
        for shown in look.models():
            assert np.array_equal(look.sample.pixels(shown.spec)[0].permute(1, 2, 0).numpy(), expected)


def test_a_run_that_goes_on_keeps_it(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["pretrain", "--resume", "--runs", str(runs), "--name", "p", "--fit", "squash"]) == 2
    assert "data.fit was pad, now squash" in " ".join(capsys.readouterr().err.split())


def test_settings_saved_without_it_squash(runs: Path, tmp_path: Path) -> None:
    old = (runs / "p" / "config.yaml").read_text()
    assert old.count("  fit: ") == 1
    (tmp_path / "config.yaml").write_text("".join(line for line in old.splitlines(True) if "  fit: " not in line))
    assert read_saved(Run(tmp_path).config).config.data.fit == "squash"


def test_a_wrong_name_says_what_there_is(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["pretrain", *TINY, "--data", str(data), "--fit", "stretch", "--runs", str(tmp_path)]) == 2
    assert "data.fit" in capsys.readouterr().err


def test_inspect_counts_the_images_that_are_not_square(
    data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert run(["inspect", str(data), "--no-duplicates"]) == 0
    told = "40 of 40 images are not square (aspect 2.00 at most): squashed to a square; --fit pad or crop change that"
    assert told in capsys.readouterr().out
    assert run(["inspect", str(data), "--no-duplicates", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["not_square"], found["longest"]) == (40, 2.0)
