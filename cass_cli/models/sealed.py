"""Tensors on the disk with a digest of them in the file, so that a bit that a disk or a copy lost is found on reading.

So is a change in the JSON beside them, their card, of which there is a digest too. Other programs read such a file as
any safetensors file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch as plain
import torch
from torch import Tensor

from cass_cli.errors import RunError
from cass_cli.files import json_text, whole_file, write_text
from cass_cli.models.header import LENGTH, Header, read_header

SEAL, CARD, ABOUT = "sha256", "card", "__metadata__"  # among what a safetensors file says of itself


def write_sealed(path: Path, tensors: Mapping[str, Tensor], card: Mapping[str, Any]) -> None:
    """Write tensors on the CPU to `path`.safetensors, and `card` to `path`.json."""
    text = json_text(card)
    with whole_file(path.with_suffix(".safetensors")) as file:
        file.writelines(sealed(tensors, {"format": "pt", CARD: _digest_of(text.encode())}))
    write_text(path.with_suffix(".json"), text)


def sealed(tensors: Mapping[str, Tensor], about: Mapping[str, str]) -> tuple[bytes, bytes, memoryview]:
    """Return tensors on the CPU, and what is said `about` them, as the parts of a safetensors file with a digest."""
    held = dict(tensors)
    data = plain.save(held, metadata={**about, SEAL: _digest(held)})
    length = int.from_bytes(data[:LENGTH], "little")
    header = json.loads(data[LENGTH:][:length])
    header[ABOUT] = dict(sorted(header[ABOUT].items()))  # in which it has no order: equal tensors, equal files
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text = text.ljust(-(-len(text) // LENGTH) * LENGTH)
    return len(text).to_bytes(LENGTH, "little"), text, memoryview(data)[LENGTH + length :]


def load_file(path: Path, header: Header | None = None) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file; raise `ValueError` where they are not those that were saved.

    A file of another program, which holds no digest, is taken as it is. `header` is its own, where it was read.
    """
    said = (header or read_header(path)).about.get(SEAL)
    tensors: dict[str, Tensor] = plain.load_file(path)
    if said not in (None, _digest(tensors)):
        raise ValueError("its tensors are not those that were saved: the file was damaged or changed")
    return tensors


def check_card(path: Path) -> None:
    """Raise `RunError` where the JSON at `path` is not the one that was written beside its tensors."""
    try:
        said = read_header(path.with_suffix(".safetensors")).about.get(CARD)
    except (OSError, ValueError):  # no tensors, or damaged ones: whoever reads them says so
        return
    if said not in (None, _digest_of(path.read_bytes())):
        raise RunError(f"{path} was changed since cass wrote it.", hint="Put it back as it was, or train again.")


def _digest_of(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()


def _digest(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        value = tensors[name]
        digest.update(f"{name} {value.dtype} {tuple(value.shape)};".encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
