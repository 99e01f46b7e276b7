"""The rows of a metrics.jsonl, one an epoch, and what each holds. A key that came later is `NotRequired`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, NotRequired, TypeVar

from annotated_types import Len
from pydantic import FiniteFloat, NonNegativeFloat
from typing_extensions import TypedDict  # as pydantic asks for: that of Python 3.11 forgets what is not required

from cass_cli.errors import RunError
from cass_cli.reading import TooMuch, any_json, read_bytes
from cass_cli.saved import NonNegativeInt, PositiveInt, parse, with_more

HINT = "Restore it from a copy; or remove it, and the report will lack the epochs up to here."


@with_more
class Row(TypedDict):
    """One row of any metrics.jsonl."""

    epoch: PositiveInt


@with_more
class GaugeRecord(TypedDict):
    """How far apart an arm puts different images."""

    spread: float
    cosine: float
    rank: float


@with_more
class GaugesRecord(TypedDict):
    """The gauges of what the loss sees, and of what is kept."""

    outputs: GaugeRecord
    features: GaugeRecord


@with_more
class ProbeRecord(TypedDict):
    """How well a simple classifier on an arm's features does."""

    accuracy: float
    macro_f1: float


@with_more
class ProbesRecord(TypedDict):
    """Both probes of one arm."""

    knn: ProbeRecord
    linear: ProbeRecord


@with_more
class EpochRow(Row):
    """One epoch of pretraining."""

    loss: FiniteFloat
    lr: FiniteFloat
    images: NonNegativeInt
    seconds: NonNegativeFloat
    waiting: NotRequired[float]
    images_per_second: NotRequired[float]
    gauges: Annotated[Mapping[str, GaugesRecord], Len(1)]
    states: Mapping[str, str]
    probes: NotRequired[Mapping[str, ProbesRecord]]


@with_more
class ArmRow(TypedDict):
    """One arm in one epoch of fine-tuning."""

    loss: float
    val_loss: float | None
    val_score: float | None


@with_more
class TrialRow(Row):
    """One epoch of fine-tuning."""

    arms: Annotated[Mapping[str, ArmRow], Len(1)]


AnyRow = TypeVar("AnyRow", bound=Row)


def read_rows(path: Path, kind: type[AnyRow]) -> list[AnyRow]:
    """Return the rows of a metrics.jsonl, of one epoch after the other, without a last one that a crash cut short.

    The first is of epoch 1, unless the file was removed before the run went on. Raises `RunError` naming the line
    that is no such row.
    """
    try:
        lines = read_bytes(path).split(b"\n")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror or error}.", hint=HINT) from error
    except ValueError as error:
        raise RunError(f"{path} is damaged: {error}.", hint=HINT) from error
    *whole, last = lines
    rows: list[AnyRow] = []
    for number, line in enumerate(whole if _cut_short(last, after=whole) else lines, 1):
        try:
            row = parse(line, kind)
            if rows and row["epoch"] != rows[-1]["epoch"] + 1:
                raise ValueError(f"epoch {row['epoch']} follows epoch {rows[-1]['epoch']}")
        except ValueError as error:
            raise RunError(f"{path} is damaged: line {number}: {error}.", hint=HINT) from error
        rows.append(row)
    return rows


def read_epochs(path: Path) -> list[EpochRow]:
    """Return the rows of a pretraining; raise `RunError` as `read_rows` does, and where they are of other arms."""
    rows = read_rows(path, EpochRow)
    for row in rows:
        arms = rows[-1]["gauges"].keys()
        if any(of.keys() != arms for of in (row["gauges"], row["states"], row.get("probes") or row["gauges"])):
            raise RunError(f"{path} is damaged: epoch {row['epoch']} is of other arms than the last.", hint=HINT)
    return rows


def rows_until(path: Path, epochs: int) -> list[Row]:
    """Return the rows of the first so many epochs; raise `RunError` where there is a file that lacks the last."""
    kept = [row for row in read_rows(path, Row) if row["epoch"] <= epochs]
    if epochs and path.exists() and (not kept or kept[-1]["epoch"] != epochs):
        ends = f"ends with epoch {kept[-1]['epoch']}" if kept else "holds none of them"
        raise RunError(f"{path} {ends}, but {epochs} are trained: rows were lost.", hint=HINT)
    return kept


def _cut_short(line: bytes, *, after: list[bytes]) -> bool:
    """Whether what follows the last end of a line is nothing, or the beginning of a row: a crash writes no more.

    Zeros stand for what a file system had not written yet, but not for the whole file.
    """
    if not line.startswith(b"{"):
        return not (line.strip(b"\0") if after else line)
    try:
        any_json(line)
    except TooMuch:
        return False
    except ValueError:
        return True
    return False
