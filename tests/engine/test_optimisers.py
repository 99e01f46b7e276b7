from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from cass_cli.config.schema import Optim
from cass_cli.engine.optimisers import build_optimiser, clip_each, learning_rate, set_rates, weight_decay


def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.LayerNorm(16), nn.Linear(16, 5))


@pytest.mark.parametrize(
    ("name", "kind"), [("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW), ("sgd", torch.optim.SGD)]
)
def test_kind_and_settings(name: str, kind: type[torch.optim.Optimizer]) -> None:
    optimiser = build_optimiser(name, network(), Optim(lr=0.01, betas=(0.8, 0.95), momentum=0.7))
    assert type(optimiser) is kind
    for group in optimiser.param_groups:
        assert group["lr"] == 0.01
        assert (group["momentum"] == 0.7) if name == "sgd" else (group["betas"] == (0.8, 0.95))


def test_vectors_are_not_decayed_and_what_does_not_learn_is_left_out() -> None:
    """As `get_params_groups` of facebookresearch/dino: biases and whatever has one dimension."""
    net = network()
    net[0].requires_grad_(False)
    optimiser = build_optimiser("adamw", net, Optim())
    set_rates(optimiser, lr=0.1, weight_decay=0.3)
    decay = {id(p): group["weight_decay"] for group in optimiser.param_groups for p in group["params"]}
    assert decay == {id(p): 0.3 if p.ndim > 1 else 0.0 for p in net[1:].parameters()}
    assert {group["lr"] for group in optimiser.param_groups} == {0.1}


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
def test_steps_equal_torchs(name: str) -> None:
    """Decay is decoupled in AdamW, L2 in the others."""
    torch.manual_seed(0)
    ours, theirs = nn.Linear(4, 3, bias=False), nn.Linear(4, 3, bias=False)
    theirs.load_state_dict(ours.state_dict())
    optimiser = build_optimiser(name, ours, Optim(lr=0.5))
    kinds = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}
    extra = {"momentum": 0.9} if name == "sgd" else {}
    plain = kinds[name](theirs.parameters(), lr=0.01, weight_decay=0.2, **extra)
    for _ in range(4):
        x = torch.randn(6, 4)
        for net, takes in ((ours, optimiser), (theirs, plain)):
            takes.zero_grad()
            net(x).square().mean().backward()
        set_rates(optimiser, lr=0.01, weight_decay=0.2)
        optimiser.step()
        plain.step()
    torch.testing.assert_close(ours.weight, theirs.weight)


def test_cosine_with_warm_up_is_the_reference_of_mae() -> None:
    """facebookresearch/mae, util/lr_sched.py, at each step's share of an epoch."""
    optim = Optim(lr=2e-3, lr_min=1e-5, schedule="cosine", warmup=0.1)
    epochs, steps_per_epoch, warm = 20, 5, 2
    for step in range(epochs * steps_per_epoch):
        epoch = step / steps_per_epoch
        if epoch < warm:
            expected = 2e-3 * epoch / warm
        else:
            share = (epoch - warm) / (epochs - warm)
            expected = 1e-5 + (2e-3 - 1e-5) * 0.5 * (1.0 + math.cos(math.pi * share))
        assert learning_rate(step, steps=100, optim=optim) == pytest.approx(expected, rel=1e-9)


def test_weight_decay_is_the_reference_of_dino() -> None:
    """`cosine_scheduler` of facebookresearch/dino, utils.py: final + (base − final)(1 + cos πi/n)/2."""
    optim = Optim(weight_decay=0.04, weight_decay_end=0.4)
    for step in range(50):
        expected = 0.4 + 0.5 * (0.04 - 0.4) * (1 + math.cos(math.pi * step / 50))
        assert weight_decay(step, steps=50, optim=optim) == pytest.approx(expected, rel=1e-9)
    assert {weight_decay(step, steps=50, optim=Optim(weight_decay=0.05)) for step in range(50)} == {0.05}


def test_constant_rises_and_stays_and_cyclic_comes_back() -> None:
    constant = Optim(lr=0.2, schedule="constant", warmup=0.5)
    assert [learning_rate(step, steps=4, optim=constant) for step in range(4)] == pytest.approx([0, 0.1, 0.2, 0.2])
    cyclic = Optim(lr=0.2, lr_min=0.0, schedule="cyclic", lr_period=2, warmup=0.5)
    rates = [learning_rate(step, steps=8, optim=cyclic) for step in range(5)]
    assert rates == pytest.approx([0.2, 0.1, 0, 0.1, 0.2], abs=1e-12)


def test_each_gradient_is_clipped_by_its_own_norm() -> None:
    """As `clip_gradients` of facebookresearch/dino, written as its loop."""
    parameters = [nn.Parameter(torch.zeros(n)) for n in (3, 5, 2)]
    for p, length in zip(parameters, (10.0, 0.5, 3.5), strict=True):
        direction = torch.randn_like(p)
        p.grad = direction * length / direction.norm()
    unused = nn.Parameter(torch.zeros(4))
    expected = []
    for p in parameters:
        scale = 3.0 / (p.grad.norm(2) + 1e-6)
        expected.append(p.grad * scale if scale < 1 else p.grad.clone())
    clip_each([*parameters, unused], 3.0)
    for p, gradient in zip(parameters, expected, strict=True):
        torch.testing.assert_close(p.grad, gradient)
    assert [float(p.grad.norm()) for p in parameters] == pytest.approx([3.0, 0.5, 3.0], rel=1e-5)
    assert unused.grad is None
