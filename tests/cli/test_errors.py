"""`cass errors` as users run it: it shows what evaluate's predictions say, on one page that needs nothing else."""

from __future__ import annotations

import base64
import csv
import io
import json
import shutil
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
from PIL import Image
from safetensors.torch import save_file

from cass_cli.cli.app import run
from tests.cli.conftest import make_pictures
from tests.reports.test_html import Page

pytestmark = pytest.mark.drawn


def told(runs: Path, capsys: pytest.CaptureFixture[str], *more: str) -> dict[str, Any]:
    capsys.readouterr()
    assert run(["errors", "--runs", str(runs), "--json", *more]) == 0
    value: dict[str, Any] = json.loads(capsys.readouterr().out)
    return value


@pytest.fixture(scope="module")
def probed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs with a probe, `p`, of pictures beside it of which one is in the wrong folder."""
    base = tmp_path_factory.mktemp("probed")
    data = make_pictures(base / "pictures", per_class=40)
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 128, (40, 40, 3)) + 120
    Image.fromarray(pixels.astype(np.uint8)).save(data / "dark" / "40.png")
    made = ["--data", str(data), "--runs", str(base / "runs"), "--name", "p", "--init-from", "random"]
    made += ["--image-size", "32", "--cnn", "test_resnet", "--vit", "test_vit", "--device", "cpu"]
    assert run(["finetune", *made, "--set", f"data.splits={_splits(data, base)}"]) == 0
    return base / "runs"


def _splits(data: Path, base: Path) -> Path:
    """Write splits in which the wrong label is for training."""
    names = sorted(path.relative_to(data).as_posix() for path in data.rglob("*.png"))
    rows = [f"{n},{'train' if '40.png' in n or i % 3 else ('val', 'test')[i // 3 % 2]}" for i, n in enumerate(names)]
    path = base / "splits.csv"
    path.write_text("image,split\n" + "\n".join(rows) + "\n")
    return path


def test_the_images_are_those_that_the_predictions_say(probed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    value = told(probed, capsys, "--count", "4", "--answer-by", "vit", "--no-label-check")
    assert run(["evaluate", "--runs", str(probed), "--resamples", "0", "--json"]) == 0
    folder = Path(json.loads(capsys.readouterr().out)["trial"])
    with (folder / "predictions-test.csv").open() as file:
        rows = {row["image"]: row for row in csv.DictReader(file)}

    def sure(row: dict[str, str]) -> float:
        return max(float(row["vit:dark"]), float(row["vit:light"]))

    def chosen(row: dict[str, str]) -> str:
        return "light" if float(row["vit:light"]) > float(row["vit:dark"]) else "dark"

    wrong = sorted((n for n, r in rows.items() if chosen(r) != r["label"]), key=lambda n: -sure(rows[n]))
    right = sorted((n for n, r in rows.items() if chosen(r) == r["label"]), key=lambda n: sure(rows[n]))
    apart = {n: abs(float(r["cnn:dark"]) - float(r["vit:dark"])) for n, r in rows.items()}
    assert [case["image"] for case in value["surest_wrong"]] == wrong[:4]
    assert [case["image"] for case in value["doubtful_right"]] == right[:4]
    assert [case["image"] for case in value["arms_apart"]] == sorted(apart, key=lambda n: -apart[n])[:4]
    assert (value["images"], value["wrong"], value["labels"]) == (len(rows), len(wrong), None)
    for case in [*value["surest_wrong"], *value["doubtful_right"], *value["arms_apart"]]:
        of = rows[case["image"]]
        assert case["label"] == of["label"] and case["chosen"] == chosen(of)
        for arm in ("cnn", "vit"):
            for name, p in case["probabilities"][arm].items():
                assert p == pytest.approx(float(of[f"{arm}:{name}"]), abs=1e-5)


def test_the_page_needs_nothing_and_shows_every_picture(probed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    value = told(probed, capsys, "--count", "3")
    path = Path(value["page"])
    assert path.name == "errors-test.html" and path.parent == Path(value["trial"])
    html = path.read_text()
    page = Page(html)
    assert not page.all("script") and "default-src 'none'" in html and str(probed.parent) not in html
    assert all(image["src"].startswith("data:image/jpeg;base64,") and image["alt"] for image in page.all("img"))
    cases = [*value["surest_wrong"], *value["doubtful_right"], *value["arms_apart"]]
    assert len(page.all("img")) == 3 * len(cases) + len(value["labels"]["doubted"])
    for image in page.all("img"):
        with Image.open(io.BytesIO(base64.b64decode(image["src"].partition(",")[2]))) as picture:
            assert picture.size == (32, 32) and not picture.getexif() and not picture.info.get("comment")
    for case in cases:
        assert case["image"] in page.text
    assert "Candidates for a look, not errors" in page.text
    assert {link["href"] for link in page.all("a")} <= {f"#{of['id']}" for _, of in page.tags if "id" in of}
    first = page.all("img")[0]["src"]
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(first.partition(",")[2]))), dtype=float)
    of = probed.parent / "pictures" / cases[0]["image"]
    there = np.asarray(Image.open(of).convert("RGB").resize((32, 32)), dtype=float)
    assert np.abs(shown - there).mean() < 25  # of noise, which a JPEG smooths


def test_a_wrong_training_label_is_the_candidate(probed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = set((probed / "p" / "features").rglob("*.npz"))
    value = told(probed, capsys, "--count", "1")
    (first,) = value["labels"]["doubted"]
    assert (first["image"], first["label"], first["suggested"]) == ("dark/40.png", "dark", "light")
    assert first["margin"] == pytest.approx(first["label_probability"] - first["suggested_probability"])
    assert value["labels"]["judged"] == value["labels"]["shown"]
    assert set((probed / "p" / "features").rglob("*.npz")) == before, "those that the probe kept are used"


def test_trained_arms_are_shown_and_their_starts_judge_the_labels(
    tuned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = tmp_path / "runs"
    shutil.copytree(tuned, runs, symlinks=True)
    value = told(runs, capsys, "--label-fraction", "0.3", "--count", "2", "--split", "val")
    assert value["split"] == "val" and "/0.3/" in value["trial"]
    assert 0 < value["labels"]["shown"] < 15
    assert value["maps"].keys() == {"cnn", "vit"}
    assert (Path(value["trial"]) / "errors-val.html").is_file()


def test_an_average_has_no_maps_and_says_so(probed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = tmp_path / "runs"
    shutil.copytree(probed, runs, symlinks=True)
    assert run(["finetune", "--runs", str(runs), "--init-from", "random", "--seed", "1", "--resume"]) == 0
    assert run(["ensemble", "--runs", str(runs), "--across-seeds"]) == 0
    value = told(runs, capsys, "--variant", "ensemble", "--count", "1")
    assert value["maps"] == {} and any("There are no maps" in note for note in value["notes"])
    assert value["labels"]["doubted"][0]["image"] == "dark/40.png"
    assert len(value["arms_apart"]) == 1
    assert str(runs) not in unescape(Path(value["page"]).read_text())


def test_the_screen_has_a_table(probed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["errors", "--runs", str(probed), "--answer-by", "joint"]) == 0
    said = capsys.readouterr().out
    assert "joint answers" in said and "label in doubt" in said and "dark/40.png" in said and "Written:" in said


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (["p", "--run", "q"], "Two runs are named, p and q"),
        (["--answer-by", "ensembel"], "no 'ensembel'"),
        (["--split", "tset"], "tset"),
        (["--run", "q"], "There is no run 'q'"),
        (["--count", "0"], "--count"),
    ],
)
def test_what_is_not_there_is_named(
    probed: Path, options: list[str], what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["errors", "--runs", str(probed), *options]) == 2
    said = " ".join("".join(capsys.readouterr()).split())
    assert what in said and "Traceback" not in said


def test_only_its_own_page_is_replaced(probed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "page.html"
    command = ["errors", "--runs", str(probed), "--no-label-check", "--count", "1", "--out", str(out)]
    assert run(command) == 0 and run(command) == 0
    out.write_text("of another")
    assert run(command) == 2
    assert "no page of cass errors" in capsys.readouterr().err and out.read_text() == "of another"


def test_features_that_the_probe_read_are_not_read_again(tmp_path: Path) -> None:
    """Not even where a file of weights has no head, so that one is drawn which nothing reads."""
    data = make_pictures(tmp_path / "pictures", per_class=12)
    made = ["--data", str(data), "--runs", str(tmp_path), "--name", "p", "--image-size", "32", "--device", "cpu"]
    for arm, (name, options) in {"cnn": ("test_resnet", {}), "vit": ("test_vit", {"img_size": 32})}.items():
        save_file(timm.create_model(name, num_classes=0, **options).state_dict(), tmp_path / f"{arm}.safetensors")
        made += [f"--{arm}", name, "--weights", f"{arm}={tmp_path / arm}.safetensors"]
    assert run(["finetune", *made, "--init-from", "imagenet"]) == 0
    before = sorted((tmp_path / "p" / "features").rglob("*.npz"))
    assert run(["errors", "p", "--runs", str(tmp_path), "--count", "1"]) == 0
    assert len(before) > 1 and sorted((tmp_path / "p" / "features").rglob("*.npz")) == before
