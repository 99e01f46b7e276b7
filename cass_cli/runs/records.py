"""What the records of a run hold, key by key: its summary, its environment, its evaluations.

Its rows are in `rows.py`, a trial's summary in `summary.py`, the card of an arm in `models/card.py`. A key that came
later is `NotRequired`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NotRequired

from pydantic import FiniteFloat
from typing_extensions import TypedDict  # as pydantic asks for: see `rows.py`

from cass_cli.config.schema import ArmName
from cass_cli.data.corruptions import KINDS, STRENGTHS
from cass_cli.errors import RunError
from cass_cli.saved import NonNegativeInt, PositiveInt, read_json, with_more
from cass_cli.scores.judgement import Judgement
from cass_cli.scores.metrics import METRICS, PER_CLASS
from cass_cli.scores.operating import MEASURES
from cass_cli.scores.use import RECALIBRATION


@with_more
class RunSummary(TypedDict):
    """What a finished pretraining says of itself."""

    method: str
    epochs: NonNegativeInt
    device: str
    precision: str
    weights: Mapping[ArmName, str]
    states: NotRequired[Mapping[ArmName, str]]  # of the last epoch: healthy, shrinking or collapsed


@with_more
class Environment(TypedDict):
    """What a run ran on: versions, machine, command."""

    cass: str
    python: NotRequired[str]
    torch: NotRequired[str]
    torchvision: NotRequired[str]
    timm: NotRequired[str]
    numpy: NotRequired[str]
    pillow: NotRequired[str]
    safetensors: NotRequired[str]
    platform: NotRequired[str]
    threads: NotRequired[PositiveInt]
    gpu: NotRequired[str | None]
    command: NotRequired[Sequence[str]]


class EstimateRecord(TypedDict):
    """A value with its interval; None: not defined."""

    value: FiniteFloat | None
    low: FiniteFloat | None
    high: FiniteFloat | None


@with_more
class ScoresRecord(TypedDict):
    """The scores of one candidate."""

    classes: Sequence[str]
    multilabel: bool
    images: NonNegativeInt
    metrics: Mapping[str, EstimateRecord]
    per_class: Mapping[str, Mapping[str, EstimateRecord]]
    support: Mapping[str, NonNegativeInt]
    confusion: Sequence[Sequence[NonNegativeInt | Sequence[NonNegativeInt]]]
    thresholds: NotRequired[Sequence[float] | None]  # by class, where an image may show several
    notes: Sequence[str]


@with_more
class ExternalRecord(TypedDict):
    """What an evaluation on another site's images says of them, and of the scores at home."""

    name: str
    digest: str  # of the images' names and labels
    classes: Mapping[str, str]  # theirs, and which of ours it is
    only_theirs: Sequence[str]
    only_ours: Sequence[str]
    seen_before: NonNegativeInt | None  # images that arms or thresholds were made from; None: not looked for
    home: Mapping[str, Mapping[str, FiniteFloat]]  # by candidate and metric, on test images of classes that both show
    drops: Mapping[str, Mapping[str, EstimateRecord]]  # elsewhere − home


@with_more
class UseRecord(TypedDict):
    """What the probabilities of one candidate are worth to who acts upon them."""

    per_class: Mapping[str, Mapping[str, EstimateRecord]]
    aurc: EstimateRecord
    risk: EstimateRecord
    notes: Sequence[str]


@with_more
class AtPrevalence(TypedDict):
    """Predictive values where a class is as frequent as was said."""

    prevalence: FiniteFloat
    ppv: EstimateRecord
    npv: EstimateRecord


@with_more
class ClassPointRecord(TypedDict):
    """One class against the rest at its threshold."""

    threshold: FiniteFloat | None
    validation: Mapping[str, FiniteFloat | None]
    prevalence: FiniteFloat | None
    measures: Mapping[str, EstimateRecord]
    at_prevalence: AtPrevalence | None


@with_more
class OperatingPointRecord(TypedDict):
    """What one candidate is worth at the thresholds of one goal."""

    goal: str
    classes: Mapping[str, ClassPointRecord]
    notes: Sequence[str]


@with_more
class PatientsRecord(TypedDict):
    """The scores where each patient has one answer."""

    rule: str
    scores: Mapping[str, ScoresRecord]
    notes: Sequence[str]


@with_more
class SubgroupRecord(TypedDict):
    """The scores of one group."""

    images: NonNegativeInt
    units: NonNegativeInt
    metrics: Mapping[str, EstimateRecord]
    lacks: Sequence[str]
    small: bool


@with_more
class SubgroupsRecord(TypedDict):
    """The groups of one column, and how far they lie apart."""

    groups: Mapping[str, SubgroupRecord]
    metric: str
    best: str
    worst: str
    gap: EstimateRecord
    chance: FiniteFloat | None


@with_more
class FragilityRecord(TypedDict):
    """What corruption does to one candidate; None: not defined."""

    clean: Mapping[str, FiniteFloat | None]  # by metric
    corrupted: Mapping[str, Mapping[str, Sequence[FiniteFloat | None]]]  # by kind and metric, a value a strength
    mean: FiniteFloat | None
    drop: EstimateRecord
    bce: Mapping[str, FiniteFloat | None]  # by kind
    rce: Mapping[str, FiniteFloat | None]
    mean_bce: FiniteFloat | None
    mean_rce: FiniteFloat | None


@with_more
class CorruptionsRecord(TypedDict):
    """The candidates on corrupted images."""

    metric: str
    baseline: str
    candidates: Mapping[str, FragilityRecord]
    images: NonNegativeInt
    of: NonNegativeInt
    groups: NonNegativeInt | None
    seconds: FiniteFloat
    forecast: FiniteFloat
    notes: Sequence[str]


@with_more
class EvaluationRecord(TypedDict):
    """What `cass evaluate` found on one split."""

    metric: str
    recommended: str
    judgement: Judgement
    scores: Mapping[str, ScoresRecord]
    use: NotRequired[Mapping[str, UseRecord]]
    operating_points: NotRequired[Mapping[str, Sequence[OperatingPointRecord]]]  # {}: none was asked for
    notes: Sequence[str]
    patients: NotRequired[PatientsRecord]
    subgroups: NotRequired[Mapping[str, Mapping[str, SubgroupsRecord]]]  # by column and candidate; {}: not asked for
    external: NotRequired[ExternalRecord]
    corruptions: NotRequired[CorruptionsRecord]  # not there: not asked for


def read_run_summary(path: Path) -> RunSummary | None:
    """Return what the summary.json of a pretraining says, None where it has none; raise `RunError` if it is damaged."""
    hint = "Restore it from a copy; or remove it, and finish the run again: cass pretrain --resume"
    return read_json(path, RunSummary, hint=hint) if path.exists() else None


def read_environment(path: Path) -> Environment | None:
    """Return what an environment.json says, None where there is none; raise `RunError` if it is damaged."""
    return read_json(path, Environment, hint="Restore it from a copy, or remove it.") if path.exists() else None


def read_evaluation(path: Path) -> EvaluationRecord:
    """Return what `cass evaluate` wrote; raise `RunError` if it is damaged."""
    found = read_json(path, EvaluationRecord, hint="Make it again: cass evaluate")
    wrong = _amiss(found)
    if wrong:
        raise RunError(f"{path} is damaged: {wrong}.", hint="Make it again: cass evaluate")
    return found


def _amiss(found: EvaluationRecord) -> str:
    """Return what in an evaluation does not fit together, "" where all does."""
    if found["recommended"] not in found["scores"]:
        return f"it recommends {found['recommended']!r}, which it does not score"
    if found["metric"] not in METRICS:
        return f"there is no metric {found['metric']!r}"
    for name, scores in found["scores"].items():
        classes = set(scores["classes"])
        per_class = [scores["support"], *(scores["per_class"].get(kind, {}) for kind in PER_CLASS)]
        counts = [[cell for cell in row if isinstance(cell, int)] for row in scores["confusion"]]
        sides = {len(counts), *(() if scores["multilabel"] else map(len, counts))}
        bounds = [scores["metrics"], *scores["per_class"].values()]
        if _one_ended(bounds):
            return f"scores.{name} has intervals with one end"
        if sides != {len(classes)} or any(of.keys() != classes for of in per_class):
            return f"scores.{name} lacks some of its classes"
    return _amiss_in_use(found)


def _amiss_in_use(found: EvaluationRecord) -> str:
    """Return what does not fit together in what came with 0.2.0, which an evaluation made before lacks."""
    use, points = found.get("use", {}), found.get("operating_points", {})
    for what, of in (("use", use), ("operating_points", points)):
        if of and of.keys() != found["scores"].keys():
            return f"{what} is not of the candidates that it scores"
    for name, one in use.items():
        measures = [*one["per_class"].values(), {"aurc": one["aurc"], "risk": one["risk"]}]
        if _one_ended(measures):
            return f"use.{name} has intervals with one end"
        if any(of.keys() != RECALIBRATION.keys() for of in one["per_class"].values()):
            return f"use.{name} lacks some of its measures"
    for name, several in points.items():
        each = [point for goal in several for point in goal["classes"].values()]
        assumed = [{"ppv": at["ppv"], "npv": at["npv"]} for point in each if (at := point["at_prevalence"])]
        if _one_ended([*(point["measures"] for point in each), *assumed]):
            return f"operating_points.{name} has intervals with one end"
        if any(point["measures"].keys() != MEASURES.keys() for point in each):
            return f"operating_points.{name} lacks some of its measures"
    return _amiss_beside(found)


def _amiss_beside(found: EvaluationRecord) -> str:
    """Return what does not fit together in what is told of patients, subgroups and another site."""
    names = found["scores"].keys()
    patients, external = found.get("patients"), found.get("external")
    if patients and patients["scores"].keys() != names:
        return "patients is not of the candidates that it scores"
    for scores in patients["scores"].values() if patients else ():
        if len(scores.get("thresholds") or scores["classes"]) != len(scores["classes"]):
            return "patients has thresholds of other classes"
    bounds = [of["metrics"] for of in patients["scores"].values()] if patients else []
    bounds += external["drops"].values() if external else []
    for column, by in found.get("subgroups", {}).items():
        if by.keys() != names:
            return f"subgroups.{column} is not of the candidates that it scores"
        for of in by.values():
            metrics = [group["metrics"] for group in of["groups"].values()]
            bounds += [{"gap": of["gap"]}, *metrics]
            known = of["metric"] in METRICS and {of["best"], of["worst"]} <= {"", *of["groups"]}
            if not known or any(of["metric"] not in each for each in metrics):
                return f"subgroups.{column} tells of a metric or a group that is not there"
    if _one_ended(bounds):
        return "patients, subgroups or external has intervals with one end"
    return _amiss_in_corruptions(found)


def _amiss_in_corruptions(found: EvaluationRecord) -> str:
    """Return what does not fit together in what is told of corrupted images."""
    told = found.get("corruptions")
    if not told:
        return ""
    names, metric = told["candidates"].keys(), told["metric"]
    if names != found["scores"].keys() or told["baseline"] not in names or metric not in METRICS:
        return "corruptions is not of the candidates that it scores, or of no metric"
    (first, *_) = told["candidates"].values()
    kinds = first["corrupted"].keys()
    for of in told["candidates"].values():
        tables = (of["corrupted"], of["bce"], of["rce"])
        if not kinds or any(table.keys() != kinds for table in tables) or not kinds <= KINDS.keys():
            return "corruptions has other kinds for some candidates"
        values = [by.get(metric, ()) for by in of["corrupted"].values()]
        if metric not in of["clean"] or any(len(each) != len(STRENGTHS) for each in values):
            return "corruptions lacks some of its strengths"
        if _one_ended([{"drop": of["drop"]}]):
            return "corruptions has intervals with one end"
    return ""


def _one_ended(bounds: Iterable[Mapping[str, EstimateRecord]]) -> bool:
    return any((one["low"] is None) != (one["high"] is None) for kind in bounds for one in kind.values())
