"""What a finished trial of a fine-tuning says of itself: its summary.json. No other file knows the keys."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from cass_cli.errors import RunError
from cass_cli.scores.judgement import Judgement
from cass_cli.words import shown_list


def read_summary(path: Path) -> TrialSummary:
    """Return what a trial's summary.json holds; raise `RunError` if it is damaged."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read: {error}.", hint="Fine-tune again.") from error
    try:
        return TrialSummary.from_dict(value)
    except (KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{path} is no summary of a fine-tuning.", hint="Fine-tune again.") from error


@dataclass(frozen=True)
class TrainedArm:
    """One arm of a trial."""

    model: str  # timm's name
    weights: str  # what it began with
    best_epoch: int  # 0 where it was not trained
    kept: str = "fine-tuned"  # or "probe": the arm as it was, with a head over its layers
    began: str = ""  # mark of the run's arm that it began with (`ancestry.py`); "": of none, or not known


@dataclass(frozen=True)
class TrialSummary:
    """What a trial was, what validation decided, and how it scores. A field added later needs a default."""

    run: str
    variant: str
    method: str  # of the pretraining; "none" without one
    init: str
    frozen: bool
    fraction: float
    seed: int
    labels: int  # training labels seen
    classes: tuple[str, ...]
    multilabel: bool
    metric: str
    epochs: int
    seconds: float
    device: str
    precision: str
    arms: Mapping[str, TrainedArm]
    judgement: Judgement
    images: Mapping[str, int]  # of the val and test splits
    test_digest: str  # equal for equal test splits
    validation: Mapping[str, Mapping[str, float | None]]  # candidate → metric → value, None: undefined
    test: Mapping[str, Mapping[str, float | None]]
    recipe: str = "paper"
    guard: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # by arm: what was kept, and why
    set_aside: Mapping[str, Mapping[str, Mapping[str, float | None]]] = field(default_factory=dict)
    """By arm and split: the scores of what was not kept, the fine-tuned arm or its probe."""
    unseen: Sequence[str] = ()  # classes that no training label seen shows
    untested: Sequence[str] = ()  # classes that no test image shows

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> TrialSummary:
        """Read what `as_dict` returned, without what a later version may have added to it.

        Raises `KeyError`, `TypeError` or `AttributeError` where something is missing or of another kind.
        """
        typed = {
            "classes": tuple(value["classes"]),
            "arms": {name: TrainedArm(**_known(TrainedArm, arm)) for name, arm in value["arms"].items()},
            "judgement": Judgement.from_dict(value["judgement"]),
        }
        return cls(**{**_known(cls, value), **typed})

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


def _known(kind: type[Any], value: Mapping[str, Any]) -> dict[str, Any]:
    return {field.name: value[field.name] for field in fields(kind) if field.name in value}
