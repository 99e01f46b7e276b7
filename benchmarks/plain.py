"""The plain loops that ours are compared with, written as most people would.

A DataLoader with two workers decodes and transforms each sample with PIL and torchvision; the networks are in
fp32 and NCHW under PyTorch's own defaults; torch.optim.Adam is called with its defaults; the loss is read with
`.item()` in every step. A turn is an epoch over the loader, whose workers persist, so that it contains all the work
on its images and none on those of another turn.

Legend: B batch, S image side.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from data import stored_file, torchvision_view
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms
from turns import Turn, clock

from cass_cli.config.schema import IMAGENET_MEAN, IMAGENET_STD

WORKERS = 2
STORED = 4 / 3
"""Side of the stored files over the training size."""


def write_images(folder: Path, *, images: int, size: int, classes: int = 1) -> list[Path]:
    """Write colour JPEG files, a third larger than `size`, into one folder a class; return their paths."""
    paths = []
    for number in range(images):
        path = folder / f"class{number % classes}" / f"{number:04d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(stored_file(number, round(size * STORED), grey=False))
        paths.append(path)
    return paths


class Images(Dataset[tuple[Any, int]]):
    """Image files, decoded and transformed anew whenever they are asked for, with the class that each is of."""

    def __init__(
        self, paths: Sequence[Path], transform: Callable[[Image.Image], Any], labels: Sequence[int] = ()
    ) -> None:
        self.paths, self.transform, self.labels = paths, transform, labels

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        image = Image.open(self.paths[index]).convert("RGB")
        return self.transform(image), self.labels[index] if self.labels else 0


def training_transform(size: int) -> Callable[[Image.Image], Tensor]:
    """Return the paper's view (C.5.2) of a PIL image in torchvision's transforms."""
    resize = transforms.Resize((size, size))
    view: Callable[[Image.Image], Tensor] = transforms.Compose([resize, torchvision_view()])
    return view


def evaluation_transform(size: int) -> Callable[[Image.Image], Tensor]:
    """Resize and normalise."""
    steps = [transforms.Resize((size, size)), transforms.ToTensor(), transforms.Normalize(IMAGENET_MEAN, IMAGENET_STD)]
    plain: Callable[[Image.Image], Tensor] = transforms.Compose(steps)
    return plain


def loader(images: Dataset[Any], *, batch_size: int, device: torch.device, shuffle: bool = True) -> DataLoader[Any]:
    """Return a DataLoader with two workers, pinned memory on a GPU."""
    return DataLoader(
        images,
        batch_size=batch_size,
        shuffle=shuffle,
        num_workers=WORKERS,
        pin_memory=device.type == "cuda",
        persistent_workers=True,
        drop_last=shuffle,
    )


def plain_autocast(device: torch.device, *, bf16: bool) -> AbstractContextManager[object]:
    """Return autocast to bf16, or nothing."""
    return torch.autocast(device.type, torch.bfloat16) if bf16 else nullcontext()


def pytorch_defaults(device: torch.device) -> None:
    """Undo `set_up_backends`: true fp32 products, convolutions that aren't tried out."""
    if device.type == "cuda":
        torch.set_float32_matmul_precision("highest")
        torch.backends.cudnn.benchmark = False


def pretraining_epoch(
    networks: Mapping[str, nn.Module], batches: DataLoader[Any], device: torch.device, *, bf16: bool = False
) -> Turn:
    """Return a function that pretrains two networks by CASS for an epoch, and returns its seconds."""
    cnn, vit = (network.to(device).train() for network in networks.values())
    optimisers = [torch.optim.Adam(network.parameters(), lr=1e-3) for network in (cnn, vit)]
    schedules = [torch.optim.lr_scheduler.CosineAnnealingLR(o, T_max=16, eta_min=1e-6) for o in optimisers]

    def epoch() -> float:
        pytorch_defaults(device)
        began, total = clock(device), 0.0
        for batch, _ in batches:
            images = batch.to(device)
            for optimiser in optimisers:
                optimiser.zero_grad()
            with plain_autocast(device, bf16=bf16):
                r, t = F.normalize(cnn(images), dim=-1), F.normalize(vit(images), dim=-1)
                loss = (2 - 2 * (r * t).sum(dim=-1)).mean()
            loss.backward()
            for optimiser, schedule in zip(optimisers, schedules, strict=True):
                optimiser.step()
                schedule.step()
            total += loss.item()
        return clock(device) - began

    return epoch
