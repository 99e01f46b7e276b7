"""Reading back the JSON that cass wrote: as its schema says, down to every value, or not at all.

A schema is a dataclass or a TypedDict. Nothing is converted: no text is a number, and no missing key has a value unless
the schema gives it one. What a later version adds to a file is let be.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config

from cass_cli.errors import RunError

T = TypeVar("T")
MOST = 3  # of what is wrong in a file, told one by one
SHOWN = 60  # characters of a wrong value

with_more = with_config(ConfigDict(extra="allow"))  # a TypedDict that keeps what a later version adds


def read_json(path: Path, kind: type[T], *, hint: str) -> T:
    """Return the JSON object at `path` as `kind`; raise `RunError` saying what of it is missing or wrong."""
    try:
        return parse(path.read_bytes(), kind)
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror or error}.", hint=hint) from error
    except ValueError as error:
        raise RunError(f"{path} is damaged: {error}.", hint=hint) from error


def parse(text: bytes | str, kind: type[T]) -> T:
    """Return a JSON object as `kind`; raise `ValueError` saying what of it is missing or wrong."""
    try:
        found: T = _adapter(kind).validate_json(text, strict=True)  # type: ignore[arg-type]  # a type can be a key
    except ValidationError as error:
        told = [_words(item) for item in error.errors(include_url=False)]
        more = f", and {len(told) - MOST} more" if len(told) > MOST else ""
        raise ValueError("; ".join(told[:MOST]) + more) from None
    return found


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _words(item: Any) -> str:
    if item["type"] == "json_invalid":
        return f"it holds no JSON ({item['ctx']['error']})"
    name = ".".join(map(str, item["loc"])) or "it"
    if item["type"] == "missing":
        return f"{name} is missing"
    said, given = str(item["msg"]).removeprefix("Input ").removeprefix("Value error, "), repr(item["input"])
    return f"{name} {said}, not {given if len(given) <= SHOWN else given[:SHOWN] + '…'}"
