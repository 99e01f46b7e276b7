"""What is asked of an embedding: of which network, which layers, of which images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cass_cli.config.flags import READING
from cass_cli.config.load import Layer, Resolved, read_saved
from cass_cli.config.schema import Data
from cass_cli.engine.finetuning.external import external_data
from cass_cli.errors import ConfigError
from cass_cli.runs.directory import Run, settings_over
from cass_cli.runs.names import Named
from cass_cli.runs.trials import Trial, variants_of


@dataclass(frozen=True)
class Asked:
    """Which networks are asked, and what of them."""

    arm: str | None = None  # None: both
    averaged: bool = False
    layers: int | None = None  # the last so many together; None: as many as a probe reads
    layer: int | None = None  # this one alone, counted from the last, which is 1
    mirrored: bool | None = None  # None: as a probe reads


def whose(named: Named, variant: str | None) -> Run | Trial:
    """Return whose arms are asked: a fine-tuning's where one is named or the run has no other, else the run's."""
    pretrained = any(named.run.arms.glob("*.safetensors"))
    if named.variant or variant or (not pretrained and variants_of(named.run)):
        return named.trial(variant)
    return named.run


def settings_of(of: Run | Trial, layer: Layer) -> Resolved:
    """Return the settings that the arms were made with, and `layer` over them."""
    config = of.variant.config if isinstance(of, Trial) else of.config
    return settings_over(config, [layer]) if layer.values else read_saved(config)


def elsewhere(home: Data, layer: Layer) -> Data:
    """Return how images that are not the run's are read: as any folder, made into pixels as at home."""
    return external_data(home, layer, splits=True)


def check_asked(asked: Asked) -> None:
    """Raise `ConfigError` where --layers and --layer contradict each other."""
    if asked.layers is not None and asked.layer is not None:
        raise ConfigError(
            "--layers takes several layers together, and --layer one alone.", hint="Leave one of the two out."
        )


def check_reading(images: object, given: Mapping[str, Any]) -> None:
    """Raise `ConfigError` where options say how a folder is read, and none is named."""
    keys = [key.removeprefix("data.") for key, value in given.items() if value is not None]
    if images is None and keys:
        flag = READING.get(keys[0], "--" + keys[0].removesuffix("s").replace("_", "-"))
        raise ConfigError(f"{flag} is about images that are not the run's.", hint="Name their folder.")


def check_similarity(asked: float | None, *, neighbourhood: bool) -> None:
    """Raise `ConfigError` where near-duplicates are told which they are, and are not looked for."""
    if asked is not None and not neighbourhood:
        raise ConfigError("--duplicate-similarity is about near-duplicates.", hint="Leave --no-neighbourhood out.")
