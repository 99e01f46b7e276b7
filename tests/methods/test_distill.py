from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from cass_cli.config.schema import Arms, Config, Data
from cass_cli.config.schema import Method as Settings
from cass_cli.engine.pretraining.targets import build_teachers, principal_targets
from cass_cli.errors import DataError
from cass_cli.methods.distill import Distill, distill_loss


def network() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.BatchNorm1d(48), nn.Linear(48, 12), nn.Tanh())


def test_loss_by_hand() -> None:
    """Half the square below 1, the distance less a half above."""
    predicted, targets = torch.tensor([[0.5, 3.0]]), torch.zeros(1, 2)
    assert float(distill_loss(predicted, targets)) == pytest.approx((0.125 + 2.5) / 2)
    assert distill_loss(predicted.bfloat16(), targets).dtype == torch.float32


def test_the_loss_is_that_of_the_linear_layer_on_the_pooled_features() -> None:
    method = Distill(network(), width=12, targets=7).eval()
    nn.init.normal_(method.branch.head.weight)
    view, targets = torch.randn(5, 3, 4, 4), torch.randn(5, 7)
    outputs = method.outputs(method.kept(view))
    assert outputs.shape == (5, 7)
    torch.testing.assert_close(method(view, targets), distill_loss(outputs, targets))


def test_gradient_reaches_the_head_first_then_everything_and_nothing_else_learns() -> None:
    """So that a head that knows nothing does not move the network."""
    method = Distill(network(), width=12, targets=7)
    view, targets = torch.randn(5, 3, 4, 4), torch.randn(5, 7, requires_grad=True)
    optimiser = torch.optim.SGD(method.parameters(), lr=0.1)
    method(view, targets.detach()).backward()
    head = method.branch.head.weight
    assert [p is head for p in method.parameters() if p.ndim > 1 and p.grad.abs().sum() > 0] == [True]
    optimiser.step()
    method(view, targets.detach()).backward()
    assert {id(p) for p in method.learner.parameters()} == {id(p) for p in method.parameters()}
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in method.parameters() if p.ndim > 1)


def test_nothing_pulls_all_features_the_same_way() -> None:
    """Whatever the head says of what all images share."""
    method = Distill(nn.Flatten(), width=48, targets=7)
    nn.init.normal_(method.branch.head.weight)
    view = torch.randn(5, 3, 4, 4).requires_grad_()
    method(view + 3, torch.randn(5, 7)).backward()
    assert view.grad is not None and view.grad.square().mean() > 1e-3
    assert view.grad.sum(dim=0).abs().max() < 1e-6


# ---- targets


def test_a_teaching_cnn_is_built_as_the_arm_that_it_was() -> None:
    arms = Arms(cnn="test_resnet", vit="test_vit", init="random", output_stride=16)
    config = Config(data=Data(image_size=32), arms=arms, method=Settings(name="distill"))
    options = {name: arm.options for name, arm in build_teachers(config).items()}
    assert options["cnn"]["output_stride"] == 16 and "output_stride" not in options["vit"]


def features(images: int, *widths: int) -> np.ndarray:
    draw = np.random.default_rng(0)
    parts = [10.0**i * draw.standard_normal((images, width)) + 5 for i, width in enumerate(widths)]
    return np.concatenate(parts, axis=1).astype(np.float32)


@pytest.mark.parametrize("images", [20, 80])
def test_targets_are_principal_components_drawn_together(images: int) -> None:
    """With fewer images than features, and with more."""
    x = features(images, 30, 20)
    found = principal_targets(x.copy(), [30, 20], axes=12)
    assert found.shape == (images, 12) and found.dtype == np.float32
    centred = x.astype(np.float64) - x.mean(axis=0, dtype=np.float64)
    parts = [centred[:, :30], centred[:, 30:]]
    scaled = np.concatenate([part / np.sqrt(np.square(part).sum() / images) for part in parts], axis=1)
    u, s, _ = np.linalg.svd(scaled, full_matrices=False)
    expected = u[:, :12] * np.sqrt(s[:12])
    expected /= np.sqrt(np.square(expected).mean())
    np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=2e-3)
    assert np.square(found).mean() == pytest.approx(1, rel=1e-5)


def test_a_layer_counts_alike_whatever_its_scale_and_a_constant_one_not_at_all() -> None:
    x = features(40, 8, 8)
    still = np.concatenate([x, np.full((40, 4), 3.0, dtype=np.float32)], axis=1)
    np.testing.assert_allclose(
        np.abs(principal_targets(still, [8, 8, 4])), np.abs(principal_targets(x.copy(), [8, 8])), atol=1e-4
    )
    assert principal_targets(x, [8, 8]).shape == (40, 16), "no more columns than there are features"
    few = principal_targets(features(5, 8, 8), [8, 8])
    assert few.shape == (5, 4), "and one less than there are images"


def test_targets_of_pictures_that_are_all_the_same_are_refused() -> None:
    with pytest.raises(DataError, match="look the same"):
        principal_targets(np.ones((6, 16), dtype=np.float32), [8, 8])


def test_targets_do_not_depend_on_how_many_columns_are_multiplied_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    x = features(80, 30, 20)
    whole = principal_targets(x.copy(), [30, 20])
    monkeypatch.setattr("cass_cli.engine.pretraining.targets.CHUNK", 7)
    np.testing.assert_allclose(np.abs(principal_targets(x.copy(), [30, 20])), np.abs(whole), atol=1e-3)
