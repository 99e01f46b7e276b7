"""What the text of a flag means, where it is more than one value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cass_cli.config.schema import ARM_NAMES, Data
from cass_cli.errors import ConfigError

READING = {  # settings that decide how a folder is read → their options
    "labels": "--labels",
    "layout": "--layout",
    "class_level": "--class-level",
    "image_column": "--image-column",
    "label_column": "--label-column",
    "label_separator": "--label-separator",
    "uncertain": "--uncertain",
    "group_column": "--group-column",
    "group_pattern": "--group-pattern",
    "split_column": "--split-column",
    "split_values": "--split-values",
    "missing": "--missing",
    "frames": "--frames",
    "slices": "--slices",
    "window": "--window",
    "channels": "--channels",
    "max_pixels": "--max-pixels",
    "max_file_mb": "--max-file-mb",
    "allow_outside": "--allow-outside",
}


def check_verify(*, verify: bool, resume: bool) -> None:
    """Raise `ConfigError` where --verify has nothing to compare with."""
    if verify and not resume:
        raise ConfigError("--verify compares with what a run was made from.", hint="Add --resume.")


def check_external(named: bool, split: str, of_it: Mapping[str, Any]) -> None:
    """Raise `ConfigError` where options of --external stand without it, or with a split, which it does not have."""
    given = [key for key, value in of_it.items() if value is not None]
    if given and not named:
        flag = READING.get(given[0].removeprefix("data."), "--" + given[0].removeprefix("data.").replace("_", "-"))
        raise ConfigError(f"{flag} is about images of another site.", hint="Name these with --external.")
    if named and split != "test":
        raise ConfigError(f"--external scores images that are in no split, and --split {split} those of the run.")


def weight_files(given: Sequence[str] | None, *, networks: Sequence[str] = ARM_NAMES) -> dict[str, str] | None:
    """Read `cnn=PATH`, `vit=PATH` and so on for `networks` of --weights; None where nothing was given."""
    if not given:
        return None
    pairs = [text.partition("=") for text in given]
    for name, _, path in pairs:
        if name not in networks or not path:
            forms = " or ".join(f"{network}=PATH" for network in networks)
            raise ConfigError(f"--weights {name} is not of the form {forms}.")
    return {name: path for name, _, path in pairs}


def split_files(given: Sequence[str] | None) -> dict[str, str] | None:
    """Read `test=FILE` of --split-list; None where nothing was given."""
    if not given:
        return None
    pairs = [text.partition("=") for text in given]
    for split, _, path in pairs:
        if split not in ("train", "val", "test") or not path:
            raise ConfigError(
                f"--split-list {split} is not of the form SPLIT=FILE.", hint="Example: --split-list test=test.txt"
            )
    return {split: path for split, _, path in pairs}


def reading_options(data: Data) -> list[str]:
    """Return the options, word by word, that make a command read a folder as these settings do."""
    words: list[str] = []
    for name, flag in READING.items():
        value = getattr(data, name)
        if value != getattr(Data(), name):
            listed = ",".join(f"{part:.15g}" for part in value) if isinstance(value, tuple) else str(value)
            words += [flag] if value is True else [flag, listed]
    return words + [word for split, path in data.split_lists.items() for word in ("--split-list", f"{split}={path}")]


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
