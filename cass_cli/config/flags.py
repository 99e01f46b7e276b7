"""What the text of a flag means, where it is more than one value."""

from __future__ import annotations

from collections.abc import Sequence

from cass_cli.config.schema import ARM_NAMES
from cass_cli.errors import ConfigError


def weight_files(given: Sequence[str] | None) -> dict[str, str] | None:
    """Read `cnn=PATH` and `vit=PATH` of --weights; None where nothing was given."""
    if not given:
        return None
    pairs = [text.partition("=") for text in given]
    for arm, _, path in pairs:
        if arm not in ARM_NAMES or not path:
            raise ConfigError(f"--weights {arm} is not of the form cnn=PATH or vit=PATH.")
    return {arm: path for arm, _, path in pairs}


def label_fractions(text: str | None) -> list[float] | None:
    """Read `0.01,0.1,1` of --label-fraction; None where nothing was given."""
    if text is None:
        return None
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise ConfigError(
            f"--label-fraction {text!r} is no list of numbers.", hint="Example: --label-fraction 0.01,0.1,1"
        ) from None
