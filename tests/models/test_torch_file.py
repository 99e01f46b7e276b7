"""What PyTorch wrote is read where it is tensors, and where it is no more than it seems."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from time import process_time
from typing import Any

import pytest
import torch

from cass_cli.models.torch_file import load_torch


class Calls:
    """Pickled, it calls a function when it is read."""

    def __reduce__(self) -> Any:
        return os.system, ("echo > was-here",)


def repacked(path: Path, *, deflate: bool = False, pickled: bytes | None = None) -> None:
    held = io.BytesIO()
    torch.save({"a": torch.zeros(10**6)}, held)
    with zipfile.ZipFile(held) as old, zipfile.ZipFile(path, "w", 8 if deflate else 0) as new:
        for name in old.namelist():
            new.writestr(name, pickled if pickled and name.endswith("data.pkl") else old.read(name))


def saved(value: Any, **how: Any) -> Callable[[Path], object]:
    return lambda path: torch.save(value, path, **how)


OLD = {"_use_new_zipfile_serialization": False}
SHARED = torch.zeros(1000)
OLD_BEGINNING = b"".join(pickle.dumps(each, 2) for each in (0x1950A86A20F9469CFC6C, 1001, {})) + b"\x80\x02"


@pytest.mark.parametrize("how", [{}, OLD])
@pytest.mark.parametrize("value", [{"a": torch.arange(5)}, {"a": {"b": [torch.ones(2, 3)], "c": 1}, "d": "text"}])
def test_tensors_are_read_as_they_were(tmp_path: Path, value: Any, how: Any) -> None:
    torch.save(value, tmp_path / "a", **how)
    assert str(load_torch(tmp_path / "a", old=True)) == str(value)


def test_tensors_may_share_what_is_stored(tmp_path: Path) -> None:
    torch.save({"a": SHARED, "b": SHARED}, tmp_path / "a")
    assert load_torch(tmp_path / "a")["b"].shape == (1000,)


def test_an_older_file_is_read_where_it_is_asked_for(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(2)}, tmp_path / "a", **OLD)
    with pytest.raises(ValueError, match="no file of tensors"):
        load_torch(tmp_path / "a")


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (saved(Calls()), r"posix\.system|nt\.system"),
        (saved({"a": Calls()}, **OLD), "system"),
        (saved(torch.nn.Linear(1, 1)), "torch.nn.modules.linear.Linear besides tensors"),
        (lambda path: path.write_bytes(pickle.dumps(Calls())), "no file of tensors"),
        (lambda path: repacked(path, deflate=True), "packed"),
        (lambda path: torch.save([torch.zeros(0) for _ in range(20_001)], path), "at most 20,000 tensors"),
        (lambda path: repacked(path, pickled=b"\x80\x02" + b"]" * 20_000_000 + b"."), "more than 16 MB"),
        (lambda path: path.write_bytes(OLD_BEGINNING + b"]" * 20_000_000 + b"."), "more than 16 MB"),
        (saved({"a": torch.zeros(1, dtype=torch.float16).expand(10**9)}), "1,000,000,000 numbers"),
        (saved({f"a{i}": SHARED for i in range(1000)}), "1,000,000 numbers"),
        (saved({"a": torch.empty(10**12, device="meta")}), "no place"),
        (saved([{"a": torch.zeros(3).to_sparse()}]), "sparse"),
        (lambda path: path.write_bytes(b""), "no file of tensors"),
        (lambda path: path.write_bytes(bytes(10**6)), "no file of tensors"),
        (lambda path: path.write_bytes(b"PK\3\4" + bytes(10**6)), "no file of tensors"),
        (lambda path: path.mkdir(), "no file"),
    ],
)
def test_the_rest_is_refused_at_once_in_words_of_cass(tmp_path: Path, write: Any, said: str) -> None:
    write(tmp_path / "a")
    began = process_time()
    with pytest.raises(ValueError, match=said) as raised:
        load_torch(tmp_path / "a", old=True)
    assert process_time() - began < 10
    assert "weights_only" not in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1
    assert not Path("was-here").exists()


def test_what_is_packed_is_said_to_be_so_and_what_to_save_instead(tmp_path: Path) -> None:
    repacked(tmp_path / "a.pt", deflate=True)
    with pytest.raises(ValueError, match=r"packed.*TorchScript.*state_dict"):
        load_torch(tmp_path / "a.pt")
