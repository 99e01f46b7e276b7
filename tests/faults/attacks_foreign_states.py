"""A stranger's checkpoints and weights, as PyTorch writes them."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FunctionType
from typing import Any

import torch

from tests.faults.attacks_foreign import TINY, WEIGHTS
from tests.faults.foreign import RUN, Change, Foreign, folder, holes, pipe, text

GO_ON = ("pretrain", "--runs", "{runs}", "--name", "p", "--resume", "--epochs", "3")
STATES = ("code of the system", "a plain pickle", "deflated", "a billion numbers of one", "lists by the million")
STATES += ("four gigabytes of zeros", "a number", "a sparse tensor", "a pipe", "an empty table")
STATE = f"{RUN}/checkpoints/last/state.pt"


class _Calls:
    """Pickled, it calls a function when it is read."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def _saved(value: Any, *, legacy: bool = False) -> Change:
    """Return a change to what PyTorch saves of a value, or of what a function returns."""
    return lambda path: torch.save(
        value() if isinstance(value, FunctionType) else value, path, _use_new_zipfile_serialization=not legacy
    )


def _repacked(*, deflate: bool, more: int = 0, pickled: bytes | None = None) -> Change:
    """Return a change to a state whose parts are deflated, or whose pickle is another; `more` numbers are in it."""

    def change(path: Path) -> None:
        held = io.BytesIO()
        torch.save({"format": 1, "more": torch.zeros(more or 1, dtype=torch.uint8)}, held)
        kind = zipfile.ZIP_DEFLATED if deflate else zipfile.ZIP_STORED
        with zipfile.ZipFile(held) as old, zipfile.ZipFile(path, "w", kind, compresslevel=1) as new:
            for name in old.namelist():
                is_pickle = pickled is not None and name.endswith("data.pkl")
                new.writestr(name, pickled if is_pickle and pickled is not None else old.read(name))

    return change


def _bytes(*parts: bytes) -> bytes:
    return b"\x80\x02" + b"".join(parts) + b"."


def _nested(depth: int) -> bytes:
    return _bytes(b"]" * depth, b"a" * (depth - 1))


def _raw(data: Callable[[], bytes]) -> Change:
    def change(path: Path) -> None:
        _repacked(deflate=False, pickled=data())(path)

    return change


def _other_state(edit: Any) -> Change:
    """Return a change to what cass could have saved."""

    def change(path: Path) -> None:
        state = torch.load(path, weights_only=True)
        edit(state)
        torch.save(state, path)

    return change


def _widened(state: dict[str, Any]) -> None:
    """Every tensor has a billion numbers, of which one is stored."""
    for key, value in state.items():
        if isinstance(value, dict):
            _widened(value)
        elif isinstance(value, torch.Tensor):
            state[key] = torch.zeros(1, dtype=torch.float16).expand(10**9)


def _widened_tensors() -> dict[str, torch.Tensor]:
    return {f"layer{i}.weight": torch.zeros(1, dtype=torch.float16).expand(10**9, 1) for i in range(3)}


def _shared() -> dict[str, torch.Tensor]:
    """A thousand tensors over the same megabytes."""
    one = torch.zeros(4_000_000, dtype=torch.float16)
    return {f"layer{i}.weight": one[i:] for i in range(1000)}


def odd_states() -> dict[str, Change]:
    """Return what a file of PyTorch may be instead."""
    return {
        "code of the system": _saved({"format": 1, "a": _Calls(os.system, "echo > ../victim/was-here")}),
        "code of Python": _saved(_Calls(eval, "1+1")),
        "code in an old file": _saved({"a": _Calls(os.system, "echo > ../victim/was-here")}, legacy=True),
        "a whole network": _saved(torch.nn.Linear(2, 2)),
        "a path": _saved({"format": 1, "a": Path("/etc")}),
        "a plain pickle": text(lambda: pickle.dumps({"format": 1})),
        "a pickle of code": text(lambda: pickle.dumps(_Calls(os.system, "echo > ../victim/was-here"))),
        "deflated": _repacked(deflate=True, more=10**9),
        "deflated a little": _repacked(deflate=True, more=10**6),
        "a billion numbers of one": _saved({"format": 1, **_widened_tensors()}),
        "a thousand tensors of one": _saved(_shared),
        "a tensor without place": _saved({"a": torch.empty(10**12, device="meta")}),
        "a sparse tensor": _saved(lambda: {"a": torch.sparse_coo_tensor([[0]], [1.0], (10**12,))}),
        "a quantised tensor": _saved(lambda: {"a": torch.quantize_per_tensor(torch.zeros(3), 1.0, 0, torch.qint8)}),
        "nested lists": _raw(lambda: _nested(10**5)),
        "lists by the million": _raw(lambda: _bytes(b"]" * 4 * 10**7)),
        "lists by the million in an old file": text(
            pickle.dumps(0x1950A86A20F9469CFC6C, 2)
            + pickle.dumps(1001, 2)
            + pickle.dumps({}, 2)
            + b"\x80\x02"
            + b"]" * 5 * 10**7
        ),
        "a number of a million digits": _raw(lambda: _bytes(b"\x8b" + (10**6).to_bytes(4, "little") + b"\x7f" * 10**6)),
        "a memo of billions": _raw(lambda: _bytes(b"}r\xff\xff\xff\x7f")),
        "text longer than the file": _raw(lambda: _bytes(b"X\xff\xff\xff\x7f" + b"a")),
        "a pickle without an end": _raw(lambda: b"\x80\x02}"),
        "a number": _saved(7),
        "a list": _saved([torch.zeros(2)]),
        "an empty table": _saved({}),
        "names that are numbers": _saved({i: torch.zeros(2) for i in range(3)}),
        "names with escapes": _saved({"\x1b[31m\x07": torch.zeros(2)}),
        "a name of a megabyte": _saved(lambda: {"a" * 10**6: torch.zeros(2)}),
        "a hundred thousand names": _saved(lambda: OrderedDict((f"a{i}", torch.zeros(0)) for i in range(10**5))),
        "wrappers without end": _saved({"state_dict": {"model": {"state_dict": {}}}}),
        "a zip of nothing": text(b"PK\5\6" + bytes(18)),
        "nothing": text(b""),
        "four gigabytes of zeros": holes(4 * 10**9),
        "four gigabytes after a zip": holes(4 * 10**9, b"PK\3\4"),
        "a pipe": pipe,
        "a folder": folder,
    }


def states() -> Iterator[Foreign]:
    """What a checkpoint is that a run goes on with, and what weights are that one begins with."""
    for name, change in odd_states().items():
        if name in STATES:
            yield Foreign(f"state {name}", STATE, change, GO_ON, "state.pt")
        command = (*WEIGHTS, *TINY, "--weights", "cnn={work}/w.pth")
        yield Foreign(f"weights {name}", "w.pth", change, command, "w.pth")
    yield Foreign("state widened", STATE, _other_state(_widened), GO_ON, "state.pt")
    yield Foreign(
        "state of a later time", STATE, _other_state(lambda state: state.update(epoch=10**30)), GO_ON, fine=True
    )
    yield Foreign("state of text", STATE, _other_state(lambda state: state.update(epoch="2")), GO_ON, fine=True)
    yield Foreign("state of code", STATE, _saved({"format": _Calls(print, "mine")}), GO_ON, "state.pt")
