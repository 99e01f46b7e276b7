"""A grid as a file states it: settings of all, axes whose product is done, and what a paper found for some of it.

```yaml
title: Batch size
source: Table 8
settings: {recipe: paper, finetune.guard: false}
axes:
  data: [dermofit, brain-mri]          # presets; or names with their settings: {ham10000: {path: HAM10000}}
  method: [transfer, cass]             # transfer: no pretraining
  train.batch_size: [8, 16, 32]
  pretrain_seed: [0, 1, 2]
exclude: [{data: brain-mri, train.batch_size: 8}]
against: {method: transfer}
small: {axes: {data: [demo]}}
paper: [{data: dermofit, train.batch_size: 8, cnn: 0.78}]
```
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cass_cli.config.load import flatten, known_keys
from cass_cli.config.plain_yaml import MOST_BYTES, plain_yaml
from cass_cli.config.presets import preset_names
from cass_cli.errors import ConfigError, did_you_mean
from cass_cli.reading import read_bytes
from cass_cli.words import shown, shown_list

SHORT = {  # names for what grids vary most
    "method": "method.name",
    "recipe": "finetune.recipe",
    "label_fraction": "finetune.fractions",
    "pretrain_seed": "train.seed",
    "finetune_seed": "finetune.seed",
}
PRESET = "preset"  # in settings of a cell: whose images, and what it brings
TRANSFER = "transfer"  # the method that is no pretraining
SEEDS = ("pretrain_seed", "finetune_seed", "train.seed", "finetune.seed")
OWN = {  # what a grid decides by itself, or cannot table
    "finetune.seeds": "Name the seeds in the axis finetune_seed.",
    "finetune.folds": "A grid tables trials on the run's own split; see `cass finetune --folds`.",
}
KEYS = ("title", "source", "metric", "settings", "axes", "exclude", "evaluate", "against", "small", "paper")
MOST_CELLS = 100_000
# In a checkout the experiments lie beside the package; in a wheel, inside it.
_FOLDERS = (Path(__file__).parents[1] / "experiments", Path(__file__).parents[2] / "experiments")


@dataclass(frozen=True)
class Grid:
    """What a grid file states: of each axis its values, by name, as settings under dotted keys."""

    name: str
    title: str
    axes: Mapping[str, Mapping[str, Mapping[str, Any]]]
    settings: Mapping[str, Any] = field(default_factory=dict)
    source: str = ""
    metric: str | None = None
    exclude: tuple[Mapping[str, str], ...] = ()
    evaluate: bool = False
    against: Mapping[str, str] = field(default_factory=dict)
    paper: tuple[Mapping[str, Any], ...] = ()  # values of axes by name, then scores by candidate

    @property
    def size(self) -> int:
        """How many cells the product of the axes has, before any is left out."""
        size = 1
        for values in self.axes.values():
            size *= len(values)
        return size


def experiment_names() -> tuple[str, ...]:
    """Return the names of the grids that ship with cass, sorted."""
    return tuple(sorted({path.stem for folder in _FOLDERS for path in folder.glob("*.yaml")}, key=_in_order))


def find_grid(name: str) -> Path:
    """Return the file that is meant: a path, or the name of a grid that ships with cass."""
    if name in experiment_names():
        return next(folder / f"{name}.yaml" for folder in _FOLDERS if (folder / f"{name}.yaml").is_file())
    path = Path(name)
    if path.suffix in (".yaml", ".yml") or path.exists():
        return path
    known = experiment_names()
    raise ConfigError(
        f"There is no grid '{shown(name)}'.{did_you_mean(name, known)}",
        hint=f"Name a YAML file, or one of: {', '.join(known)}.",
    )


def read_grid(path: Path, *, small: bool = False) -> Grid:
    """Read a grid file, with `small` laid over it or not.

    Raises `ConfigError` naming what is unknown, empty or of the wrong kind, with what may have been meant.
    """
    try:
        document = plain_yaml(read_bytes(path, MOST_BYTES).decode("utf-8"))
    except OSError as error:
        raise ConfigError(f"Cannot read {path}: {error.strerror or error}.", hint="Check the path.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not valid YAML: it is no UTF-8.", hint="Save it as UTF-8.") from error
    except ValueError as error:
        raise ConfigError(f"{path} is not valid YAML: {error}.", hint="See docs/grid.md for an example.") from error
    try:
        return _grid(path.stem, document, small=small)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error.what}", hint=error.hint) from error


def value_name(value: Any) -> str:
    """Return what a value of an axis is called: 0.1 as 0.1, true as true, a list as YAML has it."""
    if isinstance(value, str):
        return value
    return f"{value:g}" if isinstance(value, float) else json.dumps(value)


def _grid(name: str, document: Any, *, small: bool) -> Grid:
    told = _table(document, "the file", KEYS)
    over = _table(told.get("small"), "small", ("settings", "axes"))
    if small and not over:
        raise ConfigError("it has no small variant.", hint="Leave out --small, or give it a section `small`.")
    settings = _settings(told.get("settings"), "settings")
    axes = {key: _axis(key, values) for key, values in _table(told.get("axes"), "axes").items()}
    if small:
        settings |= _settings(over.get("settings"), "small: settings")
        axes |= {key: _axis(key, values) for key, values in _table(over.get("axes"), "small: axes").items()}
    if not axes:
        raise ConfigError("it has no axes.", hint="Name one at least, as in `axes: {method: [transfer, cass]}`.")
    grid = Grid(
        name=f"{name}-small" if small else name,
        title=str(told.get("title") or name),
        axes=axes,
        settings=settings,
        source=str(told.get("source") or ""),
        metric=str(told["metric"]) if told.get("metric") else None,
        exclude=tuple(_point(entry, axes, "exclude", strict=not small) for entry in _list(told, "exclude")),
        evaluate=told.get("evaluate") is True,
        against=_point(told.get("against"), axes, "against", strict=not small),
        paper=tuple(_table(entry, "paper") for entry in _list(told, "paper")),
    )
    if grid.size > MOST_CELLS:
        raise ConfigError(f"it has {grid.size:,} cells, and at most {MOST_CELLS:,} are done.", hint="Split it.")
    return grid


def _table(value: Any, what: str, known: Sequence[str] = ()) -> dict[str, Any]:
    """Return a mapping whose keys are `known`, if any are; {} for nothing."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ConfigError(f"{what} is no table of `key: value` lines.", hint="See docs/grid.md for an example.")
    for key in value:
        if known and key not in known:
            raise ConfigError(
                f"{what} has no '{shown(str(key))}'.{did_you_mean(str(key), list(known))}",
                hint=f"It takes {shown_list(known)}.",
            )
    return {str(key): each for key, each in value.items()}


def _list(told: Mapping[str, Any], key: str) -> list[Any]:
    found = told.get(key) or []
    if not isinstance(found, list):
        raise ConfigError(f"{key} is no list.", hint=f"As in `{key}: [{{method: mae}}]`.")
    return found


def _axis(name: str, values: Any) -> dict[str, dict[str, Any]]:
    """Return the settings that each value of an axis stands for, by its name."""
    if isinstance(values, Mapping):
        found = {str(label): _named(name, label, value) for label, value in values.items()}
    else:
        listed = values if isinstance(values, list) else [values]
        found = {value_name(value): _setting(name, value) for value in listed}
        if len(found) < len(listed):
            raise ConfigError(f"axis {shown(name)} names a value twice.", hint="Name each once.")
    if not found:
        raise ConfigError(f"axis {shown(name)} has no values.", hint="Name one at least, or leave the axis out.")
    return found


def _named(axis: str, label: Any, value: Any) -> dict[str, Any]:
    """Return the settings of a value that has a name: a table of settings, or one value of the axis's own."""
    if not isinstance(value, Mapping):
        return _setting(axis, value)
    if axis == "data":
        value = {key if "." in str(key) or key == PRESET else f"data.{key}": each for key, each in value.items()}
    return _settings(value, f"axis {shown(axis)}, {shown(str(label))}")


def _settings(value: Any, what: str) -> dict[str, Any]:
    """Return settings under dotted keys, from a table that names them so, in sections, or by their short names."""
    found: dict[str, Any] = {}
    for key, each in _table(value, what).items():
        if key in SHORT or key == PRESET or (key == "data" and isinstance(each, str)):
            found |= _setting(key, each)
        else:
            for inner, one in flatten({key: each}).items():
                found |= _setting(inner, one)
    return found


def _setting(key: str, value: Any) -> dict[str, Any]:
    """Return one value under its dotted key."""
    if key in ("data", PRESET):
        if value not in preset_names():
            raise ConfigError(
                f"there is no preset '{shown(str(value))}'.{did_you_mean(str(value), list(preset_names()))}",
                hint="Data of your own has a name and settings, as in `data: {mine: {path: FOLDER}}`.",
            )
        return {PRESET: value}
    full = SHORT.get(key, key)
    if full in OWN:
        raise ConfigError(f"{full} is no part of a grid.", hint=OWN[full])
    known = known_keys()
    if full not in known:
        raise ConfigError(
            f"there is no axis or setting '{shown(key)}'.{did_you_mean(key, [*SHORT, *known])}",
            hint=f"Short names: data, {', '.join(SHORT)}. All settings: cass pretrain --dry-run.",
        )
    return {full: [value] if full == "finetune.fractions" and not isinstance(value, list) else value}


def _point(entry: Any, axes: Mapping[str, Mapping[str, Any]], what: str, *, strict: bool) -> dict[str, str]:
    """Return values of axes by name; where `strict`, each has to be one of them."""
    found = {key: value_name(value) for key, value in _table(entry, what).items()}
    for key, label in found.items():
        if key not in axes:
            raise ConfigError(
                f"{what} names '{shown(key)}', which is no axis.", hint=f"Axes: {shown_list(list(axes))}."
            )
        if strict and label not in axes[key]:
            raise ConfigError(
                f"{what} names {shown(key)} {shown(label)}, which is none of its values.",
                hint=f"Values: {shown_list(list(axes[key]))}.",
            )
    return found


def _in_order(name: str) -> tuple[str, int, str]:
    """Return a key that sorts table-2 before table-10."""
    head, _, number = name.rpartition("-")
    return (head, int(number), "") if number.isdigit() else (name, 0, "")
