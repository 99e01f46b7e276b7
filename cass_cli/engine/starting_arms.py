"""The networks that a fine-tuning starts from, each with a new head for the classes at hand."""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import timm
import torch

from cass_cli.config.schema import ARM_NAMES, ArmName, Config, StartName
from cass_cli.errors import ModelError, RunError
from cass_cli.models.arms import Arm, build_arm, check_arm
from cass_cli.models.card import read_card
from cass_cli.models.heads import Joined, LayerHead, LearningHead
from cass_cli.runs.directory import Run
from cass_cli.runs.names import run_flags
from cass_cli.seeds import stream_seed

HEAD, BODY = 0, 1  # positions in the `arms` stream


def available_arms(run: Run, config: Config, *, chosen: Collection[str] = ()) -> list[ArmName]:
    """Return the arms that the settings ask for and the run has; raise `RunError` where it has none.

    Arms that start from ImageNet or at random need nothing of the run, so there every arm is available; from the better
    start also those that were not pretrained, if they are among the `chosen` ones.
    """
    init, asked = config.finetune.init, config.finetune.arm
    wanted: list[ArmName] = [name for name in ARM_NAMES if asked in ("both", name)]
    if init in ("imagenet", "random"):
        return wanted
    found = [name for name in wanted if run.arm(name, averaged=init == "averaged").exists()]
    if found:
        _check_one_age(run, found, averaged=init == "averaged")
    if init == "best" and run.summary.is_file():
        found = [name for name in wanted if name in found or (name in chosen and _knows(config, name))]
    if found:
        return found
    kind = "averaged " if init == "averaged" else ""
    names = " or ".join(wanted)
    if not any(run.arm(name).is_file() for name in ARM_NAMES):
        raise RunError(
            f"{run.path} has no pretrained arms.",
            hint="Finish its pretraining, or start elsewhere: --init-from imagenet.\n"
            f"cass pretrain --resume{run_flags(run, option='--name', always=True)}",
        )
    raise RunError(f"{run.path} has no {kind}arm {names}.", hint="Choose another --arm or --init-from.")


def _check_one_age(run: Run, names: list[ArmName], *, averaged: bool) -> None:
    """Raise `RunError` where a process was stopped between writing the one arm and the other."""
    epochs = {name: read_card(run.arm(name, averaged=averaged).with_suffix(".json")).epochs for name in names}
    if len({*epochs.values()}) > 1:
        raise RunError(
            f"The arms of {run.path} are of different epochs: {', '.join(f'{k} {v}' for k, v in epochs.items())}.",
            hint=f"Write both again: cass pretrain --resume{run_flags(run, option='--name', always=True)}",
        )


def starting_body(run: Run, config: Config, name: str, *, seed: int) -> Arm:
    """Build an arm with the weights that `finetune.init` names, and the head that came with them.

    ImageNet's weights are those that the run's pretraining started from where these came from a file
    (`arms.weights`), else timm's: those of `$CASS_WEIGHTS`, or of the hub. Only random weights depend on `seed`.
    """
    init = config.finetune.init
    if init == "best":
        init = "pretrained" if run.arm(name).is_file() else "imagenet"
    if init in ("pretrained", "averaged"):
        path = run.arm(name, averaged=init == "averaged")
        card, _ = check_arm(path.with_suffix(""))
        return build_arm(
            card.model,
            image_size=config.data.image_size,
            outputs=card.outputs,
            weights=path,
            output_stride=card.options.get("output_stride"),
            of_a_run=True,
        )
    return build_arm(
        getattr(config.arms, name),
        image_size=config.data.image_size,
        outputs=config.arms.outputs,
        init=init,
        weights=_weights(config, name) if init == "imagenet" else None,
        seed=stream_seed(seed, "arms", list[str](ARM_NAMES).index(name), BODY),
        output_stride=config.arms.output_stride if name == "cnn" else None,
    )


def known_starts(config: Config) -> list[ArmName]:
    """Return the arms whose pretraining began with weights that knew something: ImageNet's, or those of a file."""
    return [name for name in config.method.arms if _knows(config, name)]


def _knows(config: Config, name: str) -> bool:
    return config.arms.init == "imagenet" or name in config.arms.weights


def chosen_arms(origins: Mapping[str, str]) -> list[ArmName]:
    """Return the arms whose model was named by an option, a preset or a file."""
    return [name for name in ARM_NAMES if origins[f"arms.{name}"] != "default"]


def other_starts(run: Run, config: Config, arms: Collection[ArmName]) -> dict[str, Arm]:
    """Return what those of the arms that were pretrained began with, where each is to take the better start."""
    if config.finetune.init != "best":
        return {}
    before = at_start(config, "imagenet")
    pretrained = [name for name in arms if run.arm(name).is_file() and name in known_starts(config)]
    return {name: starting_body(run, before, name, seed=0) for name in pretrained}


def at_start(config: Config, init: StartName) -> Config:
    """Return the settings with another start of a fine-tuning."""
    return config.model_copy(update={"finetune": config.finetune.model_copy(update={"init": init})})


def _weights(config: Config, name: str) -> Path | None:
    return next((path for arm, path in config.arms.weights.items() if arm == name), None)


def with_new_head(body: Arm, name: str, *, classes: int, seed: int) -> Arm:
    """Return a copy of `body` with a head of `classes` outputs, drawn from `seed`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream_seed(seed, "arms", list[str](ARM_NAMES).index(name), HEAD))
        return _with_outputs(body, classes)


def without_head(body: Arm) -> Arm:
    """Return a copy of `body` that ends with the features that its head reads."""
    return _with_outputs(body, 0)


def with_probe_head(body: Arm, name: str, head: LayerHead) -> Joined:
    """Return a copy of `body` with the head of its probe, both of which can learn."""
    return Joined({name: without_head(body).model}, LearningHead(head))


def with_drop_path(body: Arm, rate: float, *, seed: int) -> Arm:
    """Return `body` as a network that leaves out residual branches while it learns, if timm can build it so."""
    if not rate:
        return body
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # of weights that are replaced
        try:
            network = timm.create_model(body.name, **{**body.options, "drop_path_rate": rate})
        except TypeError:  # of a family without residual branches
            return body
    network.load_state_dict(body.model.state_dict())
    return Arm(network, body.name, body.options, body.weights)


def _with_outputs(body: Arm, outputs: int) -> Arm:
    network: Any = copy.deepcopy(body.model)
    if not hasattr(network, "reset_classifier"):
        raise ModelError(f"{body.name} has no classifier that can be replaced, so it can't be fine-tuned.")
    network.reset_classifier(outputs)
    return Arm(network, body.name, {**body.options, "num_classes": outputs}, body.weights)
