from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

pytest.importorskip("openslide", reason="the optional extra 'slides' is not installed")

from cass_cli.cli.app import run
from cass_cli.data.slides.reader import Slide, SlideError
from tests.cli.conftest import TINY
from tests.data.slides.drawn import damage, draw_six, glass, held, write_slide

SMALL = ("--size", "32", "--workers", "2")


@pytest.fixture(scope="session")
def slides(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_six(tmp_path_factory.mktemp("drawn") / "slides")


def tiled(capsys: pytest.CaptureFixture[str], *arguments: str | Path, out: Path) -> dict[str, Any]:
    capsys.readouterr()
    code = run(["tile", *SMALL, *map(str, arguments), "--out", str(out), "--json"])
    told = capsys.readouterr()
    assert code == 0, told.err
    found: dict[str, Any] = json.loads(told.out)
    return found


def refused(capsys: pytest.CaptureFixture[str], *arguments: str | Path, out: Path) -> str:
    """What is said on stderr, with exit code 2, of a folder that stays as it was."""
    before, _ = held(out), capsys.readouterr()
    assert run(["tile", *SMALL, *map(str, arguments), "--out", str(out)]) == 2
    told = capsys.readouterr()
    assert held(out) == before and "Traceback" not in told.err
    return told.err


def rows(out: Path) -> list[dict[str, str]]:
    with (out / "tiles.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def inspected(capsys: pytest.CaptureFixture[str], folder: Path) -> dict[str, Any]:
    capsys.readouterr()
    assert run(["inspect", str(folder), "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_other_commands_read_the_folder_by_itself(
    slides: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Folders called normal_0 and test_1 are neither classes nor splits; no patient lies in two splits."""
    assert tiled(capsys, slides, out=tmp_path / "bare")["command"] == f"cass inspect {tmp_path / 'bare'}"
    found = inspected(capsys, tmp_path / "bare")
    assert (found["images"], found["classes"], found["groups"]) == (48, [], 6)
    assert (found["groups_by"], found["splits_by"], found["leaking_groups"]) == ("column patient", "cass (seed 0)", [])
    table = tmp_path / "about.csv"
    lines = [f"{path.stem},p{i},{'benign' if i % 2 else 'malignant'},{i}" for i, path in enumerate(slides.iterdir())]
    table.write_text("\n".join(["slide,patient,label,age", *lines]))
    tiled(capsys, slides, "--table", table, out=tmp_path / "told")
    found = inspected(capsys, tmp_path / "told")
    assert (found["classes"], found["groups"], found["leaking_groups"]) == (["benign", "malignant"], 6, [])
    assert found["obstacles"] == []


def test_pretraining_takes_the_tiles(slides: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiled(capsys, slides, out=tmp_path / "t")
    where = ["--data", str(tmp_path / "t"), "--runs", str(tmp_path / "runs"), "--name", "r", "--no-advice"]
    assert run(["pretrain", *TINY, *where]) == 0, capsys.readouterr().err
    with (tmp_path / "runs" / "r" / "splits.csv").open(newline="") as file:
        splits = [(row["image"].partition("/")[0], row["split"]) for row in csv.DictReader(file)]
    assert len(splits) == 48
    assert set(Counter(slide for slide, _ in set(splits)).values()) == {1}, "a slide lies in two splits"


def test_groups_that_part_as_the_labels_do_stay_groups(
    slides: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A patient a class: of any other table that would be two names of one thing."""
    table = tmp_path / "about.csv"
    lines = [f"{path.stem},p{path.stem[:2]},{path.stem[:2]}" for path in slides.iterdir()]
    table.write_text("\n".join(["slide,patient,label", *lines]))
    tiled(capsys, slides, "--table", table, out=tmp_path / "t")
    found = inspected(capsys, tmp_path / "t")
    assert (found["classes"], found["groups"], found["groups_by"]) == (["no", "te", "tu"], 3, "column patient")


def test_without_the_extra_it_says_what_to_install(
    slides: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openslide", None)
    said = refused(capsys, slides, out=tmp_path / "t")
    assert said.count("pip install 'cass-cli[slides]'") == 2 and said.count(".svs") == 1  # once, not of every slide


def test_every_slide_that_cannot_be_tiled_is_named_before_anything_is_written(
    slides: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slides = Path(shutil.copytree(slides, tmp_path / "slides"))
    damage(slides / "normal_0.svs")
    (slides / "test_1.svs").write_bytes(b"no slide")
    write_slide(slides / "low.svs", glass(256, 256), magnification=10, mpp=1.0, levels=(1,))
    write_slide(slides / "plain.tif", glass(256, 256), magnification=None, mpp=None, levels=(1,))
    said = refused(capsys, slides, out=tmp_path / "t")
    assert "4 of 8 slides cannot be tiled" in said
    for words in (
        "normal_0.svs: damaged at x",
        "test_1.svs: damaged, or of no format",
        "scanned at 10×, less than 20×",
    ):
        assert words in said
    assert "plain.tif: it states neither" in said and "--magnification base" in said


def test_a_folder_that_holds_something_stays(slides: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "t"
    (out / "sub").mkdir(parents=True)
    (out / "sub" / "notes.txt").write_text("mine")
    assert "t is not empty: it holds sub" in refused(capsys, slides, out=out).replace("\n", " ")


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SlideError(Path("x.svs"), "damaged at x 0, y 0")])
def test_who_is_stopped_leaves_the_folder_as_it_was(
    slides: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
) -> None:
    """Whether there was none, or one with tiles."""
    old = tmp_path / "old"
    tiled(capsys, slides / "tumor_2.svs", out=old)
    before, real, written = held(old), Slide.tile, [0]

    def stopped(self: Slide, *arguments: Any) -> Image.Image:
        written[0] += 1
        if written[0] % 26 == 20:  # six were looked at
            raise error
        return real(self, *arguments)

    monkeypatch.setattr(Slide, "tile", stopped)
    code = 130 if isinstance(error, KeyboardInterrupt) else 2
    for out, more in ((tmp_path / "new", []), (old, ["--overwrite"])):
        written[0] = 0
        assert run(["tile", str(slides), *SMALL, "--out", str(out), *more]) == code
    assert not (tmp_path / "new").exists()
    assert held(old) == before and [path.name for path in old.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--magnification", "20", "--mpp", "0.5"], "say the same thing"),
        (["--format", "tiff"], "Tiles are not written as 'tiff'"),
        (["--magnification", "60"], "scanned at 40×, less than 60×"),
        (["--magnification", "1"], "No slide is as large as one tile"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    slides: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], said: str
) -> None:
    assert said in refused(capsys, slides, *options, out=tmp_path / "t").replace("\n", " ")


def test_the_screen_tells_what_became_of_each_slide(
    slides: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = write_slide(tmp_path / "empty.svs", glass(256, 256), levels=(1,))
    assert (
        run(["tile", str(slides), str(empty), *SMALL, "--most", "5", "--format", "jpeg", "--out", str(tmp_path / "t")])
        == 0
    )
    told = capsys.readouterr().out
    assert "30 tiles of 32 px from 6 slides, 20×" in told
    assert "not drawn" in told and "40×, 0.25 µm" in told and "1 slide has no tile" in told
    assert f"Next: cass inspect {tmp_path / 't'}" in told
    assert all(row["image"].endswith(".jpg") for row in rows(tmp_path / "t"))


def test_pytorch_is_not_imported(slides: Path, tmp_path: Path) -> None:
    arguments = ["tile", str(slides), *SMALL, "--out", str(tmp_path / "t")]
    script = f"import sys; from cass_cli.cli.app import run; code = run({arguments!r});"
    script += "sys.exit(str({'torch', 'timm', 'sklearn'} & set(sys.modules)) + str(code))"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert result.stderr.splitlines()[-1] == "set()0", result.stderr
