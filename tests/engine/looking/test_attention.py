from __future__ import annotations

from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn

from cass_cli.engine.looking.attention import (
    attends,
    class_attention,
    has_class_attention,
    mean_distance,
    patch_distances,
    rolled_out,
    softmax_shown,
)

SIZES = {"test_vit": 32, "deit_tiny_distilled_patch16_224": 32, "vit_small_patch14_reg4_dinov2": 28}


def network(name: str = "test_vit", seed: int = 0) -> Any:
    torch.manual_seed(seed)
    return timm.create_model(name, img_size=SIZES.get(name, 32)).eval()


def images(size: int = 32, count: int = 2) -> Tensor:
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(1))


def softmax_by_hand(model: Any, pictures: Tensor) -> list[Tensor]:
    """softmax(q kᵀ / √d) [B, H, T, T] of every block, from the blocks' weights alone."""
    seen: list[Tensor] = []
    with torch.no_grad():
        x = model.norm_pre(model.patch_drop(model._pos_embed(model.patch_embed(pictures))))
        for block in model.blocks:
            y, heads = block.norm1(x), block.attn.num_heads
            q, k, _ = (y @ block.attn.qkv.weight.T + block.attn.qkv.bias).chunk(3, dim=-1)
            q, k = (t.unflatten(-1, (heads, -1)).transpose(1, 2) for t in (q, k))  # [B, H, T, d]
            seen.append(torch.softmax(q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5, dim=-1))
            x = block(x)
    return seen


@pytest.mark.parametrize(("name", "prefix"), list(zip(SIZES, (1, 2, 5), strict=True)))
def test_captured_is_softmax_computed_by_hand(name: str, prefix: int) -> None:
    """Also where a distillation token or registers stand between the class token and the patches."""
    model, pictures = network(name), images(SIZES[name])
    by_hand = softmax_by_hand(model, pictures)
    seen = class_attention(model, pictures)
    rows, columns = model.patch_embed.grid_size
    assert model.num_prefix_tokens == prefix
    expected = by_hand[-1][:, :, 0, prefix:].unflatten(-1, (rows, columns))
    torch.testing.assert_close(seen.heads, expected, rtol=1e-4, atol=1e-6)

    product = torch.eye(by_hand[0].shape[-1])
    for weights in by_hand:
        product = (weights.mean(dim=1) + torch.eye(product.shape[-1])) / 2 @ product
    torch.testing.assert_close(seen.rollout.flatten(1), product[:, 0, prefix:], rtol=1e-4, atol=1e-6)
    assert seen.distance.shape == (2, len(model.blocks), model.blocks[0].attn.num_heads)


def test_outputs_fused_attention_and_mode_stay() -> None:
    model, pictures = network().train(), images()
    model.blocks[1].attn.fused_attn = False
    before = [block.attn.fused_attn for block in model.blocks]
    assert True in before
    expected = model.eval()(pictures)
    model.train()
    class_attention(model, pictures)
    assert [block.attn.fused_attn for block in model.blocks] == before
    assert model.training
    assert not any(block.attn.attn_drop._forward_pre_hooks for block in model.blocks)
    torch.testing.assert_close(model.eval()(pictures), expected)


def test_fused_attention_is_restored_after_an_error() -> None:
    model = network()
    before = [block.attn.fused_attn for block in model.blocks]
    with pytest.raises(RuntimeError), softmax_shown(model, lambda *_: None):
        assert not any(block.attn.fused_attn for block in model.blocks)
        model(torch.randn(1, 4, 32, 32))  # four channels
    assert [block.attn.fused_attn for block in model.blocks] == before
    assert not any(block.attn.attn_drop._forward_pre_hooks for block in model.blocks)


def test_rollout_rows_sum_to_one() -> None:
    weights = torch.softmax(torch.randn(4, 2, 3, 7, 7, generator=torch.Generator().manual_seed(0)), dim=-1)
    rollout = None
    for layer in weights:
        rollout = rolled_out(layer, rollout)
        torch.testing.assert_close(rollout.sum(dim=-1), torch.ones(2, 7))


def test_distances_on_a_grid() -> None:
    between = patch_distances(2, 2)  # patches 16 px of a 32 px image: half a side apart
    torch.testing.assert_close(between[0], torch.tensor([0.0, 0.5, 0.5, 0.5**0.5]))
    nobody_else = torch.eye(4).expand(1, 1, 4, 4)
    assert mean_distance(nobody_else, between).item() == 0
    torch.testing.assert_close(mean_distance(torch.full((1, 1, 4, 4), 0.1), between), between.mean().view(1, 1))


@pytest.mark.parametrize(
    ("name", "class_token", "attention"),
    [
        ("test_vit", True, True),
        ("test_vit2", False, True),  # average pooling
        ("vit_base_patch16_siglip_224", False, True),  # no class token
        ("beit_base_patch16_224", False, True),  # a class token that the head does not read
        ("swin_tiny_patch4_window7_224", False, True),
        ("cait_xxs24_224", False, False),  # talking heads, which timm calls no Attention
        ("test_resnet", False, False),
        ("resnet50_clip", False, False),  # attention only to pool
    ],
)
def test_which_networks_have_a_class_token_to_read(name: str, class_token: bool, attention: bool) -> None:
    with torch.device("meta"):
        model: nn.Module = timm.create_model(name)
    assert (has_class_attention(model), attends(model)) == (class_token, attention)
