"""The arms of a finished fine-tuning, ready to answer."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from cass_cli.data.views.spec import ImageSpec
from cass_cli.engine.compute import Compute
from cass_cli.engine.inference import answers_of
from cass_cli.errors import RunError
from cass_cli.models.arms import load_arm
from cass_cli.models.heads import ENDING, LayerHead, load_head
from cass_cli.runs.names import variant_flags
from cass_cli.runs.summary import TrialSummary
from cass_cli.runs.trials import Trial, trial_at
from cass_cli.scores.calibration import JOINT
from cass_cli.scores.judgement import probabilities_of

SURE = 1e-9  # probabilities of an average's member that are nearer to 0 or 1 count as this near


@dataclass(frozen=True)
class TunedArms:
    """Networks in evaluation mode on their device, and what is needed to turn images into answers."""

    networks: Mapping[str, nn.Module]  # of each arm; without a head of its own where `heads` has one
    heads: Mapping[str, LayerHead]  # over layers of the arms: of an arm, or "joint"
    starts: Mapping[str, nn.Module]  # trained arms as they began, where "joint" reads them so
    spec: ImageSpec
    summary: TrialSummary

    @property
    def readers(self) -> dict[str, nn.Module]:
        """Return all networks that see an image."""
        return {**self.networks, **self.starts}

    @property
    def candidates(self) -> list[str]:
        """Return what can answer."""
        return list(self.summary.judgement.candidates)


def load_tuned(trial: Trial, compute: Compute) -> TunedArms:
    """Load the arms of a finished trial; raise `RunError` or `ModelError` for anything else."""
    summary = trial.summary()
    if summary.members:
        return _load_members(trial, summary, compute)
    networks: dict[str, nn.Module] = {}
    heads: dict[str, LayerHead] = {}
    for name in summary.arms:
        network, card = load_arm(trial.files.arms / name)
        classes = card.classes
        if not classes:
            heads[name] = load_head(trial.files.arms / f"{name}{ENDING}")
            classes = heads[name].card.classes
        if classes != summary.classes:
            raise RunError(f"{trial.files.arms / name}.json names other classes than its run.", hint="Fine-tune again.")
        networks[name] = compute.place(network).eval().requires_grad_(False)
    starts: dict[str, nn.Module] = {}
    if JOINT in summary.judgement.temperatures:
        heads[JOINT] = load_head(trial.files.arms / f"{JOINT}{ENDING}")
        for name in heads[JOINT].card.arms:
            if name not in networks:
                network, _ = load_arm(trial.files.arms / name)
                starts[name] = compute.place(network).eval().requires_grad_(False)
    placed = {name: head.to(compute.device) for name, head in heads.items()}
    return TunedArms(networks, placed, starts, card.spec, summary)


class Member(nn.Module):
    """A finished trial as one network: images [B, 3, S, S] to the logarithm of what its pick answers, fp32 [B, C].

    Multi-label: to the log odds. So a softmax, or a sigmoid, gives the calibrated probabilities again.
    """

    def __init__(self, arms: TunedArms, compute: Compute) -> None:
        super().__init__()
        self.arms, self.compute = arms, compute
        self.num_classes = len(arms.summary.classes)

    def forward(self, images: Tensor) -> Tensor:
        judged, multilabel = self.arms.summary.judgement, self.arms.summary.multilabel
        given = answers_of(self.arms.readers, images, compute=self.compute, heads=self.arms.heads)
        logits = {name: found.cpu().double().numpy() for name, found in given.items()}  # device sync
        answers = probabilities_of(logits, judged.temperatures, judged.weights, multilabel=multilabel)
        sure = np.clip(answers[judged.pick], SURE, 1 - SURE)
        return torch.from_numpy(np.log(sure / (1 - sure) if multilabel else sure)).float().to(images.device)


def as_networks(members: Mapping[str, TunedArms], compute: Compute) -> dict[str, nn.Module]:
    """Return finished trials as networks that answer by what validation picked of each."""
    return {name: Member(found, compute).eval() for name, found in members.items()}


def _load_members(trial: Trial, summary: TrialSummary, compute: Compute) -> TunedArms:
    """Load the trials of an ensemble, which lie beside it."""
    names = dict.fromkeys(averaged.place.partition("/")[0] for averaged in summary.members.values())
    seeds = " --across-seeds" if len(names) < len(summary.members) else ""
    anew = f"cass ensemble {' '.join(map(shlex.quote, names))}{seeds} --overwrite{variant_flags(trial.variant)}"
    hint = f"Average what is there: {anew}"
    loaded = {}
    for name, averaged in summary.members.items():
        member = trial_at(trial.variant.run, averaged.place)
        if not member.finished:
            raise RunError(f"{trial.path} averages {member.path}, which is gone.", hint=hint)
        if member.digest != averaged.digest:
            raise RunError(f"{trial.path} averages {member.path}, which has been made again since.", hint=hint)
        loaded[name] = load_tuned(member, compute)
    spec = next(iter(loaded.values())).spec
    return TunedArms(as_networks(loaded, compute), {}, {}, spec, summary)
