"""What fine-tunings took: the pretraining that they begin with, and their own training."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import nan
from pathlib import Path
from statistics import fmean

from cass_cli.runs.compare import named_trials
from cass_cli.runs.rows import read_epochs
from cass_cli.runs.summary import TrialSummary
from cass_cli.runs.trials import Trial

WITHOUT = ("imagenet", "random")  # starts that take no pretraining


@dataclass(frozen=True)
class Costs:
    """Seconds by method and label fraction, as the mean over seeds, and the devices that took them."""

    seconds: dict[tuple[str, float], float]
    devices: tuple[str, ...]


def costs_of(trials: Iterable[Trial]) -> Costs:
    """Return what each method took, under the names of `trials_by_method`: all arms together, by all epochs.

    A pretraining counts whole for each fine-tuning that begins with it. NaN where a time is not known: of an ensemble,
    which others trained, and of a run that lost its metrics.jsonl.
    """
    pretrainings: dict[Path, float] = {}
    taken: dict[tuple[str, float], list[float]] = {}
    devices: dict[str, None] = {}
    for name, of in named_trials(trials).items():
        for trial, summary in of:
            taken.setdefault((name, summary.fraction), []).append(_seconds(trial, summary, pretrainings))
            devices[summary.device] = None
    return Costs({key: fmean(seconds) for key, seconds in taken.items()}, tuple(devices))


def _seconds(trial: Trial, summary: TrialSummary, pretrainings: dict[Path, float]) -> float:
    if summary.members:
        return nan
    if summary.init in WITHOUT:
        return summary.seconds
    log = trial.variant.run.metrics
    if log not in pretrainings:
        rows = read_epochs(log)
        pretrainings[log] = sum(row["seconds"] for row in rows) if rows and rows[0]["epoch"] == 1 else nan
    return pretrainings[log] + summary.seconds
