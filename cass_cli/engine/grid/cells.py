"""The cells of a grid, and the runs and fine-tunings behind them: each made once, whichever cells share it."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from cass_cli.config.grid_file import PRESET, TRANSFER, Grid
from cass_cli.config.load import ASSIGNED, Layer, Resolved
from cass_cli.config.presets import preset_layer
from cass_cli.config.recipes import asked_settings, check_recipe, resolve_with_recipe
from cass_cli.errors import ConfigError
from cass_cli.runs.trials import variant_name
from cass_cli.words import count

MOST_TOLD = 5  # cells that cannot work, in a message
UNDECIDING = {  # what changes nothing in a result, but where and how fast it is come by
    *("data.cache", "data.workers", "train.advice", "train.device", "train.probe_every", "train.save_minutes"),
    *("train.threads", "train.track"),
}
OF_PRETRAINING = {  # and what has no part in fine-tuning, beside `method` and `optim`
    *("train.accumulate", "train.batch_size", "train.epochs", "train.gradient_checkpointing", "train.on_collapse"),
}


@dataclass(frozen=True, eq=False)
class GridRun:
    """A run that a grid needs: a pretraining, or one that only holds fine-tunings (transfer)."""

    name: str
    preset: str | None
    settings: Mapping[str, Any]  # but for those of fine-tuning
    resolved: Resolved
    transfer: bool

    @property
    def init(self) -> str:
        """Where its fine-tunings start from."""
        return self.resolved.config.arms.init if self.transfer else "pretrained"


@dataclass(frozen=True, eq=False)
class GridVariant:
    """A fine-tuning that a grid needs, with its trials."""

    run: GridRun
    name: str
    settings: Mapping[str, Any]
    resolved: Resolved


@dataclass(frozen=True)
class GridCell:
    """One point of a grid: a trial of a fine-tuning of a run."""

    values: Mapping[str, str]  # of each axis, by name
    variant: GridVariant
    fraction: float
    seed: int


def expand(grid: Grid) -> list[GridCell]:
    """Return the cells of a grid, those of a run beside each other.

    Raises `ConfigError` naming the first of those that cannot work.
    """
    run_of = cache(_run)
    variant_of = cache(_variant)
    cells: list[GridCell] = []
    reasons: list[str] = []
    wrong = 0
    for values, settings in _points(grid):
        tuning = {key: value for key, value in settings.items() if key.startswith("finetune.")}
        fractions, seed = tuning.pop("finetune.fractions", [1.0]), tuning.pop("finetune.seed", None)
        before = {key: value for key, value in settings.items() if not key.startswith("finetune.")}
        try:
            variant = variant_of(run := run_of(_frozen(before)), _frozen(tuning))
            cells.append(GridCell(values, variant, _one(fractions), _whole(seed, run.resolved.config.train.seed)))
        except ConfigError as error:
            wrong += 1
            if len(reasons) < MOST_TOLD and (error.what not in "".join(reasons) or not reasons):
                reasons.append(f"{', '.join(f'{k} {v}' for k, v in values.items())}: {error.what}")
    if reasons:
        raise ConfigError(
            f"{count(wrong, 'cell')} of {len(cells) + wrong:,} cannot work. " + "\n".join(reasons),
            hint="Leave them out, as in `exclude: [{method: mae}]`, or change the axes.",
        )
    order = {run: i for i, run in enumerate(dict.fromkeys(cell.variant.run.name for cell in cells))}
    return sorted(cells, key=lambda cell: order[cell.variant.run.name])


def _points(grid: Grid) -> Iterable[tuple[dict[str, str], dict[str, Any]]]:
    """Yield the product of the axes, the last moving fastest, but for what is left out."""
    for labels in itertools.product(*(axis for axis in grid.axes.values())):
        values = dict(zip(grid.axes, labels, strict=True))
        if any(entry.items() <= values.items() for entry in grid.exclude):
            continue
        settings = dict(grid.settings)
        for axis, label in values.items():
            settings |= grid.axes[axis][label]
        yield values, settings


def _run(frozen: str) -> GridRun:
    settings: dict[str, Any] = json.loads(frozen)
    preset: str | None = settings.pop(PRESET, None)
    transfer = settings.get("method.name") == TRANSFER
    if transfer:
        settings = {key: value for key, value in settings.items() if not _pretrains(key)}
    resolved = asked_settings({}, preset=preset, assignments=settings)
    config = resolved.config
    told = config.model_dump(mode="json", exclude_defaults=True, exclude={"finetune"})
    keys = {f"{section}.{key}": value for section, values in told.items() for key, value in values.items()}
    left_out = {key for key in keys if key in UNDECIDING or (transfer and _pretrains(key))}
    decides = {key: value for key, value in keys.items() if key not in left_out}
    decides |= {"train.seed": config.train.seed, "preset": preset if config.data.path is None else None}
    if config.data.path is None and preset is None:
        raise ConfigError("no data are named: add an axis `data`, or `data` to the settings.")
    data = Path(config.data.path).stem if config.data.path else str(preset)
    method = TRANSFER if transfer else config.method.title
    name = f"{_plain(data)}-{method}-seed{config.train.seed}-{_mark(decides)}"
    return GridRun(name, preset, settings, resolved, transfer)


def _pretrains(key: str) -> bool:
    return key.startswith(("method.", "optim.")) or key in OF_PRETRAINING


def _variant(run: GridRun, frozen: str) -> GridVariant:
    settings: dict[str, Any] = {"finetune.init": run.init} | json.loads(frozen)
    layers = [Layer(ASSIGNED, {**run.settings, **settings})]
    resolved = resolve_with_recipe([preset_layer(run.preset)] if run.preset else [], layers)
    check_recipe(resolved, layers)
    config = resolved.config.finetune
    if run.transfer and config.init in ("pretrained", "best", "averaged"):
        raise ConfigError(f"transfer has no arms to start from as finetune.init {config.init} asks.")
    left_out = {"fractions", "seed", "seeds"}
    usual = variant_name(config.init, config.recipe, freeze=config.freeze and config.trains)
    mark = _mark(config.model_dump(mode="json", exclude_defaults=True, exclude=left_out))
    return GridVariant(run, f"{usual}-{mark}", settings, resolved)


def _one(fractions: Any) -> float:
    if not (isinstance(fractions, list) and len(fractions) == 1 and isinstance(fractions[0], int | float)):
        raise ConfigError("finetune.fractions: one share of the labels a cell, above 0 and at most 1.")
    if not 0 < fractions[0] <= 1:
        raise ConfigError(f"label_fraction: {fractions[0]:g} is not above 0 and at most 1.")
    return float(fractions[0])


def _whole(seed: Any, otherwise: int) -> int:
    """Return the seed of a fine-tuning: where none is named that of its run, so that seeds of transfer differ too."""
    if seed is None:
        return otherwise
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**32:
        raise ConfigError(f"finetune_seed: {seed} is no whole number from 0 on.")
    return seed


def _frozen(settings: Mapping[str, Any]) -> str:
    return json.dumps(settings, sort_keys=True, default=str)


def _mark(decides: Mapping[str, Any]) -> str:
    return hashlib.sha256(_frozen(decides).encode()).hexdigest()[:8]


def _plain(name: str) -> str:
    """Return letters, digits, dots and dashes of a name, for a folder."""
    return re.sub(r"[^\w.-]+", "-", name).strip("-.")[:40] or "data"
