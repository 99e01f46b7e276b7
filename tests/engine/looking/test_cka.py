from __future__ import annotations

from itertools import permutations

import pytest
import timm
import torch
from torch import Tensor, nn

from cass_cli.engine.looking.cka import arm_grams, gram, hsic, minibatch_cka, watched_layers


def features(images: int, width: int, seed: int) -> Tensor:
    return torch.randn(images, width, generator=torch.Generator().manual_seed(seed))


def cka(*layers: Tensor, batch: int | None = None) -> Tensor:
    step = batch or len(layers[0])
    chunks = range(0, len(layers[0]), step)
    return minibatch_cka(torch.stack([gram(layer[i : i + step]) for layer in layers]) for i in chunks)


def test_hsic_is_the_u_statistic() -> None:
    """The estimator equals the mean over ordered quadruples of distinct images (Song et al. 2007)."""
    k, l = (gram(features(6, 3, seed)) for seed in (0, 1))  # noqa: E741
    terms = [
        float(k[i, j] * l[i, j] + k[i, j] * l[q, r] - 2 * k[i, j] * l[i, q]) for i, j, q, r in permutations(range(6), 4)
    ]
    assert hsic(torch.stack([k, l]))[0, 1].item() == pytest.approx(sum(terms) / len(terms), rel=1e-6)


def test_one_batch_is_the_closed_form() -> None:
    """With many images the unbiased CKA meets ‖YᵀX‖² / (‖XᵀX‖ ‖YᵀY‖) of centred features (Kornblith et al. 2019)."""
    x = features(2000, 4, 0)
    y = x @ features(4, 5, 1) + features(2000, 5, 2)
    a, b = (t - t.mean(dim=0) for t in (x.double(), y.double()))
    closed = (b.T @ a).norm() ** 2 / ((a.T @ a).norm() * (b.T @ b).norm())
    assert cka(x, y)[0, 1].item() == pytest.approx(closed.item(), abs=2e-3)


def test_minibatches_agree_with_the_full_batch() -> None:
    x = features(1024, 6, 0)
    y = x @ features(6, 6, 1) + features(1024, 6, 2)
    assert cka(x, y, batch=16)[0, 1].item() == pytest.approx(cka(x, y)[0, 1].item(), abs=0.03)


def test_no_bias_for_unrelated_features() -> None:
    """The plain estimator calls wide unrelated features alike (here near 1); this one does not."""
    x, y = features(256, 2000, 0), features(256, 2000, 1)
    assert abs(cka(x, y, batch=16)[0, 1].item()) < 0.1
    a, b = (t - t.mean(dim=0) for t in (x[:16], y[:16]))
    assert (b.T @ a).norm() ** 2 / ((a.T @ a).norm() * (b.T @ b).norm()) > 0.8


def test_invariances() -> None:
    x = features(64, 8, 0)
    rotation, _ = torch.linalg.qr(features(8, 8, 1))
    same = cka(x, x, x @ rotation, 7 * x + 100, x * torch.arange(1, 9))
    torch.testing.assert_close(same[0, :4], torch.ones(4, dtype=torch.double), rtol=1e-5, atol=1e-5)
    assert same[0, 4] < 0.99, "stretching one axis is a change"
    torch.testing.assert_close(same, same.T)


def test_a_dead_layer_has_no_similarity() -> None:
    result = cka(features(8, 3, 0), torch.ones(8, 3))
    assert result[0, 0].item() == pytest.approx(1)
    assert result[0, 1].isnan()


def test_layers_of_known_networks() -> None:
    with torch.device("meta"):
        resnet, vit, lite = (timm.create_model(n) for n in ("resnet18", "test_vit", "tf_efficientnet_lite0"))
        convnext = timm.create_model("test_convnext")
    assert list(watched_layers(resnet)) == ["conv1", *(f"layer{s}.{b}" for s in (1, 2, 3, 4) for b in (0, 1))]
    assert list(watched_layers(vit)) == ["patch_embed.proj", *(f"blocks.{i}" for i in range(6))]
    assert {"conv_stem", "blocks.0.0", "blocks.6.0"} <= set(watched_layers(lite))
    assert len(watched_layers(lite)) == 1 + 16
    assert any(".blocks." in name for name in watched_layers(convnext))


def test_grams_of_an_arm() -> None:
    model: nn.Module = timm.create_model("test_resnet", num_classes=7).eval()
    images = torch.randn(5, 3, 32, 32)
    grams = arm_grams(model, images)
    assert list(grams)[-1] == "features"
    assert all(matrix.shape == (5, 5) for matrix in grams.values())
    torch.testing.assert_close(
        grams["features"], gram(model.forward_head(model.forward_features(images), pre_logits=True))
    )
    assert not any(module._forward_hooks for module in model.modules())
