"""The card of an exported arm: the JSON beside its weights. No other file knows the keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired

from annotated_types import Len
from pydantic import ConfigDict, Field, with_config
from typing_extensions import TypedDict  # as pydantic asks for: that of Python 3.11 forgets what is not required

from cass_cli.config.schema import Deviation, FitName, Mean
from cass_cli.data.views.spec import ImageSpec
from cass_cli.errors import RunError
from cass_cli.models.sealed import check_card
from cass_cli.saved import NonNegativeInt, read_json
from cass_cli.words import count

Side = Annotated[int, Field(ge=16, le=2048)]  # in pixels, as the settings have it


@with_config(ConfigDict(extra="forbid"))
class Options(TypedDict):
    """The arguments of timm.create_model that cass gives, and no others: some have timm read or fetch files."""

    num_classes: Annotated[int, Field(ge=0, le=1_000_000)]
    img_size: NotRequired[Side]
    output_stride: NotRequired[Literal[8, 16]]


class CardRecord(TypedDict):
    """The JSON, key by key."""

    model: str
    options: Options
    input_size: tuple[Literal[3], Side, Side]
    mean: Annotated[Sequence[Mean], Len(3, 3)]
    std: Annotated[Sequence[Deviation], Len(3, 3)]
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


HINT = "Restore it from a copy, or train the arm again."
_OF_SOME = ("multilabel", "method", "epochs", "averaged", "started_from", "labels", "best_epoch")


def read_card(path: Path) -> ArmCard:
    """Return what the JSON at `path` says; raise `RunError` if it is damaged."""
    found = read_json(path, CardRecord, hint=HINT)
    check_card(path)
    if wrong := _amiss(found):
        raise RunError(f"{path} is damaged: {wrong}.", hint=HINT)
    return ArmCard.from_dict(found)


def _amiss(found: CardRecord) -> str:
    """Return what in a card does not fit together, "" where all does."""
    options, (_, height, width) = found["options"], found["input_size"]
    outputs, classes = options["num_classes"], found.get("classes", ())
    if height != width or options.get("img_size", width) != width:
        return f"images of {height} × {width} for a network of {options.get('img_size', width)}"
    if classes and len(classes) != outputs:
        return f"{count(len(classes), 'class', 'classes')} for {count(outputs, 'output')}"
    if len(set(classes)) < len(classes):
        return "classes of the same name"
    return ""
