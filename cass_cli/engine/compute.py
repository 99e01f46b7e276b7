"""How a run computes: on what, in which precision, in which memory format. Chosen once, from its settings."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import nn

from cass_cli.config.schema import Train
from cass_cli.engine.device import choose_device, set_up_backends
from cass_cli.errors import ConfigError

N = TypeVar("N", bound=nn.Module)


@dataclass(frozen=True)
class Compute:
    """Where the arithmetic happens, and how."""

    device: torch.device
    precision: str = "fp32"  # or "bf16"
    memory_format: torch.memory_format = torch.channels_last  # of images and kernels

    def autocast(self) -> AbstractContextManager[object]:
        """Return the context in which forward passes run."""
        if self.precision == "bf16":
            return torch.autocast(self.device.type, torch.bfloat16)
        return nullcontext()

    def place(self, network: N) -> N:
        """Move a network to the device, its kernels laid out as the images are."""
        return network.to(self.device).to(memory_format=self.memory_format)

    def __str__(self) -> str:
        return f"{self.device} {self.precision}"


def choose_compute(train: Train, *, local_rank: int = 0) -> Compute:
    """Return how a run with these settings computes, and set up PyTorch for it.

    What is still `auto`: on a GPU bf16 where it has that, on a CPU fp32 (there bf16 has to show that it is faster, see
    `fastest.py`); channels last; a thread a core. On MPS fp32, and channels first whatever they say: channels
    last, gradients of batch norm are wrong there (pytorch/pytorch#175189), and pixels of grid_sample (#174339), without
    any error. Raises `ConfigError` for a device that can't be used.
    """
    device = choose_device(train.device, local_rank=local_rank)
    if device.type == "mps" and train.precision == "bf16":
        raise ConfigError("On MPS cass computes in fp32 alone.", hint="Use --precision fp32.")
    set_up_backends(device)
    if train.threads and device.type == "cpu":
        torch.set_num_threads(train.threads)
    fast = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    auto = "bf16" if fast else "fp32"
    return Compute(
        device,
        auto if train.precision == "auto" else train.precision,
        torch.contiguous_format if train.channels_last == "off" or device.type == "mps" else torch.channels_last,
    )
