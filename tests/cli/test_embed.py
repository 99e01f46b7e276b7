"""`cass embed` as users run it: the probe's features on disk, and what is planted among the images is found."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import cass_cli
from cass_cli.cli.app import run
from cass_cli.engine.embedding import features as reading
from tests.cli.test_export import ARMS
from tests.conftest import REPO

SIDE = 64
DOC = (REPO / "docs" / "embed.md").read_text(encoding="utf-8")
TRIAL = "finetune/random-probe/1/seed0"


def picture(rng: np.random.Generator, label: int) -> np.ndarray:
    """Clouds of three octaves in the colour of the class."""
    clouds = np.zeros((SIDE, SIDE, 3))
    for cells in (2, 4, 8):
        coarse = Image.fromarray(rng.integers(0, 255, (cells, cells, 3)).astype(np.uint8))
        clouds += np.asarray(coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC)) / 6
    return (clouds + 120 * np.eye(3)[label]).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs `one` and `many` (classes an image) of 90 pictures of 45 patients; among them are

    leak.jpg: 00.png of the training split encoded anew, in the test split, of another patient; twin.jpg: 01.png with
    another label; noise.png; and 05.png, whose label is wrong.
    """
    base, rng = tmp_path_factory.mktemp("embed"), np.random.default_rng(0)
    one, many = ["image,dx,patient,split"], ["image,red,green,blue,patient,split"]
    images = {f"{i:02d}.png": (picture(rng, i % 3), i % 3) for i in range(90)}
    images |= {"leak.jpg": (images["00.png"][0], 0), "twin.jpg": (images["01.png"][0], 2)}
    images["noise.png"] = rng.integers(0, 2, (SIDE, SIDE, 3)).astype(np.uint8) * 255, 1
    (base / "pics").mkdir()
    for i, (name, (pixels, label)) in enumerate(images.items()):
        Image.fromarray(pixels).save(base / "pics" / name, **({"quality": 95} if name.endswith("jpg") else {}))
        given = 0 if name in ("05.png", "noise.png") else label
        split = "test" if name == "leak.jpg" else ("train", "train", "train", "val", "test")[i // 2 % 5]
        patient = i // 2 if i < 90 else i
        one.append(f"{name},{'abc'[given]},p{patient},{split}")
        bits = ",".join(str(int(c == given or (i % 4 == 0 and c == (given + 1) % 3))) for c in range(3))
        many.append(f"{name},{bits},p{patient},{split}")
    for name, rows in (("one", one), ("many", many)):
        (base / f"{name}.csv").write_text("\n".join(rows) + "\n")
        words = [
            "finetune",
            "--data",
            str(base / "pics"),
            "--labels",
            str(base / f"{name}.csv"),
            "--init-from",
            "random",
        ]
        assert run([*words, "--runs", str(base / "runs"), "--name", name, *ARMS, "--allow-outside"]) == 0
    return base


def embedded(base: Path, out: Path, capsys: pytest.CaptureFixture[str], *more: str) -> dict[str, Any]:
    capsys.readouterr()
    assert run(["embed", *more, "--runs", str(base / "runs"), "--out", str(out), "--json"]) == 0, (
        capsys.readouterr().err
    )
    value: dict[str, Any] = json.loads(capsys.readouterr().out)
    return value


def found_in(out: Path) -> list[dict[str, str]]:
    with out.with_name(f"{out.stem}-neighbourhood.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_features_are_those_of_the_probe(base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = embedded(base, tmp_path / "f.npz", capsys, "--run", "one", "--no-neighbourhood")
    assert not (tmp_path / "f-neighbourhood.csv").exists() and "neighbourhood" not in told
    saved = np.load(tmp_path / "f.npz")  # without allow_pickle
    for arm in ("cnn", "vit"):
        assert saved[arm].dtype == np.float32 and saved[arm].shape == (93, sum(told["arms"][arm]["widths"]))
        seen = 0
        for path in (base / "runs/one/features").glob(f"{arm}-*/*.npz"):
            batch = np.load(path)
            np.testing.assert_allclose(saved[arm][batch["rows"]], batch["values"], rtol=1e-5, atol=1e-6)
            seen += len(batch["rows"])
        assert seen == 93
    rows = {name: row for row, name in enumerate(saved["names"].tolist())}
    assert saved["labels"][rows["01.png"]] == "b" and saved["classes"].tolist() == ["a", "b", "c"]
    assert saved["groups"][rows["leak.jpg"]] == "p90" and saved["splits"][rows["leak.jpg"]] == "test"
    about = json.loads(str(saved["about"]))
    assert about["run"] == f"one/{TRIAL}" and about["arms"]["cnn"]["layers"] == [1, 2, 3, 4, 5, 6]
    assert str(base) not in str(saved["about"])  # which tells no folder of the machine
    weights = base / "runs/one" / TRIAL / "arms/cnn.safetensors"
    assert about["arms"]["cnn"]["sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest()


def test_what_is_planted_is_found_and_little_else(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = embedded(base, tmp_path / "f.npz", capsys, "--run", "one")
    found = found_in(tmp_path / "f.npz")
    pairs = [(row["finding"], row["image"], row["other"]) for row in found if row["other"]]
    assert pairs == [("leak", "00.png", "leak.jpg"), ("other label", "01.png", "twin.jpg")]
    assert found[0]["found_by"] == "cnn vit" and float(found[0]["cnn"]) > 0.9
    assert (found[0]["split"], found[0]["other_split"], found[0]["group"], found[0]["other_group"]) == (
        *("train", "test", "p0", "p90"),
    )
    assert (found[1]["label"], found[1]["other_label"]) == ("b", "c")
    assert told["neighbourhood"]["leaking"]["test → train"] == 1
    outliers = [row["image"] for row in found if row["finding"] == "outlier"]
    assert outliers[0] == "noise.png" and len(outliers) <= 5
    doubted = {row["image"]: row["suggested"] for row in found if row["finding"] == "label"}
    assert doubted["05.png"] == "c" and len(doubted) < 12
    assert sum(told["neighbourhood"]["findings"].values()) == len(found)


def test_the_screen_says_what_was_found(base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["embed", "--run", "one", "--runs", str(base / "runs"), "--out", str(tmp_path / "f.npz")]
    assert run(words) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "1 near-duplicates in different splits" in told and "not verdicts" in told
    assert "00.png (a, train) = leak.jpg (a, test): cnn" in told
    assert "! Near-duplicates of training images: 1 test image." in told
    assert run(words) == 2
    assert "exists already" in capsys.readouterr().err
    assert run([*words, "--overwrite"]) == 0


def test_a_similarity_of_ones_own_finds_more(base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = embedded(base, tmp_path / "f.npz", capsys, "--run", "one", "--duplicate-similarity", "0.5")
    kinds = told["neighbourhood"]["findings"]
    assert kinds["duplicate"] + kinds["same group"] + kinds["leak"] > 20
    assert told["neighbourhood"]["similarity"] == {"cnn": 0.5, "vit": 0.5}


def test_a_layer_alone_is_that_of_several(base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saved = {}
    for name, words in {"two": ["--layers", "2"], "first": ["--layer", "1"], "second": ["--layer", "2"]}.items():
        told = embedded(base, tmp_path / f"{name}.npz", capsys, "--run", "one", *words, "--no-neighbourhood")
        saved[name] = np.load(tmp_path / f"{name}.npz")
    assert told["arms"]["vit"]["layers"] == [2]
    for arm in ("cnn", "vit"):
        both = np.concatenate([saved["first"][arm], saved["second"][arm]], axis=1)
        np.testing.assert_allclose(saved["two"][arm], both, rtol=1e-5, atol=1e-6)


def test_a_folder_of_others_is_read_as_it_says(base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its own labels and splits, pixels as the run's; a batch is no larger for that; what cannot be read is told."""
    there = tmp_path / "there"
    for name, label in (("x1", "new"), ("x2", "other")):
        (there / label).mkdir(parents=True)
        for i in range(40):
            Image.fromarray(picture(np.random.default_rng(i), i % 2)).save(there / label / f"{name}{i}.png")
    (there / "new" / "bad.png").write_bytes(b"no image")
    sizes: list[int] = []
    read = reading.read_batch
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(
            reading, "read_batch", lambda n, pixels, *a: (sizes.append(len(pixels)), read(n, pixels, *a))[1]
        )
        told = embedded(base, tmp_path / "f.npz", capsys, str(there), "--run", "one", "--arm", "cnn")
    saved = np.load(tmp_path / "f.npz")
    assert sizes == [32, 32, 16] and "vit" not in saved
    assert told["images"] == 80 and [bad["image"] for bad in told["unreadable"]] == ["new/bad.png"]
    assert saved["classes"].tolist() == ["new", "other"] and set(saved["splits"].tolist()) == {""}
    twins = [row for row in found_in(tmp_path / "f.npz") if row["finding"] == "other label"]
    assert len(twins) == 40  # the same pictures under two labels


@pytest.mark.drawn
def test_several_classes_an_image_are_a_matrix(base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figure = tmp_path / "f.png"
    told = embedded(base, tmp_path / "f.npz", capsys, "--run", "many", "--figure", str(figure), "--projection", "pca")
    saved = np.load(tmp_path / "f.npz")
    assert saved["labels"].dtype == np.int8 and saved["labels"].shape == (93, 3)
    assert told["figure"] == str(figure) and Image.open(figure).size[0] > 1000
    doubted = {(row["image"], row["suggested"]) for row in found_in(tmp_path / "f.npz") if row["finding"] == "label"}
    assert ("05.png", "blue") in doubted


def test_parquet_holds_the_same(base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="the extra parquet is not installed")
    embedded(base, tmp_path / "f.npz", capsys, "--run", "many", "--no-neighbourhood")
    embedded(base, tmp_path / "f.parquet", capsys, "--run", "many", "--no-neighbourhood")
    saved, table = np.load(tmp_path / "f.npz"), parquet.read_table(tmp_path / "f.parquet")
    for arm in ("cnn", "vit"):
        assert np.array_equal(np.array(table[arm].to_pylist(), dtype=np.float32), saved[arm])
    assert table["name"].to_pylist() == saved["names"].tolist()
    assert table["label:red"].to_pylist() == saved["labels"][:, saved["classes"].tolist().index("red")].tolist()
    assert json.loads(table.schema.metadata[b"cass"]) == json.loads(str(saved["about"]))


def test_the_function_returns_what_the_command_writes(base: Path, tmp_path: Path) -> None:
    runs, out = base / "runs", tmp_path / "f.npz"
    found = cass_cli.embed("one", runs=runs, out=out, figure=tmp_path / "f.png", colour="split")
    saved = np.load(out)
    assert np.array_equal(found.features["vit"], saved["vit"]) and found.names == tuple(saved["names"].tolist())
    assert (tmp_path / "f.png").exists()
    theirs = found_in(out)
    assert found.neighbourhood["image"].tolist() == [row["image"] for row in theirs]
    assert found.neighbourhood["cnn"].notna().sum() == sum(row["cnn"] != "" for row in theirs)


@pytest.mark.drawn
def test_a_figure_is_a_function_of_its_seed(base: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        words = ["embed", "--run", "one", "--runs", str(base / "runs"), "--arm", "vit", "--no-neighbourhood"]
        out = tmp_path / f"{name}.npz"
        assert run([*words, "--out", str(out), "--figure", str(tmp_path / f"{name}.png"), "--seed", f"{seed}"]) == 0
    a, b, c = ((tmp_path / f"{name}.png").read_bytes() for name in "abc")
    assert a == b and a != c


def test_the_example_of_the_page_learns_from_the_file(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", DOC, re.DOTALL)
    embedded(base, tmp_path / "features.npz", capsys, "--run", "one", "--no-neighbourhood")
    monkeypatch.chdir(tmp_path)
    exec(example, {})
    assert float(capsys.readouterr().out) > 0.8


ERRORS = {
    "no run": (["--run", "nobody"], "There is no run 'nobody'"),
    "no folder": (["nowhere"], "nowhere. Check the path."),
    "empty": (["empty"], "is empty."),
    "layer": (["--layer", "99"], "and --layer asks for 99."),
    "layers": (["--layers", "99"], "layers, and --layers asks for 99."),
    "both": (["--layer", "1", "--layers", "2"], "--layer one alone"),
    "arm": (["--arm", "cnm"], "Did you mean 'cnn'?"),
    "stream": (["--out", "/dev/stdout"], "is no file"),
    "dash": (["--out", "-"], "is no file"),
    "pipe": (["--out", "pipe.npz"], "is no file"),
    "format": (["--out", "f.csv"], "It ends in .npz or .parquet."),
    "figure": (["--figure", "f.jpeg"], "It ends in .png or .pdf or .svg."),
    "reading": (["--group-column", "x"], "Name their folder."),
    "colour": (["--figure", "f.png", "--colour", "clas"], "Did you mean 'class'?"),
    "colour of nothing": (["--colour", "class"], "is about the figure."),
    "projection": (["--figure", "f.png", "--projection", "tsnee"], "Did you mean 'tsne'?"),
    "umap": (["--figure", "f.png", "--projection", "umap"], "pip install 'cass-cli[umap]'"),
    "parquet": (["--out", "f.parquet"], "pip install 'cass-cli[parquet]'"),
    "similarity": (["--no-neighbourhood", "--duplicate-similarity", "0.9"], "is about near-duplicates."),
}


@pytest.mark.parametrize("name", ERRORS)
def test_what_cannot_be_done_is_said_before_anything_is_read(
    name: str, base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words, said = ERRORS[name]
    (tmp_path / "empty").mkdir()
    os.mkfifo(tmp_path / "pipe.npz")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "umap", None)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setattr(reading, "read_batch", None)  # nothing is read
    run_named = [] if "--run" in words else ["--run", "one"]
    assert run(["embed", *words, *run_named, "--runs", str(base / "runs")]) == 2
    told = capsys.readouterr()
    assert said in " ".join(told.err.split()) and not told.out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "pipe.npz"]


def test_one_image_has_no_neighbours(base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "few").mkdir()
    Image.fromarray(picture(np.random.default_rng(0), 0)).save(tmp_path / "few" / "a.png")
    told = embedded(base, tmp_path / "f.npz", capsys, str(tmp_path / "few"), "--run", "one")
    assert told["images"] == 1 and any("no neighbours" in note for note in told["notes"])
    assert found_in(tmp_path / "f.npz") == []
