"""The presets that ship with cass: one YAML file a data set, its `about` section meant for people."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from cass_cli.config.load import Layer, read_config_file
from cass_cli.config.plain_yaml import plain_yaml
from cass_cli.errors import ConfigError, did_you_mean

# In a checkout the presets lie beside the package; in a wheel, inside it.
_FOLDERS = (Path(__file__).parents[1] / "presets", Path(__file__).parents[2] / "presets")


@dataclass(frozen=True)
class About:
    """What a preset says of itself."""

    title: str
    images: int
    train_images: int
    classes: int
    source: str
    layout: str
    metric: str
    paper_minutes: Mapping[str, int]  # by method, 100 epochs on one RTX 8000 (Table 2)

    @property
    def paper_cost(self) -> str:
        """What the paper paid, as text."""
        costs = [f"{method.upper()} {_hours(minutes)}" for method, minutes in self.paper_minutes.items()]
        return ", ".join(costs) or "not in the paper"


def preset_path(name: str) -> Path:
    """Return the file of the preset `name`; raise `ConfigError` naming the closest one."""
    for folder in _FOLDERS:
        if (folder / f"{name}.yaml").is_file() and name in preset_names():
            return folder / f"{name}.yaml"
    names = preset_names()
    raise ConfigError(f"There is no preset '{name}'.{did_you_mean(name, names)}", hint=f"Presets: {', '.join(names)}.")


def preset_names() -> tuple[str, ...]:
    """Return the names of the presets, sorted."""
    return tuple(sorted({path.stem for folder in _FOLDERS for path in folder.glob("*.yaml")}))


@cache  # a grid asks for each cell, and reading takes longer than all the rest of it
def preset_layer(name: str) -> Layer:
    """Return the settings of the preset `name`."""
    return read_config_file(preset_path(name), f"preset {name}")


def preset_about(name: str) -> About:
    """Return what the preset `name` says of its data."""
    return About(**plain_yaml(preset_path(name).read_text(encoding="utf-8"))["about"])


def preset_data_path(name: str) -> Path:
    """Return where the preset's images are looked for: `$CASS_DATA/<preset>`, else `data/<preset>`."""
    return Path(os.environ.get("CASS_DATA", "data")) / name


def _hours(minutes: int) -> str:
    hours, rest = divmod(minutes, 60)
    return (f"{hours} h " if hours else "") + f"{rest} min"
