"""Fine-tunings beside each other: means over seeds with intervals, and paired tests, as in Tables 1, 3, 4 and 5."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import nan
from pathlib import Path

from cass_cli.errors import ConfigError, RunError, did_you_mean
from cass_cli.runs.ancestry import older_than_arms
from cass_cli.runs.summary import TrialSummary
from cass_cli.runs.trials import Trial, default_variants, method_name
from cass_cli.scores.calibration import ENSEMBLE, JOINT, MEAN
from cass_cli.scores.guessing import guessed
from cass_cli.scores.metrics import METRICS
from cass_cli.scores.over_seeds import PairedTest, SeedSummary, holm, paired_test, summarise_seeds

OLDER = "older than its arms"  # what a fine-tuning is called whose run was pretrained further
PICK = "pick"  # the candidate that validation chose, seed by seed


@dataclass(frozen=True)
class Cell:
    """The test scores of one method, arm and label fraction."""

    method: str
    candidate: str  # an arm, "mean", "joint" or "pick"
    model: str  # the timm name of an arm
    fraction: float
    labels: int  # training labels seen
    values: Mapping[int, float]  # by seed
    summary: SeedSummary


@dataclass(frozen=True)
class CellTest:
    """One method against another on the same arm and label fraction, over the seeds of both."""

    first: str
    second: str
    candidate: str
    fraction: float
    test: PairedTest
    p_adjusted: float  # of the t-test, for all tests of the table (Holm)


@dataclass(frozen=True)
class Comparison:
    """A table of methods × arms × label fractions."""

    metric: str
    cells: tuple[Cell, ...]
    tests: tuple[CellTest, ...]
    notes: tuple[str, ...]
    guessed: float | None = None  # what guessing scores, where that is known


def trials_by_method(trials: Iterable[Trial]) -> dict[str, list[TrialSummary]]:
    """Return what the finished trials of each variant say, under a name that is unique among them; each trial once."""
    return {name: [summary for _, summary in of] for name, of in named_trials(trials).items()}


def named_trials(trials: Iterable[Trial]) -> dict[str, list[tuple[Trial, TrialSummary]]]:
    """Return the finished trials of each variant, under a name that is unique among them; each trial once.

    A variant of its own name adds it in brackets, one that is older than the arms of its run says so; methods that
    would still be called alike add their run.
    """
    by_variant: dict[Path, list[Trial]] = {}
    for trial in {trial.path.resolve(): trial for trial in trials}.values():
        by_variant.setdefault(trial.variant.path.resolve(), []).append(trial)
    found = [(of[0].variant, [(trial, trial.summary()) for trial in of]) for of in by_variant.values()]
    if not found:
        raise RunError("None of these runs has a finished fine-tuning.", hint="Make one with: cass finetune --run RUN")
    names = []
    for variant, of in found:
        first = of[0][1]
        own = "" if variant.name in default_variants(first) else f" [{variant.name}]"
        older = [bool(older_than_arms(trial, summary)) for trial, summary in of]
        names.append(method_name(first) + own + (f", {'' if all(older) else 'partly '}{OLDER}" if any(older) else ""))
    return {
        name if names.count(name) == 1 else f"{name} ({variant.run.path.name})": of
        for name, (variant, of) in zip(names, found, strict=True)
    }


def compare(
    methods: Mapping[str, Sequence[TrialSummary]], *, metric: str | None = None, notes: Sequence[str] = ()
) -> Comparison:
    """Tabulate test scores and test every method against the first, where both have the arm and the fraction.

    What makes the rows incomparable is added to the `notes`.
    """
    everything = [summary for summaries in methods.values() for summary in summaries]
    metric = metric or everything[0].metric
    check_metric(metric)
    cells = tuple(cell for name, summaries in methods.items() for cell in cells_of(name, summaries, metric))
    first = next(iter(methods))
    by_key = {(c.method, c.candidate, c.fraction): c for c in cells}
    pairs = [
        (one, other)
        for (method, candidate, fraction), other in by_key.items()
        if method != first and (one := by_key.get((first, candidate, fraction)))
    ]
    tests = [paired_test(one.values, other.values) for one, other in pairs]
    adjusted = holm([test.t_p for test in tests])
    return Comparison(
        metric=metric,
        cells=cells,
        tests=tuple(
            CellTest(first, other.method, other.candidate, other.fraction, test, p)
            for (_, other), test, p in zip(pairs, tests, adjusted, strict=True)
        ),
        notes=(*notes, *_notes(everything)),
        guessed=_guessed(metric, everything),
    )


def check_metric(metric: str) -> None:
    """Raise `ConfigError` unless there is such a metric."""
    if metric not in METRICS:
        raise ConfigError(
            f"There is no metric '{metric}'.{did_you_mean(metric, list(METRICS))}",
            hint=f"Metrics: {', '.join(METRICS)}.",
        )


def cells_of(method: str, summaries: Sequence[TrialSummary], metric: str) -> list[Cell]:
    """Return a cell for each label fraction and candidate, fractions rising, arms before what combines them."""
    cells = []
    for fraction in sorted({s.fraction for s in summaries}):
        trials = [s for s in summaries if s.fraction == fraction]
        arms = list(dict.fromkeys(arm for s in trials for arm in s.arms))
        several = [MEAN, *(name for name in (JOINT, ENSEMBLE) if any(name in s.test for s in trials)), PICK]
        extra = several if len(arms) > 1 else []
        for candidate in [*arms, *extra]:
            values = {s.seed: value for s in trials if (value := _value(s, candidate, metric)) is not None}
            models = [s.arms[candidate].model for s in trials if candidate in s.arms]
            labels = round(sum(s.labels for s in trials) / len(trials))
            summary = summarise_seeds(list(values.values()))
            cells.append(Cell(method, candidate, models[0] if models else "", fraction, labels, values, summary))
    return cells


def _value(summary: TrialSummary, candidate: str, metric: str) -> float | None:
    """Return the test score of a candidate in one trial; None when it has none, NaN when it is undefined or unknown.

    A trial of an earlier version does not know a metric that came later.
    """
    name = summary.judgement.pick if candidate == PICK else candidate
    scores = summary.test.get(name)
    if scores is None:
        return None
    value = scores.get(metric)
    return nan if value is None else float(value)


def _guessed(metric: str, summaries: Sequence[TrialSummary]) -> float | None:
    """Return what guessing scores where all have the same classes, one of which each image shows."""
    same = len({s.classes for s in summaries}) == 1 and not summaries[0].multilabel
    return guessed(metric, len(summaries[0].classes)) if same else None


def _notes(summaries: Sequence[TrialSummary]) -> list[str]:
    notes = []
    if len({s.test_digest for s in summaries}) > 1:
        notes.append("These fine-tunings were tested on different images: the rows can't be compared.")
    if len({s.classes for s in summaries}) > 1:
        notes.append("Their classes differ.")
    if len({s.metric for s in summaries}) > 1:
        notes.append("Their settings name different headline metrics; the first one's is shown.")
    return notes
