from __future__ import annotations

import pytest
import timm
import torch
from torch import Tensor, nn

from cass_cli.engine.looking.gradcam import as_grid, chosen_class, grad_cam, own_direction


class Toy(nn.Module):
    """Two channels: the image's first plane and its negative; the head weighs their means 3 and 1."""

    def forward_features(self, images: Tensor) -> Tensor:
        return torch.stack([images[:, 0], -images[:, 0]], dim=1)

    def forward_head(self, features: Tensor) -> Tensor:
        means = features.mean(dim=(2, 3))
        return torch.stack([3 * means[:, 0] + means[:, 1], torch.zeros(len(means))], dim=1)


def test_a_toy_computed_by_hand() -> None:
    images = torch.tensor([[1.0, -2.0], [4.0, 0.0]]).expand(1, 3, 2, 2)
    # Slopes: 3/4 and 1/4 at every position. Map: ReLU(3/4 a − 1/4 a) = ReLU(a / 2).
    expected = torch.tensor([[[0.5, 0.0], [2.0, 0.0]]])
    torch.testing.assert_close(grad_cam(Toy(), images, target=lambda outputs: outputs[:, 0]), expected)
    torch.testing.assert_close(grad_cam(Toy(), images, target=chosen_class), expected)


def test_own_direction_has_the_slope_of_the_length() -> None:
    outputs = torch.randn(4, 5, generator=torch.Generator().manual_seed(0), requires_grad=True)
    (ours,) = torch.autograd.grad(own_direction(outputs).sum(), outputs)
    (length,) = torch.autograd.grad(outputs.norm(dim=1).sum(), outputs)
    torch.testing.assert_close(ours, length)


@pytest.mark.parametrize(("name", "size", "grid"), [("test_resnet", 64, 2), ("test_vit", 32, 2), ("test_vit2", 32, 2)])
def test_maps_of_real_networks(name: str, size: int, grid: int) -> None:
    torch.manual_seed(0)
    sized = {"img_size": size} if "vit" in name else {}
    model = timm.create_model(name, **sized).train()
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    images = torch.randn(3, 3, size, size)
    maps = grad_cam(model, images, target=own_direction)
    assert maps.shape == (3, grid, grid)
    assert (maps >= 0).all()
    assert maps.any(), "somewhere the output has a slope, also where a class token is read"
    assert model.training
    torch.testing.assert_close(grad_cam(model, images[1:2], target=own_direction), maps[1:2], rtol=1e-3, atol=1e-6)


def test_grids_of_every_layout() -> None:
    swin = timm.create_model(
        "swin_tiny_patch4_window7_224", img_size=64, window_size=2, embed_dim=12, depths=(1, 1, 1, 1)
    )
    features = swin.eval().forward_features(torch.randn(1, 3, 64, 64))
    assert as_grid(features, swin).shape == (1, 96, 2, 2)
    vit = timm.create_model("test_vit", img_size=32)
    tokens = torch.arange(5.0).view(1, 5, 1)  # a class token, then four patches
    assert as_grid(tokens, vit).tolist() == [[[[1, 2], [3, 4]]]]
