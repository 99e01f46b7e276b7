"""From the configuration to the self-supervised method and the networks that it trains."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import nn

from cass_cli.config.schema import ARM_NAMES, Config
from cass_cli.config.schema import Method as MethodSettings
from cass_cli.methods.byol import Byol
from cass_cli.methods.cass import Cass
from cass_cli.methods.cass_vicreg import CassVicReg
from cass_cli.methods.dino import SETTINGS, Dino, small_side
from cass_cli.methods.distill import AXES, Distill
from cass_cli.methods.mae import Mae
from cass_cli.methods.method import Method, SoloMethod
from cass_cli.methods.side_by_side import SideBySide
from cass_cli.methods.vicreg import VicReg
from cass_cli.models.arms import Arm, build_arm, check_takes, patch_size
from cass_cli.seeds import stream_seed


def build_arms(config: Config, *, only: Collection[str] = ARM_NAMES) -> dict[str, Arm]:
    """Build the arms that the method trains, or those `only`, with their starting weights.

    CASS compares the arms' logits; the other methods put heads of their own on the pooled features, and their
    arms have none. DINO's official setting shows crops of two sizes.
    """
    method = config.method
    several_sizes = method.name == "dino" and SETTINGS[method.dino_setting].others_are_small
    arms: dict[str, Arm] = {
        arm: build_arm(
            getattr(config.arms, arm),
            image_size=config.data.image_size,
            outputs=config.arms.outputs if method.name == "cass" and method.objective == "paper" else 0,
            init=config.arms.init,
            weights=config.arms.weights.get(arm),
            seed=stream_seed(config.train.seed, "arms", ARM_NAMES.index(arm)),
            several_sizes=several_sizes,
            output_stride=config.arms.output_stride if arm == "cnn" else None,
        )
        for arm in method.arms
        if arm in only
    }
    if several_sizes:
        for built in arms.values():
            check_takes(built, _small_crops(config, [arm.model for arm in arms.values()]))
    return arms


def _small_crops(config: Config, networks: Collection[nn.Module]) -> int:
    """Return the side in pixels of DINO's small crops, which all networks take."""
    return small_side(config.data.image_size, patch=max(patch_size(network) for network in networks))


def build_method(config: Config, networks: Mapping[str, nn.Module], *, targets: int | None = None) -> Method:
    """Return the method that `config` names on `networks`, its own heads drawn from the seed.

    `targets` is the width of what distill learns; None: as wide as it can be.
    """
    method, seed = config.method, config.train.seed
    if method.name == "cass" and method.objective == "vicreg":
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(stream_seed(seed, "heads", 0))
            return CassVicReg(networks, {arm: _width(network) for arm, network in networks.items()})
    if method.name == "cass":
        return Cass(networks, view=config.augment.model_dump(), activation=method.activation)
    taught: dict[str, SoloMethod] = {}
    with torch.random.fork_rng(devices=[]):
        for arm in method.arms:
            torch.manual_seed(stream_seed(seed, "heads", ARM_NAMES.index(arm)))
            small = _small_crops(config, networks.values())
            taught[arm] = _teach(
                config, networks[arm], small=small, targets=target_width(method) if targets is None else targets
            )
    return SideBySide(taught)


def target_width(method: MethodSettings) -> int:
    """Return how wide the targets of distill are with as many images as they take; 0 for other methods."""
    return AXES * len(method.teachers) if method.name == "distill" else 0


def _width(network: Any) -> int:
    """Return the width of the pooled features of a timm network."""
    return int(getattr(network, "head_hidden_size", None) or network.num_features)


def _teach(config: Config, network: Any, *, small: int, targets: int) -> SoloMethod:
    """Return the configured method on one network; `small` is the side in pixels of DINO's small crops."""
    method = config.method
    width = _width(network)
    if method.name == "dino":
        return Dino(
            network,
            width=width,
            setting=SETTINGS[method.dino_setting],
            prototypes=method.prototypes,
            small=small,
        )
    if method.name == "byol":
        return Byol(network, width=width)
    if method.name == "vicreg":
        return VicReg(network, width=width)
    if method.name == "distill":
        return Distill(network, width=width, targets=targets)
    if method.name == "mae":
        return Mae(
            network,
            mask_ratio=method.mask_ratio,
            decoder_width=method.decoder_width,
            decoder_depth=method.decoder_depth,
            normalise=method.normalise_targets,
        )
    raise AssertionError(f"no network learns by {method.name} alone")
