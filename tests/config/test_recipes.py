from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cass_cli.config.load import Layer, Resolved, read_saved, to_yaml
from cass_cli.config.presets import preset_layer
from cass_cli.config.recipes import (
    RECIPES,
    asked_settings,
    check_recipe,
    implied_recipe,
    method_recipe,
    resolve_over,
    resolve_with_recipe,
)
from cass_cli.config.schema import Config, Finetune, Optim
from cass_cli.engine.pretraining.request import why_method
from cass_cli.errors import ConfigError


def resolved(**settings: Any) -> Resolved:
    return resolve_with_recipe([], [Layer("flag", {key.replace("__", "."): value for key, value in settings.items()})])


def test_dino_official_is_main_dino() -> None:
    """Defaults of facebookresearch/dino's main_dino.py; its 10 warm-up epochs are of 100."""
    optim = resolved(method__name="dino", train__batch_size=256).config.optim
    assert (optim.cnn, optim.vit, optim.lr, optim.lr_min) == ("adamw", "adamw", 5e-4, 1e-6)
    assert (optim.schedule, optim.warmup, optim.betas) == ("cosine", 0.1, (0.9, 0.999))
    assert (optim.weight_decay, optim.weight_decay_end, optim.clip) == (0.04, 0.4, 3.0)
    assert not optim.averaging


@pytest.mark.parametrize(
    "method", [{"method__name": "dino", "method__dino_setting": "paper"}, {"method__name": "byol"}], ids=str
)
def test_the_packages_run_with_adam_at_a_constant_rate(method: dict[str, Any]) -> None:
    """The readmes of vit-pytorch and byol-pytorch: Adam(lr=3e-4), whatever the batch size."""
    for batch_size in (16, 256):
        optim = resolved(**method, train__batch_size=batch_size).config.optim
        assert (optim.cnn, optim.vit, optim.lr, optim.schedule) == ("adam", "adam", 3e-4, "constant")
        assert (optim.warmup, optim.weight_decay, optim.weight_decay_end, optim.clip) == (0.0, 0.0, None, None)
        assert not optim.averaging


def test_prototypes_of_the_two_settings() -> None:
    assert resolved(method__name="dino").config.method.prototypes == 65_536
    assert resolved(method__name="dino", method__dino_setting="paper").config.method.prototypes == 65_336  # sic


def test_mae_is_main_pretrain() -> None:
    """He et al. 2022, table 8, whose 40 warm-up epochs are of 800."""
    config = resolved(method__name="mae", train__batch_size=256).config
    optim, method = config.optim, config.method
    assert (optim.vit, optim.lr, optim.lr_min, optim.schedule) == ("adamw", 1.5e-4, 0.0, "cosine")
    assert (optim.warmup, optim.betas, optim.weight_decay) == (0.05, (0.9, 0.95), 0.05)
    assert (optim.weight_decay_end, optim.clip, optim.averaging) == (None, None, False)
    assert (method.arm, method.mask_ratio, method.normalise_targets) == ("vit", 0.75, True)
    assert (method.decoder_width, method.decoder_depth) == (512, 8)


@pytest.mark.parametrize(("name", "base"), [("dino", 5e-4), ("mae", 1.5e-4)])
def test_rates_scale_with_the_batch_wherever_its_size_comes_from(name: str, base: float) -> None:
    assert resolved(method__name=name).config.optim.lr == pytest.approx(base * 16 / 256)  # the default
    below = [Layer("preset", {"train.batch_size": 32})]
    told = [Layer("flag", {"method.name": name})]
    assert resolve_with_recipe(below, told).config.optim.lr == pytest.approx(base * 32 / 256)
    told = [Layer("file", {"train.batch_size": 64}), *told]
    assert resolve_with_recipe(below, told).config.optim.lr == pytest.approx(base * 64 / 256)


def test_cass_has_no_recipe() -> None:
    assert method_recipe("cass", batch_size=16).values == {}
    assert resolved().config == Config(finetune=Finetune(recipe="probe"))
    origins = resolved(method__name="cass").origins
    assert {origin for key, origin in origins.items() if not key.startswith("finetune.")} == {"default", "flag"}


OPEN: list[tuple[dict[str, Any], str]] = [
    ({}, "distill"),
    ({"method.arm": "cnn"}, "vicreg"),  # which needs no other arm's weights
    ({"arms.cnn": "resnet18", "train.epochs": 7}, "distill"),
]


@pytest.mark.parametrize(("flags", "method"), OPEN, ids=str)
def test_a_folder_without_a_method_gets_what_was_measured_to_be_best(flags: dict[str, Any], method: str) -> None:
    asked = asked_settings(flags)
    assert asked.config.method.name == method
    assert asked.origins["method.name"] == "default, measured"
    named = asked_settings(flags | {"method.name": method})
    assert asked.config == named.config
    assert "--method cass" in str(why_method(asked))
    assert why_method(named) is None


CHOSEN: list[tuple[str | None, dict[str, Any]]] = [
    ("demo", {}),
    ("dermofit", {}),
    (None, {"method.name": "cass"}),
    (None, {"method.objective": "vicreg"}),
    (None, {"method.activation": "softmax"}),
    (None, {"arms.init": "random"}),
]


@pytest.mark.parametrize(("preset", "flags"), CHOSEN, ids=str)
def test_presets_random_arms_and_the_objectives_own_settings_keep_cass(
    preset: str | None, flags: dict[str, Any]
) -> None:
    asked = asked_settings(flags, preset=preset)
    assert asked.config.method.name == "cass"
    assert why_method(asked) is None


def test_a_run_that_is_gone_on_with_keeps_its_method(tmp_path: Path) -> None:
    saved = tmp_path / "config.yaml"
    saved.write_text(to_yaml(asked_settings({"method.name": "cass"})))
    assert asked_settings({}, saved=saved).config.method.name == "cass"


def test_preset_then_recipe_then_file_then_flag() -> None:
    below = [Layer("preset", {"optim.lr": 1.0, "optim.warmup": 0.9, "optim.lr_period": 5, "train.epochs": 7})]
    above = [
        Layer("file", {"method.name": "dino", "optim.clip": 1.0, "optim.weight_decay": 0.5}),
        Layer("flag", {"optim.clip": 2.0}),
    ]
    result = resolve_with_recipe(below, above)
    expected = {
        "optim.lr_period": (5, "preset"),
        "train.epochs": (7, "preset"),
        "optim.lr": (5e-4 / 16, "method dino, official"),
        "optim.warmup": (0.1, "method dino, official"),
        "optim.weight_decay": (0.5, "file"),
        "optim.clip": (2.0, "flag"),
        "optim.momentum": (Optim().momentum, "default"),
    }
    for key, (value, origin) in expected.items():
        assert (result.value(key), result.origins[key]) == (pytest.approx(value), origin), key


@pytest.mark.parametrize("preset", ["demo", "dermofit", "brain-mri"])
@pytest.mark.parametrize("setting", ["official", "paper"])
def test_real_presets_leave_the_optimiser_to_the_recipe(preset: str, setting: str) -> None:
    told = [Layer("flag", {"method.name": "dino", "method.dino_setting": setting})]
    with_preset = resolve_with_recipe([preset_layer(preset)], told)
    optim = with_preset.config.optim
    alone = resolved(
        method__name="dino", method__dino_setting=setting, train__batch_size=with_preset.config.train.batch_size
    ).config.optim
    recipe = method_recipe("dino", dino_setting=setting, batch_size=1).values
    for key in (key for key in recipe if key.startswith("optim.")):
        name = key.removeprefix("optim.")
        assert getattr(optim, name) == getattr(alone, name), key
    assert (optim.schedule == "cyclic", optim.averaging) == (False, False)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"method__name": "cass", "method__arm": "cnn"}, "cass trains two arms together"),
        ({"method__name": "mae", "method__arm": "cnn"}, "mae hides patches of a Transformer"),
        ({"method__name": "mae", "method__arm": "both"}, "mae hides patches of a Transformer"),
        ({"method__name": "simclr"}, "method.name"),
        ({"method__name": "dino", "train__batch_size": "many"}, "train.batch_size"),
        ({"method__name": "dino", "train__batch_size": 0}, "train.batch_size"),
    ],
)
def test_nonsense_is_explained(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        resolved(**settings)


def test_vicreg_has_rates_for_each_arm_and_for_projectors() -> None:
    """Which all follow `--lr`: an arm learns at a share of it."""
    optim = resolved(method__name="vicreg").config.optim
    assert (optim.lr, optim.share_cnn, optim.share_vit) == (1e-3, 0.2, 0.03)
    assert resolved(method__name="cass", method__objective="vicreg").config.optim == optim
    assert resolved(method__name="cass").config.optim == Optim()


@pytest.mark.parametrize("saved", [False, True])
def test_a_presets_own_recipe_goes_with_its_settings(tmp_path: Path, saved: bool) -> None:
    """Dermofit's class weights are the paper's, whose rarest class weighs least: no part of another recipe."""
    found = asked_settings({"finetune.recipe": "tuned"}, preset="dermofit")
    if saved:
        path = tmp_path / "config.yaml"
        path.write_text(to_yaml(asked_settings({}, preset="dermofit")))
        assert read_saved(path).config.finetune.class_weights == "paper"
        found = resolve_over(read_saved(path), [Layer("flag", {"finetune.recipe": "tuned"})], origin="run x")
    tuned = found.config.finetune
    assert (tuned.class_weights, tuned.loss_form, tuned.batch_size) == ("inverse", "softmax", 32)
    assert found.origins["finetune.class_weights"] == "recipe tuned"
    assert found.config.data.image_size == asked_settings({}, preset="dermofit").config.data.image_size
    assert asked_settings({"finetune.recipe": "paper"}, preset="demo").config.finetune.epochs == 4  # is meant for that


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ({"finetune.unlabelled": "cross-teach"}, "paper"),
        ({"finetune.freeze": True}, "tuned"),
        ({"finetune.lr": 1.0}, "probe"),
    ],
)
def test_a_recipe_that_a_run_implied_can_be_left(tmp_path: Path, first: dict[str, Any], then: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(to_yaml(resolve_with_recipe([], [Layer("flag", first)])))
    found = resolve_over(read_saved(path), [Layer("flag", {"finetune.recipe": then})], origin="run x")
    assert found.config.finetune.recipe == then
    (key,) = first
    assert found.value(key) in (Config().finetune.model_dump()[key.partition(".")[2]], *RECIPES[then].values())


def test_to_leave_images_unused_asks_for_nothing() -> None:
    assert implied_recipe([Layer("flag", {"finetune.unlabelled": "unused"})]) is None
    paper = [Layer("flag", {"finetune.recipe": "paper", "finetune.unlabelled": "unused"})]
    check_recipe(resolve_with_recipe([], paper), paper)
