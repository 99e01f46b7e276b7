"""What a safetensors file says of its tensors, read before any of them: so a network of another form costs nothing.

The header is JSON: of each tensor its kind, its shape, and where its bytes lie. `safetensors` reads it, which holds it
against the file's size; here it is first held to a size of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from cass_cli.words import count, shown

LENGTH = 8  # bytes that say how long the header is, to whole multiples of which it is filled up
LONGEST = 16_000_000  # bytes of a header: 150 a tensor
NONE = "its header is not that of a safetensors file, or the file was cut short"
TOLD, NAME = 4, 100  # tensors that are named, and the characters of a name
KINDS = {
    **{torch.float32: "F32", torch.float64: "F64", torch.float16: "F16", torch.bfloat16: "BF16", torch.bool: "BOOL"},
    **{torch.int64: "I64", torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8"},
}


@dataclass(frozen=True)
class Header:
    """Of each tensor its kind (`F32`) and shape, and what the file says of itself."""

    tensors: Mapping[str, tuple[str, tuple[int, ...]]]
    about: Mapping[str, str]


def read_header(path: Path) -> Header:
    """Return the header of a safetensors file; raise `ValueError` where it is none, `OSError` where it isn't there."""
    if path.stat() and not path.is_file():
        raise ValueError("it is no file")
    with path.open("rb") as file:
        length = int.from_bytes(file.read(LENGTH), "little")
    if length > path.stat().st_size:
        raise ValueError(NONE)
    if length > LONGEST:
        raise ValueError(f"its header is said to have {length:,} bytes, and at most {LONGEST:,} are read")
    try:
        with safe_open(path, framework="pt") as file:
            parts = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
            tensors = {name: (part.get_dtype(), tuple(part.get_shape())) for name, part in parts.items()}
            return Header(tensors, file.metadata() or {})
    except (SafetensorError, RuntimeError) as error:  # PyTorch cannot map files beyond the memory
        raise ValueError(NONE) from error


def check_form(header: Header, wanted: Mapping[str, Tensor], *, of: str) -> None:
    """Raise `ValueError` unless a file holds exactly tensors of the form of `wanted`, those `of` a network."""
    held = header.tensors
    if missing := [name for name in wanted if name not in held]:
        raise ValueError(f"it lacks {_some(missing)} of {of}")
    if more := [name for name in held if name not in wanted]:
        raise ValueError(f"it holds {_some(more)}, which {of} has not")
    forms = {name: (KINDS.get(tensor.dtype, ""), tuple(tensor.shape)) for name, tensor in wanted.items()}
    if wrong := [name for name in wanted if held[name] != forms[name]]:
        name = wrong[0]
        others = f", and {count(len(wrong) - 1, 'more', 'more')}" if len(wrong) > 1 else ""
        raise ValueError(f"{_some([name])} is {_form(held[name])}, and of {of} it is {_form(forms[name])}{others}")


def _form(form: tuple[str, Sequence[int]]) -> str:
    kind, shape = form
    return f"{kind} {list(shape[:8])}" + ("…" if len(shape) > 8 else "")


def _some(names: Sequence[str]) -> str:
    told = ", ".join(shown(name)[:NAME] for name in names[:TOLD])
    return told + (f" and {len(names) - TOLD:,} more" if len(names) > TOLD else "")
