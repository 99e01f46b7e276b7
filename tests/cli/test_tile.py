from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

pytest.importorskip("openslide", reason="the optional extra 'slides' is not installed")

from cass_cli.cli.app import run
from cass_cli.data.slides.reader import Slide, SlideError
from tests.cli.conftest import TINY
from tests.data.slides.drawn import damage, glass, shrunk, stain, write_slide

SMALL = ("--size", "32", "--workers", "2")


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six slides of 256 px at 40×: four tiles of 32 px at 20× wide and high, the left half of them tissue."""
    folder = tmp_path_factory.mktemp("drawn") / "slides"
    for i, kind in enumerate(("normal", "test", "tumor") * 2):
        pixels = glass(256, 256)
        stain(pixels, 0, 0, 128, 256, seed=i)
        write_slide(folder / f"{kind}_{i}.svs", pixels, levels=(1, 2))
    return folder


@pytest.fixture
def slides(drawn: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(drawn, tmp_path / "slides"))


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


def held(folder: Path) -> dict[str, bytes] | None:
    """All files of a folder; None where there is no folder."""
    if not folder.exists():
        return None
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def rows(out: Path) -> list[dict[str, str]]:
    with (out / "tiles.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def places(out: Path, slide: str) -> list[tuple[int, int]]:
    return [(int(row["x"]), int(row["y"])) for row in rows(out) if row["slide"] == slide]


def test_tiles_cover_the_tissue_and_nothing_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And are the slide's own pixels at the magnification asked for."""
    pixels = glass(512, 512)
    stain(pixels, 64, 128, 192, 64)
    stain(pixels, 384, 384, 64, 64)
    write_slide(tmp_path / "s.svs", pixels)
    found = tiled(capsys, tmp_path / "s.svs", out=tmp_path / "t")
    assert set(places(tmp_path / "t", "s")) == {(64, 128), (128, 128), (192, 128), (384, 384)}
    assert (found["tiles"], found["slides"][0]["empty"]) == (4, 60)
    assert {name for name in held(tmp_path / "t") or {} if name != "tiles.csv"} == {
        row["image"] for row in rows(tmp_path / "t")
    }
    half = shrunk(pixels, 2)
    for row in rows(tmp_path / "t"):
        x, y = int(row["x"]) // 2, int(row["y"]) // 2
        assert (np.asarray(Image.open(tmp_path / "t" / row["image"])) == half[y : y + 32, x : x + 32]).all()


def test_half_the_magnification_is_a_quarter_of_the_tiles(
    slides: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = [
        tiled(capsys, slides, *asked, out=tmp_path / str(i))["tiles"]
        for i, asked in enumerate(
            [["--magnification", "40"], ["--magnification", "20x"], ["--mpp", "1.0"], ["--magnification", "base"], []]
        )
    ]
    assert found == [6 * 32, 6 * 8, 6 * 2, 6 * 32, 6 * 8]


def test_tissue_decides(slides: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tiled(capsys, slides, "--tissue", "0", out=tmp_path / "all")["tiles"] == 6 * 16
    write_slide(tmp_path / "empty.svs", glass(256, 256), levels=(1,))
    found = tiled(capsys, slides, tmp_path / "empty.svs", out=tmp_path / "some")
    assert {s["slide"]: s["tiles"] for s in found["slides"]}["empty"] == 0
    assert not (tmp_path / "some" / "empty").exists()
    assert "None of 16 tiles is 50% tissue" in refused(capsys, tmp_path / "empty.svs", out=tmp_path / "none")


def test_most_draws_by_the_seed_and_the_slides_name(
    slides: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def drawn(most: int, seed: int, source: Path = slides) -> list[tuple[int, int]]:
        out = tmp_path / str(len(list(tmp_path.iterdir())))
        found = tiled(capsys, source, "--most", str(most), "--seed", str(seed), out=out)
        told = next(s for s in found["slides"] if s["slide"] == "tumor_2")
        assert (told["tiles"], told["beyond_most"]) == (most, 8 - most)
        return places(out, "tumor_2")

    few = drawn(3, 0)
    assert few == drawn(3, 0, slides / "tumor_2.svs")  # whatever else is tiled
    assert set(few) < set(drawn(5, 0))  # of more tiles, these are the first
    assert len({tuple(drawn(3, seed)) for seed in range(4)}) > 1


def test_the_table_is_said_of_every_tile(slides: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Slides are named with or without suffix and folder, in any case."""
    names = sorted(path.name for path in slides.iterdir())
    cells = [names[0], "D:\\scans\\" + names[1], names[2].removesuffix(".svs").upper(), f"a/{names[3]}"]
    table = tmp_path / "about.csv"
    lines = [f"{cell};p{i // 2};{'ab'[i % 2]};{60 + i}" for i, cell in enumerate(cells)]
    table.write_text("\n".join(["File Name;Patient ID;label;age", *lines, "elsewhere.svs;p9;b;1"]))
    found = tiled(capsys, slides, "--table", table, out=tmp_path / "t")
    told = {(row["slide"], row["patient"], row["label"], row["age"]) for row in rows(tmp_path / "t")}
    stems = [name.removesuffix(".svs") for name in names]
    assert told == {
        *((stem, f"p{i // 2}", "ab"[i % 2], str(60 + i)) for i, stem in enumerate(stems[:4])),
        *((stem, stem, "", "") for stem in stems[4:]),
    }
    assert any(f"2 slides are not in about.csv, which leaves their tiles without a label: {stems[4]}" in note
               for note in found["notes"])  # fmt: skip


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("scan,label\nnormal_0,a\n", "No column of about.csv names slides: scan, label"),
        ("slide,label\nother,a\n", "names none of the slides in its column 'slide' (other; slides are as normal_0)"),
        ("slide,label\nnormal_0,a\nnormal_0.svs,b\n", "says two things of slide normal_0: label is a in one row and b"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(
    slides: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, said: str
) -> None:
    (tmp_path / "about.csv").write_text(text)
    assert said in refused(capsys, slides, "--table", tmp_path / "about.csv", out=tmp_path / "t").replace("\n", " ")


def test_patients_of_tcga_are_told_by_its_names(
    drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("TCGA-A1-A0SB-01Z-00-DX1.5F", "TCGA-A1-A0SB-01Z-00-DX2.6A", "TCGA-B2-C3D4-01Z-00-DX1.7B", "other-1-2-3")
    for name in names:
        shutil.copy(drawn / "tumor_2.svs", tmp_path / f"{name}.svs")
    found = tiled(capsys, tmp_path, out=tmp_path / "t")
    assert [s["patient"] for s in found["slides"]] == ["TCGA-A1-A0SB", "TCGA-A1-A0SB", "TCGA-B2-C3D4", "other-1-2-3"]


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


def test_a_cut_off_slide_is_found_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its mask comes from a level that is whole."""
    pixels = glass(512, 512)
    stain(pixels, 0, 0, 512, 512)
    path = write_slide(tmp_path / "s.svs", pixels, levels=(1, 4))
    whole = path.read_bytes()
    with tifffile.TiffFile(path) as file:
        last = max(file.pages[0].dataoffsets)
    path.write_bytes(whole[:last] + b"\xff" * 2000 + whole[last + 2000 :])
    assert "damaged at x 448, y 448" in refused(
        capsys, path, "--magnification", "40", "--size", "64", out=tmp_path / "t"
    )


def test_a_folder_that_holds_something_stays(slides: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "t"
    (out / "sub").mkdir(parents=True)
    (out / "sub" / "notes.txt").write_text("mine")
    assert "t is not empty: it holds sub" in refused(capsys, slides, out=out).replace("\n", " ")
    assert "among the slides" in refused(capsys, slides, "--overwrite", out=tmp_path)
    assert "a file, not a folder" in refused(capsys, slides, "--overwrite", out=slides / "tumor_2.svs")


def test_overwrite_replaces_tiles_and_touches_nothing_else(
    slides: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, fresh = tmp_path / "t", tmp_path / "fresh"
    tiled(capsys, slides, "--magnification", "40", "--format", "jpg", out=out)
    (out / "mine").mkdir()
    (out / "mine" / "other_x0_y0.png").write_bytes(b"mine")
    (out / "tumor_2" / "notes.txt").write_text("mine")
    assert "holds what is no tile: notes.txt" in refused(capsys, slides, "--overwrite", out=out)
    (out / "tumor_2" / "notes.txt").rename(out / "notes.txt")
    one = slides / "tumor_2.svs"
    tiled(capsys, one, "--overwrite", out=out)
    tiled(capsys, one, out=fresh)
    assert held(out) == {**(held(fresh) or {}), "mine/other_x0_y0.png": b"mine", "notes.txt": b"mine"}
    assert sorted(path.name for path in out.iterdir() if path.is_dir()) == ["mine", "tumor_2"]


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
        (["--magnification", "twenty"], "--magnification twenty is no magnification"),
        (["--mpp", "-1"], "is no size of a pixel"),
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
    write_slide(slides / "empty.svs", glass(256, 256), levels=(1,))
    assert run(["tile", str(slides), *SMALL, "--most", "5", "--format", "jpeg", "--out", str(tmp_path / "t")]) == 0
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
