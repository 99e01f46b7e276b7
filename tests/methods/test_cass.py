from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cass_cli.methods.cass import Cass, cass_loss


def test_equals_the_equation_sample_by_sample() -> None:
    r, t = torch.randn(5, 11), torch.randn(5, 11)
    expected = sum(2 - 2 * float(r[i] @ t[i] / (r[i].norm() * t[i].norm())) for i in range(5)) / 5
    assert float(cass_loss(r, t)) == pytest.approx(expected, abs=1e-6)


def test_equals_squared_distance_of_unit_vectors() -> None:
    """BYOL's form of the same loss (Grill et al. 2020, Eq. 2)."""
    r, t = torch.randn(8, 6), torch.randn(8, 6)
    distance = (F.normalize(r, dim=1) - F.normalize(t, dim=1)).square().sum(dim=1).mean()
    torch.testing.assert_close(cass_loss(r, t), distance)


def test_range_scale_and_order() -> None:
    r, t = torch.randn(8, 6), torch.randn(8, 6)
    assert float(cass_loss(r, 3 * r)) == pytest.approx(0, abs=1e-6)
    assert float(cass_loss(r, -r)) == pytest.approx(4, abs=1e-6)
    order = torch.randperm(8)
    torch.testing.assert_close(cass_loss(r[order], t[order]), cass_loss(r, t))
    assert not torch.isclose(cass_loss(r[order.roll(1)], t[order]), cass_loss(r, t))  # pairs matter
    assert float(cass_loss(torch.zeros(2, 4), torch.zeros(2, 4))) == 2  # no division by zero


def test_constant_outputs_are_a_perfect_solution() -> None:
    """The trap of the objective, which is why collapse is watched."""
    assert float(cass_loss(torch.ones(8, 6), torch.full((8, 6), 0.3))) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_ablations_apply_to_both(activation: str) -> None:
    r, t = torch.randn(4, 6), torch.randn(4, 6)
    apply = {"softmax": lambda x: x.softmax(1), "sigmoid": torch.sigmoid}[activation]
    torch.testing.assert_close(cass_loss(r, t, activation=activation), cass_loss(apply(r), apply(t)))


def test_gradients_reach_both_arms() -> None:
    arms = {"cnn": nn.Linear(12, 5), "vit": nn.Linear(12, 5)}
    method = Cass({name: nn.Sequential(nn.Flatten(), arm) for name, arm in arms.items()}, view={})
    method(torch.randn(3, 3, 2, 2)).backward()
    assert all(arm.weight.grad is not None and arm.weight.grad.abs().sum() > 0 for arm in arms.values())


def test_half_precision_outputs_are_compared_in_full() -> None:
    r, t = torch.randn(4, 1000).bfloat16(), torch.randn(4, 1000).bfloat16()
    assert cass_loss(r, t).dtype == torch.float32
