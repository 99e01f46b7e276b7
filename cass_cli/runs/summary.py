"""What a finished trial of a fine-tuning says of itself: its summary.json. No other file knows the keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import AllowInfNan, FiniteFloat, NonNegativeFloat

from cass_cli.config.schema import StartName
from cass_cli.errors import RunError
from cass_cli.saved import NonNegativeInt, read_json
from cass_cli.scores.calibration import JOINT
from cass_cli.scores.guard import FINE_TUNED, PROBE
from cass_cli.scores.judgement import Judgement
from cass_cli.scores.metrics import METRICS
from cass_cli.words import shown_list

HINT = "Fine-tune again."


def read_summary(path: Path) -> TrialSummary:
    """Return what a trial's summary.json holds; raise `RunError` if it is damaged."""
    found = read_json(path, TrialSummary, hint=HINT)
    if wrong := _amiss(found):
        raise RunError(f"{path} is damaged: {wrong}.", hint=HINT)
    return found


def _amiss(found: TrialSummary) -> str:
    """Return what in a summary does not fit together, "" where all does."""
    judged = found.judgement
    temperatures, unknown = judged.temperatures.keys() - {JOINT}, judged.weights.keys() - judged.temperatures.keys()
    if metrics := {found.metric, judged.metric} - METRICS.keys():
        return f"there is no metric {shown_list(sorted(metrics))}"
    if not found.arms or temperatures != found.arms.keys() or unknown:
        of = "weights" if unknown else "temperatures"
        return f"judgement.{of} are of {sorted(unknown or temperatures)}, the arms are {sorted(found.arms)}"
    if wrong := [name for name, arm in found.arms.items() if arm.kept not in (FINE_TUNED, PROBE)]:
        return f"arms.{wrong[0]}.kept is {found.arms[wrong[0]].kept!r}"
    if judged.pick not in judged.candidates:
        return f"judgement.pick is {judged.pick!r}, which it does not judge"
    several = set(judged.candidates) if found.multilabel else set()
    if judged.thresholds.keys() != several or any(len(of) != len(found.classes) for of in judged.thresholds.values()):
        return "judgement.thresholds are not of its classes and candidates"
    return ""


@dataclass(frozen=True)
class TrainedArm:
    """One arm of a trial."""

    model: str  # timm's name
    weights: str  # what it began with
    best_epoch: NonNegativeInt  # 0 where it was not trained
    kept: str = FINE_TUNED  # or "probe": the arm as it was, with a head over its layers
    began: str = ""  # mark of the run's arm that it may have begun with (`ancestry.py`); "": of none, or not known
    start: StartName | None = None  # what it began with; None, from before it was told: what the trial's `init` says
    start_scores: Mapping[str, FiniteFloat] = field(default_factory=dict)  # of each start, where it had a choice


@dataclass(frozen=True)
class Averaged:
    """A trial that an ensemble averages."""

    place: str  # FINE-TUNING/FRACTION/seedSEED, in the same run
    digest: str  # of its summary: another one is of another training


@dataclass(frozen=True)
class TrialSummary:
    """What a trial was, what validation decided, and how it scores. A field added later needs a default."""

    run: str
    variant: str
    method: str  # of the pretraining; "none" without one
    init: StartName
    frozen: bool
    fraction: FiniteFloat
    seed: NonNegativeInt
    labels: NonNegativeInt  # training labels seen
    classes: tuple[str, ...]
    multilabel: bool
    metric: str
    epochs: NonNegativeInt
    seconds: Annotated[NonNegativeFloat, AllowInfNan(False)]
    device: str
    precision: str
    arms: Mapping[str, TrainedArm]
    judgement: Judgement
    images: Mapping[str, NonNegativeInt]  # of the val and test splits
    test_digest: str  # equal for equal test splits
    validation: Mapping[str, Mapping[str, FiniteFloat | None]]  # candidate → metric → value, None: undefined
    test: Mapping[str, Mapping[str, FiniteFloat | None]]
    recipe: str = "paper"
    unlabelled: str = "unused"  # how images without a label that is shown taught, and
    untold: NonNegativeInt = 0  # how many
    guard: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # by arm: what was kept, and why
    set_aside: Mapping[str, Mapping[str, Mapping[str, float | None]]] = field(default_factory=dict)
    """By arm and split: the scores of what was not kept, the fine-tuned arm or its probe."""
    members: Mapping[str, Averaged] = field(default_factory=dict)  # of an ensemble, by name
    unseen: Sequence[str] = ()  # classes that no training label seen shows
    untested: Sequence[str] = ()  # classes that no test image shows
    fold: NonNegativeInt = 0  # of a cross-validation, whose images are in place of the split's; 0: of none
    folds: NonNegativeInt = 0  # how many it has

    @property
    def which(self) -> str:
        """Which of the trials of its label fraction it is, in words."""
        return f"fold {self.fold} of {self.folds}" if self.fold else f"seed {self.seed}"

    @property
    def unseen_note(self) -> str:
        """Say which classes cannot have been learned, "" where there is none: it belongs beside every score."""
        return (
            f"No training image shows {_listed(self.unseen)}, which cannot have been learned: "
            "where it is tested, recall is 0 or chance."
            if self.unseen
            else ""
        )

    @property
    def untested_note(self) -> str:
        """Say which classes no test image shows, and what the test scores make of them; "" where there is none."""
        return (
            f"No test image shows {_listed(self.untested)}: recall and AUROC are undefined there and the means leave "
            "them out; macro F1 leaves it out where it is never chosen, and counts an F1 of 0 where it is."
            if self.untested
            else ""
        )

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)


def _listed(classes: Sequence[str]) -> str:
    return shown_list([repr(name) for name in classes])
