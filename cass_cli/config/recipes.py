"""The optimiser, schedule and choices that come with each method other than CASS, whose are the defaults.

A recipe lies over the preset, whose settings are CASS's, and under the user's file and options. Learning rates
that their authors scale with the batch size are scaled here; warm-ups given in epochs are shares of their
authors' own runs (DINO: 10 of 100 epochs; MAE: 40 of 800).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cass_cli.config.load import Layer, Resolved, parse_assignments, read_config_file, read_saved, resolve
from cass_cli.config.presets import preset_layer
from cass_cli.config.schema import Train

ORIGIN = "method"  # what the origin of a recipe's settings begins with

_ADAM: dict[str, Any] = {  # of the packages that the paper compared with: vit-pytorch and byol-pytorch
    "optim.cnn": "adam",
    "optim.vit": "adam",
    "optim.lr": 3e-4,
    "optim.schedule": "constant",
    "optim.averaging": False,
}
_ADAMW: dict[str, Any] = {
    "optim.cnn": "adamw",
    "optim.vit": "adamw",
    "optim.schedule": "cosine",
    "optim.averaging": False,
}


def asked_settings(
    flags: Mapping[str, Any],
    *,
    preset: str | None = None,
    file: Path | None = None,
    assignments: Sequence[str] = (),
    saved: Path | None = None,
) -> Resolved:
    """Merge what was asked for: the preset, then the `file`, then the `flags` that are not None, then `assignments`.

    Over the settings `saved` by a run that is gone on with, it has to make sense by these. Needs nothing but the
    settings, so that a wrong one is told at once.
    """
    above = [read_config_file(file, f"file {file}")] if file else []
    below = [preset_layer(preset)] if preset else []
    if saved:
        own = read_saved(saved)
        below.append(Layer("default", {key: own.value(key) for key in own.origins}))
    given = Layer("flag", {key: value for key, value in flags.items() if value is not None})
    return resolve_with_recipe(below, [*above, given, parse_assignments(list(assignments))])


def resolve_with_recipe(below: Sequence[Layer], above: Sequence[Layer]) -> Resolved:
    """Merge the layers `below`, then the recipe of the method that all of them choose, then those `above`."""
    chosen = {key: value for layer in (*below, *above) for key, value in layer.values.items()}
    batch_size = chosen.get("train.batch_size")  # may be nonsense, of which `resolve` tells
    recipe = method_recipe(
        chosen.get("method.name", "cass"),
        dino_setting=chosen.get("method.dino_setting", "official"),
        batch_size=batch_size if isinstance(batch_size, int) else Train().batch_size,
    )
    return resolve([*below, *([recipe] if recipe.values else []), *above])


def method_recipe(name: str, *, dino_setting: str = "official", batch_size: int) -> Layer:
    """Return the settings that come with a method at this batch size; none for CASS and for what is no method."""
    share = batch_size / 256
    if name == "dino" and dino_setting == "official":
        values = _ADAMW | {
            "optim.lr": 5e-4 * share,
            "optim.lr_min": 1e-6,
            "optim.warmup": 0.1,
            "optim.weight_decay": 0.04,
            "optim.weight_decay_end": 0.4,
            "optim.clip": 3.0,
        }
        return Layer(f"{ORIGIN} dino, official", values)
    if name == "dino":
        return Layer(f"{ORIGIN} dino, paper", _ADAM | {"method.prototypes": 65_336})
    if name == "byol":
        return Layer(f"{ORIGIN} byol", _ADAM)
    if name == "mae":
        values = _ADAMW | {
            "method.arm": "vit",
            "optim.lr": 1.5e-4 * share,
            "optim.lr_min": 0.0,
            "optim.warmup": 0.05,
            "optim.betas": (0.9, 0.95),
            "optim.weight_decay": 0.05,
        }
        return Layer(f"{ORIGIN} mae", values)
    return Layer(ORIGIN, {})
