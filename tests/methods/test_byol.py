from __future__ import annotations

from typing import Any

import pytest
import timm
import torch
import torch.nn.functional as F
from lightly.loss import NegativeCosineSimilarity
from torch import Tensor, nn

from cass_cli.methods import byol
from cass_cli.methods.byol import Byol, byol_loss


def network() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.BatchNorm1d(48), nn.Linear(48, 12), nn.Tanh())


def tiny_byol() -> Byol:
    return Byol(network(), width=12, hidden=16)


def test_loss_equals_lightly_up_to_a_constant() -> None:
    """lightly's is −cos, so ours is 2 + 2 of it: the squared distance of unit vectors (Eq. 2)."""
    predicted, target = torch.randn(6, 11), torch.randn(6, 11)
    theirs = 2 + 2 * NegativeCosineSimilarity()(predicted, target)
    torch.testing.assert_close(byol_loss(predicted, target), theirs, atol=1e-5, rtol=1e-5)
    distance = (F.normalize(predicted, dim=1) - F.normalize(target, dim=1)).square().sum(dim=1).mean()
    torch.testing.assert_close(byol_loss(predicted, target), distance, atol=1e-5, rtol=1e-5)


def test_range_of_the_loss() -> None:
    x = torch.randn(5, 8)
    assert float(byol_loss(x, 3 * x)) == pytest.approx(0, abs=1e-6)
    assert float(byol_loss(x, -x)) == pytest.approx(4, abs=1e-6)
    assert byol_loss(x.bfloat16(), x.bfloat16()).dtype == torch.float32


def test_loss_of_the_method_is_that_of_its_parts() -> None:
    """With batch statistics over both views together, as in the byol-pytorch package."""
    method = tiny_byol()
    one, two = torch.randn(2, 5, 3, 4, 4)
    both = torch.cat([one, two])
    predicted, target = method.predictor(method.online(both)), method.target(both)
    theirs = NegativeCosineSimilarity()
    expected = 4 + 2 * theirs(predicted[:5], target[5:]) + 2 * theirs(predicted[5:], target[:5])
    torch.testing.assert_close(method(one, two), expected, atol=1e-5, rtol=1e-5)


def test_symmetric_in_the_views() -> None:
    method = tiny_byol()
    one, two = torch.randn(2, 5, 3, 4, 4)
    torch.testing.assert_close(method(one, two), method(two, one))
    assert not torch.isclose(method(one, two), method(one, two.flip(0)))  # pairs matter


def test_gradient_reaches_all_but_the_target() -> None:
    method = tiny_byol()
    method(*torch.randn(2, 5, 3, 4, 4)).backward()
    assert all(p.grad is None and not p.requires_grad for p in method.target.parameters())
    learning = {id(p) for p in method.learner.parameters()}
    assert learning == {id(p) for part in (method.online, method.predictor) for p in part.parameters()}
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in method.learner.parameters() if p.ndim > 1)


def test_target_follows_at_99_hundredths() -> None:
    method = tiny_byol()
    with torch.no_grad():
        for p in method.online.parameters():
            p.add_(1.0)
    before = [p.clone() for p in method.target.parameters()]
    method.after_step(0.5)
    for old, new, p in zip(before, method.target.parameters(), method.online.parameters(), strict=True):
        torch.testing.assert_close(new.detach(), 0.99 * old + 0.01 * p.detach(), atol=1e-6, rtol=1e-5)


def test_shape_of_projector_and_predictor() -> None:
    """byol-pytorch's defaults: linear to 4096, batch norm, ReLU, linear to 256."""
    method = Byol(network(), width=12)
    for mlp, width in ((method.online.head, 12), (method.predictor, 256)):
        assert [type(layer) for layer in mlp] == [nn.Linear, nn.BatchNorm1d, nn.ReLU, nn.Linear]
        assert (mlp[0].in_features, mlp[0].out_features, mlp[3].out_features) == (width, 4096, 256)


def test_the_online_network_is_kept_and_compared_by_its_projection() -> None:
    method = tiny_byol().eval()
    assert method.kept is method.online.network
    features = torch.randn(3, 12)
    assert torch.equal(method.outputs(features), method.online.head(features))
    assert len(method.views) == 2


# ---- it learns, and would not if its loss were broken


def learn_eight_pictures() -> float:
    """Train on eight pictures with noise for augmentation; return how much closer, as a cosine from −1 to 1, the
    predictions come to other views of their own picture than to views of the others."""
    draw = torch.Generator().manual_seed(0)
    pictures = F.interpolate(torch.randn(8, 3, 4, 4, generator=draw), size=32)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        vit: Any = timm.create_model("test_vit", num_classes=0, img_size=32)
        method = Byol(vit, width=vit.num_features, hidden=128)
        optimiser = torch.optim.Adam(method.learner.parameters(), lr=2e-3)
        for step in range(60):
            views = [pictures + 0.5 * torch.randn(pictures.shape) for _ in range(2)]
            method(*views).backward()
            optimiser.step()
            optimiser.zero_grad()
            method.after_step(step / 60)
        one, two = (pictures + 0.5 * torch.randn(pictures.shape) for _ in range(2))
    method.eval()
    with torch.no_grad():
        predicted, target = method.predictor(method.online(one)), method.target(two)
        pairs = F.normalize(predicted, dim=1) @ F.normalize(target, dim=1).T
    own = pairs.diagonal().mean()
    others = (pairs.sum() - pairs.trace()) / (8 * 7)
    return float(own - others)


LEARNT = 0.7


def test_learns_a_tiny_set() -> None:
    assert learn_eight_pictures() > LEARNT


def _target_learns(self: Byol, one: Tensor, two: Tensor, *, progress: float = 0.0) -> Tensor:
    """Byol.forward with the online network as its own target, and gradients through both."""
    z = self.online(torch.cat([one, two]))
    p_one, p_two = self.predictor(z).chunk(2)
    z_one, z_two = z.chunk(2)
    return byol.byol_loss(p_one, z_two) + byol.byol_loss(p_two, z_one)


BREAKAGES: dict[str, tuple[Any, str, Any]] = {
    "sign": (byol, "byol_loss", lambda p, z: -byol_loss(p, z)),
    "stop-gradient": (Byol, "forward", _target_learns),
    "normalisation": (byol, "byol_loss", lambda p, z: -(2 * p * z).sum(dim=1).mean()),
}


@pytest.mark.parametrize("breakage", BREAKAGES)
def test_would_not_learn_without(breakage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(*BREAKAGES[breakage])
    assert learn_eight_pictures() < LEARNT - 0.1
