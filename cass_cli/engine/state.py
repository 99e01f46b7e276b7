"""The form of what a checkpoint holds: the same names, kinds and shapes as in what it is to be loaded into.

Beside what a step depends on it holds the seconds that were spent, so that a resumed run tells what all of it cost.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor


def no_seconds() -> dict[str, float]:
    """Return the seconds spent by what begins: on all of it, and on the epoch that it is in."""
    return {"run": 0.0, "epoch": 0.0}


def first(faults: Iterable[str]) -> str:
    """Return the first fault that there is, without looking for more; "" where there is none."""
    return next(filter(None, faults), "")


def unlike(saved: Any, now: Any, name: str) -> Iterator[str]:
    """Yield where `saved`, which is called `name`, has not the form of `now`.

    Both are tensors, numbers, text, or tables of them. An int may stand for a float, and nothing else for another kind.
    What follows a fault may rest on what is not there: take the `first`.
    """
    if isinstance(now, Mapping):
        if not isinstance(saved, Mapping):
            yield f"{name} is no table of values"
        yield from (f"{name} lacks {key}" for key in now if key not in saved)
        yield from (f"{name} holds {key!r:.40}, which is not known" for key in saved if key not in now)
        for key in now:
            yield from unlike(saved[key], now[key], f"{name}.{key}")
    elif isinstance(now, Tensor):
        if not isinstance(saved, Tensor):
            yield f"{name} is no tensor"
        if saved.shape != now.shape or saved.is_floating_point() != now.is_floating_point():
            yield f"{name} is {_told(saved)}, and should be {_told(now)}"
    elif type(saved) not in ((int, float) if isinstance(now, float) else (type(now),)):
        yield f"{name} is {saved!r:.40}"


def optimiser_unlike(saved: Any, optimiser: torch.optim.Optimizer, name: str) -> Iterator[str]:
    """Yield where `saved` is no state of an optimiser over the parameters of `optimiser`; take the `first`."""
    if not isinstance(saved, Mapping):
        yield f"{name} is no table of values"
    yield from (f"{name} lacks {key}" for key in ("state", "param_groups") if key not in saved)
    groups = [[parameter.shape for parameter in group["params"]] for group in optimiser.param_groups]
    given, shapes = saved["param_groups"], [shape for group in groups for shape in group]
    if not isinstance(given, list) or [_size(group) for group in given] != [len(group) for group in groups]:
        yield f"{name} is of other parameters"
    if not isinstance(saved["state"], Mapping):
        yield f"{name}.state is no table of values"
    for number, held in saved["state"].items():
        if number not in range(len(shapes)) or not isinstance(held, Mapping):
            yield f"{name}.state holds {number!r:.40}, which is not known"
        for key, value in held.items():
            if isinstance(value, Tensor) and value.ndim and value.shape != shapes[number]:
                yield f"{name}.state.{number}.{key} is of another shape than its parameter"


def _size(group: Any) -> int:
    parameters = group.get("params") if isinstance(group, Mapping) else None
    return len(parameters) if isinstance(parameters, list) else -1


def _told(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"
