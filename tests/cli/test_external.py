"""`cass evaluate --external`: a fine-tuning on images of another site, as users run it."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import f1_score

import cass_cli
from cass_cli.cli.app import run
from cass_cli.errors import ConfigError

TRIAL = Path("p/finetune/pretrained-paper/1/seed0")


@pytest.fixture
def runs(tuned: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tuned, tmp_path / "runs", symlinks=True))


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Forty pictures of two classes and four of a third, named as another site would."""
    rng, root = np.random.default_rng(7), tmp_path / "Site B"
    for label, (name, number) in enumerate({"Dark": 20, "LIGHT ": 20, "grey": 4}.items()):
        (root / name.strip()).mkdir(parents=True)
        for i in range(number):
            pixels = rng.integers(0, 128, (40, 40, 3)) + rng.integers(0, 60) + 40 * label
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(root / name.strip() / f"{i:02d}.png")
    return root


def external(runs: Path, site: Path, capsys: pytest.CaptureFixture[str], *more: str) -> dict[str, Any]:
    capsys.readouterr()
    words = ["evaluate", "--runs", str(runs), "--external", str(site), "--resamples", "50", "--json", *more]
    assert run(words) == 0, capsys.readouterr().err
    value: dict[str, Any] = json.loads(capsys.readouterr().out)
    return value


def test_scores_stand_beside_those_at_home(runs: Path, site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    value = external(runs, site, capsys)
    found, pick = value["external"], value["recommended"]
    assert (found["name"], value["split"]) == ("Site-B", "external-Site-B")
    assert found["classes"] == {"Dark": "dark", "LIGHT": "light"}
    assert found["only_theirs"] == ["grey"]
    assert found["seen_before"] == 0
    assert any("grey; 4 images left out" in note for note in value["notes"])
    with (runs / TRIAL / "predictions-external-Site-B.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 40
    f1 = f1_score([row["label"] for row in rows], [row["chosen"] for row in rows], average="macro")
    assert value["scores"][pick]["metrics"]["macro_f1"]["value"] == pytest.approx(f1)
    capsys.readouterr()
    assert run(["evaluate", "--runs", str(runs), "--resamples", "0", "--json"]) == 0
    home = json.loads(capsys.readouterr().out)["scores"][pick]["metrics"]["macro_f1"]["value"]
    assert found["home"][pick]["macro_f1"] == pytest.approx(home)
    drop = found["drops"][pick]["macro_f1"]
    assert drop["value"] == pytest.approx(f1 - home)
    assert drop["low"] <= drop["value"] <= drop["high"]
    assert run(["evaluate", "--runs", str(runs), "--external", str(site), "--resamples", "50"]) == 0
    said = capsys.readouterr().out
    assert "of Site-B, another site" in said
    assert f"beside home ({pick})" in said


def test_the_report_tells_of_the_site_and_shows_no_folder(
    runs: Path, site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    external(runs, site, capsys)
    assert run(["report", str(runs / "p")]) == 0
    page = (runs / "p" / "report.html").read_text()
    assert "40 images of Site-B, another site" in page
    assert "Confusion matrix, Site-B, another site" in page
    assert str(site.parent) not in page
    assert run(["card", "p", "--runs", str(runs)]) == 0
    card = (runs / TRIAL / "model-card.md").read_text()
    assert "40 images of Site-B, 95 % intervals" in card
    assert "from home, on the classes that both show" in card
    assert str(site.parent) not in card


def test_images_that_the_arms_have_seen_are_refused_or_told(
    runs: Path, site: Path, tuned: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (runs / "p" / "splits.csv").open(newline="") as file:
        seen = next(row["image"] for row in csv.DictReader(file) if row["split"] == "train")
    with Image.open(tuned.parent / "pictures" / seen) as picture:  # re-encoded: other bytes
        picture.resize((80, 80)).save(site / "Dark" / "copy.jpg", quality=95)
    assert run(["evaluate", "--runs", str(runs), "--external", str(site)]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "1 image of Site-B nearly the same as training or validation images" in said
    assert "Dark/copy.jpg" in said
    assert not list((runs / TRIAL).glob("*external*"))
    value = external(runs, site, capsys, "--allow-overlap")
    assert value["external"]["seen_before"] == 1
    assert any("1 of them scored: these scores flatter" in note for note in value["notes"])


def test_without_the_images_at_home_it_is_scored_and_said(
    runs: Path, site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    value = external(runs, site, capsys, "--data", str(tmp_path / "gone"))
    assert value["external"]["seen_before"] is None
    assert value["external"]["drops"] == {}
    assert any("was not looked for" in note and "gone" in note for note in value["notes"])
    assert run(["report", str(runs / "p")]) == 0


def test_other_images_do_not_take_a_name_that_is_taken(
    runs: Path, site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    external(runs, site, capsys)
    external(runs, site, capsys)  # the same ones may be scored again
    (site / "Dark" / "00.png").unlink()
    assert run(["evaluate", "--runs", str(runs), "--external", str(site)]) == 2
    assert "Name these with --external-name" in " ".join(capsys.readouterr().err.split())
    value = external(runs, site, capsys, "--external-name", "site b/2020")
    assert value["split"] == "external-site-b-2020"


def test_classes_and_labels_are_read_as_told(runs: Path, site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = site.parent / "labels.csv"
    rows = [f"{path.relative_to(site)},{path.parent.name[0]},{i % 10}" for i, path in enumerate(site.rglob("*.png"))]
    table.write_text("file,dx,person\n" + "\n".join(rows))
    read = ("--labels", str(table), "--image-column", "file", "--label-column", "dx", "--group-column", "person")
    value = external(runs, site, capsys, *read, "--map-class", "D=dark", "--map-class", "L=light")
    assert value["external"]["classes"] == {"D": "dark", "L": "light"}
    assert value["scores"]["mean"]["groups"] == 10


def test_in_python_it_is_the_same(runs: Path, site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    value = external(runs, site, capsys)
    found = cass_cli.evaluate("p", runs=runs, external=site, map_class={"Dark": "dark"}, resamples=50, write=False)
    assert found.split == "external-Site-B"
    assert found.external is not None
    for row in found.external.to_dict("records"):
        told = value["external"]["drops"][row["candidate"]][row["metric"]]
        assert [row[key] for key in ("difference", "low", "high")] == pytest.approx([*told.values()])
    with pytest.raises(ConfigError, match="--allow-overlap is about images of another site"):
        cass_cli.evaluate("p", runs=runs, allow_overlap=True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--external", "{site}/nowhere"), "There are no images at"),
        (("--external", "{site}", "--split", "val"), "--split val those of the run"),
        (("--map-class", "a=b"), "--map-class is about images of another site"),
        (("--labels", "x.csv"), "--labels is about images of another site"),
        (("--allow-overlap",), "--allow-overlap is about images of another site"),
        (("--external", "{site}", "--map-class", "Dark"), "not of the form THEIRS=OURS"),
        (("--external", "{site}", "--map-class", "Dark=drak"), "Did you mean 'dark'"),
        (("--external", "{site}/grey"), "no labels"),
    ],
)
def test_bad_input_is_told(
    words: tuple[str, ...], said: str, runs: Path, site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["evaluate", "--runs", str(runs), *(word.format(site=site) for word in words)]) == 2
    assert said in " ".join("".join(capsys.readouterr()).split())
