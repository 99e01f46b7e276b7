"""A flipped bit in an arm or head is found when it is read."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
import safetensors.torch as plain
import torch

from cass_cli.errors import RunError
from cass_cli.models.sealed import check_card, load_file, sealed, write_sealed

TENSORS = {
    "b.weight": torch.arange(12.0).reshape(3, 4),
    "a": torch.arange(3),
    "half": torch.tensor(2.5, dtype=torch.bfloat16),
    "none": torch.zeros(0),
}


def test_it_is_a_safetensors_file_and_equal_for_equal_tensors(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    data = b"".join(sealed(TENSORS, {"format": "pt"}))
    assert {b"".join(sealed(TENSORS, {"format": "pt"})) for _ in range(20)} == {data}
    path.write_bytes(data)
    for read in (load_file(path), plain.load_file(path)):
        assert all(torch.equal(read[name], TENSORS[name]) for name in TENSORS)


def test_a_file_of_another_program_is_read(tmp_path: Path) -> None:
    plain.save_file(TENSORS, tmp_path / "a.safetensors")
    assert load_file(tmp_path / "a.safetensors").keys() == TENSORS.keys()


def test_every_flipped_bit_of_the_tensors_is_found(tmp_path: Path) -> None:
    path, random = tmp_path / "a.safetensors", Random(0)
    data = b"".join(sealed(TENSORS, {}))
    tensors = len(data) - (48 + 24 + 2)
    for place in [*range(tensors, len(data), 7), *(random.randrange(tensors) for _ in range(30))]:
        changed = bytearray(data)
        changed[place] ^= 1 << random.randrange(8)
        path.write_bytes(changed)
        try:
            read = load_file(path)
        except Exception:  # the header is no JSON any more, or says what can't be
            continue
        assert place < tensors
        same = read.keys() == TENSORS.keys() and all(torch.equal(read[name], TENSORS[name]) for name in TENSORS)
        assert same or b"__metadata__" not in changed, "what says that there is a digest is gone"


def test_the_error_says_so(tmp_path: Path) -> None:
    data = bytearray(b"".join(sealed(TENSORS, {})))
    data[-1] ^= 1
    (tmp_path / "a.safetensors").write_bytes(data)
    with pytest.raises(ValueError, match="not those that were saved"):
        load_file(tmp_path / "a.safetensors")


def test_a_card_is_that_of_its_tensors(tmp_path: Path) -> None:
    write_sealed(tmp_path / "a", TENSORS, {"mean": [0.5, 0.5, 0.5]})
    card = tmp_path / "a.json"
    check_card(card)
    card.write_text(card.read_text().replace("0.5", "0.4", 1))
    with pytest.raises(RunError, match=r"a\.json was changed since cass wrote it"):
        check_card(card)
    plain.save_file(TENSORS, tmp_path / "a.safetensors")  # from before there were digests of cards
    check_card(card)
