"""What is read of an arm's layers, against timm's own forward passes."""

from __future__ import annotations

from typing import Any

import pytest
import timm
import torch

from cass_cli.models.layers import arm_features


def network(name: str) -> Any:
    torch.manual_seed(0)
    size = {"img_size": 32} if "vit" in name else {}
    return timm.create_model(name, num_classes=5, **size).eval()


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def test_a_transformer_gives_class_token_and_mean_patch_of_its_last_blocks(images: torch.Tensor) -> None:
    vit = network("test_vit")
    width = vit.embed_dim
    values, widths = arm_features(vit, images, layers=3)
    assert widths == [width] * 6
    tokens = vit.forward_features(images)  # the final norm is in it
    assert torch.allclose(values[:, :width], tokens[:, 0], atol=1e-6)
    assert torch.allclose(values[:, width : 2 * width], tokens[:, 1:].mean(dim=1), atol=1e-6)
    first = vit.norm(vit.blocks[0](vit.norm_pre(vit._pos_embed(vit.patch_embed(images)))))
    deepest = arm_features(vit, images, layers=len(vit.blocks))[0]
    assert torch.allclose(deepest[:, -2 * width : -width], first[:, 0], atol=1e-5)


@torch.no_grad()
def test_a_cnn_gives_what_its_head_reads_and_the_mean_of_its_last_stages(images: torch.Tensor) -> None:
    cnn = network("test_resnet")
    values, widths = arm_features(cnn, images, layers=3)
    last = cnn.forward_features(images)
    head = cnn.forward_head(last, pre_logits=True)
    assert torch.allclose(values[:, : widths[0]], head, atol=1e-6)
    assert torch.allclose(values[:, widths[0] : sum(widths[:2])], last.mean(dim=(2, 3)), atol=1e-6)
    assert len(widths) == 3
    assert arm_features(cnn, images, layers=1)[1] == widths[:1]


@pytest.mark.parametrize("name", ["test_resnet", "test_vit"])
@torch.no_grad()
def test_mirrored_is_the_mean_of_both_and_too_many_layers_are_all(name: str, images: torch.Tensor) -> None:
    model = network(name)
    both = arm_features(model, images, layers=2, mirrored=True)[0]
    plain, flipped = (arm_features(model, x, layers=2)[0] for x in (images, images.flip(3)))
    assert torch.allclose(both, (plain + flipped) / 2, atol=1e-6)
    assert not torch.allclose(both, plain, atol=1e-4)
    assert arm_features(model, images, layers=99)[1] == arm_features(model, images, layers=50)[1]


@torch.no_grad()
def test_a_network_whose_layers_are_not_told_apart_gives_its_last(images: torch.Tensor) -> None:
    class Plain(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(2), torch.nn.Flatten())
            self.head = torch.nn.Linear(12, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = self.head(self.body(x))
            return logits

        def get_classifier(self) -> torch.nn.Module:
            return self.head

    model = Plain()
    values, widths = arm_features(model, images, layers=4)
    assert widths == [12]
    assert torch.equal(values, model.body(images))
