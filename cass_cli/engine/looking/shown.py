"""Which networks the maps are shown for: a run's arms, and what they are compared with."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cass_cli.config.load import NOTHING, Layer, Resolved, read_saved
from cass_cli.config.schema import ARM_NAMES, ArmName, Config, StartName
from cass_cli.data.views.spec import ImageSpec
from cass_cli.engine.starting_arms import at_start, starting_body
from cass_cli.errors import ModelError, RunError
from cass_cli.methods.build import build_arms
from cass_cli.models.arms import Arm, load_arm
from cass_cli.models.card import ArmCard
from cass_cli.models.heads import ENDING, LayerHead, load_head
from cass_cli.runs.directory import Run, settings_over
from cass_cli.runs.names import find, run_flags, variant_flags
from cass_cli.runs.trials import Trial
from cass_cli.seeds import trial_seed
from cass_cli.words import count

COMPARISONS = ("start", "imagenet", "random", "none")


@dataclass(frozen=True)
class Shown:
    """A network and what a figure says of it."""

    arm: ArmName
    label: str  # "after CASS, 100 epochs", "before: random weights", a run's name
    model: str  # timm's name
    network: nn.Module
    spec: ImageSpec
    classifier: bool  # the outputs are classes, not an embedding
    head: LayerHead | None = None  # that makes them of several layers
    frozen: bool = False  # but for that head it is as it was

    def seeing_as(self, other: Shown) -> Shown:
        """Return the same, shown as much of each image as `other`: a map lies over one picture, before and after."""
        return replace(self, spec=replace(self.spec, fit=other.spec.fit))

    def inputs(self, images: Tensor, device: torch.device) -> Tensor:
        """Return uint8 images [B, 3, S, S] as the network takes them, on `device`."""
        mean, std = (torch.tensor(values, device=device).view(1, 3, 1, 1) for values in (self.spec.mean, self.spec.std))
        return (images.to(device).float() / 255 - mean) / std


def arms_of_run(run: Run, *, averaged: bool, label: str = "") -> dict[ArmName, Shown]:
    """Load the exported arms of `run`, by arm name; raises `RunError` when there are none yet."""
    ending = "-averaged" if averaged else ""
    files: dict[ArmName, Path] = {arm: run.arms / f"{arm}{ending}.json" for arm in ARM_NAMES}
    found = {arm: path for arm, path in files.items() if path.exists()}
    of = find(run.path.parent, str(run.path.absolute()))
    if not found and averaged and of.variant:
        raise RunError("Fine-tuned arms are not averaged.", hint="Leave out --averaged.")
    if not found and of.variant and (members := of.trial().summary().members):
        others = dict.fromkeys(member.place.partition("/")[0] for member in members.values())
        raise RunError(
            f"{of.variant.path} averages other fine-tunings, which have the arms.",
            hint=f"Name one of them: {', '.join(others)}.",
        )
    if not found and of.variant:
        raise RunError(
            f"{run.path} has no arms any more.",
            hint=f"Make them anew: cass finetune --resume --overwrite{variant_flags(of.variant)}",
        )
    if not found:
        kind = "averaged arms (it was trained without averaging)" if averaged and run.summary.exists() else "arms yet"
        raise RunError(
            f"{run.path} has no {kind}.",
            hint=f"Finish it first: cass pretrain --resume{run_flags(run, option='--name', always=True)}",
        )
    return {arm: _shown(arm, path.with_suffix(""), label) for arm, path in found.items()}


def _shown(arm: ArmName, path: Path, label: str) -> Shown:
    network, card = load_arm(path)
    beside = path.with_name(f"{path.name}{ENDING}")
    head = load_head(beside) if beside.with_suffix(".json").exists() else None
    return Shown(
        arm=arm,
        label=label or _trained(card, head),
        model=card.model,
        network=network.eval(),
        spec=card.spec,
        classifier=bool(card.classes) or head is not None,
        head=head,
        frozen=head is not None and card.labels is None,
    )


def _trained(card: ArmCard, head: LayerHead | None) -> str:
    method = card.method.upper() if len(card.method) <= 4 else card.method
    if head is not None and card.labels is None:
        return f"probed with {count(head.card.labels, 'label')}{f' after {method}' if card.method != 'none' else ''}"
    if card.labels is not None:
        pretrained = f" after {method}" if card.method != "none" else ""
        return f"fine-tuned on {count(card.labels, 'label')}{pretrained}"
    return f"after {method}, {count(card.epochs, 'epoch')}" if card.epochs else f"after {method}"


def compared_arms(
    compare: str,
    of: Run | Trial,
    resolved: Resolved,
    arms: Mapping[ArmName, Shown],
    *,
    runs: Path,
    averaged: bool,
) -> dict[ArmName, Shown]:
    """Return what the `arms` of a run, or of a trial of its fine-tuning, are compared with, by arm name.

    `start`: the weights that the pretraining, or the fine-tuning, began with. `imagenet`: the run's local weight
    files, else timm's from its hub. `random`: the seed's random weights. `none`: nothing. Anything else names another
    run or fine-tuning, of which the arms that this one has too are taken. Raises `ModelError` when weights cannot be
    fetched, `RunError` for an unknown run.
    """
    if compare == "start" and isinstance(of, Trial):  # an arm that is probed is as it was
        arms = {arm: shown for arm, shown in arms.items() if not shown.frozen}
    if compare == "none" or not arms:
        return {}
    if compare not in COMPARISONS:
        theirs, other = _other_arms(compare, runs, of, averaged=averaged)
        common = {arm: shown for arm, shown in theirs.items() if arm in arms}
        if not common:
            raise RunError(f"{other.path} has none of the arms {', '.join(arms)}.", hint="Compare with another run.")
        return common
    trial = of if compare == "start" and isinstance(of, Trial) else None
    began = _starts_of(trial, arms) if trial else {}
    averaged = "averaged" in began.values()
    pretrained = [arm for arm, start in began.items() if start in ("pretrained", "averaged")]
    run_arms = arms_of_run(trial.variant.run, averaged=averaged) if trial and pretrained else {}
    found = {arm: run_arms[arm] for arm in pretrained}
    arms = {arm: shown for arm, shown in arms.items() if arm not in found}
    try:
        built = _began_with(trial, began, arms) if trial else _built_anew(resolved.config, compare, arms)
    except ModelError as error:
        hint = "Compare with --compare random, another run, or none."
        raise ModelError(f"Cannot compare with the weights before training: {error.what}", hint=hint) from error
    before = "before: " if compare == "start" else ""
    return found | {arm: _untrained(arm, built[arm], before, after=shown) for arm, shown in arms.items()}


def _starts_of(trial: Trial, arms: Iterable[ArmName]) -> dict[ArmName, StartName]:
    """Return what each of the arms of a trial began with."""
    summary = trial.summary()
    return {arm: summary.arms[arm].start or summary.init for arm in arms}


def _other_arms(name: str, runs: Path, of: Run | Trial, *, averaged: bool) -> tuple[dict[ArmName, Shown], Run]:
    """Return the arms of what `name` means (see `runs/names.py`): in `runs` or beside `of`."""
    run = of.variant.run if isinstance(of, Trial) else of
    other = find(runs, name, beside=run.path.parent)
    if other.variant:
        files, label = other.trial().files, f"{other.run.path.name}, fine-tuned"
    else:
        files, label = other.run, other.run.path.name
    return arms_of_run(files, averaged=averaged, label=label), files


def _began_with(trial: Trial, began: Mapping[ArmName, StartName], arms: Iterable[ArmName]) -> Mapping[ArmName, Arm]:
    """Build what arms of a fine-tuning began with that no pretraining had changed."""
    config, seed = read_saved(trial.variant.config).config, trial_seed(trial.seed)
    return {arm: starting_body(trial.variant.run, at_start(config, began[arm]), arm, seed=seed) for arm in arms}


def _built_anew(config: Config, compare: str, arms: Collection[ArmName]) -> Mapping[str, Arm]:
    """Build the arms as the run did: from its own start, or from another."""
    changes: dict[str, Any] = {
        "start": {},
        "imagenet": {"init": "imagenet"},
        "random": {"init": "random", "weights": {}},
    }
    changed = config.arms.model_copy(update=changes[compare])
    return build_arms(config.model_copy(update={"arms": changed}), only=arms)


def _untrained(arm: ArmName, built: Arm, before: str, *, after: Shown) -> Shown:
    source = built.weights.source
    kind = "random" if source == "random" else "ImageNet" if source.startswith("timm ") else "local"
    return Shown(
        arm=arm,
        label=f"{before}{kind} weights",
        model=built.name,
        network=built.model.eval(),
        spec=after.spec,
        classifier=False,
    )


def saved_settings(run: Run, over: Layer = NOTHING) -> Resolved:
    """Return the configuration that `run` was made with; `over` says what is otherwise now, such as `data.path`."""
    if not run.config.is_file():
        raise RunError(f"{run.path} has no config.yaml.", hint="Name a run directory of `cass pretrain`.")
    return settings_over(run.config, [over]) if over.values else read_saved(run.config)
