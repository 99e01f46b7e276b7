"""`cass benchmark-time` through the real command line."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from PIL import Image

from cass_cli.cli.app import run

pytestmark = pytest.mark.drawn

TINY = ["--cnn", "test_resnet", "--vit", "test_vit", "--image-size", "32", "--batch-size", "2", "--device", "cpu"]
QUICK = ["--steps", "1", "--warmup", "1"]


def benchmark(out: Path, *more: str) -> int:
    return run(["benchmark-time", *TINY, *QUICK, "--out", str(out), *more])


def test_result_table_and_chart_agree(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert benchmark(tmp_path, "--preset", "all", "--methods", "cass,mae", "--hourly-cost", "2", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    folder = Path(told["folder"])
    saved = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    assert saved["environment"]["torch"]
    with (folder / "hours.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["preset"], row["method"]) for row in rows] == [
        (preset, method) for preset in ("autoimmune", "dermofit", "brain-mri", "isic2019") for method in ("cass", "mae")
    ]
    projections = {p["preset"]: p["hours"] for p in saved["rounds"][0]["projections"]}
    for row in rows:
        assert float(row["hours"]) == pytest.approx(projections[row["preset"]][row["method"]])
        assert float(row["cost"]) == pytest.approx(2 * float(row["hours"]))
    assert float(rows[0]["paper_hours"]) == 21 / 60
    with Image.open(folder / "hours.png") as chart:
        assert chart.width > 600


def test_screen_says_what_was_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert benchmark(tmp_path, "--preset", "dermofit", "--methods", "cass,byol") == 0
    screen = capsys.readouterr().out
    assert "1 × 32 px" in screen and "2 × 32 px" in screen
    assert "byol / cass: time ×" in screen and "arithmetic ×" in screen
    assert "noise in place of images" in screen
    assert "1.18" in screen and "3.15" in screen  # the paper's hours
    assert max(len(line) for line in screen.splitlines() if "dermofit" in line) <= 80


def test_real_images_are_trained_on_when_named(
    class_folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert benchmark(tmp_path, "--preset", "demo", "--methods", "cass", "--data", str(class_folders), "--json") == 0
    assert json.loads(capsys.readouterr().out)["images"] == f"the images of {class_folders.name}"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ["--methods", "cass,simclr"],
            "There is no method 'simclr'.\nMethods: cass, dino, byol, mae, vicreg, distill.",
        ),
        (["--preset", "dermofitt"], "There is no preset 'dermofitt'"),
        (["--sweep", "batch-size=a"], "not of the form"),
        (["--device", "cuda:9"], "CUDA"),
        (["--vit", "nothing_at_all"], "timm has no model 'nothing_at_all'"),
    ],
)
def test_bad_input_is_explained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], said: str
) -> None:
    assert benchmark(tmp_path, *options) == 2
    assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
