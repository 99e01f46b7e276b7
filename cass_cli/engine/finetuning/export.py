"""The arms of a finished trial, written down: for timm, for `cass predict`, and for the maps."""

from __future__ import annotations

import filecmp
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from cass_cli.engine.finetuning.session import Tuning
from cass_cli.engine.finetuning.shared import Job
from cass_cli.engine.starting_arms import without_head
from cass_cli.files import draft_of
from cass_cli.models.arms import Arm, save_arm
from cass_cli.models.card import ArmCard
from cass_cli.models.heads import ENDING, START, Joined, LayerHead, LearningHead, save_head
from cass_cli.runs.trials import Trial
from cass_cli.scores.calibration import JOINT


def export_tuned(job: Job, trial: Trial, bodies: Mapping[str, Arm], t: Tuning) -> None:
    """Save the best weights of fine-tuned arms, which began as `bodies`, with their classes or the head beside them."""
    trial.files.arms.mkdir(exist_ok=True)
    classes = job.data.table.classes
    for name, body in bodies.items():
        network, path = t.arms[name].answers, trial.files.arms / name
        joined = isinstance(network, Joined)
        card = ArmCard(
            model=body.name,
            options={**body.options, "num_classes": 0 if joined else len(classes)},
            spec=job.spec,
            classes=() if joined else classes,
            multilabel=None if joined else job.data.table.multilabel,
            method=job.method,
            started_from=str(body.weights),
            labels=t.images,
            best_epoch=t.arms[name].best_epoch,
        )
        if isinstance(network, Joined) and isinstance(network.head, LearningHead):
            save_arm(path, network.arms[name], card)
            save_head(path.with_name(f"{name}{ENDING}"), network.head.folded())
        else:
            save_arm(path, network, card)


def export_probed(job: Job, trial: Trial, bodies: Mapping[str, Arm], heads: Mapping[str, LayerHead]) -> None:
    """Save frozen arms without a head, and the heads beside them.

    The trials of a fine-tuning have the same frozen arms, so where the file system can, all but the first are links.
    """
    trial.files.arms.mkdir(exist_ok=True)
    for name, body in bodies.items():
        arm = without_head(body)
        card = ArmCard(arm.name, arm.options, job.spec, method=job.method, started_from=str(arm.weights))
        save_arm(trial.files.arms / name, arm.model, card)
        _share(trial, trial.files.arms / f"{name}.safetensors")
    for name, head in heads.items():
        save_head(trial.files.arms / f"{name}{ENDING}", head)


def export_joint(job: Job, trial: Trial, bodies: Mapping[str, Arm], head: LayerHead, *, frozen: Sequence[str]) -> None:
    """Save the head that reads all arms as they began: those that were trained since once more, as `START` tells."""
    began = {name if name in frozen else f"{name}{START}": body for name, body in bodies.items()}
    export_probed(job, trial, {name: body for name, body in began.items() if name not in frozen}, {})
    card = replace(head.card, arms=tuple(began))
    save_head(trial.files.arms / f"{JOINT}{ENDING}", LayerHead(card, head.weight, head.bias))


def _share(trial: Trial, weights: Path) -> None:
    """Replace the weights of an arm by a link to the first other trial's, if they are the same to the byte."""
    others = (other.files.arms / weights.name for other in trial.variant.trials() if other.path != trial.path)
    first = next((path for path in others if path.is_file()), None)
    if first and filecmp.cmp(first, weights, shallow=False):
        draft = draft_of(weights)
        with suppress(OSError):  # a file system without links
            os.link(first, draft)
            draft.replace(weights)
