from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from cass_cli.data.views.spec import ImageSpec
from cass_cli.errors import ModelError, RunError
from cass_cli.models.arms import build_arm, embed, load_arm, save_arm
from cass_cli.models.card import ArmCard


def test_start_is_a_function_of_the_seed() -> None:
    first, again, other = (
        build_arm("test_vit", image_size=32, outputs=10, seed=seed).model.state_dict() for seed in (1, 1, 2)
    )
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not all(torch.equal(first[key], other[key]) for key in first)


def test_building_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    build_arm("test_resnet", image_size=32, outputs=10, seed=9)
    assert torch.equal(torch.rand(1), expected)


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "test_convnext", "deit_tiny_distilled_patch16_224"])
def test_embed_returns_what_the_head_sees_and_gives(name: str) -> None:
    arm = build_arm(name, image_size=32, outputs=7)
    model = arm.model.train()  # so that a distilled model returns one output as in training
    model.eval() if "distilled" not in name else None
    images = torch.randn(3, 3, 32, 32)
    features, outputs = embed(model, images)
    head = model.get_classifier()
    assert features.shape == (3, model.num_features)
    if not isinstance(head, tuple):
        assert torch.allclose(outputs, model(images))
        assert torch.allclose(head(features), outputs)


def test_local_weights_fit_another_image_size_half_precision_and_no_head(tmp_path: Path) -> None:
    source = timm.create_model("test_vit", num_classes=0, img_size=64)
    tensors = {key: value.half() for key, value in source.state_dict().items()}
    save_file(tensors, tmp_path / "body.safetensors")
    arm = build_arm("test_vit", image_size=32, outputs=10, weights=tmp_path / "body.safetensors")
    assert arm.weights.missing == ("head.weight", "head.bias")
    assert arm.weights.matched == arm.weights.total - 2
    assert torch.equal(arm.model.state_dict()["blocks.0.mlp.fc1.weight"], tensors["blocks.0.mlp.fc1.weight"].float())
    assert all(p.dtype == torch.float32 for p in arm.model.parameters())


def test_wrapped_and_prefixed_state_dict(tmp_path: Path) -> None:
    source = timm.create_model("test_resnet", num_classes=10)
    state = {f"module.{key}": value for key, value in source.state_dict().items()}
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "w.pt")
    arm = build_arm("test_resnet", image_size=32, outputs=10, weights=tmp_path / "w.pt")
    assert arm.weights.matched == arm.weights.total


def test_foreign_weights_are_refused_by_name(tmp_path: Path) -> None:
    save_file(timm.create_model("test_resnet", num_classes=10).state_dict(), tmp_path / "r.safetensors")
    with pytest.raises(ModelError, match=r"r\.safetensors does not fit this VisionTransformer: missing: cls_token"):
        build_arm("test_vit", image_size=32, outputs=10, weights=tmp_path / "r.safetensors")


def test_one_missing_body_tensor_is_refused(tmp_path: Path) -> None:
    tensors = timm.create_model("test_resnet", num_classes=10).state_dict()
    del tensors["conv1.0.weight" if "conv1.0.weight" in tensors else "conv1.weight"]
    save_file(tensors, tmp_path / "r.safetensors")
    with pytest.raises(ModelError, match="missing: conv1"):
        build_arm("test_resnet", image_size=32, outputs=10, weights=tmp_path / "r.safetensors")


def test_a_pickle_cannot_run_code(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "owned",))

    torch.save({"state_dict": Evil()}, tmp_path / "evil.pt")
    with pytest.raises(ModelError, match=r"evil\.pt is not a readable weight file"):
        build_arm("test_resnet", image_size=32, outputs=10, weights=tmp_path / "evil.pt")
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize(
    ("name", "size", "message"),
    [
        ("resnet5o", 32, "Did you mean 'resnet50'"),
        ("test_vit", 40, "40 is no multiple of 16"),
        ("maxvit_tiny_tf_224", 64, "cannot take images of 64 pixels"),
    ],
)
def test_names_and_sizes_that_do_not_fit(name: str, size: int, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        build_arm(name, image_size=size, outputs=10)


def test_a_finer_last_map_has_the_weights_of_the_coarse_one(tmp_path: Path) -> None:
    usual, fine = (build_arm("test_resnet", image_size=64, outputs=3, output_stride=stride) for stride in (None, 16))
    maps: list[tuple[int, ...]] = []
    for arm in (usual, fine):
        network: Any = arm.model.eval()
        maps.append(tuple(network.forward_features(torch.randn(1, 3, 64, 64)).shape[2:]))
    assert maps == [(2, 2), (4, 4)]
    first, second = (arm.model.state_dict() for arm in (usual, fine))
    assert first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)
    save_arm(tmp_path / "cnn", fine.model, ArmCard(fine.name, fine.options, ImageSpec(64, (0.5,) * 3, (0.5,) * 3)))
    images = torch.randn(2, 3, 64, 64)
    assert torch.equal(load_arm(tmp_path / "cnn")[0].eval()(images), fine.model(images))


@pytest.mark.parametrize("name", ["vgg11", "test_vit"])
def test_a_network_that_cannot_have_a_finer_map_is_refused(name: str) -> None:
    with pytest.raises(ModelError, match=f"{name} has no other output stride") as error:
        build_arm(name, image_size=32, outputs=3, output_stride=16)
    assert "--set arms.output_stride=null" in str(error.value.hint)


def test_failed_download_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)  # fails at once, with or without a network
    with pytest.raises(ModelError, match=r"Could not fetch timm's weights of 'resnet18'[\s\S]*--weights cnn=PATH"):
        build_arm("resnet18", image_size=32, outputs=1000, init="imagenet")


def test_model_without_imagenet_weights() -> None:
    with pytest.raises(ModelError, match="no ImageNet weights for 'resnet200'"):
        build_arm("resnet200", image_size=32, outputs=1000, init="imagenet")


def test_saved_arm_loads_with_timm_alone(tmp_path: Path) -> None:
    arm = build_arm("test_vit", image_size=48, outputs=10, seed=3)
    saved = ArmCard(arm.name, arm.options, ImageSpec(48, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)))
    save_arm(tmp_path / "vit", arm.model, saved)
    card = json.loads((tmp_path / "vit.json").read_text())
    model = timm.create_model(card["model"], **card["options"])
    model.load_state_dict(load_file(tmp_path / "vit.safetensors"), strict=True)
    images = torch.randn(2, 3, 48, 48)
    assert torch.equal(model.eval()(images), arm.model.eval()(images))
    network, read = load_arm(tmp_path / "vit")
    assert torch.equal(network.eval()(images), arm.model(images))
    assert read == saved
    with pytest.raises(RunError, match="cannot be read"):
        load_arm(tmp_path / "nothing")


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "file", "missing"),
    [
        ("tf_efficientnet_lite0", "tf_efficientnet_lite0.safetensors", 0),
        ("mobilenetv2_100", "mobilenetv2_100.deepsortrealtime.safetensors", 2),
        ("vit_small_patch14_dinov2", "vit_small_patch14_dinov2.fp16.safetensors", 2),
    ],
)
def test_real_weights_load_strictly(shared: Path, name: str, file: str, missing: int) -> None:
    arm = build_arm(name, image_size=112, outputs=1000, weights=shared / "weights" / file)
    assert len(arm.weights.missing) == missing
