from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from cass_cli.methods.byol import Byol
from cass_cli.methods.side_by_side import SideBySide


def network() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(48, 12), nn.Tanh())


def pair() -> dict[str, Byol]:
    return {arm: Byol(network(), width=12, hidden=16) for arm in ("cnn", "vit")}


def views() -> tuple[Tensor, Tensor]:
    return torch.randn(6, 3, 4, 4), torch.randn(6, 3, 4, 4)


def test_loss_is_the_sum_and_gradients_are_each_ones_own() -> None:
    alone = pair()
    method = SideBySide(pair())
    for arm, solo in alone.items():
        method.get_submodule(f"methods.{arm}").load_state_dict(solo.state_dict())
    seen = views()
    total = method(*seen, progress=0.3)
    losses = {arm: solo(*seen) for arm, solo in alone.items()}
    torch.testing.assert_close(total, losses["cnn"] + losses["vit"])
    total.backward()
    for arm, solo in alone.items():
        losses[arm].backward()
        for ours, theirs in zip(method.learners[arm].parameters(), solo.learner.parameters(), strict=True):
            torch.testing.assert_close(ours.grad, theirs.grad, atol=1e-6, rtol=1e-5)


def test_every_part_is_told_of_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[Byol, float]] = []
    monkeypatch.setattr(Byol, "after_step", lambda self, progress: told.append((self, progress)))
    parts = pair()
    SideBySide(parts).after_step(0.4)
    assert told == [(parts["cnn"], 0.4), (parts["vit"], 0.4)]


def test_arms_learners_networks_and_views_are_those_of_the_parts() -> None:
    parts = pair()
    method = SideBySide(parts)
    assert method.arms == {arm: part.online.network for arm, part in parts.items()}
    assert set(method.networks) == {n for part in parts.values() for n in (part.online.network, part.target.network)}
    assert method.views == parts["cnn"].views
    learned = {arm: {id(p) for p in learner.parameters()} for arm, learner in method.learners.items()}
    assert not learned["cnn"] & learned["vit"]
    assert learned["cnn"] | learned["vit"] == {id(p) for p in method.parameters() if p.requires_grad}


def test_embeds_with_the_arm_that_is_asked_for() -> None:
    parts, (images, _) = pair(), views()
    method = SideBySide(parts).eval()
    for arm, part in parts.items():
        features, outputs = method.embed(arm, images)
        assert torch.equal(features, part.online.network(images))
        assert torch.equal(outputs, part.online.head(features))


def test_one_arm_alone() -> None:
    part = pair()["vit"]
    method, seen = SideBySide({"vit": part}).eval(), views()
    assert torch.equal(method(*seen), part(*seen))
    assert set(method.arms) == {"vit"}
