"""A NaN or an infinity in a file of weights is told with the file and the tensor, whoever reads it."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from cass_cli.data.views.spec import ImageSpec
from cass_cli.errors import ModelError
from cass_cli.models.arms import build_arm, load_arm, save_arm
from cass_cli.models.card import ArmCard
from cass_cli.models.heads import HeadCard, LayerHead, load_head, save_head


def spoil(path: Path, name: str, value: float) -> None:
    tensors = load_file(path)
    tensors[name].view(-1)[-1] = value
    save_file(tensors, path)


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("ending", ["safetensors", "pt"])
def test_a_file_given_as_weights(tmp_path: Path, value: float, ending: str) -> None:
    tensors = timm.create_model("test_resnet", num_classes=4).state_dict()
    tensors["bn1.running_var"][0] = value
    path = tmp_path / f"weights.{ending}"
    save_file(tensors, path) if ending == "safetensors" else torch.save({"state_dict": tensors}, path)
    with pytest.raises(ModelError, match=rf"weights\.{ending} holds values that are not finite.*bn1\.running_var"):
        build_arm("test_resnet", image_size=32, outputs=4, weights=path)


def test_a_head_that_is_left_out_may_hold_anything(tmp_path: Path) -> None:
    tensors = timm.create_model("test_resnet", num_classes=4).state_dict()
    tensors["fc.weight"][0] = math.nan
    save_file(tensors, tmp_path / "weights.safetensors")
    arm = build_arm("test_resnet", image_size=32, outputs=7, weights=tmp_path / "weights.safetensors")
    assert arm.weights.missing == ("fc.weight", "fc.bias")


def test_an_arm_of_a_run(tmp_path: Path) -> None:
    model = timm.create_model("test_resnet", num_classes=4)
    spec = ImageSpec(32, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    save_arm(tmp_path / "cnn", model, ArmCard("test_resnet", {"num_classes": 4}, spec))
    load_arm(tmp_path / "cnn")
    spoil(tmp_path / "cnn.safetensors", "fc.bias", math.nan)
    with pytest.raises(ModelError, match=r"cnn\.safetensors holds values that are not finite.*fc\.bias"):
        load_arm(tmp_path / "cnn")


def test_a_head_of_a_run(tmp_path: Path) -> None:
    card = HeadCard(("cnn",), 1, False, ("a", "b"), False, 4, 1.0)
    save_head(tmp_path / "cnn-head", LayerHead(card, torch.ones(2, 3), torch.ones(2)))
    load_head(tmp_path / "cnn-head")
    spoil(tmp_path / "cnn-head.safetensors", "weight", math.inf)
    with pytest.raises(ModelError, match=r"cnn-head\.safetensors holds values that are not finite.*weight"):
        load_head(tmp_path / "cnn-head")
