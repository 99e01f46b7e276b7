"""Folds in place of the run's own split: who is tested where, and what the arms may know of it already."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cass_cli.config.schema import Config
from cass_cli.data.dataset import duplicate_pairs
from cass_cli.data.duplicates import cluster_numbers
from cass_cli.data.folds import Folds, alike_note, deal_folds, left_alone, rare_note, read_folds, with_alike
from cass_cli.data.labelled_images import LabelledData
from cass_cli.engine.finetuning.shared import Listener
from cass_cli.errors import RunError
from cass_cli.runs.directory import Run
from cass_cli.words import count

PRETRAINED = ("pretrained", "best", "averaged")  # starts that may have seen images of this run


def find_folds(
    config: Config, data: LabelledData, saved: Path | None, watch: Listener, *, look_for_leaks: bool
) -> Folds:
    """Read the folds back from `saved`, or deal them, and say what is worth knowing of them.

    With `look_for_leaks` the images are compared, for which each is decoded.
    """
    folds, settings = config.finetune.folds, config.finetune
    assert folds, "asked of a cross-validation"
    if saved:
        found, clusters = read_folds(saved, data, folds), None
    else:
        by_duplicates = config.data.split_by_duplicates
        compared = by_duplicates or (look_for_leaks and config.data.check_leaks)
        watch.doing("Dealing folds")
        pairs = duplicate_pairs(data.table, config.data) if compared else np.empty((0, 2), dtype=np.int64)
        clusters = cluster_numbers(pairs, len(data.table)) if by_duplicates else None
        fractions = config.data.fractions
        found = deal_folds(data, folds=folds, fractions=fractions, seed=settings.seed, clusters=clusters)
        found = with_alike(found, pairs, len(data.table)) if compared else found
    if note := alike_note(found):
        watch.warn(note)
    if alone := len(left_alone(data, clusters)):
        watch.note(f"{count(alone, 'image')} of the publisher's test split are left alone: no fold has them.")
    if note := rare_note(data, found):
        watch.note(note)
    return found


def leak_of(run: Run, config: Config, data: LabelledData, folds: Folds) -> str:
    """Say which tested images the arms were pretrained on, "" for none; raise `RunError` unless that is accepted.

    A pretraining sees the images of the run's training split, and none of their labels.
    """
    if config.finetune.init not in PRETRAINED:
        return ""
    seen = len(np.intersect1d(folds.rows, data.dataset.rows("train")))
    if not seen:
        return ""
    said = f"{run.path.name} was pretrained on {seen:,} of the {len(folds.rows):,} images that the folds test"
    if not config.finetune.pretrain_once:
        raise RunError(
            f"{said}, without their labels: that is not how well it does on images that are new to it.",
            hint="Start from ImageNet with --init-from imagenet; or take the pretraining as it is with "
            "--pretrain-once, which is then said beside the scores.",
        )
    return f"Pretrained once: {said} (without labels), so these scores may flatter."
