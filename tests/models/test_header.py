"""A file of another form is known before a network is built, or a tensor is read."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from cass_cli.models.header import check_form, read_header

WANTED = {"a": torch.empty(2, 3, device="meta"), "b": torch.empty((), dtype=torch.int64, device="meta")}


def saved(folder: Path, **tensors: torch.Tensor) -> Path:
    save_file(tensors, folder / "x.safetensors", {"mine": "1"})
    return folder / "x.safetensors"


def test_the_form_is_that_of_the_tensors(tmp_path: Path) -> None:
    header = read_header(saved(tmp_path, a=torch.zeros(2, 3), b=torch.tensor(1)))
    assert header.tensors == {"a": ("F32", (2, 3)), "b": ("I64", ())}
    assert header.about == {"mine": "1"}
    check_form(header, WANTED, of="a network")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"a": torch.zeros(3, 2)}, r"a is F32 \[3, 2\], and of a network it is F32 \[2, 3\]"),
        ({"a": torch.zeros(2, 3).double()}, "a is F64"),
        ({"a": torch.zeros(2, 3).to(torch.float8_e4m3fn)}, "a is F8"),
        ({"c" * 10_000: torch.zeros(1)}, "it holds cccc"),
        ({"\x1b[31m": torch.zeros(1)}, r"it holds \\x1b"),
        ({"a": None}, "it lacks a"),
        ({"a": torch.zeros([1] * 60)}, "…"),
    ],
)
def test_another_form_is_told(tmp_path: Path, changed: Any, said: str) -> None:
    tensors = {"a": torch.zeros(2, 3), "b": torch.tensor(1)} | changed
    path = saved(tmp_path, **{name: tensor for name, tensor in tensors.items() if tensor is not None})
    with pytest.raises(ValueError, match=said) as raised:
        check_form(read_header(path), WANTED, of="a network")
    assert len(str(raised.value)) < 500


def test_a_form_costs_nothing_to_compare(tmp_path: Path) -> None:
    """Of a terabyte that is only said to be there nothing is read."""
    said = json.dumps({"a": {"dtype": "F32", "shape": [250_000_000_000], "data_offsets": [0, 10**12]}}).encode()
    (tmp_path / "x").write_bytes(struct.pack("<Q", len(said)) + said)
    os.truncate(tmp_path / "x", 8 + len(said) + 10**12)
    with pytest.raises(ValueError, match=r"lacks b|cut short"):
        check_form(read_header(tmp_path / "x"), WANTED, of="a network")


def test_a_header_has_an_end(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(struct.pack("<Q", 20_000_000) + b" " * 20_000_000)
    with pytest.raises(ValueError, match="20,000,000 bytes, and at most"):
        read_header(tmp_path / "x")


@pytest.mark.parametrize(
    "data",
    [
        *(b"", bytes(7), bytes(100), struct.pack("<Q", 10**18), struct.pack("<Q", 10**6) + b"{}"),
        *(struct.pack("<Q", 2) + b"[]", struct.pack("<Q", 10**5 + 6) + b'{"a": ' + b"[" * 10**5),
    ],
)
def test_what_is_no_header_is_told_in_words_of_cass(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(ValueError, match="header"):
        read_header(tmp_path / "x")
