"""What a tracker is: a package in which the curve of a training is seen beside others; and what each is told of one.

A step is an epoch everywhere. What is told has the names of metrics.jsonl and summary.json, level by level, with `/`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Protocol

from pydantic import Field
from typing_extensions import TypedDict  # as pydantic asks for: see `runs/rows.py`

from cass_cli.config.schema import Config, TrackerName
from cass_cli.errors import ConfigError
from cass_cli.files import write_json
from cass_cli.saved import NonNegativeInt, read_json, with_more

TITLES: Mapping[TrackerName, str] = {"tensorboard": "TensorBoard", "mlflow": "MLflow", "wandb": "Weights & Biases"}
PROJECT = "cass"  # under which MLflow and Weights & Biases list the curves, unless the environment says otherwise


@with_more
class Told(TypedDict):
    """What trackers.json says of one tracker."""

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{0,64}$")]  # of the curve, where the tracker gives it one
    epochs: NonNegativeInt  # that it was told
    finished: bool


@dataclass(frozen=True)
class Curve:
    """One training: a pretraining, or a trial of a fine-tuning."""

    folder: Path  # of the run, or of the trial
    runs: Path  # the folder of the run's folder
    run: str
    name: str
    settings: Mapping[str, Any]  # by dotted name, without folders of this machine
    epochs: int  # from where it goes on; what was told of later ones is taken back


@dataclass(frozen=True)
class Begun:
    """How a tracker goes on with a curve."""

    id: str
    epochs: int  # that it has
    note: str  # where the curve is seen


class Tracker(Protocol):
    """Shows one curve. Whatever it raises ends it, and never the training."""

    def begin(self, curve: Curve, told: Told) -> Begun: ...
    def point(self, epoch: int, values: Mapping[str, float]) -> None: ...
    def end(self, epoch: int, scores: Mapping[str, float] | None) -> None: ...  # None: it may be gone on with


def check_trackers(names: Sequence[TrackerName]) -> None:
    """Raise `ConfigError` for a tracker whose package is not installed."""
    for name in names:
        found = find_spec(name)
        if found is None or found.origin is None:  # a folder of that name is none, as wandb leaves it
            raise ConfigError(
                f"--track {name} needs {TITLES[name]}, which is not installed.",
                hint=f"pip install 'cass-cli[{name}]'; or go on without: --track none",
            )


def read_told(path: Path) -> dict[str, Told]:
    """Return what trackers.json says, {} where there is none; raise `RunError` where it is damaged."""
    return read_json(path, dict[str, Told], hint="Remove it: the curves begin anew.") if path.exists() else {}


def write_told(path: Path, told: Mapping[str, Told]) -> None:
    """Write trackers.json."""
    write_json(path, told)


def numbers(tree: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """Return the finite numbers of a row, or of scores, at any depth: {"gauges/cnn/outputs/cosine": 0.2}."""
    found: dict[str, float] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            found |= numbers(value, f"{prefix}{key}/")
        elif isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            found[f"{prefix}{key}"] = float(value)
    return found


def settings_of(config: Config, *, without: Sequence[str]) -> dict[str, Any]:
    """Return the settings by dotted name, but for some sections: plain values, of paths the last names."""
    sections = {name: getattr(config, name) for name in type(config).model_fields if name not in without}
    return {
        f"{name}.{key}": _plain(getattr(section, key))
        for name, section in sections.items()
        for key in type(section).model_fields
    }


def _plain(value: Any) -> bool | int | float | str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={_plain(one)}" for key, one in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(str(_plain(one)) for one in value)
    if isinstance(value, Path):
        return value.name
    return value if isinstance(value, bool | int | float) else "none" if value is None else str(value)
