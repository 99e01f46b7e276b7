"""Reading back what cass wrote: as its schema says, down to every value, or not at all.

A schema is a dataclass or a TypedDict. Nothing is converted: no text is a number, and no missing key has a value unless
the schema gives it one. What a later version adds to a file is let be, and no number has more digits than people count.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config

from cass_cli.errors import RunError
from cass_cli.reading import check_amount, read_bytes

T = TypeVar("T")
MOST = 3  # of what is wrong in a file, told one by one
SHOWN = 60  # characters of a wrong value
MOST_ERRORS = 1000  # that are looked at: a list of the wrong kind has one an item

NonNegativeInt = Annotated[int, Field(ge=0, le=10**15)]
PositiveInt = Annotated[int, Field(gt=0, le=10**15)]

with_more = with_config(ConfigDict(extra="allow"))  # a TypedDict that keeps what a later version adds


def read_json(path: Path, kind: type[T], *, hint: str) -> T:
    """Return the JSON object at `path` as `kind`; raise `RunError` saying what of it is missing or wrong."""
    try:
        return parse(read_bytes(path), kind)
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror or error}.", hint=hint) from error
    except ValueError as error:
        raise RunError(f"{path} is damaged: {error}.", hint=hint) from error


def parse(text: bytes | str, kind: type[T]) -> T:
    """Return a JSON object as `kind`; raise `ValueError` saying what of it is missing or wrong."""
    check_amount(text)
    try:
        found: T = _adapter(kind).validate_json(text, strict=True)  # type: ignore[arg-type]  # a type can be a key
    except ValidationError as error:
        if error.error_count() > MOST_ERRORS:
            raise ValueError(f"{error.error_count():,} of its values are not what they should be") from None
        told = [_words(item) for item in error.errors(include_url=False)]
        more = f", and {len(told) - MOST} more" if len(told) > MOST else ""
        raise ValueError("; ".join(told[:MOST]) + more) from None
    return found


def short(value: object) -> str:
    """Return a wrong value as text that fits into a message."""
    try:
        given = repr(value)
    except ValueError:  # a number with more digits than Python writes
        return "a number without end"
    return given if len(given) <= SHOWN else given[:SHOWN] + "…"


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _words(item: Any) -> str:
    if item["type"] == "json_invalid":
        return f"it holds no JSON ({item['ctx']['error']})"
    name = _cut(".".join(map(str, item["loc"]))) or "it"
    if item["type"] == "missing":
        return f"{name} is missing"
    if item["type"] == "extra_forbidden":
        return f"{name} is not known"
    said = str(item["msg"]).removeprefix("Input ").removeprefix("Value error, ")
    return f"{name} {_cut(said)}, not {short(item['input'])}"


def _cut(text: str) -> str:
    """Return text fit for a message: a key may be a megabyte long, and hold what a terminal obeys."""
    safe = repr(text)[1:-1] if not text.isprintable() else text
    return safe if len(safe) <= 2 * SHOWN else safe[: 2 * SHOWN] + "…"
