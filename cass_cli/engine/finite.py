"""Nothing that is not finite is saved: from a checkpoint with a NaN in it no run can go on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol, TypeVar

from torch import Tensor

from cass_cli.errors import RunError
from cass_cli.models.weights import not_finite


class Saved(Protocol):
    """What knows whether there is a checkpoint of it."""

    saved: bool


S = TypeVar("S", bound=Saved)


def finite_only(save: Callable[[S], None], check: Callable[[S], None]) -> Callable[[S], None]:
    """Return `save`, after a look at what it would put in the place of the last good state."""

    def checked(state: S) -> None:
        check(state)
        save(state)
        state.saved = True

    return checked


def not_finite_in(state: Mapping[str, Any]) -> str:
    """Return the tensors of a checkpoint that hold a NaN or an infinity, as text; "" where none does."""
    bad = not_finite(dict(_tensors(state)))
    return bad[0] + (f" and {len(bad) - 1} more" if len(bad) > 1 else "") if bad else ""


def check_restored(state: Mapping[str, Any]) -> None:
    """Raise `RunError` where a checkpoint isn't finite: earlier versions saved such."""
    if bad := not_finite_in(state):
        raise RunError(
            f"Training had diverged when the last checkpoint was saved: {bad} is not finite.",
            hint="Start again with --overwrite and a lower --lr.",
        )


def diverged(what: str, hint: str, *, saved: bool) -> RunError:
    """Return the error that says so; `saved` is whether a checkpoint from before is there."""
    return RunError(
        f"{what}. {'The last good state is kept' if saved else 'Nothing was saved before that'}.", hint=hint
    )


def _tensors(node: Any, name: str = "") -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors in dicts and lists of dicts and lists, by their dotted names."""
    if isinstance(node, Tensor):
        yield name, node
    elif isinstance(node, (Mapping, list)):
        for key, value in node.items() if isinstance(node, Mapping) else enumerate(node):
            yield from _tensors(value, f"{name}.{key}" if name else str(key))
