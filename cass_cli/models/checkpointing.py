"""Gradient checkpointing: a block's activations are computed again in the backward pass instead of being kept.

Chen et al. 2016. timm says which parts of a network are a block.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from cass_cli.errors import ModelError
from cass_cli.models.arms import Arm


def checkpoint_gradients(arms: Mapping[str, Arm]) -> None:
    """Let all arms keep few activations. Raises `ModelError` for a network whose timm model cannot."""
    for arm in arms.values():
        network: Any = arm.model
        try:
            network.set_grad_checkpointing(True)
        except (AttributeError, AssertionError) as error:
            raise ModelError(
                f"{arm.name} has no gradient checkpointing.",
                hint="Leave it off, and split batches with --accumulate to save memory.",
            ) from error


@contextmanager
def statistics_kept(network: nn.Module) -> Iterator[None]:
    """Keep batch norm's running statistics as they are: computing a block again would count its batch twice."""
    norms = [module for module in network.modules() if isinstance(module, _BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
