"""What was asked of `cass tile`, read from words."""

from __future__ import annotations

from cass_cli.data.slides.reader import Resolution
from cass_cli.engine.tiling.job import FORMATS
from cass_cli.errors import ConfigError, did_you_mean
from cass_cli.words import shown

USUAL = 20.0  # ×: what most published encoders of pathology saw
BASE = "base"


def asked_resolution(magnification: str | None, mpp: float | None) -> Resolution:
    """Return what tiles show; raises `ConfigError` for two answers, and for what is neither a number nor "base"."""
    if mpp is not None:
        if magnification is not None:
            raise ConfigError("--magnification and --mpp say the same thing.", hint="Give one of them: 20× is 0.5 µm.")
        if not 0 < mpp < float("inf"):
            raise ConfigError(f"--mpp {mpp:g} is no size of a pixel.", hint="In µm: 0.25 is 40×, 0.5 is 20×.")
        return Resolution(mpp=mpp)
    if magnification is None:
        return Resolution(USUAL)
    if magnification.strip().lower() == BASE:
        return Resolution()
    try:
        power = float(magnification.strip().lower().rstrip("x×"))
    except ValueError:
        power = 0.0
    if not 0 < power < float("inf"):
        raise ConfigError(
            f"--magnification {shown(magnification)} is no magnification.",
            hint="A number, as 20; or base: all there is.",
        )
    return Resolution(power)


def asked_format(ending: str) -> str:
    """Return the ending of tiles; raises `ConfigError` for a format that they are not written in."""
    known = {**{name: name for name in FORMATS}, "jpeg": "jpg"}
    if ending.lower().lstrip(".") not in known:
        raise ConfigError(
            f"Tiles are not written as '{shown(ending)}'.{did_you_mean(ending, tuple(FORMATS))}",
            hint=f"--format: {' or '.join(FORMATS)}.",
        )
    return known[ending.lower().lstrip(".")]
