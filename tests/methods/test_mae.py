from __future__ import annotations

from typing import Any

import pytest
import timm
import torch
import torch.nn.functional as F
from lightly.models.utils import get_at_index, random_token_mask, set_at_index
from lightly.models.utils import patchify as lightly_patchify
from torch import Tensor, nn

from cass_cli.errors import ConfigError
from cass_cli.methods import mae
from cass_cli.methods.mae import Decoder, Encoder, Mae, choose_visible, mae_loss, patchify

SIDE, PATCH, PATCHES = 32, 8, 16


def tiny_vit(name: str = "test_vit", **options: Any) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        vit = timm.create_model(name, img_size=SIDE, patch_size=PATCH, num_classes=0, **options)
    for token in ("cls_token", "reg_token", "dist_token"):
        if getattr(vit, token, None) is not None:
            nn.init.normal_(getattr(vit, token))
    return vit


def tiny_mae(**settings: Any) -> Mae:
    return Mae(tiny_vit(), decoder_width=32, decoder_depth=1, **settings)


# ---- patches and masks


@pytest.mark.parametrize("patch", [4, 8, 16])
def test_patches_equal_lightlys(patch: int) -> None:
    images = torch.randn(2, 3, SIDE, SIDE)
    assert torch.equal(patchify(images, patch), lightly_patchify(images, patch))


def test_patches_are_in_the_order_of_the_encoders_tokens() -> None:
    """Patch n of the targets is what the encoder's convolution makes token n of."""
    vit: Any = tiny_vit()
    images = torch.randn(2, 3, SIDE, SIDE)
    kernels = vit.patch_embed.proj.weight.permute(0, 2, 3, 1).flatten(1)  # channels last, as in a patch
    tokens = patchify(images, PATCH) @ kernels.T + vit.patch_embed.proj.bias
    theirs = vit.patch_embed(images).reshape(2, PATCHES, -1)
    torch.testing.assert_close(tokens, theirs, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("patches", "ratio"), [(16, 0.75), (196, 0.75), (9, 0.75), (10, 0.5), (4, 0.9)])
def test_as_many_patches_are_visible_as_in_lightly(patches: int, ratio: float) -> None:
    """lightly's counts without a class token; where that leaves none, ours leaves one."""
    kept, hidden = random_token_mask((5, patches), mask_ratio=ratio, mask_class_token=True)
    visible = choose_visible(5, patches, mask_ratio=ratio)
    assert visible.shape[1] == max(1, kept.shape[1])
    assert visible.shape[1] == patches - hidden.shape[1] or kept.shape[1] == 0
    assert all(len(set(row)) == len(row) and set(row) <= set(range(patches)) for row in visible.tolist())


@pytest.mark.parametrize(("patches", "ratio"), [(1, 0.75), (2, 1e-17), (4, 0.01)])
def test_something_is_always_hidden(patches: int, ratio: float) -> None:
    """Or the loss, a mean over hidden patches, would be nan."""
    assert choose_visible(3, patches, mask_ratio=ratio).shape == (3, patches - 1)


def test_visible_patches_are_uniform_and_differ_between_images() -> None:
    torch.manual_seed(0)
    visible = choose_visible(4000, PATCHES, mask_ratio=0.75)
    often = torch.bincount(visible.flatten(), minlength=PATCHES) / 4000
    torch.testing.assert_close(often, torch.full((PATCHES,), 0.25), atol=0.03, rtol=0)
    assert len({tuple(sorted(row)) for row in visible.tolist()}) > 1000  # of 1820


# ---- the encoder

VITS: dict[str, tuple[str, dict[str, Any]]] = {
    "class token": ("test_vit", {}),
    "registers": ("test_vit", {"reg_tokens": 4, "no_embed_class": True}),
    "mean of patches": ("test_vit", {"class_token": False, "global_pool": "avg"}),
    "norm first": ("test_vit", {"pre_norm": True}),
    "distilled": ("deit_tiny_distilled_patch16_224", {"depth": 1}),
}


@pytest.mark.parametrize("kind", VITS)
def test_encoder_that_sees_all_is_timms(kind: str) -> None:
    name, options = VITS[kind]
    vit: Any = tiny_vit(name, **options).eval()
    images = torch.randn(2, 3, SIDE, SIDE)
    everything = torch.arange(PATCHES).expand(2, -1)
    tokens = Encoder(vit)(images, everything)
    torch.testing.assert_close(tokens, vit.forward_features(images), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", VITS)
def test_encoder_keeps_prefix_tokens_and_visible_patches_only(kind: str) -> None:
    """What the first block gets: class, register and distillation tokens, then patches with their own positions."""
    name, options = VITS[kind]
    vit: Any = tiny_vit(name, **options).eval()
    images, visible = torch.randn(2, 3, SIDE, SIDE), torch.tensor([[3, 0, 9, 15], [7, 8, 1, 2]])
    inputs: list[Tensor] = []
    vit.blocks[0].register_forward_pre_hook(lambda _module, given: inputs.append(given[0]))
    prefix = vit.num_prefix_tokens
    assert Encoder(vit)(images, visible).shape == (2, prefix + 4, vit.embed_dim)
    vit.forward_features(images)
    some, all_ = inputs
    assert prefix == {"class token": 1, "registers": 5, "mean of patches": 0, "norm first": 1, "distilled": 2}[kind]
    assert torch.equal(some[:, :prefix], all_[:, :prefix])
    assert torch.equal(some[:, prefix:], get_at_index(all_[:, prefix:], visible))


def test_hidden_pixels_are_not_seen() -> None:
    vit = tiny_vit().eval()
    images = torch.randn(2, 3, SIDE, SIDE)
    visible = torch.tensor([[3, 0, 9, 15], [7, 8, 1, 2]])
    changed = images.clone()
    for row, positions in enumerate(visible.tolist()):
        for n in set(range(PATCHES)) - set(positions):
            y, x = divmod(n, SIDE // PATCH)
            changed[row, :, y * PATCH : (y + 1) * PATCH, x * PATCH : (x + 1) * PATCH].normal_()
    encoder = Encoder(vit)
    assert torch.equal(encoder(images, visible), encoder(changed, visible))
    assert not torch.equal(encoder(images, visible), encoder(images.flip(3), visible))


# ---- the decoder


def test_decoder_puts_tokens_where_they_came_from() -> None:
    """What its first block gets, rebuilt with lightly's indexing."""
    decoder = Decoder(inputs=12, outputs=5, grid=(4, 4), prefix=2, width=32, depth=1)
    tokens, visible = torch.randn(2, 2 + 4, 12), torch.tensor([[3, 0, 9, 15], [7, 8, 1, 2]])
    inputs: list[Tensor] = []
    decoder.blocks[0].register_forward_pre_hook(lambda _module, given: inputs.append(given[0]))
    drawn = decoder(tokens, visible)
    assert drawn.shape == (2, PATCHES, 5)
    entered = decoder.entry(tokens)
    patches = set_at_index(decoder.hidden.expand(2, PATCHES, 32), visible, entered[:, 2:]) + decoder.positions
    torch.testing.assert_close(inputs[0], torch.cat([entered[:, :2], patches], dim=1))
    torch.testing.assert_close(drawn, decoder.exit(decoder.norm(decoder.blocks(inputs[0])))[:, 2:])


def test_positions_tell_patches_apart_by_row_and_column() -> None:
    """Fixed sines and cosines of both coordinates, as in the reference up to the order of channels."""
    decoder = Decoder(inputs=12, outputs=5, grid=(4, 4), prefix=1, width=32, depth=1)
    frequencies = 10_000.0 ** -(torch.arange(8) / 8)
    coordinates = [torch.arange(16) // 4, torch.arange(16) % 4]
    waves = [wave(c[:, None] * frequencies) for c in coordinates for wave in (torch.sin, torch.cos)]
    expected = torch.cat(waves, dim=1)
    ours = decoder.positions[0]
    torch.testing.assert_close(ours.sort(dim=1).values, expected.sort(dim=1).values, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(ours @ ours.T, expected @ expected.T, atol=1e-4, rtol=1e-5)


# ---- the loss


def test_loss_is_over_hidden_patches_alone() -> None:
    drawn, target = torch.randn(2, PATCHES, 12), torch.randn(2, PATCHES, 12)
    visible = torch.tensor([[3, 0, 9, 15], [7, 8, 1, 2]])
    hidden = torch.tensor([sorted(set(range(PATCHES)) - set(row)) for row in visible.tolist()])
    expected = nn.MSELoss()(get_at_index(drawn, hidden), get_at_index(target, hidden))  # as lightly's benchmark does
    torch.testing.assert_close(mae_loss(drawn, target, visible), expected, atol=1e-5, rtol=1e-5)
    elsewhere = set_at_index(drawn, visible, torch.randn(2, 4, 12))
    assert torch.equal(mae_loss(elsewhere, target, visible), mae_loss(drawn, target, visible))


@pytest.mark.parametrize("normalise", [True, False])
def test_loss_of_the_method_is_that_of_its_parts(normalise: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    method = tiny_mae(normalise=normalise).eval()
    images, visible = 3 + 2 * torch.randn(2, 3, SIDE, SIDE), torch.tensor([[3, 0, 9, 15], [7, 8, 1, 2]])
    monkeypatch.setattr(mae, "choose_visible", lambda *_, **__: visible)
    drawn = method.decoder(method.encoder(images, visible), visible)
    errors = []
    for row in range(2):
        for n in set(range(PATCHES)) - set(visible[row].tolist()):
            y, x = divmod(n, SIDE // PATCH)
            patch = images[row, :, y * PATCH : (y + 1) * PATCH, x * PATCH : (x + 1) * PATCH]
            patch = patch.permute(1, 2, 0).flatten()
            if normalise:  # by the unbiased variance, as the reference
                patch = (patch - patch.mean()) / (patch.var() + 1e-6).sqrt()
            errors.append((drawn[row, n] - patch).square().mean())
    torch.testing.assert_close(method(images), torch.stack(errors).mean(), atol=1e-5, rtol=1e-5)


def test_everything_that_learns_gets_a_gradient() -> None:
    """So that no process of several waits for a parameter that is never used."""
    vits = [tiny_vit(), tiny_vit(class_token=False, global_pool="map"), tiny_vit(global_pool="avg")]
    for vit in vits:
        method = Mae(vit, decoder_width=32, decoder_depth=1)
        method(torch.randn(4, 3, SIDE, SIDE)).backward()
        assert [name for name, p in method.named_parameters() if p.requires_grad and p.grad is None] == []
        assert method.kept is vit


@pytest.mark.parametrize("name", ["test_resnet", "vit_small_r26_s32_224", "swin_tiny_patch4_window7_224"])
def test_what_is_no_plain_transformer_is_refused(name: str) -> None:
    with torch.device("meta"):
        network = timm.create_model(name, num_classes=0)
    with pytest.raises(ConfigError, match="plain Vision Transformer"):
        Mae(network)


# ---- it learns, and would not if its loss were broken


def learn_eight_pictures() -> float:
    """Train on eight pictures, each a tiling in patches of uneven brightness; return the share (at most 1) of the
    variance of hidden patches that is drawn, each patch normalised by its own mean and variance."""
    draw = torch.Generator().manual_seed(0)
    tiles = F.interpolate(torch.randn(8, 3, 2, 2, generator=draw), size=PATCH).repeat(1, 1, 4, 4)
    pictures = tiles + F.interpolate(2 * torch.randn(8, 1, 4, 4, generator=draw), size=SIDE)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        method = Mae(tiny_vit(), decoder_width=64, decoder_depth=1)
        optimiser = torch.optim.AdamW(method.learner.parameters(), lr=2e-3, betas=(0.9, 0.95))
        for _ in range(60):
            method(pictures).backward()
            optimiser.step()
            optimiser.zero_grad()
        visible = choose_visible(8, PATCHES, mask_ratio=0.75)
    with torch.no_grad():
        drawn = method.decoder(method.encoder(pictures, visible), visible)
    patches = patchify(pictures, PATCH)
    target = (patches - patches.mean(2, keepdim=True)) / patches.std(2, keepdim=True)
    return 1 - float(mae_loss(drawn, target, visible) / mae_loss(torch.zeros_like(drawn), target, visible))


LEARNT = 0.8


def test_learns_a_tiny_set() -> None:
    assert learn_eight_pictures() > LEARNT


def _visible_instead(drawn: Tensor, target: Tensor, visible: Tensor) -> Tensor:
    return F.mse_loss(get_at_index(drawn, visible), get_at_index(target, visible))


BREAKAGES: dict[str, tuple[Any, str, Any]] = {
    "sign": (mae, "mae_loss", lambda drawn, target, visible: -mae_loss(drawn, target, visible)),
    "hidden patches": (mae, "mae_loss", _visible_instead),
    "normalisation": (Mae, "normalise", property(lambda _self: False, lambda _self, _value: None)),
}


@pytest.mark.parametrize("breakage", BREAKAGES)
def test_would_not_learn_without(breakage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(*BREAKAGES[breakage], raising=False)
    assert not learn_eight_pictures() > LEARNT / 2  # perhaps nan
