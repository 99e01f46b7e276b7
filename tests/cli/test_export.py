"""`cass export` as users run it: the file answers as `cass predict` does, to whoever runs it without cass."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from contextlib import chdir
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from cass_cli.cli.app import run
from cass_cli.engine.exporting import job
from cass_cli.engine.exporting.network import PLAIN, AnswerNetwork, made_up_pixels
from cass_cli.engine.finetuning.tuned_arms import load_tuned
from cass_cli.runs.names import find
from tests.conftest import REPO

ARMS = ("--cnn", "test_resnet", "--vit", "test_vit", "--image-size", "32", "--device", "cpu", "--precision", "fp32")
DOC = (REPO / "docs" / "export.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs `one`, of images of one of three classes each, and `many`, of several; the images beside them."""
    base, rng = tmp_path_factory.mktemp("export"), np.random.default_rng(0)
    tables = {"one": ["image,dx"], "many": ["image,a,b,c"]}
    for i in range(60):
        pixels = rng.integers(0, 90, (40, 36, 3)) + np.array([40, 0, 20 * (i % 2)]) * (i % 3)
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(base / f"{i:02d}.png")
        tables["one"].append(f"{i:02d}.png,{'abc'[i % 3]}")
        tables["many"].append(f"{i:02d}.png,{int(i % 3 > 0)},{i % 2},{int(i % 4 == 0)}")
    for name, rows in tables.items():
        (base / f"{name}.csv").write_text("\n".join(rows) + "\n")
        made = [
            "finetune",
            "--data",
            str(base),
            "--labels",
            f"{name}.csv",
            "--runs",
            str(base / "runs"),
            "--name",
            name,
        ]
        assert run([*made, *ARMS, "--init-from", "random"]) == 0
    return base


def exported(base: Path, capsys: pytest.CaptureFixture[str], *more: str) -> dict[str, Any]:
    capsys.readouterr()
    assert run(["export", "--runs", str(base / "runs"), "--json", *more]) == 0, capsys.readouterr().err
    value: dict[str, Any] = json.loads(capsys.readouterr().out)
    return value


def predicted(base: Path, name: str, answer: str, out: Path) -> np.ndarray:
    """Return what `cass predict` answers to all images, by name."""
    words = ["predict", str(base), "--runs", str(base / "runs"), "--run", name, "--answer-by", answer]
    assert run([*words, "--out", str(out)]) == 0
    with out.open(newline="") as file:
        return np.array([[float(row[f"p:{c}"]) for c in "abc"] for row in csv.DictReader(file)])


def squares(base: Path) -> np.ndarray:
    images = [Image.open(path).resize((32, 32), Image.Resampling.BILINEAR) for path in sorted(base.glob("*.png"))]
    return np.stack([np.asarray(image).transpose(2, 0, 1) for image in images])


@pytest.mark.parametrize("name", ["one", "many"])
def test_every_answer_is_that_of_predict(name: str, base: Path, tmp_path: Path) -> None:
    arms, pixels = load_tuned(find(base / "runs", name).trial(None), PLAIN), torch.from_numpy(squares(base))
    assert arms.candidates == ["cnn", "vit", "mean", "joint"]
    for answer in arms.candidates:
        found = AnswerNetwork(arms, answer)(pixels).numpy()
        expected = predicted(base, name, answer, tmp_path / f"{answer}.csv")
        np.testing.assert_allclose(found, expected, atol=2e-5)
        assert np.ptp(expected, axis=0).min() > 1e-3  # different images have different answers


def test_a_program_answers_as_predict_does_with_pytorch_alone(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name, answer = "many", "joint"
    out = tmp_path / "answer.pt2"
    value = exported(base, capsys, "--run", name, "--format", "program", "--answer-by", answer, "--out", str(out))
    assert value["difference"] < 1e-5
    np.save(tmp_path / "squares.npy", squares(base))
    code = (
        "import sys, json, numpy as np, torch\n"
        "extra = {'cass.json': ''}\n"
        f"network = torch.export.load({str(out)!r}, extra_files=extra).module()\n"
        f"found = network(torch.from_numpy(np.load({str(tmp_path / 'squares.npy')!r})))\n"
        f"np.save({str(tmp_path / 'found.npy')!r}, found.detach().numpy())\n"
        "assert not {'cass_cli', 'timm'} & sys.modules.keys()\n"
        "print(json.loads(extra['cass.json'])['classes'])\n"
    )
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert told.stdout.strip() == "['a', 'b', 'c']"
    expected = predicted(base, name, answer, tmp_path / "p.csv")
    np.testing.assert_allclose(np.load(tmp_path / "found.npy"), expected, atol=2e-5)
    about = value["about"]
    assert (about["answer"], about["size"], about["multilabel"], len(about["thresholds"])) == (answer, 32, True, 3)


def test_the_example_of_the_page_answers_as_predict_does(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    with chdir(tmp_path):
        value = exported(base, capsys, "--run", "one", "--answer-by", "cnn")
    assert value["out"] == "one-cnn.onnx"
    assert value["difference"] < 1e-5
    (example,) = re.findall(r"```python\n(.*?)```", DOC, re.DOTALL)
    for there, here in (("RUN-ANSWER.onnx", "one-cnn.onnx"), ("a.png", "07.png"), ("b.png", "08.png")):
        (tmp_path / here).exists() or (tmp_path / here).write_bytes((base / here).read_bytes())
        assert there in example
        example = example.replace(there, here)
    found: dict[str, Any] = {}
    with chdir(tmp_path):
        exec(example, found)
    told = capsys.readouterr().out
    expected = predicted(base, "one", "cnn", tmp_path / "p.csv")[7:9]
    np.testing.assert_allclose(found["probabilities"], expected, atol=2e-5)
    assert told.split()[::2] == ["abc"[i] for i in expected.argmax(axis=1)]


def test_timm_loads_an_arm_from_the_command_line_as_the_page_says(base: Path) -> None:
    (command,) = re.findall(r"```text\n(python -c .*?)```", DOC, re.DOTALL)
    code = re.search(r'"(.*)"', command.replace("\\\n", ""), re.DOTALL)[1]
    trial = base / "runs" / "one" / "finetune" / "random-probe" / "1" / "seed0"
    told = subprocess.run([sys.executable, "-c", code], cwd=trial, check=True, capture_output=True, text=True)
    assert "ResNet" in told.stdout


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--format", "torchscript"), "onnx, program"),
        (("--answer-by", "resnet"), "no 'resnet'"),
        (("--out", "{there}"), "exists already"),
        (("--variant", "none"), "none"),
    ],
)
def test_what_cannot_be_exported_is_told(
    more: tuple[str, ...], said: str, base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    there = tmp_path / "there.onnx"
    there.write_text("mine")
    words = [word.format(there=there) for word in more]
    assert run(["export", "--runs", str(base / "runs"), "--run", "one", *words]) == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert there.read_text() == "mine"


def test_a_file_that_answers_otherwise_is_not_written(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arms = load_tuned(find(base / "runs", "one").trial(None), PLAIN)
    network = AnswerNetwork(arms, "cnn")
    monkeypatch.setattr(job, "to_program", lambda *_: None)
    monkeypatch.setattr(job, "program_bytes", lambda *_: b"")
    monkeypatch.setattr(job, "answers_in", lambda *_: lambda pixels: network(pixels).numpy() + 0.01)
    words = ["--format", "program", "--answer-by", "cnn", "--out", str(tmp_path / "a.pt2")]
    assert run(["export", "--runs", str(base / "runs"), "--run", "one", *words]) == 2
    assert "up to 0.01 apart" in capsys.readouterr().err
    assert not (tmp_path / "a.pt2").exists()


def test_onnx_without_its_extra_is_told(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    assert run(["export", "--runs", str(base / "runs"), "--run", "one", "--out", str(tmp_path / "a.onnx")]) == 2
    assert "pip install 'cass-cli[onnx]'" in capsys.readouterr().err


def test_made_up_pictures_differ_on_every_scale() -> None:
    pixels = made_up_pixels(32, images=3).float()
    assert pixels.shape == (3, 3, 32, 32)
    assert (pixels.amax(dim=(1, 2, 3)) == 255).all() and (pixels.amin(dim=(1, 2, 3)) == 0).all()
    assert torch.nn.functional.avg_pool2d(pixels, 16).std() > 5  # coarse patches
    assert (pixels[..., 1:] - pixels[..., :-1]).std() > 5  # and fine ones
