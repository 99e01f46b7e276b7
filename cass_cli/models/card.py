"""The card of an exported arm: the JSON beside its weights. No other file knows the keys."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cass_cli.config.schema import FIT_NAMES, FitName
from cass_cli.data.views.spec import ImageSpec


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
        return int(self.options["num_classes"])

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> ArmCard:
        """Read what `as_dict` returned, without what a later version may have added to it.

        Raises `KeyError`, `TypeError` or `ValueError` where something is missing or of another kind.
        """
        return cls(
            model=str(value["model"]),
            options=dict(value["options"]),
            spec=ImageSpec(int(value["input_size"][-1]), tuple(value["mean"]), tuple(value["std"]), _fit(value)),
            classes=tuple(value.get("classes", ())),
            **{key: value[key] for key in _OF_SOME if key in value},
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


def _fit(value: Mapping[str, Any]) -> FitName:
    """Return how images are brought to a square: by squashing them, in cards from before there was a choice."""
    fit: FitName = value.get("fit", "squash")
    if fit not in FIT_NAMES:
        raise ValueError(f"it takes images by '{fit}', which this version does not know")
    return fit


def read_card(path: Path) -> ArmCard:
    """Return what the JSON at `path` says; raises what reading and `ArmCard.from_dict` do."""
    return ArmCard.from_dict(json.loads(path.read_text(encoding="utf-8")))
