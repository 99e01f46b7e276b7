"""The settings of a command that works on a run: the run's own, under what this command was told."""

from __future__ import annotations

from pathlib import Path

from cass_cli.config.load import Layer, Resolved, read_saved, resolve

_SAVED = "saved"


def settings_over(path: Path, layers: list[Layer]) -> Resolved:
    """Return the settings saved at `path` with those of `layers` over them; saved ones keep their origin."""
    saved = read_saved(path)
    base = Layer(_SAVED, {key: saved.value(key) for key in saved.origins})
    resolved = resolve([base, *layers])
    origins = {key: saved.origins[key] if origin == _SAVED else origin for key, origin in resolved.origins.items()}
    return Resolved(resolved.config, origins)
