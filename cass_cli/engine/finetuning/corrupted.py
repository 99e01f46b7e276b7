"""What corrupted images do to answers: some of those that are scored, made worse in known steps and answered again.

The candidates, temperatures and thresholds are those that validation chose on clean images: corrupted ones decide
nothing. Shapes: N images, S image side, C classes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cass_cli.data.corruptions import KINDS, STRENGTHS, corrupt, is_grey
from cass_cli.data.store.store import CPU, ImageStore
from cass_cli.data.stratify import sample_units
from cass_cli.engine.finetuning.answers import Answered, Progress, answers_from
from cass_cli.errors import ConfigError
from cass_cli.scores.bootstrap import RESAMPLES, draw_units
from cass_cli.scores.robustness import BASELINE, LEAST_LOSS, Fragility, Level, baseline_of, fragilities, level
from cass_cli.scores.values import Floats, indicator
from cass_cli.seeds import stream_seed
from cass_cli.words import shown

MOST = 500  # images, unless asked for otherwise: 30 passes over these are 15,000 answers
SEED = 0  # of which images are drawn, and of their noise
ALL = "all"
GREY = "All of these images are grey, so that there is no colour to change, and that kind is left out."


@dataclass(frozen=True)
class CorruptionsAsked:
    """How many images are corrupted."""

    most: int | None = MOST  # None: all


@dataclass(frozen=True)
class Forecast:
    """What is going to be done, and how long that will take if it goes on as it did with clean images."""

    images: int
    passes: int
    seconds: float


@dataclass(frozen=True)
class Corrupted:
    """The candidates on corrupted images."""

    metric: str  # of the run
    baseline: str  # by whose errors others are divided
    candidates: Mapping[str, Fragility]
    images: int
    of: int  # images that could have been corrupted
    groups: int | None  # how many of them, where groups were drawn whole
    seconds: float
    forecast: float  # of these
    notes: tuple[str, ...]
    example: NDArray[np.uint8]  # a clean image, [3, S, S]

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "metric": self.metric,
            "baseline": self.baseline,
            "candidates": {name: found.as_dict() for name, found in self.candidates.items()},
            "images": self.images,
            "of": self.of,
            "groups": self.groups,
            "seconds": self.seconds,
            "forecast": self.forecast,
            "notes": list(self.notes),
        }


def corruptions_asked(wanted: bool, images: str | int | None) -> CorruptionsAsked | None:
    """Read --corruptions and --corruption-images; None: they are not wanted. Raise `ConfigError` for another number."""
    if images is not None and not wanted:
        raise ConfigError(
            "--corruption-images says how many images are corrupted, and none are.", hint="Add --corruptions."
        )
    if not wanted or images is None:
        return CorruptionsAsked() if wanted else None
    text = str(images).strip()
    if text == ALL:
        return CorruptionsAsked(None)
    if not (text.isascii() and text.isdigit() and int(text)):
        raise ConfigError(f"--corruption-images {shown(text)} is no number of images.", hint=f"Example: 500, or {ALL}.")
    return CorruptionsAsked(int(text))


def score_corrupted(
    found: Answered,
    asked: CorruptionsAsked,
    *,
    resamples: int = RESAMPLES,
    on_progress: Progress,
    on_forecast: Callable[[Forecast], None] | None = None,
) -> Corrupted:
    """Let every candidate answer the images of `found`, or a sample of them, at each kind and strength, and score it.

    The sample is drawn in the classes' shares, of whole groups where there are groups. Images that are all grey have
    no colour to change, so that this kind is left out. `on_forecast` is told before the first of them is answered.
    """
    began, summary = time.monotonic(), found.by.arms.summary
    at = drawn_rows(found, asked.most)
    rows, store = found.rows[at], found.images.store
    places = found.images.of(rows)
    grey = all(is_grey(store.batch(part, CPU).numpy()) for part in places.split(64))
    kinds = [kind for kind in KINDS if kind != "colour" or not grey]
    passes = len(kinds) * len(STRENGTHS)
    seconds = found.seconds / len(found.rows) * len(at) * passes
    if on_forecast:
        on_forecast(Forecast(len(at), passes, seconds))
    labels, groups = found.data.labels[rows], found.data.groups(rows)

    def scored(given: Mapping[str, Floats]) -> dict[str, Level]:
        return {
            name: level(
                labels,
                answers,
                summary.metric,
                thresholds=summary.judgement.threshold(name),
                groups=groups,
                resamples=resamples,
            )
            for name, answers in given.items()
        }

    def told(done: int, each: int, _total: int) -> None:
        on_progress("Predicting corrupted images", done * len(at) + each, passes * len(at))

    clean = scored({name: given[at] for name, given in found.probabilities.items()})
    told(0, 0, 0)
    worse: dict[str, list[dict[str, Level]]] = {}
    for kind in kinds:
        worse[kind] = []
        for strength in STRENGTHS:
            done = sum(map(len, worse.values()))
            corrupted = corrupted_store(store, dict(zip(places.tolist(), rows.tolist(), strict=True)), kind, strength)
            worse[kind].append(scored(answers_from(found.by, corrupted, places, on_progress=partial(told, done))))
    baseline = baseline_of(clean)
    candidates = fragilities(clean, worse, summary.metric, baseline=baseline)
    return Corrupted(
        metric=summary.metric,
        baseline=baseline,
        candidates=candidates,
        images=len(at),
        of=len(found.rows),
        groups=None if groups is None else int(draw_units(len(at), groups).max()) + 1,
        seconds=time.monotonic() - began,
        forecast=seconds,
        notes=(*_notes(candidates, baseline, multilabel=summary.multilabel), *([GREY] if grey else [])),
        example=store.batch(places[:1], CPU).numpy()[0],
    )


def drawn_rows(found: Answered, most: int | None) -> NDArray[np.int64]:
    """Return which of the images that were answered are corrupted, sorted: all, or a sample of whole groups."""
    rows = found.rows
    labels = found.data.labels[rows]
    bits = indicator(labels, len(found.by.arms.summary.classes)).astype(np.int64)
    units = draw_units(len(rows), found.data.groups(rows))
    rng = np.random.default_rng(stream_seed(SEED, "corruptions"))
    return sample_units(bits, units, len(rows) if most is None else most, rng)


def corrupted_store(store: ImageStore, row_of: Mapping[int, int], kind: str, strength: int) -> ImageStore:
    """Return a store whose images are those of `store`, each corrupted whenever it is read.

    Noise is decided by the image's row in the table (`row_of` a row of the store) and the strength, so that neither
    batch nor device, nor which other images are asked for, changes it.
    """

    def read(rows: NDArray[np.int64], out: NDArray[np.uint8]) -> None:
        for place, row, pixels in zip(out, rows.tolist(), store.batch(rows, CPU).numpy(), strict=True):
            seed = stream_seed(SEED, "corruptions", row_of[row], strength)
            place[:] = corrupt(pixels, kind, strength, seed=seed)

    return replace(store, images=store.images[:0].cpu(), where="off", path=None, read=read)


def _notes(candidates: Mapping[str, Fragility], baseline: str, *, multilabel: bool) -> list[str]:
    of = candidates[baseline]
    whose = f"those of {baseline}, this run's own" if baseline == BASELINE else f"those of {shown(baseline)}, the first"
    notes = [
        f"bCE and rCE divide balanced errors by {whose}: there is no network outside the run, as published ones have. "
        "Below 1 errs less, or loses less, than that one."
    ]
    for name, values in (("bCE", of.bce), ("rCE", of.rce)):
        if lacking := [KINDS[kind] for kind, value in values.items() if np.isnan(value)]:
            why = "makes no error" if name == "bCE" else f"loses less than {LEAST_LOSS}"
            which = ", ".join(lacking)
            notes.append(f"{name} is undefined for {which}, where {baseline} {why}, and the mean leaves it out.")
    if multilabel:
        notes.append("Balanced accuracy is here the mean over labels of (sensitivity + specificity) / 2.")
    return notes
