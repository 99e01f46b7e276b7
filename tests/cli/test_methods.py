"""`cass pretrain --method …` as users run it, and what can be done with its arms."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import timm
import yaml
from safetensors.torch import load_file

from cass_cli.cli.app import run
from tests.cli.conftest import TRAINED, make_pictures

TINY = (
    *("--image-size", "32", "--epochs", "1", "--batch-size", "8", "--cnn", "test_resnet", "--vit", "test_vit"),
    *("--init", "random", "--device", "cpu", "--precision", "fp32"),
    *("--set", "method.prototypes=32", "--set", "method.decoder_width=32", "--set", "method.decoder_depth=1"),
)
METHODS = {
    "dino": ["--method", "dino"],
    "dino-paper": ["--method", "dino", "--dino-setting", "paper"],
    "byol": ["--method", "byol"],
    "mae": ["--method", "mae"],
}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pictures(tmp_path_factory.mktemp("methods") / "pictures", per_class=8)


def pretrain(data: Path, out: Path, *more: str) -> int:
    return run(["pretrain", *TINY, "--data", str(data), "--runs", str(out), "--name", "p", *more])


@pytest.mark.parametrize("method", METHODS)
def test_arms_load_with_timm_alone(
    method: str, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pretrain(pictures, tmp_path, *METHODS[method], "--json") == 0
    result = json.loads(capsys.readouterr().out)
    arms = {"vit"} if method == "mae" else {"cnn", "vit"}
    assert {path.name for path in (tmp_path / "p" / "arms").iterdir()} == {
        f"{arm}.{end}" for arm in arms for end in ("safetensors", "json")
    }
    assert set(result["gauges"]) == arms
    for arm in arms:
        card = json.loads((tmp_path / "p" / "arms" / f"{arm}.json").read_text())
        assert card["options"]["num_classes"] == 0
        model = timm.create_model(card["model"], **card["options"])
        model.load_state_dict(load_file(tmp_path / "p" / "arms" / f"{arm}.safetensors"), strict=True)
    rows = [json.loads(line) for line in (tmp_path / "p" / "metrics.jsonl").read_text().splitlines()]
    assert len(rows) == 1 and rows[0]["loss"] == result["loss"] > 0
    settings = (tmp_path / "p" / "config.yaml").read_text()
    assert yaml.safe_load(settings)["method"]["name"] == METHODS[method][1]
    assert f"# method {METHODS[method][1]}" in settings  # where the recipe's values come from


@pytest.mark.parametrize("arm", ["cnn", "vit"])
def test_one_arm_and_then_fine_tuning(
    arm: str, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pretrain(pictures, tmp_path, "--method", "dino", "--arm", arm) == 0
    assert {path.stem for path in (tmp_path / "p" / "arms").iterdir()} == {arm}
    capsys.readouterr()
    tuning = [*TRAINED, "--epochs", "1", "--batch-size", "8", "--json"]
    assert run(["finetune", "--runs", str(tmp_path), *tuning]) == 0
    results = json.loads(capsys.readouterr().out)["results"]
    assert {result["candidate"] for result in results} == {arm}


def test_a_finished_run_goes_on_with_more_epochs(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pretrain(pictures, tmp_path, *METHODS["mae"]) == 0
    assert run(["pretrain", "--resume", "--runs", str(tmp_path), "--method", "byol", "--epochs", "2"]) == 2
    assert "method.name was mae, now byol" in capsys.readouterr().err
    assert run(["pretrain", "--resume", "--runs", str(tmp_path), "--arm", "cnn", "--epochs", "2"]) == 2
    assert "mae hides patches" in capsys.readouterr().err, "judged by the run's settings, not by the defaults"
    assert run(["pretrain", "--resume", "--runs", str(tmp_path), "--arm", "vit", "--epochs", "2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["epochs"] == 2


# What is asked → what is said.
BAD_INPUT = [
    (["--method", "cass", "--arm", "cnn"], "cass trains two arms together"),
    (["--method", "mae", "--arm", "cnn"], "mae hides patches of a Transformer"),
    (["--method", "mae", "--vit", "swin_tiny_patch4_window7_224"], "MAE hides patches of a plain Vision Transformer"),
    (["--method", "dino", "--arm", "vit", "--vit", "convit_tiny"], "takes images of one size only"),
    (["--method", "dino", "--arm", "cnn", "--cnn", "mixer_s32_224", "--image-size", "224"], "--dino-setting paper"),
    (["--method", "dinov2"], "method.name"),
    (["--method", "dino", "--dino-setting", "vit-pytorch"], "method.dino_setting"),
    (["--method", "dino", "--arm", "resnet"], "method.arm"),
    (["--method", "mae", "--set", "method.mask_ratio=1"], "method.mask_ratio"),
    (["--method", "mae", "--set", "method.decoder_width=100"], "method.decoder_width"),
]


@pytest.mark.parametrize(("arguments", "said"), BAD_INPUT, ids=lambda value: " ".join(value)[:60])
def test_bad_input_is_explained(
    arguments: list[str], said: str, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pretrain(pictures, tmp_path / "runs", *arguments) == 2
    error = capsys.readouterr().err
    assert said in error.replace("\n", " ")
    assert "Traceback" not in error
    assert not (tmp_path / "runs" / "p").exists()
