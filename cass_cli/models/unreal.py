"""Networks on PyTorch's meta device, which have a form and no numbers: for what fits them, and what they would cost."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

# What weights are drawn with. On the meta device each is worked out in Python, and leaves what it was given.
DRAWING = {"uniform_", "normal_", "erfinv_", "mul_", "add_", "clamp_", "fill_", "zero_"}


@contextmanager
def unreal() -> Iterator[None]:
    """Build without numbers, and without drawing any, which would take half of the time."""
    with torch.device("meta"), _NothingDrawn():
        yield


class _NothingDrawn(TorchFunctionMode):
    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if getattr(func, "__name__", "") in DRAWING and args and args[0].is_meta:
            return args[0]
        return func(*args, **(kwargs or {}))
