"""What all trials of a fine-tuning job share, and who is told how they fare."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from cass_cli.config.schema import Config, Finetune
from cass_cli.data.labelled_images import Images, LabelledData
from cass_cli.data.views.spec import ImageSpec, spec_of
from cass_cli.engine.compute import Compute
from cass_cli.engine.features import Reading
from cass_cli.engine.finetuning.loop import TuneEpoch, TuneStep
from cass_cli.models.arms import Arm
from cass_cli.runs.summary import TrialSummary
from cass_cli.runs.trials import Trial, Variant


@dataclass(frozen=True)
class Beginning:
    """What a trial is when it begins."""

    trial: Trial
    number: int  # of `trials`
    trials: int
    arms: tuple[str, ...]
    labels: int
    compute: Compute
    metric: str
    epochs: int  # at most; 0 where no arm is trained
    epoch: int  # that it goes on from


class Listener(Protocol):
    """Told what is found before anything runs; shows it, or not."""

    def note(self, text: str) -> None: ...
    def warn(self, text: str) -> None: ...
    def doing(self, what: str) -> None: ...  # what takes its time now and cannot be counted; "": nothing any more


class Watcher(Listener, Protocol):
    """Told what happens; shows it, or not."""

    def decoding(self, done: int, total: int) -> None: ...
    def fingerprinting(self, done: int, total: int) -> None: ...
    def begins(self, trial: Beginning) -> None: ...
    def reading(self, done: int, total: int) -> None: ...
    def fitting(self, done: int, total: int) -> None: ...
    def scoring(self, done: int, total: int) -> None: ...
    def step(self, step: TuneStep) -> None: ...
    def epoch(self, stats: TuneEpoch) -> None: ...
    def saved(self) -> None: ...  # what was told so far is in a checkpoint
    def finished(self, summary: TrialSummary) -> None: ...


@dataclass(frozen=True)
class Job:
    """What all trials of a job share."""

    variant: Variant
    config: Config
    bodies: Mapping[str, Arm]  # what every trial starts from; with random weights, each draws its own
    data: LabelledData
    images: Images
    compute: Compute
    method: str
    began: Mapping[str, str]  # by arm: the mark of the run's arm that it begins with (`runs/ancestry.py`)
    rivals: Mapping[str, Arm]  # by arm: the other start that it may begin with, where each trial chooses

    @property
    def spec(self) -> ImageSpec:
        return spec_of(self.config.data)

    @property
    def reading(self) -> Reading:
        return reading_of(self.config)


def reading_of(config: Config) -> Reading:
    """Return what a probe reads."""
    return Reading(spec_of(config.data), config.finetune.layers, config.finetune.mirrored)


def memory_settings(tuned: Finetune) -> dict[str, int]:
    """Return the options that decide how much memory a fine-tuning takes, with their present values."""
    if not tuned.trains:
        return {"--probe-size": tuned.probe_size} if tuned.probe_size else {}
    return {"--batch-size": tuned.batch_size}
