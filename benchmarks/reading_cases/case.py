"""What a case is: a folder drawn small, the commands a user tries first, and which answers are right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .draw import Draw

# A word that must be in an answer, or several of which one must be.
Word = str | tuple[str, ...]

NO_GROUPS_KNOWN: Word = ("--group-pattern", "--group-column", "none known")


@dataclass(frozen=True)
class Reads:
    """The folder is read so. With `told`, this reading is less than right, and those words must stand beside it.

    `labels` names the view of the labels (see `Draw.image`) that the classes must equal image by image; None is
    "unlabelled". Publishers' splits and groups must be kept wherever they were drawn, unless said otherwise.
    """

    labels: str | None = "label"
    multilabel: bool | None = False  # None: either
    splits: bool = True
    groups: str = "known"  # or "told": unknown is right where it is said; or "free"
    lacking: bool = False  # images of the truth may be left out
    told: tuple[Word, ...] = ()
    say: tuple[Word, ...] = ()  # words that a right reading needs as well


@dataclass(frozen=True)
class Stops:
    """The command ends with exit code 2, or 1 where it reads but would not train, and says these words."""

    words: tuple[Word, ...] = ()


@dataclass(frozen=True)
class Ends:
    """The command ends with this exit code and says these words: for commands other than `inspect`."""

    code: int = 0
    words: tuple[Word, ...] = ()


Answer = Reads | Stops | Ends


@dataclass(frozen=True)
class Try:
    """One command. `options` follow the folder; "{root}" is where it was drawn, `at` a folder in it to give instead."""

    options: tuple[str, ...]
    accepts: tuple[Answer, ...]
    at: str = ""
    command: str = "inspect"


@dataclass(frozen=True)
class Case:
    """A layout, where it is from (a page, a repository, or a script of shared/cases), and what is tried on it."""

    name: str
    source: str
    draw: Callable[[Draw], None]
    tries: tuple[Try, ...]
    about: str = ""  # what goes wrong, in a line


def folder_only(*accepts: Answer, at: str = "") -> Try:
    """Return the first thing anyone tries: the folder and nothing else."""
    return Try((), accepts, at=at)


def with_options(options: str, *accepts: Answer, at: str = "", command: str = "inspect") -> Try:
    """Return a try with options, parted by blanks; "␣" stands for a blank within one."""
    return Try(tuple(part.replace("␣", " ") for part in options.split()), accepts, at=at, command=command)


def passed_over(*tables: str) -> tuple[Answer, ...]:
    """Return what is right besides a reading where such tables lie in the folder: to name one and stop, or to name it.

    Unlabelled is a right reading only where the table that was not read is named.
    """
    return Stops((tables,)), Reads(None, splits=False, groups="free", multilabel=None, told=(tables,))
