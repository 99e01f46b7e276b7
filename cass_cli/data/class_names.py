"""Other people's labels in the classes that a run knows.

Shapes: N images, C classes of the run.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from unicodedata import normalize

import numpy as np

from cass_cli.data.sample_table import SampleTable
from cass_cli.data.splits import Labels
from cass_cli.errors import ConfigError, DataError, did_you_mean
from cass_cli.words import count, shown, shown_list


@dataclass(frozen=True)
class Matched:
    """Labels as the run would have given them, and which class was taken for which."""

    labels: Labels  # as `SampleTable.labels`, in the classes of the run
    pairs: tuple[tuple[str, str], ...]  # theirs, ours
    only_theirs: tuple[str, ...]  # classes that the run does not know
    only_ours: tuple[str, ...]  # classes that these images do not name
    notes: tuple[str, ...]


def match_classes(table: SampleTable, classes: Sequence[str], *, multilabel: bool, given: Mapping[str, str]) -> Matched:
    """Return the labels of `table` in `classes`, those of the run.

    Names match whatever their capitals, and whether words are parted by spaces, hyphens or underscores; `given` says of
    others, theirs → ours, and goes before. Several of theirs may be one of ours. An image whose class the run does not
    know has no label then. Where the run lets an image show several classes and these do not, each shows its one; where
    it is the other way round, only images of exactly one class have a label.

    Raises ConfigError where `given` names what is not there, DataError where no class matches or nothing is labelled.
    """
    if table.labels is None:
        raise DataError(
            f"The images in {shown(str(table.root))} have no labels to compare with.",
            hint="Put them in one folder a class, or name a CSV with --labels.",
        )
    home = _homes(table.classes, classes, given)
    pairs = tuple((name, classes[c]) for name, c in zip(table.classes, home, strict=True) if c >= 0)
    if not pairs:
        raise DataError(
            f"No class of {shown(str(table.root))} ({shown_list(table.classes)}) is one that the arms learned "
            f"({shown_list(classes)}).",
            hint="Say which is which, once a class: --map-class THEIRS=OURS",
        )
    labels, notes = _labels(table.labels, home, len(classes), multilabel=multilabel)
    only_theirs = tuple(name for name, c in zip(table.classes, home, strict=True) if c < 0)
    only_ours = tuple(name for c, name in enumerate(classes) if c not in home)
    if only_theirs:
        lost = 0 if multilabel else int(((labels < 0) & _has_label(table.labels)).sum())
        left_out = f"; {count(lost, 'image')} left out" if lost else ""
        notes.append(f"Classes that the arms have not learned: {shown_list(only_theirs)}{left_out}.")
    if only_ours:
        notes.append(f"Classes that these images do not name, and say nothing of: {shown_list(only_ours)}.")
    renamed = [f"{theirs} → {ours}" for theirs, ours in pairs if theirs != ours]
    if renamed:
        notes.append(f"Taken for one of ours: {shown_list(renamed)}.")
    return Matched(labels, pairs, only_theirs, only_ours, tuple(notes))


def class_pairs(given: Sequence[str]) -> dict[str, str]:
    """Read `theirs=ours` of --map-class; raise ConfigError for another form, or a class of theirs given twice."""
    found: dict[str, str] = {}
    for text in given:
        theirs, equals, ours = text.rpartition("=")
        if not equals or not theirs or not ours:
            raise ConfigError(f"--map-class {shown(text)} is not of the form THEIRS=OURS.")
        if found.get(theirs, ours) != ours:
            raise ConfigError(f"--map-class says of '{shown(theirs)}' that it is {shown_list([found[theirs], ours])}.")
        found[theirs] = ours
    return found


def _homes(theirs: Sequence[str], ours: Sequence[str], given: Mapping[str, str]) -> list[int]:
    """Return for each of their classes the number of ours, −1 for none."""
    for name, mapped in given.items():
        for asked, known, whose in ((name, theirs, "these images have"), (mapped, ours, "the arms learned")):
            if asked not in known:
                raise ConfigError(
                    f"--map-class {shown(name)}={shown(mapped)}: '{shown(asked)}' is no class that {whose}."
                    f"{did_you_mean(asked, tuple(known))}",
                    hint=f"They are: {shown_list(known)}",
                )
    places = {_plain(name): c for c, name in enumerate(ours)} | {name: c for c, name in enumerate(ours)}
    return [places.get(given.get(name, name), places.get(_plain(name), -1)) for name in theirs]


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", " ", normalize("NFKC", name)).strip().casefold()


def _has_label(labels: Labels) -> np.ndarray:
    return np.asarray((labels == 1).any(axis=1) if labels.ndim == 2 else labels >= 0)


def _labels(labels: Labels, home: Sequence[int], classes: int, *, multilabel: bool) -> tuple[Labels, list[str]]:
    """Return the labels with their classes renumbered, in the form that the run has, and what was decided."""
    places = np.array(home)
    if labels.ndim == 1:
        single = np.where(labels >= 0, places[labels], -1)
        if not multilabel:
            return single, []
        one = np.zeros((len(labels), classes), dtype=np.int8)
        one[np.flatnonzero(single >= 0), single[single >= 0]] = 1
        one[labels < 0] = -1
        one[:, np.setdiff1d(np.arange(classes), places)] = -1
        return one, ["Each image is taken to show its one class, and none of the others that these images name."]
    if multilabel:
        many = np.full((len(labels), classes), -1, dtype=np.int8)
        for c in np.unique(places[places >= 0]):
            merged = labels[:, places == c]  # one of them shown: shown; else one of them unknown: unknown
            many[:, c] = np.where((merged == 1).any(axis=1), 1, merged.min(axis=1))
        return many, []
    chosen = np.where((labels == 1).sum(axis=1) == 1, places[(labels == 1).argmax(axis=1)], -1)
    left = int(((labels == 1).sum(axis=1) != 1).sum())
    return chosen, [f"{count(left, 'image')} without exactly one class left out."] if left else []
