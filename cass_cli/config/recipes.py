"""Settings that belong together: those of a pretraining method, and those of a way to fine-tune.

A method other than CASS, whose settings are the defaults, brings its optimiser, schedule and choices. They lie over the
preset, whose settings are CASS's, and under the user's file and options. Learning rates that their authors scale with
the batch size are scaled here; warm-ups given in epochs are shares of their authors' own runs (DINO: 10 of 100 epochs;
MAE: 40 of 800).

A recipe of fine-tuning lies under the preset, which may choose it and deviate from it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cass_cli.config.load import Layer, Resolved, asked_layers, read_saved, resolve
from cass_cli.config.presets import preset_layer
from cass_cli.config.schema import Train
from cass_cli.errors import ConfigError

ORIGIN = "method"  # what the origin of a method's settings begins with
RECIPE = "recipe"  # and that of a fine-tuning recipe's

IMPLIED = "implied by "  # what the origin of a recipe begins with that a setting of training chose
USUAL = "probe"  # the recipe where nothing chooses one; settings saved before there were any mean the paper's
RECIPES: dict[str, dict[str, Any]] = {
    "probe": {  # one pass through the frozen arms, then regressions on their features (`engine/regression.py`)
        "finetune.layers": 6,
        "finetune.mirrored": False,
        "finetune.probe_size": None,
    },
    "tuned": {  # from the probe's head (Kumar et al. 2022), as MAE's FINETUNE.md and timm's script fine-tune
        "finetune.head": "probe",
        "finetune.layers": 6,
        "finetune.mirrored": False,
        "finetune.optimiser": "adamw",
        "finetune.lr": 1e-3,
        "finetune.share_cnn": 1.0,
        "finetune.share_vit": 0.1,
        "finetune.layer_decay": 0.75,
        "finetune.warmup": 0.1,
        "finetune.weight_decay": 0.05,
        "finetune.clip": 1.0,
        "finetune.drop_path": 0.1,
        "finetune.batch_norm": "frozen",  # the statistics that the head was fitted with
        "finetune.averaging": 0.99,
        "finetune.epochs": 20,
        "finetune.steps": 400,
        "finetune.patience": None,
        "finetune.batch_size": 32,
        "finetune.gamma": 0.0,
        "finetune.alpha": 1.0,
        "finetune.class_weights": "inverse",  # as in the probe
        "finetune.freeze": False,
        "finetune.guard": True,
        "finetune.unlabelled": "unused",
        "finetune.unlabelled_ratio": 1,
        "finetune.unlabelled_weight": 1.0,
    },
    "paper": {  # Sec. 4.3, C.6; the guard is ours
        "finetune.head": "new",
        "finetune.optimiser": "adam",
        "finetune.lr": 3e-4,
        "finetune.share_cnn": 1.0,
        "finetune.share_vit": 1.0,
        "finetune.layer_decay": 1.0,
        "finetune.warmup": 0.0,
        "finetune.weight_decay": 0.0,
        "finetune.clip": None,
        "finetune.drop_path": 0.0,
        "finetune.batch_norm": "learned",
        "finetune.averaging": 0.0,
        "finetune.epochs": 50,
        "finetune.steps": 0,
        "finetune.patience": 5,
        "finetune.batch_size": 16,
        "finetune.gamma": 2.0,
        "finetune.alpha": 1.0,
        "finetune.freeze": False,
        "finetune.guard": True,
    },
}
_WHY = {  # a recipe that trains has no use for it
    "finetune.freeze": "trains every weight",
    "finetune.probe_size": "reads images of the size that it trains on",
}
_TEACHING = ("finetune.unlabelled", "finetune.unlabelled_ratio", "finetune.unlabelled_weight")
FOREIGN = {  # what a recipe has no use for
    "probe": (
        *(key for key in RECIPES["paper"]),
        *("finetune.loss_form", "finetune.class_weights", "finetune.sampling", "finetune.logit_adjustment"),
        *_TEACHING,
    ),
    "tuned": ("finetune.probe_size", "finetune.freeze"),
    "paper": ("finetune.probe_size", *_TEACHING),
}

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
_GENTLE: dict[str, Any] = _ADAMW | {  # for arms that know something already
    "train.epochs": 3,
    "train.batch_size": 32,
    "optim.lr": 1e-3,  # of the heads
    "optim.share_cnn": 0.2,
    "optim.share_vit": 0.03,
    "optim.lr_min": 0.0,
    "optim.warmup": 0.1,
    "optim.weight_decay": 0.05,
}
METHODS: dict[str, dict[str, Any]] = {
    "dino, official": _ADAMW
    | {
        "optim.lr": 5e-4,
        "optim.lr_min": 1e-6,
        "optim.warmup": 0.1,
        "optim.weight_decay": 0.04,
        "optim.weight_decay_end": 0.4,
        "optim.clip": 3.0,
    },
    "dino, paper": _ADAM | {"method.prototypes": 65_336},
    "byol": _ADAM,
    "mae": _ADAMW
    | {
        "method.arm": "vit",
        "optim.lr": 1.5e-4,
        "optim.lr_min": 0.0,
        "optim.warmup": 0.05,
        "optim.betas": (0.9, 0.95),
        "optim.weight_decay": 0.05,
    },
    "cass, vicreg": _GENTLE,
    "vicreg": _GENTLE,
    "distill": _GENTLE | {"train.epochs": 6, "optim.lr": 3e-4, "optim.share_cnn": 1.0, "optim.share_vit": 0.1},
}
SCALED = ("dino, official", "mae")  # whose rate is for 256 images a step
MEASURED = "default, measured"  # the origin of the method of a pretraining where nothing chooses one


def asked_settings(
    flags: Mapping[str, Any],
    *,
    preset: str | None = None,
    file: Path | None = None,
    assignments: Sequence[str] | Mapping[str, Any] = (),
    saved: Path | None = None,
) -> Resolved:
    """Merge what was asked for: the preset, then the `file`, then the `flags` that are not None, then `assignments`.

    Over the settings `saved` by a run that is gone on with, it has to make sense by these. Needs nothing but the
    settings, so that a wrong one is told at once. The presets pretrain as the paper does, and where nothing chooses a
    method, known arms do as was measured to be best (docs/how-good.md).
    """
    below = [preset_layer(preset)] if preset else []
    if saved:
        own = read_saved(saved)
        below.append(Layer("default", {key: own.value(key) for key in own.origins}))
    above = asked_layers(flags, file=file, assignments=assignments)
    if not below and _leaves_method_open(_chosen(above)):
        below = [_usual_method(_chosen(above))]
    return resolve_with_recipe(below, above)


def _leaves_method_open(chosen: Mapping[str, Any]) -> bool:
    """Return whether nothing is chosen of a method but its arms, which begin with weights that know something."""
    own = [key for key in chosen if key.startswith("method.") and key != "method.arm"]
    return not own and chosen.get("arms.init") != "random"


def _usual_method(chosen: Mapping[str, Any]) -> Layer:
    """Return what did best for a pair of known arms; for one arm, what needs the weights of no other."""
    pair = chosen.get("method.arm", "both") == "both"
    return Layer(MEASURED, {"method.name": "distill" if pair else "vicreg"})


def resolve_with_recipe(below: Sequence[Layer], above: Sequence[Layer]) -> Resolved:
    """Merge the recipe of fine-tuning, the layers `below`, the settings of the chosen method, then those `above`."""
    chosen = _chosen([*below, *above])
    batch_size = chosen.get("train.batch_size")  # may be nonsense, of which `resolve` tells
    method = method_recipe(
        chosen.get("method.name", "cass"),
        dino_setting=chosen.get("method.dino_setting", "official"),
        objective=chosen.get("method.objective", "paper"),
        batch_size=batch_size if isinstance(batch_size, int) and batch_size < 2**63 else Train().batch_size,
    )
    usual = implied_recipe(above) or Layer("default", {"finetune.recipe": USUAL})
    name = chosen.get("finetune.recipe", usual.values["finetune.recipe"])
    fitting = [_without_other_recipe(layer, name) for layer in below]
    return resolve([usual, finetune_recipe(name), *fitting, *([method] if method.values else []), *above])


def _without_other_recipe(layer: Layer, name: object) -> Layer:
    """Return the layer without what belongs to the recipe that it names, where another is chosen over it."""
    own = layer.values.get("finetune.recipe", name)
    gone = () if own == name else _training_of(own)
    return Layer(layer.origin, {key: value for key, value in layer.values.items() if key not in gone})


def _training_of(recipe: object) -> set[str]:
    """Return the settings of training that a recipe has a use for."""
    return {key for key in FOREIGN[USUAL] if key not in FOREIGN.get(str(recipe), ())}


def resolve_over(saved: Resolved, layers: Sequence[Layer], *, origin: str) -> Resolved:
    """Merge `layers` over `saved` settings, which come from `origin`.

    Where they choose another recipe of fine-tuning, or imply it, it replaces what no one chose.
    """
    open_ = saved.origins["finetune.recipe"] == "default"
    layers = [*([implied] if open_ and (implied := implied_recipe(layers)) else []), *layers]
    chosen = _chosen(layers).get("finetune.recipe", saved.config.finetune.recipe)
    changes = chosen != saved.config.finetune.recipe
    recipe = finetune_recipe(chosen) if changes else Layer(RECIPE, {})
    free: set[str] = set()
    if changes:  # what came with the old recipe, or with the preset that named it, goes; so does what the new can't use
        named, training = saved.origins["finetune.recipe"], _training_of(saved.config.finetune.recipe)
        free |= {key for key, how in saved.origins.items() if how.startswith(RECIPE)}
        free |= {key for key in training if saved.origins[key] == named}
        free |= {*FOREIGN.get(str(chosen), ())}
        free |= {key for key in recipe.values if saved.origins[key].startswith("default")}
    base = Layer(origin, {key: saved.value(key) for key in saved.origins if key not in free})
    return resolve([recipe, base, *layers])


def implied_recipe(layers: Sequence[Layer]) -> Layer | None:
    """Return the recipe that `layers` imply where they choose none but ask for what the usual one has no use for.

    That is `paper`, as for --epochs, or `tuned` where they ask for what that alone has, as for --unlabelled.
    """
    asked = _asking(_chosen([layer for layer in layers if not layer.origin.startswith("file ")]))
    training = [key for key in asked if key in FOREIGN[USUAL]]
    if not training or "finetune.recipe" in _chosen(layers):
        return None
    teaching = [key for key in training if key in _TEACHING]
    recipe = "tuned" if teaching else "paper"
    return Layer(f"{IMPLIED}{(teaching or training)[0]}", {"finetune.recipe": recipe})


def finetune_recipe(name: object) -> Layer:
    """Return the settings that come with a recipe of fine-tuning; none for what is no recipe: `resolve` tells."""
    return Layer(f"{RECIPE} {name}", RECIPES.get(str(name), {}))


def check_recipe(resolved: Resolved, layers: Sequence[Layer]) -> None:
    """Raise `ConfigError` where `layers` ask for what the recipe has no use for.

    A file that names a recipe may hold what belongs to the other: the config.yaml of a run holds every setting.
    """
    recipe = resolved.config.finetune.recipe
    asking = [x for x in layers if not (x.origin.startswith("file ") and "finetune.recipe" in x.values)]
    asked = [(key, layer.origin) for layer in asking for key in _asking(layer.values) if key in FOREIGN[recipe]]
    if not asked:
        return
    key, origin = asked[0]
    option = key.removeprefix("finetune.").replace("_", "-")
    said = {"finetune.guard": "--no-guard"}.get(key, f"--{option}") if origin == "flag" else f"{key} ({origin})"
    other = next(name for name in reversed(RECIPES) if key not in FOREIGN[name])
    why = "trains no arm" if recipe == "probe" else _WHY.get(key, "learns from labels alone")
    raise ConfigError(
        f"{said} has no part in the recipe {recipe}, which {why}.", hint=f"Leave it out, or add --recipe {other}."
    )


def _asking(values: Mapping[str, Any]) -> list[str]:
    """Return the settings that ask for something: images without a label that are left unused are as ever."""
    return [key for key, value in values.items() if (key, value) != ("finetune.unlabelled", "unused")]


def _chosen(layers: Sequence[Layer]) -> dict[str, Any]:
    return {key: value for layer in layers for key, value in layer.values.items()}


def method_recipe(name: str, *, dino_setting: str = "official", objective: str = "paper", batch_size: int) -> Layer:
    """Return the settings that come with a method at this batch size; none for CASS and for what is no method."""
    full = {"dino": f"dino, {dino_setting}", "cass": f"cass, {objective}"}.get(str(name), str(name))
    values = dict(METHODS.get(full, {}))
    if full in SCALED:
        values["optim.lr"] *= batch_size / 256
    return Layer(f"{ORIGIN} {full}" if values else ORIGIN, values)
