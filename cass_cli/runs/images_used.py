"""What a report says of a run's images: how many of each class in each split, and what is known of leaks."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cass_cli.config.load import read_saved
from cass_cli.config.schema import Config
from cass_cli.data.splits import SPLITS, split_rows
from cass_cli.errors import RunError
from cass_cli.runs.directory import Run
from cass_cli.words import count

UNLABELLED = "(no label)"
SEPARATOR = ";"  # between the classes of one image in a splits.csv


@dataclass(frozen=True)
class ImagesUsed:
    """The images of a run, as its splits.csv has them."""

    split_sizes: Mapping[str, int]
    class_counts: Mapping[str, Mapping[str, int]]  # class → split → images
    several: bool  # an image may show several classes, and counts for each
    unreadable: int
    groups: int  # patients or lesions that are named
    leaking_groups: tuple[str, ...]
    leaks: str  # what is known of near-identical images in different splits, as a sentence
    leaks_found: bool  # True: a warning
    leaks_command: str  # measures them; "" where they have been measured

    @property
    def images(self) -> int:
        return sum(self.split_sizes.values())


def images_used(run: Run, config: Config | None, *, multilabel: bool | None, check_leaks: bool) -> ImagesUsed | None:
    """Read the run's splits.csv; None where it has none yet. `multilabel` None: told from the separators.

    With `check_leaks` the images themselves are compared, which needs them where the run had them, and its settings.
    Raises `CassError` where that is not to be had, or splits.csv is damaged.
    """
    if not run.splits.exists():
        return None
    rows = split_rows(run.splits)
    homes: dict[str, set[str]] = {}
    for row in rows:
        if row["group"]:
            homes.setdefault(row["group"], set()).add(row["split"])
    leaking = tuple(sorted(group for group, splits in homes.items() if len(splits - {""}) > 1))
    several = any(SEPARATOR in row["label"] for row in rows) if multilabel is None else multilabel
    said, found, command = _leaks(run, config, leaking, check_leaks=check_leaks)
    return ImagesUsed(
        split_sizes={split: sum(row["split"] == split for row in rows) for split in SPLITS},
        class_counts=_class_counts(rows, several=several),
        several=several,
        unreadable=sum(row["status"].startswith("unreadable") for row in rows),
        groups=len(homes),
        leaking_groups=leaking,
        leaks=said,
        leaks_found=found,
        leaks_command=command,
    )


def _class_counts(rows: Sequence[Mapping[str, str]], *, several: bool) -> dict[str, dict[str, int]]:
    """Return the images of each class in each split, classes in alphabetical order, those without a label last."""
    counts: Counter[tuple[str, str]] = Counter()
    for row in rows:
        labels = row["label"].split(SEPARATOR) if several else [row["label"]]
        counts.update((label or UNLABELLED, row["split"]) for label in labels)
    names = sorted({label for label, _ in counts}, key=lambda label: (label == UNLABELLED, label))
    return {label: {split: counts[label, split] for split in SPLITS} for label in names}


def _leaks(run: Run, config: Config | None, groups: Sequence[str], *, check_leaks: bool) -> tuple[str, bool, str]:
    """Return a sentence, whether it is a warning, and the command that measures what it leaves open."""
    if check_leaks:
        from cass_cli.data.dataset import find_dataset  # with it PyTorch, which a report can do without

        config = config or read_saved(run.config).config  # which tells what is wrong with them
        if config.data.path and not config.data.path.exists():
            raise RunError(
                f"The images of {run.path} are no longer at {config.data.path}, so leaks can't be measured.",
                hint="Put them back, or leave out --check-leaks.",
            )
        found = find_dataset(config.data, seed=config.train.seed, saved_splits=run.splits, check_leaks=True).warnings
        said = " ".join(found) or "Measured for this report: no image has a near-identical one in another split."
        return said, bool(found), ""
    command = f"cass report {shlex.quote(str(run.path))} --check-leaks"
    crossing = (
        f"{count(len(groups), 'group')} (patients or lesions) in several splits: scores will flatter. "
        if groups
        else ""
    )
    if config and config.data.split_by_duplicates and config.data.splits is None:
        return f"{crossing}Near-identical images were kept in one split when the run was made.", bool(groups), command
    return (
        f"{crossing}Near-identical images in different splits were not measured for this report.",
        bool(groups),
        command,
    )
