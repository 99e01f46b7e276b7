"""A teacher that follows its student: an exponential moving average of the weights, and its schedule."""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor, nn


class Branch(nn.Module):
    """A network and the head on its pooled features: what a student has, and its teacher as well."""

    def __init__(self, network: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.head = head

    def forward(self, images: Tensor) -> Tensor:
        """Return the head's outputs [B, K] for images [B, 3, S, S]."""
        outputs: Tensor = self.head(self.network(images))
        return outputs


def teacher_of(student: Branch) -> Branch:
    """Return a copy of `student` that no gradient reaches."""
    return copy.deepcopy(student).requires_grad_(False)


@torch.no_grad()
def follow(teacher: nn.Module, student: nn.Module, momentum: float) -> None:
    """Set each weight of the teacher to momentum · itself + (1 − momentum) · the student's.

    Batch-norm statistics are left alone: the teacher has its own, as it sees every batch itself.
    """
    torch._foreach_lerp_(list(teacher.parameters()), list(student.parameters()), 1 - momentum)


def cosine(progress: float, first: float, last: float) -> float:
    """Go from `first` at progress 0 to `last` at progress 1 along half a cosine."""
    return last + (first - last) * (1 + math.cos(math.pi * progress)) / 2
