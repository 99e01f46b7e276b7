"""Training labels that may be wrong: asked of the frozen arms that a trial started from, out of fold.

Only labels that the trial saw are judged. Shapes: n labelled images, C classes, S side in pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from cass_cli.data.labelled_images import decode
from cass_cli.data.splits import Labels, label_subset
from cass_cli.engine.features import batches_with, features_of
from cass_cli.engine.finetuning.answers import Answered
from cass_cli.engine.finetuning.shared import reading_of
from cass_cli.engine.reviewing.out_of_fold import out_of_fold
from cass_cli.engine.signals import StopRequest
from cass_cli.engine.starting_arms import at_start, starting_body
from cass_cli.models.arms import Arm
from cass_cli.runs.trials import Trial, trial_at
from cass_cli.scores.label_noise import LabelNoise, Suspect, label_noise
from cass_cli.scores.values import Floats
from cass_cli.seeds import trial_seed


@dataclass(frozen=True)
class Doubted:
    """An image whose label may be wrong."""

    image: str
    given: str
    suggested: str
    margin: float  # −1 … 0, see `Suspect`
    given_probability: float
    suggested_probability: float
    pixels: NDArray[np.uint8]  # [3, S, S]


@dataclass(frozen=True)
class LabelCheck:
    """What the training labels of a trial look like to a model that has not seen them."""

    doubted: tuple[Doubted, ...]  # those most worth a look first
    candidates: int  # in all
    labels: int  # that were seen by the trial: images; multi-label: known cells
    judged: int
    wrong: float  # of those judged, estimated


def check_labels(
    trial: Trial, asked: Answered, *, most: int, on_progress: Callable[[str, int, int], None]
) -> LabelCheck:
    """Judge the labels that `trial` saw, and show `most` of those that may be wrong.

    The features of frozen arms are those that a probe keeps in the run, and are read where it has none. Raises
    `ModelError` where what the arms started from is not to be had any more.
    """
    data, config, compute = asked.data, asked.by.config, asked.by.compute
    subset = label_subset(data.labels, data.rows["train"], fraction=trial.fraction, seed=trial_seed(trial.seed))
    bodies = _bodies(trial, asked)
    whole = np.concatenate(list(batches_with(data, subset).values()))
    images = decode(data, whole, config, device=compute.device, on_progress=partial(on_progress, "Decoding labels"))
    rows = images.readable(subset)
    features = features_of(
        trial.variant.run.features,
        {name: body.model for name, body in bodies.items()},
        data,
        images,
        rows,
        reading_of(config),
        compute,
        stop=StopRequest(),
        on_progress=partial(on_progress, "Reading features"),
    )
    labels, classes = data.labels[rows], data.table.classes
    probabilities, judged = out_of_fold(
        np.concatenate([found.of(rows) for found in features.values()], axis=1),
        labels,
        len(classes),
        widths=[width for found in features.values() for width in found.widths],
        groups=data.groups(rows),
        seed=trial_seed(trial.seed),
        on_progress=partial(on_progress, "Judging labels"),
    )
    found, at = _noise(labels, probabilities, judged)
    shown = found.suspects[:most]
    pixels = images.store.batch(images.of(rows[[at[s.row] for s in shown]]), compute.device).cpu().numpy()
    return LabelCheck(
        doubted=tuple(
            _doubted(s, data.table.names[rows[at[s.row]]], probabilities[at[s.row]], classes, picture, labels.ndim == 2)
            for s, picture in zip(shown, pixels, strict=True)
        ),
        candidates=len(found.suspects),
        labels=int((labels >= 0).sum()),
        judged=found.judged,
        wrong=found.wrong,
    )


def _bodies(trial: Trial, asked: Answered) -> dict[str, Arm]:
    """Return what the arms of a trial started from; of an average, those of the first that it averages.

    They are built as for the probe, also what it does not read (a head that a file lacks), so that its features serve.
    """
    members = asked.by.arms.summary.members
    first = trial_at(trial.variant.run, next(iter(members.values())).place) if members else trial
    summary, run = first.summary(), trial.variant.run
    starts = {name: of.start or summary.init for name, of in summary.arms.items()}
    return {
        name: starting_body(
            run, at_start(asked.by.config, start), name, seed=trial_seed(first.seed) if start == "random" else 0
        )
        for name, start in starts.items()
    }


def _noise(labels: Labels, probabilities: Floats, judged: NDArray[np.bool_]) -> tuple[LabelNoise, NDArray[np.int64]]:
    """Return the candidates among what is judged, and for each row that they name its place among the n images."""
    if labels.ndim == 2:
        told = np.where(judged, labels, -1).astype(np.int8)
        return label_noise(told, probabilities), np.arange(len(labels))
    at = np.flatnonzero(judged)
    return label_noise(labels[at], probabilities[at]), at


def _doubted(
    suspect: Suspect,
    image: str,
    probabilities: Floats,
    classes: tuple[str, ...],
    pixels: NDArray[np.uint8],
    multilabel: bool,
) -> Doubted:
    suggested = float(probabilities[suspect.suggested])
    if multilabel:
        name = classes[suspect.given]
        sure = suggested if suspect.present else 1 - suggested
        told = (f"no {name}", name) if suspect.present else (name, f"no {name}")
        return Doubted(image, *told, suspect.margin, 1 - sure, sure, pixels)
    given = float(probabilities[suspect.given])
    told = classes[suspect.given], classes[suspect.suggested]
    return Doubted(image, *told, suspect.margin, given, suggested, pixels)
