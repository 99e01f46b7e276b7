from __future__ import annotations

from typing import Any

import pytest
import timm
import torch
import torch.nn.functional as F
from lightly.loss import VICRegLoss
from torch import nn

from cass_cli.methods import vicreg
from cass_cli.methods.cass_vicreg import CassVicReg


def pair() -> CassVicReg:
    """A network of each width."""
    arms = {name: nn.Sequential(nn.Flatten(), nn.Linear(48, width)) for name, width in (("cnn", 12), ("vit", 8))}
    return CassVicReg(arms, {"cnn": 12, "vit": 8}, projection=16)


def test_each_arm_sees_a_view_of_its_own_and_the_loss_is_across() -> None:
    method = pair()
    one, two = torch.randn(2, 5, 3, 4, 4)
    cnn, vit = method.branches["cnn"](one), method.branches["vit"](two)
    torch.testing.assert_close(method(one, two), VICRegLoss()(cnn, vit), atol=1e-4, rtol=1e-5)
    assert not torch.isclose(method(one, two), method(two, one)), "which view is whose matters"
    assert len(method.views) == 2


def test_gradient_reaches_both_arms_and_their_projectors() -> None:
    method = pair()
    method(*torch.randn(2, 5, 3, 4, 4)).backward()
    learned = [p for learner in method.learners.values() for p in learner.parameters()]
    assert {id(p) for p in learned} == {id(p) for p in method.parameters()}
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in method.parameters() if p.ndim > 1)


def test_arms_are_kept_without_projectors_and_gauged_with_them() -> None:
    method = pair().eval()
    assert {name: net is method.branches[name].network for name, net in method.arms.items()} == {
        "cnn": True,
        "vit": True,
    }
    features, projections = method.embed("vit", torch.randn(3, 3, 4, 4))
    assert features.shape == (3, 8) and projections.shape == (3, 16)
    assert torch.equal(projections, method.branches["vit"].head(features))


# ---- it learns, and would collapse without what keeps it alive


def learn_eight_pictures() -> tuple[float, float]:
    """Train a CNN and a Transformer on eight pictures under noise.

    Returns how much closer, as a cosine from −1 to 1, the arms' centred projections of a picture are than those of
    different pictures; and the mean standard deviation of the projections.
    """
    draw = torch.Generator().manual_seed(0)
    pictures = F.interpolate(torch.randn(8, 3, 4, 4, generator=draw), size=32)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        arms: dict[str, Any] = {
            "cnn": timm.create_model("test_resnet", num_classes=0),
            "vit": timm.create_model("test_vit", num_classes=0, img_size=32),
        }
        method = CassVicReg(arms, {name: arm.num_features for name, arm in arms.items()}, projection=64)
        optimiser = torch.optim.Adam(method.parameters(), lr=2e-3)
        for _ in range(60):
            method(*(pictures + torch.randn(pictures.shape) for _ in range(2))).backward()
            optimiser.step()
            optimiser.zero_grad()
        views = [pictures + torch.randn(pictures.shape) for _ in range(2)]
        with torch.no_grad():
            cnn, vit = (branch(view) for branch, view in zip(method.branches.values(), views, strict=True))
    pairs = F.normalize(cnn - cnn.mean(dim=0), dim=1) @ F.normalize(vit - vit.mean(dim=0), dim=1).T
    own = pairs.diagonal().mean()
    return float(own - (pairs.sum() - pairs.trace()) / (8 * 7)), float(torch.cat([cnn, vit]).std(dim=0).mean())


LEARNT, SPREAD = 0.8, 0.3


def test_two_architectures_come_to_say_the_same_of_a_picture() -> None:
    own, spread = learn_eight_pictures()
    assert own > LEARNT and spread > SPREAD


def test_they_would_not_without_invariance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vicreg, "INVARIANCE", 0.0)
    assert learn_eight_pictures()[0] < LEARNT - 0.3


def test_they_would_say_the_same_of_every_picture_without_variance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vicreg, "VARIANCE", 0.0)
    assert learn_eight_pictures()[1] < SPREAD - 0.1
