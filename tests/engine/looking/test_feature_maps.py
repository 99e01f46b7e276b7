from __future__ import annotations

import numpy as np
import pytest
import timm
import torch

from cass_cli.engine.looking.feature_maps import edge_agreement, first_maps


def test_the_first_convolutions_in_the_order_they_run() -> None:
    torch.manual_seed(0)
    model = timm.create_model("resnet18", num_classes=2).eval()
    images = torch.randn(2, 3, 32, 32)
    maps = first_maps(model, images, layers=5)
    assert list(maps) == ["conv1", "layer1.0.conv1", "layer1.0.conv2", "layer1.1.conv1", "layer1.1.conv2"]
    torch.testing.assert_close(maps["conv1"], model.conv1(images).abs().mean(dim=1))
    assert not any("downsample" in name for name in first_maps(model, images, layers=12))
    assert not model.conv1._forward_hooks


def test_tokens_become_a_grid() -> None:
    torch.manual_seed(0)
    model = timm.create_model("test_vit", img_size=48).eval()
    images = torch.randn(2, 3, 48, 48)
    maps = first_maps(model, images, layers=3)
    assert list(maps) == ["patch_embed.proj", "blocks.0", "blocks.1"]
    assert all(values.shape == (2, 3, 3) for values in maps.values())
    tokens = model.blocks[0](model.norm_pre(model._pos_embed(model.patch_embed(images))))
    torch.testing.assert_close(maps["blocks.0"], tokens[:, 1:].abs().mean(dim=2).view(2, 3, 3))


def test_edges() -> None:
    grey = torch.rand(2, 32, 32, generator=torch.Generator().manual_seed(0))
    small = torch.nn.functional.adaptive_avg_pool2d(grey.unsqueeze(1), (8, 8)).squeeze(1)
    assert edge_agreement(small, grey) == pytest.approx(1)
    assert edge_agreement(5 - 3 * small, grey) == pytest.approx(1), "a negative keeps all edges"
    other = torch.rand(2, 8, 8, generator=torch.Generator().manual_seed(1))
    assert (np.abs(edge_agreement(other, grey)) < 0.4).all()
    assert np.isnan(edge_agreement(torch.ones(2, 8, 8), grey)).all()
    assert np.isnan(edge_agreement(torch.rand(2, 3, 3), grey)).all()
