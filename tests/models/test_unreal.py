"""Networks without numbers have the form of those with them."""

from __future__ import annotations

import pytest
import timm
import torch

from cass_cli.models.unreal import unreal


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "test_convnext2"])
def test_a_network_has_the_form_of_a_real_one_and_no_numbers(name: str) -> None:
    with unreal():
        form = timm.create_model(name, num_classes=3)
    real = timm.create_model(name, num_classes=3)
    assert all(tensor.is_meta for tensor in form.state_dict().values())
    shapes = [{key: tensor.shape for key, tensor in network.state_dict().items()} for network in (form, real)]
    assert shapes[0] == shapes[1]


def test_what_has_numbers_is_drawn_as_ever() -> None:
    torch.manual_seed(0)
    expected = torch.zeros(4).normal_()
    torch.manual_seed(0)
    with unreal():
        assert torch.zeros(4, device="cpu").normal_().equal(expected)
