"""Errors meant for the person at the terminal.

A `CassError` is the only exception that `cli/` turns into a one-paragraph message and exit code 2.
Anything else is our own fault and keeps its traceback under `--debug`.
"""

from __future__ import annotations

from difflib import get_close_matches

LONGEST = 100  # characters of a name that may be a misspelled one: comparing takes the square of their number


class CassError(Exception):
    """Something the user can mend: what went wrong and where, then what to try."""

    def __init__(self, what: str, *, hint: str = "") -> None:
        super().__init__(what if not hint else f"{what}\n{hint}")
        self.what = what
        self.hint = hint


class ConfigError(CassError):
    """An unknown key, a value of the wrong kind, or settings that contradict each other."""


class DataError(CassError):
    """Missing, unreadable or contradictory images, labels or splits."""


class ModelError(CassError):
    """A model name, image size or weight file that does not fit."""


class RunError(CassError):
    """A run directory that is missing, in use, unfinished or damaged; or training that cannot go on."""


class Interrupted(Exception):  # noqa: N818 - not an error: the user asked for it
    """A run was stopped by a signal, after its state was saved; `exit_code` is 128 + the signal's number.

    `resume` is the command that goes on with it.
    """

    resume = ""

    def __init__(self, signal_number: int) -> None:
        super().__init__(f"stopped by signal {signal_number}")
        self.exit_code = 128 + signal_number


def did_you_mean(name: str, known: list[str] | tuple[str, ...]) -> str:
    """Return ` Did you mean 'x'?` for the closest of `known`, or an empty string."""
    close = get_close_matches(name, known, n=1, cutoff=0.6) if len(name) <= LONGEST else []
    return f" Did you mean '{close[0]}'?" if close else ""
