"""The arms of a finished fine-tuning, ready to answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from cass_cli.data.views.spec import ImageSpec
from cass_cli.engine.compute import Compute
from cass_cli.errors import RunError
from cass_cli.models.arms import load_arm
from cass_cli.models.heads import ENDING, LayerHead, load_head
from cass_cli.runs.summary import TrialSummary
from cass_cli.runs.trials import Trial
from cass_cli.scores.calibration import JOINT


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
