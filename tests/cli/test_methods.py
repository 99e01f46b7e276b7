"""`cass pretrain --method …` as users run it, and what can be done with its arms."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import timm
import yaml
from safetensors.torch import load_file, save_file

from cass_cli.cli.app import run
from cass_cli.engine.pretraining.targets import load_targets
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
    "vicreg": ["--method", "vicreg"],
    "cass-vicreg": ["--method", "cass", "--objective", "vicreg"],
    "distill": ["--method", "distill", "--targets", "test_convnext", "--weights", "targets=TEACHER"],
}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("methods")
    teacher = timm.create_model("test_convnext", num_classes=0)
    save_file(teacher.state_dict(), folder / "teacher.safetensors")
    return make_pictures(folder / "pictures", per_class=8)


def pretrain(data: Path, out: Path, *more: str) -> int:
    told = [word.replace("TEACHER", str(data.parent / "teacher.safetensors")) for word in more]
    return run(["pretrain", *TINY, "--data", str(data), "--runs", str(out), "--name", "p", *told])


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


def test_distillation_goes_on_with_the_targets_that_it_began_with(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """To the last bit, without its teacher; where they are damaged or gone, it does not go on."""
    teacher = tmp_path / "teacher.safetensors"
    shutil.copy(pictures.parent / "teacher.safetensors", teacher)
    asked = ["--method", "distill", "--targets", "test_convnext", "--weights", f"targets={teacher}"]
    asked += ["--set", "optim.schedule=constant", "--set", "optim.warmup=0"]
    assert pretrain(pictures, tmp_path / "whole", *asked, "--epochs", "2") == 0
    assert pretrain(pictures, tmp_path / "runs", *asked) == 0
    teacher.unlink()
    kept = tmp_path / "runs" / "p" / "checkpoints" / "targets.pt"
    resume = ["pretrain", "--resume", "--runs", str(tmp_path / "runs"), "--epochs", "2"]
    assert load_targets(kept, 12).shape == (12, 11)
    whole = kept.read_bytes()
    kept.write_bytes(whole[:600] + bytes([whole[600] ^ 1]) + whole[601:])
    capsys.readouterr()
    assert run(resume) == 2
    assert "targets.pt is not a checkpoint of cass, or is damaged" in capsys.readouterr().err
    kept.unlink()
    assert run(resume) == 2
    assert "is gone, which the run learns from" in capsys.readouterr().err
    kept.write_bytes(whole)
    assert run(resume) == 0
    for arm in ("cnn", "vit"):
        once, again = (tmp_path / runs / "p" / "arms" / f"{arm}.safetensors" for runs in ("whole", "runs"))
        assert once.read_bytes() == again.read_bytes()


def test_what_teaches_is_told_and_counted(pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights = [word for arm in ("cnn", "vit") for word in ("--weights", f"{arm}={tmp_path / arm}.safetensors")]
    for arm, name in (("cnn", "test_resnet"), ("vit", "test_vit")):
        save_file(
            timm.create_model(name, num_classes=0, **({"img_size": 32} if arm == "vit" else {})).state_dict(),
            tmp_path / f"{arm}.safetensors",
        )
    assert pretrain(pictures, tmp_path, "--method", "distill", *weights, "--dry-run", "--json") == 0
    assert json.loads(capsys.readouterr().out)["forecast"]["reading_seconds"] > 0
    assert not (tmp_path / "p").exists()
    assert pretrain(pictures, tmp_path, "--method", "distill", "--arm", "cnn", *weights) == 0
    screen = capsys.readouterr().out
    assert "Targets: the starting cnn" in screen and "Targets: the starting vit" in screen
    assert {path.stem for path in (tmp_path / "p" / "arms").iterdir()} == {"cnn"}


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
    (["--method", "distill"], "random weights (cnn, vit) know nothing. Start from --init imagenet or --weights"),
    (["--method", "distill", "--targets", "test_convnext2"], "random weights (targets) know nothing"),
    (["--method", "distill", "--weights", "targets=TEACHER"], "a network that method distill names"),
    (["--targets", "test_convnext"], "could teach only by method distill"),
    (["--method", "vicreg", "--objective", "vicreg"], "is of method cass"),
    (["--objective", "vicreg", "--set", "method.activation=softmax"], "knows no activation"),
    (["--set", "method.name=[cass]"], "method.name"),
    (
        ["--method", "distill", "--targets", "test_convnext", "--weights", "targets=/nowhere.pt", "--dry-run"],
        "/nowhere.pt",
    ),
    (["--method", "distill", "--init", "imagenet", "--targets", "vit_hug"], "timm has no model 'vit_hug'"),
    (["--method", "distill", "--weights", "teacher=x"], "form cnn=PATH or vit=PATH or targets=PATH"),
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
