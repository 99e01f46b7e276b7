"""The arms of a finished fine-tuning, ready to answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from cass_cli.data.views.spec import ImageSpec
from cass_cli.engine.compute import Compute
from cass_cli.errors import RunError
from cass_cli.models.arms import load_arm
from cass_cli.runs.summary import TrialSummary
from cass_cli.runs.trials import Trial


@dataclass(frozen=True)
class TunedArms:
    """Networks in evaluation mode on their device, and what is needed to turn images into answers."""

    networks: Mapping[str, nn.Module]
    spec: ImageSpec
    summary: TrialSummary


def load_tuned(trial: Trial, compute: Compute) -> TunedArms:
    """Load the arms of a finished trial; raise `RunError` or `ModelError` for anything else."""
    summary = trial.summary()
    networks: dict[str, nn.Module] = {}
    for name in summary.arms:
        network, card = load_arm(trial.files.arms / name)
        if card.classes != summary.classes:
            raise RunError(f"{trial.files.arms / name} was trained for other classes than its run.")
        networks[name] = compute.place(network).eval().requires_grad_(False)
    return TunedArms(networks, card.spec, summary)
