"""Whether a fine-tuning began with the arms that its run has now: a run can be pretrained further after it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from cass_cli.runs.names import variant_flags
from cass_cli.runs.summary import TrialSummary
from cass_cli.runs.trials import Trial, Variant
from cass_cli.words import count

LOOKED_AT = 2**20  # bytes at either end of a file


def mark_of(weights: Path) -> str:
    """Return what tells a file of weights from others, "" where there is none that can be read.

    It is a digest of the file's length, beginning and end: training moves every weight, and a table of many
    fine-tunings need not read hundreds of megabytes for each.
    """
    try:
        with weights.open("rb") as file:
            length = file.seek(0, os.SEEK_END)
            digest = hashlib.blake2b(str(length).encode(), digest_size=8)
            for start in (0, max(0, length - LOOKED_AT)):
                file.seek(start)
                digest.update(file.read(LOOKED_AT))
    except OSError:
        return ""
    return digest.hexdigest()


def older_than_arms(trial: Trial, summary: TrialSummary) -> tuple[str, ...]:
    """Return those arms of a finished trial whose pretrained arm in the run is no longer the one that it began with.

    None where it began elsewhere, was made before marks were kept, or the run's arm is gone.
    """
    if summary.init not in ("pretrained", "best", "averaged"):
        return ()
    now = {name: mark_of(trial.variant.run.arm(name, averaged=summary.init == "averaged")) for name in summary.arms}
    return tuple(name for name, arm in summary.arms.items() if arm.began and now[name] not in ("", arm.began))


def older_notes(trials: Iterable[Trial]) -> list[str]:
    """Return a sentence for each fine-tuning of which some of `trials` are older than the arms of its run."""
    by_variant: dict[Variant, list[bool]] = {}
    for trial in trials:
        by_variant.setdefault(trial.variant, []).append(bool(older_than_arms(trial, trial.summary())))
    return [older_note(variant, sum(older), len(older)) for variant, older in by_variant.items() if any(older)]


def older_note(variant: Variant, older: int, trials: int) -> str:
    """Say that so many of the trials are older than the run's arms, and what makes them again."""
    share = "" if older == trials else f" ({older} of {count(trials, 'trial')})"
    return (
        f"{variant.path} is older than the arms of its run{share}, which were pretrained further or replaced since. "
        f"Make it again: cass finetune --resume --overwrite{variant_flags(variant)}"
    )
