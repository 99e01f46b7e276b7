"""Did the pretraining help? Where there are labels, each arm's probe before and after it, on validation images.

The probe is that of `cass finetune` (`engine/heads.py`), on all training labels: of each arm, of both (`joint`), and
the mean of the arms' answers. Features are kept in the run, so that a fine-tuning need not read the images again. The
test split is decoded beside the others, as features are read by whole batches, and never scored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import isnan
from typing import Any, Protocol

import numpy as np
import torch

from cass_cli.config.schema import Config, StartName
from cass_cli.data.labelled_images import check_trainable, decode, find_labelled
from cass_cli.data.space import fits_in_memory
from cass_cli.data.views.spec import spec_of
from cass_cli.engine.compute import Compute
from cass_cli.engine.features import Reading, batches_with, features_of
from cass_cli.engine.heads import fit_heads, head_logits
from cass_cli.engine.memory import lacks_memory
from cass_cli.engine.signals import StopRequest
from cass_cli.engine.starting_arms import at_start, known_starts, starting_body
from cass_cli.errors import CassError, DataError, Interrupted, RunError
from cass_cli.models.arms import Arm
from cass_cli.models.layers import arm_features
from cass_cli.runs.directory import Run
from cass_cli.scores.bootstrap import Estimate
from cass_cli.scores.calibration import to_probabilities, with_mean
from cass_cli.scores.metrics import paired_difference
from cass_cli.scores.values import Floats, metric_values

BYTES = 24  # of each feature of each image: as it is read, then copied in fp64 for a regression
GAINED, LOST, UNCLEAR = "gained", "lost", "no clear change"


@dataclass(frozen=True)
class Advice:
    """What the probes on validation images say, by candidate: each arm and, where there are two, mean and joint."""

    metric: str
    labels: int  # of training images
    images: int  # of the validation split
    before: Mapping[str, float]
    after: Mapping[str, float]
    change: Mapping[str, Estimate]  # after − before, with its paired 95 % interval over validation images

    def verdict(self, candidate: str) -> str:
        """Say whether the pretraining helped, where its interval leaves no doubt."""
        change = self.change[candidate]
        return GAINED if change.low > 0 else LOST if change.high < 0 else UNCLEAR

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        told = {name: {**change.as_dict(), "verdict": self.verdict(name)} for name, change in self.change.items()}
        scores = {
            key: {name: None if isnan(value) else value for name, value in of.items()}
            for key, of in (("before", self.before), ("after", self.after))
        }
        return {**asdict(self), **scores, "change": told}


class Watcher(Protocol):
    """Told what is read, and why nothing could be compared."""

    def note(self, text: str) -> None: ...
    def decoding(self, done: int, total: int) -> None: ...
    def reading(self, done: int, total: int) -> None: ...


def try_to_advise(run: Run, config: Config, compute: Compute, stop: StopRequest, watch: Watcher) -> Advice | None:
    """Return what `advise` finds, None where it was not asked for or, with a note, where it cannot be done.

    The arms of `run` are saved by then, so that nothing that happens here is an error of its pretraining.
    """
    if not config.train.advice or not known_starts(config):
        return None
    try:
        return advise(run, config, compute, stop, on_decoding=watch.decoding, on_reading=watch.reading)
    except CassError as error:
        why = error.what
    except Interrupted:
        why = "Stopped before it was done."
    except Exception as error:
        if not lacks_memory(error):
            raise
        why = "There is not enough memory for it."
    watch.note(f"The arms were not compared with what they began as: {why}")
    return None


def advise(
    run: Run,
    config: Config,
    compute: Compute,
    stop: StopRequest,
    *,
    on_decoding: Callable[[int, int], None],
    on_reading: Callable[[int, int], None],
) -> Advice:
    """Compare the arms that `run` saved with those that it began with, on the labels of its images.

    Raises `DataError` where there is nothing to compare on, `RunError` where it cannot be done, and `Interrupted` for
    `stop` between two batches.
    """
    arms = known_starts(config)
    data = find_labelled(config, run.splits)
    check_trainable(data, data.rows["train"])
    rows = np.concatenate([data.rows["train"], data.rows["val"]])
    decoded = np.concatenate(list(batches_with(data, rows).values()))
    images = decode(data, decoded, config, device=compute.device, on_progress=on_decoding)
    train, val = (images.readable(data.rows[split]) for split in ("train", "val"))
    if not len(val):
        raise DataError("There are no validation images.")
    _check_memory([starting_body(run, at_start(config, "imagenet"), name, seed=0) for name in arms], config, len(rows))
    reading = Reading(spec_of(config.data), config.finetune.layers, config.finetune.mirrored)
    multilabel = data.table.multilabel

    def probe(start: StartName) -> dict[str, Floats]:
        """Return probabilities [N, C] of the validation images by candidate."""
        found = features_of(
            run.features,
            {name: starting_body(run, at_start(config, start), name, seed=0).model for name in arms},
            data,
            images,
            np.concatenate([train, val]),
            reading,
            compute,
            stop=stop,
            on_progress=on_reading,
        )
        if not all(np.isfinite(features.values).all() for features in found.values()):
            raise RunError(
                f"An arm as {'it is' if start == 'pretrained' else 'it was'} gives features that are not finite."
            )
        heads = fit_heads(
            found,
            train,
            data.labels[train],
            data.table.classes,
            reading,
            groups=data.groups(train),
            joint=True,
            seed=config.train.seed,
        )
        logits = head_logits(heads, found, val)
        return with_mean({name: to_probabilities(given, multilabel=multilabel) for name, given in logits.items()})

    now, then = probe("pretrained"), probe("imagenet")
    metric = "average_precision" if multilabel else "macro_f1"  # of which thresholds are no part
    labels, groups = data.labels[val], data.groups(val)

    def values(of: Mapping[str, Floats]) -> dict[str, float]:
        ones = [np.ones((1, len(val)))]
        return {
            name: float(metric_values(labels, given, ones, ranking=multilabel)[metric][0]) for name, given in of.items()
        }

    change = {
        name: paired_difference(metric, labels, (now[name], None), (then[name], None), groups=groups) for name in now
    }
    return Advice(metric, len(train), len(val), values(then), values(now), change)


def _check_memory(arms: Sequence[Arm], config: Config, images: int) -> None:
    """Raise `RunError` where a regression on what the arms know of so many images does not fit into memory."""
    image = torch.zeros(1, 3, config.data.image_size, config.data.image_size)
    with torch.inference_mode():
        widths = [arm_features(arm.model.eval(), image, layers=config.finetune.layers)[0].shape[1] for arm in arms]
    needed = BYTES * images * sum(widths)
    if not fits_in_memory(needed):
        raise RunError(f"It would take {needed / 2**30:.1f} GiB of memory, which is more than may be taken.")
