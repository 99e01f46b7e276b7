"""All that a model card and its checklists are made of, gathered from the folder of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cass_cli.config.load import read_saved
from cass_cli.config.schema import Config
from cass_cli.errors import RunError
from cass_cli.runs.directory import ENVIRONMENT
from cass_cli.runs.facts import FineTuning, RunFacts, Tuned, gather_report
from cass_cli.runs.flow import Flow, flow_of, subgroup_columns
from cass_cli.runs.images_used import ImagesUsed
from cass_cli.runs.names import trial_flags
from cass_cli.runs.records import Environment, EvaluationRecord, read_environment
from cass_cli.runs.trials import Trial


@dataclass(frozen=True)
class Known:
    """All that a card is made of."""

    facts: RunFacts
    images: ImagesUsed
    tuning: FineTuning
    tuned: Tuned
    config: Config  # of the fine-tuning
    origins: Mapping[str, str]  # who decided each setting
    flow: Flow
    subgroups: Mapping[str, int]  # column → number of values
    environment: Environment | None  # of the fine-tuning

    @property
    def evaluation(self) -> EvaluationRecord | None:
        """Return what `cass evaluate` found on the test split."""
        return self.tuned.evaluations.get("test")

    @property
    def side(self) -> int:
        """Return how many pixels a side the arms look at."""
        tuned = self.config.finetune
        return tuned.probe_size if tuned.probe_size and not tuned.trains else self.config.data.image_size

    @property
    def settings(self) -> dict[str, Any]:
        """Return the settings of run and fine-tuning that are not the defaults."""
        return {each.key: each.value for each in (*self.facts.settings, *self.tuning.settings) if each.changed}

    def command(self, name: str) -> str:
        """Return the command `name` for this trial."""
        return f"cass {name}{trial_flags(self.tuned.trial)}"

    @property
    def not_measured(self) -> str:
        """Return what stands where there are no scores with intervals."""
        return f"Not measured: {self.command('evaluate')}"


def gather_known(trial: Trial) -> Known:
    """Read everything that a card says of `trial`.

    What is damaged is in its `facts`, which the card tells; raises `RunError` or `DataError` where that is the trial's
    summary or settings, or splits.csv.
    """
    (facts,) = gather_report([trial.variant.run]).runs
    found = [
        (tuning, tuned)
        for tuning in facts.finetunings
        for tuned in tuning.trials
        if tuned.trial.path.resolve() == trial.path.resolve()
    ]
    if facts.images is None or not found:
        trial.summary()  # says what is wrong with it
        raise RunError(f"{trial.variant.run.path} has no splits.csv that can be read.", hint="Restore it from a copy.")
    ((tuning, tuned),) = found
    saved = read_saved(trial.variant.config)
    return Known(
        facts=facts,
        images=facts.images,
        tuning=tuning,
        tuned=tuned,
        config=saved.config,
        origins=saved.origins,
        flow=flow_of(trial),
        subgroups=subgroup_columns(trial),
        environment=read_environment(trial.variant.path / ENVIRONMENT) or facts.environment,
    )
