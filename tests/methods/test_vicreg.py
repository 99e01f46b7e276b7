from __future__ import annotations

from typing import Any

import pytest
import timm
import torch
import torch.nn.functional as F
from lightly.loss import VICRegLoss
from torch import nn

from cass_cli.methods import vicreg
from cass_cli.methods.vicreg import VicReg, covariance_of, covariance_term, variance_term, vicreg_loss


def network() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.BatchNorm1d(48), nn.Linear(48, 12), nn.Tanh())


def test_loss_equals_lightly() -> None:
    for seed in range(3):
        draw = torch.Generator().manual_seed(seed)
        one, two = (0.7 * torch.randn(9, 11, generator=draw) for _ in range(2))
        torch.testing.assert_close(vicreg_loss(one, two), VICRegLoss()(one, two), atol=1e-5, rtol=1e-5)


def test_terms_by_hand() -> None:
    still = torch.ones(4, 3)
    assert float(variance_term(covariance_of(still))) == pytest.approx(1 - 1e-2)  # √ε is left of the deviation
    assert float(covariance_term(covariance_of(still))) == 0
    spread = torch.tensor([[-3.0, 3.0], [3.0, -3.0]])  # variance 18 each, covariance −18
    assert float(variance_term(covariance_of(spread))) == 0
    assert float(covariance_term(covariance_of(spread))) == pytest.approx(2 * 18**2 / 2)
    assert float(vicreg_loss(spread, spread)) == pytest.approx(2 * 18**2)


def test_a_constant_costs_more_than_noise() -> None:
    """So it cannot collapse as CASS does, where a constant is a perfect solution."""
    noise = torch.randn(64, 8, generator=torch.Generator().manual_seed(0))
    assert float(vicreg_loss(torch.ones(64, 8), torch.ones(64, 8))) > float(vicreg_loss(noise, noise)) + 10


def test_loss_is_in_full_precision() -> None:
    x = torch.randn(5, 8)
    assert vicreg_loss(x.bfloat16(), x.bfloat16()).dtype == torch.float32


def test_loss_of_the_method_is_that_of_its_parts() -> None:
    method = VicReg(network(), width=12, projection=16)
    one, two = torch.randn(2, 5, 3, 4, 4)
    first, second = method.branch(torch.cat([one, two])).chunk(2)
    torch.testing.assert_close(method(one, two), VICRegLoss()(first, second), atol=1e-4, rtol=1e-5)
    torch.testing.assert_close(method(one, two), method(two, one), atol=1e-4, rtol=1e-5)


def test_gradient_reaches_everything() -> None:
    method = VicReg(network(), width=12, projection=16)
    method(*torch.randn(2, 5, 3, 4, 4)).backward()
    assert {id(p) for p in method.learner.parameters()} == {id(p) for p in method.parameters()}
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in method.parameters() if p.ndim > 1)


def test_the_network_is_kept_and_compared_by_its_projection() -> None:
    method = VicReg(network(), width=12, projection=16).eval()
    assert method.kept is method.branch.network
    features = torch.randn(3, 12)
    assert torch.equal(method.outputs(features), method.branch.head(features))
    assert method.outputs(features).shape == (3, 16)
    assert len(method.views) == 2


# ---- it learns, and would not if its loss were broken


NOISE = 5.0  # so much that pictures are told apart only by what is learnt


def learn_eight_pictures() -> tuple[float, float]:
    """Train on eight pictures under heavy noise for augmentation.

    Returns how much closer, as a cosine from −1 to 1, the centred projections come to other views of their own picture
    than to views of the others; and the mean standard deviation of the projections.
    """
    draw = torch.Generator().manual_seed(0)
    pictures = F.interpolate(torch.randn(8, 3, 4, 4, generator=draw), size=32)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        vit: Any = timm.create_model("test_vit", num_classes=0, img_size=32)
        method = VicReg(vit, width=vit.num_features, projection=64)
        optimiser = torch.optim.Adam(method.learner.parameters(), lr=2e-3)
        for step in range(60):
            views = [pictures + NOISE * torch.randn(pictures.shape) for _ in range(2)]
            method(*views, progress=step / 60).backward()
            optimiser.step()
            optimiser.zero_grad()
        one, two = (pictures + NOISE * torch.randn(pictures.shape) for _ in range(2))
        with torch.no_grad():
            first, second = method.branch(torch.cat([one, two])).chunk(2)
    middle = torch.cat([first, second]).mean(dim=0)
    pairs = F.normalize(first - middle, dim=1) @ F.normalize(second - middle, dim=1).T
    own = pairs.diagonal().mean()
    return float(own - (pairs.sum() - pairs.trace()) / (8 * 7)), float(first.std(dim=0).mean())


# Over five seeds: .68 to .88 learnt, −.03 to .27 without invariance; spread .37 to .43, .02 to .03 without variance.
LEARNT, SPREAD = 0.48, 0.2


def test_learns_a_tiny_set() -> None:
    own, spread = learn_eight_pictures()
    assert own > LEARNT
    assert spread > SPREAD


def test_would_not_learn_without_invariance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vicreg, "INVARIANCE", 0.0)
    assert learn_eight_pictures()[0] < LEARNT


def test_would_shrink_without_variance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vicreg, "VARIANCE", 0.0)
    assert learn_eight_pictures()[1] < SPREAD


def test_would_repeat_itself_without_covariance() -> None:
    repeated = torch.randn(16, 1, generator=torch.Generator().manual_seed(0)).expand(16, 8)
    apart = torch.randn(16, 8, generator=torch.Generator().manual_seed(0))
    assert float(covariance_term(covariance_of(repeated))) > 10 * float(covariance_term(covariance_of(apart)))
