"""Which run and which settings a fine-tuning is about, before anything is done."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cass_cli.config.load import Layer, Resolved
from cass_cli.config.presets import preset_layer
from cass_cli.config.recipes import check_recipe, resolve_with_recipe
from cass_cli.data.dataset import with_data_path, with_labels_found
from cass_cli.errors import ConfigError, RunError
from cass_cli.runs.directory import Run, default_name, settings_over
from cass_cli.runs.latest import INSTEAD, LATEST, latest_of
from cass_cli.runs.names import Named
from cass_cli.runs.trials import FOLDER, Variant, variant_name

NO_RUN = "no pretraining run was named"  # the origin of the start that is taken then


@dataclass(frozen=True)
class FinetunePlan:
    """Settings, the run that they apply to, and where in it the result goes."""

    resolved: Resolved
    run: Run
    variant: Variant
    new_run: bool = False


def requested_plan(
    named: Named | None,
    layers: list[Layer],
    *,
    runs: Path,
    preset: str | None = None,
    name: str | None = None,
    variant: str | None = None,
    resume: bool = False,
    overwrite: bool = False,
) -> FinetunePlan:
    """Fine-tune the run that was named, or without one the images that the settings name: in a new run of `runs`."""
    if named is None:
        return plan_without_run(runs, layers, preset=preset, name=name, variant=variant)
    return plan_on_run(named, layers, variant=variant, resume=resume, overwrite=overwrite)


def plan_on_run(
    named: Named, layers: list[Layer], *, variant: str | None, resume: bool, overwrite: bool = False
) -> FinetunePlan:
    """Fine-tune the run that was named, under its own settings with `layers` over them.

    `resume` takes the settings of the fine-tuning that was named, in the run's name or as `variant`, else of the
    latest. Raises `RunError` where it is not clear which fine-tuning `overwrite` is to replace.
    """
    opened = named.run
    if overwrite and named.variant and variant is None:
        raise RunError(
            f"Is {named.variant.path} to be replaced, or the run's fine-tuning that these settings make?",
            hint="Name the run with --run, and what is to be replaced with --variant.",
        )
    if resume:
        if named.variant:
            variant = named.fine_tuning(variant).name
        naming = ("finetune.init", "finetune.recipe", "finetune.freeze", "finetune.unlabelled", "finetune.folds")
        started = [key for layer in layers for key in naming if key in layer.values]
        latest = latest_of(opened.path / FOLDER)
        if variant is None and not started and latest:
            variant = latest.name
        saved = Variant(opened, variant) if variant else None
        if saved and saved.config.is_file():
            resolved = with_labels_found(settings_over(saved.config, layers))
            check_recipe(resolved, layers)
            return FinetunePlan(resolved, opened, saved)
        if saved and not started:  # by its name alone nobody knows what it was to be
            raise RunError(f"{saved.path} has not been begun.", hint="Start it as it was to be, without --resume.")
    resolved = with_labels_found(settings_over(opened.config, layers))
    check_recipe(resolved, layers)
    return FinetunePlan(resolved, opened, _variant(opened, variant, resolved))


def plan_without_run(
    runs: Path, layers: list[Layer], *, preset: str | None, name: str | None, variant: str | None
) -> FinetunePlan:
    """Fine-tune without a pretraining: a new run that holds the settings, the splits and the fine-tuning."""
    asked = resolve_with_recipe([preset_layer(preset)] if preset else [], layers)
    if asked.origins["finetune.init"] == "default":  # there is nothing pretrained: the arms start as their settings say
        start = Layer(NO_RUN, {"finetune.init": asked.config.arms.init})
        asked = resolve_with_recipe([start, *([preset_layer(preset)] if preset else [])], layers)
    check_recipe(asked, layers)
    init = asked.config.finetune.init
    if init in ("pretrained", "best", "averaged"):
        raise ConfigError(
            "Without a pretraining run there are no pretrained arms to start from.",
            hint="Add --init-from imagenet or random; or leave out --data and --preset to use the latest run.",
        )
    resolved = with_data_path(asked, preset)
    run = Run(
        runs
        / (name or default_name(preset, resolved.config.data.path, "transfer" if init == "imagenet" else "scratch"))
    )
    return FinetunePlan(resolved, run, _variant(run, variant, resolved), new_run=True)


def _variant(run: Run, name: str | None, resolved: Resolved) -> Variant:
    settings = resolved.config.finetune
    freeze, unlabelled = settings.freeze and settings.trains, settings.unlabelled if settings.trains else "unused"
    folds = bool(settings.folds)
    usual = variant_name(settings.init, settings.recipe, freeze=freeze, unlabelled=unlabelled, folds=folds)
    chosen = name or usual
    earlier = Variant(run, chosen.replace(f"-{settings.recipe}", ""))
    if not name and settings.recipe == "paper" and earlier.config.is_file():  # made before there were recipes
        return earlier
    return named_variant(run, chosen)


def named_variant(run: Run, name: str) -> Variant:
    """Return the fine-tuning of `run` with this name; raise `RunError` for what can be no folder's."""
    if name in ("", ".", "..") or Path(name).name != name or name.lower() in (LATEST, INSTEAD):
        raise RunError(f"'{name}' cannot name a fine-tuning.", hint="Use a plain name.")
    return Variant(run, name)
