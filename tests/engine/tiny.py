"""A pretraining session small enough to take hundreds of steps in a test."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from cass_cli.config.load import Layer, Resolved
from cass_cli.config.recipes import resolve_with_recipe
from cass_cli.config.schema import Config
from cass_cli.data.store.store import ImageStore
from cass_cli.data.views.apply import apply_view
from cass_cli.engine.compute import choose_compute
from cass_cli.engine.distributed import World
from cass_cli.engine.pretraining import loop, session
from cass_cli.engine.pretraining.session import Session, build_session
from cass_cli.methods.build import build_arms, build_method
from cass_cli.seeds import generator

SETTINGS: dict[str, Any] = {
    "data.image_size": 32,
    "arms.cnn": "test_resnet",
    "arms.vit": "test_vit",
    "arms.init": "random",
    "arms.outputs": 16,
    "train.epochs": 3,
    "train.batch_size": 4,
    "train.device": "cpu",
    "train.precision": "fp32",
}


def tiny_resolved(**changes: Any) -> Resolved:
    """The settings above with `changes`, whose keys use __ for the dot."""
    return resolve_with_recipe([], [Layer("test", SETTINGS | {k.replace("__", "."): v for k, v in changes.items()})])


def tiny_config(**changes: Any) -> Config:
    """The same without origins."""
    return tiny_resolved(**changes).config


def tiny_store(images: int = 18, size: int = 32) -> ImageStore:
    """Random uint8 images held in memory."""
    pixels = torch.randint(
        0, 256, (images, 3, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(1)
    )
    return ImageStore(images=pixels, where="ram", kept=np.arange(images), bad=())


def tiny_session(images: int = 18, world: World | None = None, **changes: Any) -> Session:
    config = tiny_config(**changes)
    width = 6 if config.method.name == "distill" else 0
    return build_session(
        config,
        build_arms(config),
        tiny_store(images, config.data.image_size),
        choose_compute(config.train),
        world=world or World(),
        targets=torch.randn(images, width, generator=generator(0, "heads")) if width else None,
    )


def train_in_double(replace: Callable[[Any, str, Any], None] = setattr) -> None:
    """Let every session that is built from now on train in float64, its losses too, on float32 views.

    For tests that compare two ways of training after several steps: in float32 these drift apart by what the
    processor at hand rounds otherwise, so a tolerance that holds on one machine fails on the next.
    """
    for module in (loop, session):
        replace(module, "apply_view", lambda *args, **kwargs: apply_view(*args, **kwargs).double())
    replace(session, "build_method", lambda *args, **kwargs: build_method(*args, **kwargs).double())
    replace(torch.Tensor, "float", lambda tensor: tensor if tensor.dtype == torch.float64 else tensor.to(torch.float32))
