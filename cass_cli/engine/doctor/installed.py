"""What is installed: versions, extras, what is older than cass asks for, and what cannot be imported.

Nothing heavy is imported at the top: where PyTorch is broken, this is what says so.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement
from packaging.version import Version

from cass_cli import __version__
from cass_cli.places import without_places
from cass_cli.words import shown

DISTRIBUTION = "cass-cli"
FOR_DEVELOPERS = ("dev", "docs")  # extras that no command needs
IMPORTED = ("numpy", "torch", "torchvision", "timm")  # what is large, and breaks: in this order
TOLD = (
    *("torch", "torchvision", "timm", "huggingface-hub", "safetensors", "numpy", "scipy", "scikit-learn", "pandas"),
    *("pillow", "pydantic", "matplotlib", "typer", "rich"),
)
LONGEST = 200  # characters of an error


@dataclass(frozen=True)
class Installed:
    """What is installed beside cass."""

    cass: str
    python: str
    versions: Mapping[str, str | None]  # None: it is not there
    extras: Mapping[str, bool]
    outdated: tuple[str, ...]  # what is missing or out of the range that cass asks for, in words
    broken: Mapping[str, str]  # what cannot be imported, and what it says


def installed() -> Installed:
    """Look what is installed, and import what is most likely to be broken."""
    asked = [Requirement(text) for text in _requires()]
    needed = [one for one in asked if not _extra(one)]
    extras: dict[str, bool] = {}
    for one in asked:
        if (extra := _extra(one)) and extra not in FOR_DEVELOPERS:
            extras[extra] = extras.get(extra, True) and not _complaint(one)
    return Installed(
        cass=__version__,
        python=platform.python_version(),
        versions={name: _version(name) for name in TOLD},
        extras=extras,
        outdated=tuple(filter(None, map(_complaint, needed))),
        broken={name: why for name in IMPORTED if (why := _why_broken(name))},
    )


def _requires() -> list[str]:
    try:
        return requires(DISTRIBUTION) or []
    except PackageNotFoundError:  # cass runs out of a folder
        return []


def _extra(one: Requirement) -> str:
    """Return the extra that asks for something, "" where cass itself does."""
    found = str(one.marker or "").partition('extra == "')[2]
    return found.partition('"')[0]


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _complaint(one: Requirement) -> str:
    """Return what is wrong with an installed package, "" where it is as asked for."""
    found = _version(one.name)
    if found is None:
        return f"{one.name} is not installed"
    if not one.specifier.contains(Version(found), prereleases=True):
        return f"{one.name} is {found}, and cass asks for {one.specifier}"
    return ""


def _why_broken(name: str) -> str:
    try:
        import_module(name)
    except Exception as error:  # libraries fail in many ways while they are loaded
        lines = str(error).strip().splitlines() or [""]
        return shown(without_places(f"{type(error).__name__}: {lines[0]}"), LONGEST)
    return ""
