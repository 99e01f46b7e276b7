"""What the candidates of a finished fine-tuning answer to images: those of a split of its run, or others.

Shapes: N images, C classes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from cass_cli.config.load import Resolved
from cass_cli.config.schema import Config
from cass_cli.data.labelled_images import Images, LabelledData, decode, find_labelled
from cass_cli.data.store.store import ImageStore
from cass_cli.engine.compute import Compute, choose_compute
from cass_cli.engine.fastest import unless_measured_elsewhere
from cass_cli.engine.finetuning.tuned_arms import TunedArms, load_tuned
from cass_cli.engine.inference import store_logits
from cass_cli.errors import DataError, RunError
from cass_cli.runs.manifest import check_files
from cass_cli.runs.trials import Trial
from cass_cli.scores.judgement import probabilities_of
from cass_cli.scores.values import Floats
from cass_cli.words import shown_list

Progress = Callable[[str, int, int], None]  # what is done, how much of it, of how much


@dataclass(frozen=True)
class Answering:
    """Arms that can answer, and how images are read for them."""

    config: Config  # at the size that the arms look at
    compute: Compute
    arms: TunedArms


@dataclass(frozen=True)
class Answered:
    """What the candidates answer, and all that they were asked with."""

    by: Answering
    data: LabelledData
    images: Images
    rows: NDArray[np.int64]  # of the table: those that could be read [N]
    probabilities: Mapping[str, Floats]  # [N, C] by candidate, calibrated
    seconds: float  # that predicting took


def load_answering(resolved: Resolved, trial: Trial) -> Answering:
    """Load the arms of a finished trial whose files are as it left them; raise `RunError` where they are not."""
    for folder in (trial.variant.run.path, trial.variant.path):
        check_files(folder)
    config = unless_measured_elsewhere(resolved).config
    compute = choose_compute(config.train)
    arms = load_tuned(trial, compute)
    return Answering(config.at_size(arms.spec.size), compute, arms)


def find_taught(by: Answering, trial: Trial) -> LabelledData:
    """Return the labelled images of the run, of all splits; raise `RunError` where they show other classes by now."""
    data, classes = find_labelled(by.config, trial.variant.run.splits), by.arms.summary.classes
    if data.table.classes != classes:
        known, taught = (shown_list(names) for names in (data.table.classes, classes))
        differing = shown_list(sorted({*data.table.classes} ^ {*classes})) or "their order"
        raise RunError(
            f"The data show the classes {known}; the arms learned {taught}. They differ in {differing}.",
            hint="Point --data to the images that the run was made from, or fine-tune on these.",
        )
    return data


def answer(by: Answering, data: LabelledData, split: str, *, on_progress: Progress, what: str = "") -> Answered:
    """Let every candidate answer the labelled images that `data` has under the name `split`; there may be none.

    `on_progress` counts what is decoded, then what is predicted, both with `what` behind them.
    """
    decoding, predicting = (partial(on_progress, f"{doing} {what}".strip()) for doing in ("Decoding", "Predicting"))
    images = decode(data, data.rows[split], by.config, device=by.compute.device, on_progress=decoding)
    rows = images.readable(data.rows[split])
    began = time.monotonic()
    given = answers_from(by, images.store, images.of(rows), on_progress=predicting)
    return Answered(by, data, images, rows, given, time.monotonic() - began)


def answers_from(
    by: Answering, store: ImageStore, rows: Tensor, *, on_progress: Callable[[int, int], None]
) -> dict[str, Floats]:
    """Return what every candidate answers to these rows of the store, calibrated as validation had it: [N, C] each."""
    arms, judged = by.arms, by.arms.summary.judgement
    logits = store_logits(
        arms.readers, store, rows, spec=arms.spec, compute=by.compute, heads=arms.heads, on_progress=on_progress
    )
    return probabilities_of(logits, judged.temperatures, judged.weights, multilabel=arms.summary.multilabel)


def answer_split(resolved: Resolved, trial: Trial, split: str, *, on_progress: Progress) -> Answered:
    """Do all three for a split of the run; raise `DataError` where no image of it is labelled."""
    by = load_answering(resolved, trial)
    data = find_taught(by, trial)
    check_labelled(data, split)
    return answer(by, data, split, on_progress=on_progress)


def check_labelled(data: LabelledData, split: str) -> None:
    """Raise `DataError` where no image of the split is labelled."""
    if not len(data.rows[split]):
        raise DataError(
            f"The {split} split of {data.table.root} has no labelled image.", hint="Choose another --split."
        )
