"""A Mac's graphics processor, pretended: tensors that say they lie on MPS, hold their numbers on the CPU, and refuse
what MPS refuses: float64, tensors of two devices in one operation, a second thread, and channels last.

It shows that cass moves and computes what it has to where it has to; what Apple's kernels compute, it does not show.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

MPS, CPU = torch.device("mps"), torch.device("cpu")
LACKS = ("svd", "eig")  # in the names of operators; what falls back to the CPU is computed there here too
WRONG_LAST = ("convolution.default", "native_batch_norm.default", "grid_sampler_2d.default")  # wrong, channels last
seen: set[str] = set()  # operators that were asked for


def each(change: Callable[[Any], Any], value: Any) -> Any:
    """Return a value with `change` done to all that lies in its lists and tables."""
    if isinstance(value, dict):
        return {key: each(change, inner) for key, inner in value.items()}
    if type(value) in (list, tuple):
        return type(value)([each(change, inner) for inner in value])
    return change(value)


class OnMps(Tensor):
    """A tensor whose numbers lie in `held`, on the CPU."""

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> OnMps:
        made = Tensor._make_wrapper_subclass(
            cls,
            held.shape,
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device="meta",  # what autograd runs in the caller's thread
        )
        made.held = held
        return made

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return MPS

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.held.__reduce_ex__(protocol)

    def __repr__(self, **_: Any) -> str:
        return f"OnMps({self.held!r})"

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


class _Numbered(TorchFunctionMode):
    """PyTorch asks a device without a number for its own, which only one that is there can tell."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        args, kwargs = each(_numbered, (args, kwargs or {}))
        if func is Tensor.tolist:  # is not made for classes of one's own
            return args[0].cpu().detach().numpy().tolist()
        if func in (torch.tensor, torch.as_tensor) and str(kwargs.get("device")) == "mps:0":
            return func(*args, **{**kwargs, "device": CPU}).to(kwargs["device"])
        return func(*args, **kwargs)


def _numbered(value: Any) -> Any:
    return torch.device("mps", 0) if isinstance(value, torch.device | str) and str(value) == "mps" else value


class _Intercepted(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


def _run(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    tensors: list[Tensor] = []
    each(lambda value: tensors.append(value) if isinstance(value, Tensor) else None, (args, kwargs))
    name, ours = str(func), [tensor for tensor in tensors if isinstance(tensor, OnMps)]
    asked = kwargs.get("device")
    target = torch.device(asked).type if asked is not None else "mps" if ours else "cpu"
    if not ours and target != "mps":
        return func(*args, **kwargs)
    return _on_mps(func, args, kwargs, name=name, target=target, tensors=tensors)


def _on_mps(func: Any, args: Any, kwargs: dict[str, Any], *, name: str, target: str, tensors: list[Tensor]) -> Any:
    seen.add(name)
    assert threading.current_thread() is threading.main_thread(), f"{name} on MPS, in another thread"
    if any(lacking in name for lacking in LACKS):
        raise NotImplementedError(f"The operator '{name}' is not currently implemented for the MPS device.")
    copies = any(word in name for word in ("_to_copy", "copy_", "aten.to."))
    if not copies:
        others = [t for t in tensors if not isinstance(t, OnMps) and t.ndim and t.device.type != "meta"]
        assert not others or "index" in name, f"{name} of tensors of two devices"
    if any(wrong in name for wrong in WRONG_LAST):
        assert args[0].is_contiguous() and args[1].is_contiguous(), f"{name}: channels last on MPS"
    known = {id(tensor.held): tensor for tensor in tensors if isinstance(tensor, OnMps)}
    given = each(_held, (args, kwargs))
    if "device" in given[1]:
        given[1]["device"] = CPU
    given[1].pop("pin_memory", None)
    found = func(*given[0], **given[1])
    in_place_on_cpu = "copy_.default" in name and not isinstance(args[0], OnMps)
    if target == "cpu" or in_place_on_cpu:
        return args[0] if in_place_on_cpu else found
    return each(lambda value: _wrapped(value, known, name), found)


def _held(value: Any) -> Any:
    if isinstance(value, OnMps):
        return value.held
    if isinstance(value, Tensor) and value.device.type == "meta":  # zeros of autograd, made where it takes us to be
        return torch.zeros(value.shape, dtype=value.dtype)
    return value


def _wrapped(value: Any, known: dict[int, OnMps], name: str) -> Any:
    if not isinstance(value, Tensor):
        return value
    if id(value) in known:
        return known[id(value)]
    if value.dtype == torch.float64:
        raise TypeError(f"{name}: the MPS framework doesn't support float64.")
    return OnMps(value)


def _without_gradients(self: Any) -> None:
    self.before = torch.is_grad_enabled()
    torch.set_grad_enabled(False)


@contextmanager
def pretended_mps(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let PyTorch say that it has MPS, and tensors go there."""
    monkeypatch.setattr("torch.backends.mps.is_available", functools.cache(lambda: True))
    monkeypatch.setattr("torch.backends.mps.get_name", functools.cache(lambda: "Apple M0"))
    monkeypatch.setattr("torch.mps.synchronize", lambda: None)
    monkeypatch.setattr("torch.mps.empty_cache", lambda: None)
    monkeypatch.setattr("torch.mps.driver_allocated_memory", lambda: 2**30)
    monkeypatch.setattr("torch.mps.recommended_max_memory", lambda: 2**34)
    # inference mode knows no tensors of one's own class: without gradients is near enough
    monkeypatch.setattr("torch.inference_mode.__enter__", _without_gradients)
    monkeypatch.setattr("torch.inference_mode.__exit__", lambda self, *_: torch.set_grad_enabled(self.before))
    with _Numbered(), _Intercepted():
        yield
