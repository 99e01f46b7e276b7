"""Tensors on the disk with a digest of them in the file, so that a bit that a disk or a copy lost is found on reading.

Other programs read such a file as any safetensors file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import safetensors.torch as plain
import torch
from safetensors import safe_open
from torch import Tensor

SEAL, ABOUT = "sha256", "__metadata__"  # among what a safetensors file says of itself
LENGTH = 8  # bytes that say how long the header is, to whole multiples of which it is filled up


def save(tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> bytes:
    """Return tensors on the CPU, and `metadata`, as a safetensors file with a digest of the tensors."""
    held = dict(tensors)
    data = plain.save(held, metadata={**(metadata or {}), SEAL: _digest(held)})
    length = int.from_bytes(data[:LENGTH], "little")
    header = json.loads(data[LENGTH:][:length])
    header[ABOUT] = dict(sorted(header[ABOUT].items()))  # in which it has no order: equal tensors, equal files
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text = text.ljust(-(-len(text) // LENGTH) * LENGTH)
    return len(text).to_bytes(LENGTH, "little") + text + data[LENGTH + length :]


def load_file(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file; raise `ValueError` where they are not those that were saved.

    A file of another program, which holds no digest, is taken as it is.
    """
    tensors: dict[str, Tensor] = plain.load_file(path)
    with safe_open(path, framework="pt") as file:
        said = (file.metadata() or {}).get(SEAL)
    if said not in (None, _digest(tensors)):
        raise ValueError("its tensors are not those that were saved: the file was damaged or changed")
    return tensors


def _digest(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        value = tensors[name]
        digest.update(f"{name} {value.dtype} {tuple(value.shape)};".encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
