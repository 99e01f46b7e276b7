"""What is asked of a threshold, for which classes, and for patients among whom a class is how frequent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import nan

import numpy as np

from cass_cli.errors import ConfigError, did_you_mean
from cass_cli.scores.values import Floats
from cass_cli.words import shown, shown_list

EXAMPLE = "Examples: --operating-point sensitivity=0.95, --operating-point specificity=0.9, --operating-point youden"


@dataclass(frozen=True)
class Goal:
    """What a threshold shall do on validation images.

    `sensitivity` or `specificity`: reach `at_least`, and of the thresholds that do so the other of the two is highest.
    `youden`: have the highest sensitivity + specificity (Youden 1950, "Index for rating diagnostic tests").
    """

    measure: str
    at_least: float = nan

    def __str__(self) -> str:
        return self.measure if np.isnan(self.at_least) else f"{self.measure}={self.at_least:g}"


@dataclass(frozen=True)
class Asked:
    """The operating points that are wanted."""

    goals: tuple[Goal, ...] = ()
    positive: str | None = None  # the one class that is told of; None: the second of two, each of more
    prevalence: Mapping[str, float] = field(default_factory=dict)  # by class; "": of the one class that is told of

    def told(self, classes: Sequence[str], *, multilabel: bool) -> list[int]:
        """Return the places of the classes that are told of, each against the rest; raise `ConfigError` for no class.

        Of two classes that exclude each other one says all: the second, unless `positive` names the other.
        """
        if self.positive is not None:
            return [_place(self.positive, classes, "--positive")]
        return [1] if len(classes) == 2 and not multilabel else list(range(len(classes)))

    def note(self, classes: Sequence[str], told: Sequence[int]) -> str:
        """Return which class is the positive one, "" where each of several is."""
        if len(told) != 1 or len(classes) < 2:
            return ""
        why = "the second of two; --positive names the other" if self.positive is None else "as --positive says"
        return f"Positive class: {classes[told[0]]!r}, {why}."

    def assumed(self, classes: Sequence[str], told: Sequence[int]) -> Floats:
        """Return the prevalence [C] that is assumed of each class, NaN where none is; raise `ConfigError`."""
        found = np.full(len(classes), nan)
        for name, share in self.prevalence.items():
            if not name and len(told) > 1:
                raise ConfigError(
                    f"--prevalence {share:g} is of one class, and {len(told)} are told of.",
                    hint=f"Name it, as in --prevalence {shown(classes[told[0]])!r}={share:g}, or with --positive.",
                )
            at = _place(name, classes, "--prevalence") if name else told[0]
            if at not in told:
                raise ConfigError(
                    f"--prevalence is of {shown(name)!r}, and {shown(classes[told[0]])!r} is the positive class.",
                    hint=f"Give the prevalence of that class, or name the other with --positive {shown(name)!r}.",
                )
            found[at] = share
        return found


NOTHING = Asked()


def read_asked(
    goals: Sequence[str] | None = None, positive: str | None = None, prevalence: Sequence[str] | None = None
) -> Asked:
    """Read --operating-point, --positive and --prevalence; raise `ConfigError` for what is none of these."""
    if prevalence and not goals:
        raise ConfigError("--prevalence is of operating points, and none is asked for.", hint=EXAMPLE)
    shares = dict(_share(text) for text in prevalence or ())
    return Asked(tuple(dict.fromkeys(map(_goal, goals or ()))), positive, shares)


def _goal(text: str) -> Goal:
    measure, _, given = text.partition("=")
    if text == "youden":
        return Goal("youden")
    if measure not in ("sensitivity", "specificity") or not 0 < (value := _number(given)) <= 1:
        raise ConfigError(f"--operating-point {shown(text)} is none.", hint=EXAMPLE)
    return Goal(measure, value)


def _share(text: str) -> tuple[str, float]:
    name, _, given = text.rpartition("=")
    value = _number(given)
    if not 0 < value < 1:
        raise ConfigError(
            f"--prevalence {shown(text)} is no share of patients.",
            hint="It lies between 0 and 1, as in --prevalence 0.02, or --prevalence melanoma=0.02 of several classes.",
        )
    return name, value


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return nan


def _place(name: str, classes: Sequence[str], option: str) -> int:
    if name not in classes:
        raise ConfigError(
            f"{option} names {shown(name)!r}, which is no class.{did_you_mean(name, tuple(classes))}",
            hint=f"Classes: {shown_list(classes)}.",
        )
    return list(classes).index(name)
