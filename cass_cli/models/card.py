"""The card of an exported arm: the JSON beside its weights. No other file knows the keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NotRequired

from annotated_types import Len
from pydantic import AllowInfNan, FiniteFloat, NonNegativeInt, PositiveFloat, PositiveInt
from typing_extensions import TypedDict  # as pydantic asks for: that of Python 3.11 forgets what is not required

from cass_cli.config.schema import FitName
from cass_cli.data.views.spec import ImageSpec
from cass_cli.models.sealed import check_card
from cass_cli.saved import read_json, with_more


@with_more
class Options(TypedDict):
    """Arguments of timm.create_model."""

    num_classes: NonNegativeInt


class CardRecord(TypedDict):
    """The JSON, key by key."""

    model: str
    options: Options
    input_size: Annotated[Sequence[PositiveInt], Len(3, 3)]
    mean: Annotated[Sequence[FiniteFloat], Len(3, 3)]
    std: Annotated[Sequence[Annotated[PositiveFloat, AllowInfNan(False)]], Len(3, 3)]
    fit: NotRequired[FitName]
    classes: NotRequired[Sequence[str]]
    multilabel: NotRequired[bool]
    method: NotRequired[str]
    epochs: NotRequired[NonNegativeInt]
    averaged: NotRequired[bool]
    started_from: NotRequired[str]
    labels: NotRequired[NonNegativeInt]
    best_epoch: NotRequired[NonNegativeInt]


@dataclass(frozen=True)
class ArmCard:
    """What timm needs to build the arm again, how it takes images, and how it was trained.

    What follows the line is told of some arms only; a field added later needs a default.
    """

    model: str  # timm's name
    options: Mapping[str, Any]  # of timm.create_model
    spec: ImageSpec
    # ----
    classes: tuple[str, ...] = ()  # of a fine-tuned arm
    multilabel: bool | None = None
    method: str = "trained"  # of the pretraining; "none" without one
    epochs: int | None = None  # of a pretrained arm
    averaged: bool | None = None
    started_from: str | None = None
    labels: int | None = None  # that a fine-tuned arm saw
    best_epoch: int | None = None

    @property
    def outputs(self) -> int:
        outputs: int = self.options["num_classes"]
        return outputs

    @classmethod
    def from_dict(cls, value: CardRecord) -> ArmCard:
        """Read what `as_dict` returned, without what a later version may have added to it.

        Cards from before there was a choice of `fit` squash.
        """
        return cls(
            model=value["model"],
            options=value["options"],
            spec=ImageSpec(
                value["input_size"][-1], tuple(value["mean"]), tuple(value["std"]), value.get("fit", "squash")
            ),
            classes=tuple(value.get("classes", ())),
            **{key: value[key] for key in _OF_SOME if key in value},  # type: ignore[literal-required]
        )

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON values, without those that are not told of this arm."""
        spec = self.spec
        values = {
            "model": self.model,
            "options": dict(self.options),
            "input_size": [3, spec.size, spec.size],
            "mean": list(spec.mean),
            "std": list(spec.std),
            "fit": spec.fit,
            "classes": list(self.classes) or None,
            **{key: getattr(self, key) for key in _OF_SOME},
        }
        return {key: value for key, value in values.items() if value is not None}


_OF_SOME = ("multilabel", "method", "epochs", "averaged", "started_from", "labels", "best_epoch")


def read_card(path: Path) -> ArmCard:
    """Return what the JSON at `path` says; raise `RunError` if it is damaged."""
    found = read_json(path, CardRecord, hint="Restore it from a copy, or train the arm again.")
    check_card(path)
    return ArmCard.from_dict(found)
