"""MAE: draw the hidden three quarters of an image from the visible quarter (He et al. 2022, Sec. 3).

    visible, hidden = a random split of the N patches, 25 % visible
    tokens = vit(visible patches with their positions, class token)            no hidden patch is computed
    drawn  = decoder(tokens, and a learned token for each hidden patch, with positions)
    loss   = mean over hidden patches of ‖drawn − target‖² / (3 p²)

The target is the patch's pixels, by default normalised by the patch's own mean and variance (Sec. 4.1). The
encoder is timm's and is kept; the decoder (facebookresearch/mae: 8 blocks of 512 channels) is thrown away.

Legend: B batch, S image side, N patches, V visible ones, P prefix tokens (class, registers), D width, W decoder
width, p side of a patch in pixels.
"""

from __future__ import annotations

from typing import Any

import torch
from timm.layers.patch_embed import PatchEmbed
from timm.layers.pos_embed_sincos import build_sincos2d_pos_embed
from timm.models import checkpoint_seq
from timm.models.vision_transformer import Block, VisionTransformer
from torch import Tensor, nn

from cass_cli.data.views.draw import ViewKnobs
from cass_cli.errors import ConfigError
from cass_cli.methods.method import SoloMethod, View

VIEW: ViewKnobs = {
    "perspective_probability": 0.0,
    "affine_probability": 0.0,
    "vertical_flip": 0.0,
    "horizontal_flip": 0.5,
    "crop_scale": (0.2, 1.0),
}
"""Crop and flip (He et al. 2022, A.1)."""

HEAD_WIDTH = 32  # of the decoder: 16 heads at 512 channels


def patchify(images: Tensor, patch: int) -> Tensor:
    """Cut images [B, 3, S, S] into patches [B, N, 3 p²], row by row, channels last within a patch."""
    b, c, s, _ = images.shape
    side = s // patch
    cut = images.reshape(b, c, side, patch, side, patch)
    return cut.permute(0, 2, 4, 3, 5, 1).reshape(b, side * side, patch * patch * c)


def choose_visible(batch: int, patches: int, *, mask_ratio: float, device: torch.device | None = None) -> Tensor:
    """Return the positions int64 [B, V] of the visible patches of each image, uniformly at random, in random order.

    At least one is visible and at least one hidden; a lone patch is hidden.
    """
    visible = min(max(1, int(patches * (1 - mask_ratio))), patches - 1)
    return torch.rand(batch, patches, device=device).argsort(dim=1)[:, :visible]


def mae_loss(drawn: Tensor, target: Tensor, visible: Tensor) -> Tensor:
    """Return the mean squared error over the patches [B, N, 3 p²] that are not `visible` [B, V]: a scalar."""
    error = (drawn.float() - target).square().mean(dim=2)  # [B, N]
    hidden = torch.ones_like(error).scatter(1, visible, 0.0)
    return (error * hidden).sum() / hidden.sum()


class Encoder(nn.Module):
    """A timm ViT, run on some of the patches of an image."""

    def __init__(self, vit: Any) -> None:
        super().__init__()
        self.vit = vit

    def forward(self, images: Tensor, visible: Tensor) -> Tensor:
        """Return the tokens [B, P + V, D] of images [B, 3, S, S] of which patches `visible` [B, V] are seen."""
        vit = self.vit
        tokens = vit._pos_embed(vit.patch_embed(images))  # [B, P + N, D]
        prefix, patches = tokens.split([vit.num_prefix_tokens, tokens.shape[1] - vit.num_prefix_tokens], dim=1)
        tokens = torch.cat([prefix, _rows(patches, visible)], dim=1)
        encoded: Tensor = vit.norm(_through(vit.blocks, vit.norm_pre(tokens), checkpointed=vit.grad_checkpointing))
        return encoded


class Decoder(nn.Module):
    """A light Transformer that draws all patches from the tokens of the visible ones."""

    positions: Tensor

    def __init__(
        self,
        *,
        inputs: int,
        outputs: int,
        grid: tuple[int, int],
        prefix: int,
        width: int,
        depth: int,
        checkpointed: bool = False,
    ) -> None:
        super().__init__()
        self.prefix, self.checkpointed = prefix, checkpointed
        self.entry = nn.Linear(inputs, width)
        self.hidden = nn.Parameter(torch.empty(1, 1, width))
        self.register_buffer("positions", build_sincos2d_pos_embed(list(grid), dim=width)[None], persistent=False)
        self.blocks = nn.Sequential(
            *(Block(dim=width, num_heads=max(1, width // HEAD_WIDTH), qkv_bias=True) for _ in range(depth))
        )
        self.norm = nn.LayerNorm(width)
        self.exit = nn.Linear(width, outputs)
        nn.init.normal_(self.hidden, std=0.02)
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.xavier_uniform_(layer.weight)
                nn.init.zeros_(layer.bias)
            elif isinstance(layer, nn.LayerNorm):
                layer.eps = 1e-6  # as in the encoder

    def forward(self, tokens: Tensor, visible: Tensor) -> Tensor:
        """Return drawn patches [B, N, 3 p²] for encoded tokens [B, P + V, D] of the patches `visible` [B, V]."""
        tokens = self.entry(tokens)
        prefix, seen = tokens[:, : self.prefix], tokens[:, self.prefix :]
        b, n, w = len(tokens), self.positions.shape[1], tokens.shape[2]
        index = visible[:, :, None].expand(-1, -1, w)
        patches = self.hidden.to(tokens.dtype).expand(b, n, w).scatter(1, index, seen) + self.positions
        tokens = _through(self.blocks, torch.cat([prefix, patches], dim=1), checkpointed=self.checkpointed)
        drawn: Tensor = self.exit(self.norm(tokens))
        return drawn[:, self.prefix :]


class Mae(SoloMethod):
    """A ViT and its decoder; the ViT is kept."""

    def __init__(
        self,
        network: nn.Module,
        *,
        mask_ratio: float = 0.75,
        decoder_width: int = 512,
        decoder_depth: int = 8,
        normalise: bool = True,
    ) -> None:
        """`network` is a timm ViT; with `normalise`, targets have mean 0 and variance 1 in each patch."""
        super().__init__()
        if not isinstance(network, VisionTransformer) or not isinstance(network.patch_embed, PatchEmbed):
            raise ConfigError(  # a convolutional stem, as hybrids have, would tell of hidden patches
                f"MAE hides patches of a plain Vision Transformer, and {type(network).__name__} is none.",
                hint="Choose a timm ViT or DeiT with --vit.",
            )
        vit: Any = network
        self.patch, self.patches = vit.patch_embed.patch_size[0], vit.patch_embed.num_patches
        self.mask_ratio, self.normalise = mask_ratio, normalise
        self.encoder = Encoder(vit)
        self.decoder = Decoder(
            inputs=vit.embed_dim,
            outputs=3 * self.patch**2,
            grid=vit.patch_embed.grid_size,
            prefix=vit.num_prefix_tokens,
            width=decoder_width,
            depth=decoder_depth,
            checkpointed=vit.grad_checkpointing,
        )
        for pooling in (vit.attn_pool, vit.fc_norm):  # what some have after the blocks is not trained here
            if pooling is not None:
                pooling.requires_grad_(False)
        self.views = (View(VIEW),)

    @property
    def kept(self) -> nn.Module:
        network: nn.Module = self.encoder.vit
        return network

    @property
    def learner(self) -> nn.Module:
        return self

    @property
    def networks(self) -> tuple[nn.Module, ...]:
        return self.encoder, self.decoder

    def forward(self, view: Tensor, *, progress: float = 0.0) -> Tensor:
        """Return the loss of one `view` [B, 3, S, S], the same at any `progress`; PyTorch's RNG draws what is seen."""
        visible = choose_visible(len(view), self.patches, mask_ratio=self.mask_ratio, device=view.device)
        drawn = self.decoder(self.encoder(view, visible), visible)
        target = patchify(view.float(), self.patch)
        if self.normalise:
            variance, mean = torch.var_mean(target, dim=2, keepdim=True)
            target = (target - mean) / (variance + 1e-6).sqrt()
        return mae_loss(drawn, target, visible)

    def after_step(self, progress: float) -> None:
        """Nothing follows a step."""

    def outputs(self, features: Tensor) -> Tensor:
        """Return the features: the loss compares pixels, not images."""
        return features


def _through(blocks: nn.Sequential, tokens: Tensor, *, checkpointed: bool) -> Tensor:
    """Take tokens [B, T, D] through the blocks, whose activations are computed again where they are checkpointed."""
    out: Tensor = checkpoint_seq(blocks, tokens) if checkpointed else blocks(tokens)
    return out


def _rows(tokens: Tensor, positions: Tensor) -> Tensor:
    return tokens.gather(1, positions[:, :, None].expand(-1, -1, tokens.shape[2]))
