"""A head beside the arms that it reads, and both put together again."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch

from cass_cli.data.views.spec import ImageSpec
from cass_cli.errors import ModelError, RunError
from cass_cli.models.arms import save_arm
from cass_cli.models.card import ArmCard
from cass_cli.models.heads import HeadCard, LayerHead, join, load_head, save_head
from cass_cli.models.layers import arm_features

ARMS = {"cnn": ("test_resnet", {"num_classes": 0}), "vit": ("test_vit", {"num_classes": 0, "img_size": 32})}


def saved(folder: Path, arms: tuple[str, ...], *, mirrored: bool = False) -> tuple[Path, torch.Tensor, torch.Tensor]:
    """Save arms and a random head over two layers of each; return its path, images, and logits by hand."""
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    features = []
    for name in arms:
        torch.manual_seed(3)
        model, options = ARMS[name]
        network = timm.create_model(model, **options).eval()
        save_arm(folder / name, network, ArmCard(model, options, ImageSpec(32, (0.5,) * 3, (0.5,) * 3)))
        with torch.no_grad():
            features.append(arm_features(network, images, layers=2, mirrored=mirrored)[0])
    joined = torch.cat(features, dim=1)
    weight, bias = torch.randn(3, joined.shape[1]), torch.randn(3)
    card = HeadCard(arms, 2, mirrored, ("a", "b", "c"), multilabel=False, labels=7, inverse_l2=30.0)
    save_head(folder / "x-head", LayerHead(card, weight, bias))
    return folder / "x-head", images, joined @ weight.T + bias


@pytest.mark.parametrize("arms", [("cnn",), ("vit",), ("cnn", "vit")])
@pytest.mark.parametrize("mirrored", [False, True])
def test_join_answers_as_by_hand(tmp_path: Path, arms: tuple[str, ...], mirrored: bool) -> None:
    path, images, expected = saved(tmp_path, arms, mirrored=mirrored)
    classifier = join(path)
    assert not any(parameter.requires_grad for parameter in classifier.parameters())
    assert torch.allclose(classifier(images), expected, atol=1e-5)
    assert load_head(path).card == classifier.head.card


def test_what_is_missing_or_damaged_is_named(tmp_path: Path) -> None:
    path, _, _ = saved(tmp_path, ("vit",))
    (tmp_path / "vit.safetensors").unlink()
    with pytest.raises(ModelError, match="vit"):
        join(path)
    path.with_suffix(".json").write_text("{}")
    with pytest.raises(RunError, match="x-head"):
        load_head(path)
