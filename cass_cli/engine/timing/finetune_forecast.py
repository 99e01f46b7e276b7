"""How long a fine-tuning would take here: a pass or two of its arms, a step and a small regression, projected.

Legend: B batch, C classes, D features, S image side, n labels.
"""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cass_cli.config.load import Resolved
from cass_cli.data.labelled_images import Images
from cass_cli.data.splits import label_subset
from cass_cli.engine.compute import Compute
from cass_cli.engine.device import wait_for
from cass_cli.engine.features import BATCH, Reading, read_batch
from cass_cli.engine.finetuning.cross_teach import Unlabelled
from cass_cli.engine.finetuning.loop import tune_step
from cass_cli.engine.finetuning.prepare import Prepared, prepare
from cass_cli.engine.finetuning.session import passes_of
from cass_cli.engine.finetuning.shared import reading_of
from cass_cli.engine.finetuning.trained import new_tuning
from cass_cli.engine.regression import MOST_AXES, fit_regression
from cass_cli.engine.timing.finetune_plan import TunePlan, blank_head, plan_finetuning, what_is_replaced
from cass_cli.engine.timing.stepper import synthetic_store
from cass_cli.runs.directory import Run
from cass_cli.runs.trials import Variant
from cass_cli.words import count

REPEATS = 3  # of what is timed, after one that doesn't count
SLOW = 2.0  # seconds: what takes so long, even at first, is not repeated
LONG = 0.3  # seconds: what takes so long is timed well enough to be projected
FLOPS = 1e11  # that even a slow CPU takes in seconds
FITTED_LABELS = 400  # of the regression that is timed, at most


@dataclass(frozen=True)
class TuneForecast:
    """How long a fine-tuning would take, without reading and decoding images and without compiling."""

    seconds: float  # of what follows
    reading_seconds: float  # frozen arms read images for probes
    fitting_seconds: float  # regressions on what they read
    training_seconds: float  # at most: patience may end it sooner
    timed: tuple[str, ...]  # what was timed


@dataclass(frozen=True)
class ForeseenTuning:
    """What a fine-tuning would be: settings, counts, and how long it would take."""

    resolved: Resolved
    new_run: bool
    plan: TunePlan
    forecast: TuneForecast
    notes: tuple[str, ...]
    warnings: tuple[str, ...]


@dataclass
class _Heard:
    """What was told while the job was prepared, each thing once."""

    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    def warn(self, text: str) -> None:
        self.warnings.append(text)

    def doing(self, what: str) -> None: ...


def foresee_finetuning(
    resolved: Resolved,
    run: Run,
    variant: Variant,
    *,
    new_run: bool = False,
    resume: bool = False,
    overwrite: bool = False,
) -> ForeseenTuning:
    """Find, choose, count and time, as `finetune_job` would begin with the same arguments; raises what that raises.

    Images are not decoded: which of them are unreadable, and which splits leak, the job itself will say.
    """
    heard = _Heard()
    p = prepare(
        resolved,
        run,
        variant,
        watch=heard,
        new_run=new_run,
        resume=resume,
        overwrite=overwrite,
        look_for_leaks=False,
    )
    plan = plan_finetuning(p)
    if replaced := what_is_replaced(p):
        heard.warn(replaced)
    return ForeseenTuning(
        p.resolved, new_run, plan, forecast_finetuning(p, plan), tuple(heard.notes), tuple(heard.warnings)
    )


def forecast_finetuning(p: Prepared, plan: TunePlan) -> TuneForecast:
    """Time what the trials to do are made of, on noise, and project it. The arms stay as they are."""
    if not plan.todo:
        return TuneForecast(0.0, 0.0, 0.0, 0.0, ())
    timed: list[str] = []
    passes = _passes(p, plan, timed)
    mirrored = 2 if p.config.finetune.mirrored else 1
    reading = sum(mirrored * arm.unread * passes.get(name, 0.0) for name, arm in plan.arms.items())
    fitting = _fitting(p, plan, timed) if p.probes else 0.0
    training = _training(p, plan, passes, timed) if p.config.finetune.trains else 0.0
    return TuneForecast(reading + fitting + training, reading, fitting, training, tuple(timed))


def _passes(p: Prepared, plan: TunePlan, timed: list[str]) -> dict[str, float]:
    """Return the seconds in which each arm that has something to read reads an image."""
    trained = p.config.finetune.trains
    reading = replace(reading_of(p.config), mirrored=False)
    pixels = synthetic_store(BATCH, reading.spec.size).images.to(p.compute.device)
    found: dict[str, float] = {}
    for name, (_, body) in p.readers.items():
        if not plan.arms[name].unread and not trained:
            continue
        network = p.compute.place(copy.deepcopy(body.model)).eval()
        read = partial(_read, network, pixels, reading, p.compute)
        found[name], images = _seconds_an_image(
            read, p.compute.device, flops=plan.arms[name].flops, least=1, most=BATCH
        )
        timed.append(f"{count(images, 'image')} through {name}")
    return found


def _read(network: nn.Module, pixels: Tensor, reading: Reading, compute: Compute, images: int) -> None:
    read_batch(network, pixels[:images], reading, compute)


def _training(p: Prepared, plan: TunePlan, passes: dict[str, float], timed: list[str]) -> float:
    """Return the seconds of all steps and validations, if every trial takes all its epochs."""
    tuned = p.config.finetune
    batch = min(tuned.batch_size, max(passes_of(trial.labels, tuned) * trial.labels for trial in plan.todo))
    flops = 3 * sum(arm.flops for arm in plan.arms.values())  # a backward pass takes two forward ones
    least = 2  # for batch norm
    step, images = _seconds_an_image(_stepper(p, plan, batch), p.compute.device, flops=flops, least=least, most=batch)
    timed.append(f"a step of {images} images")
    looked, unseen = sum(passes[name] for name in p.bodies), plan.images["val"] + plan.images["test"]
    settings = p.config.finetune
    watched = plan.images["val"] if settings.patience else 0
    return sum(
        trial.epochs * (passes_of(trial.labels, settings) * trial.labels * step + watched * looked) + unseen * looked
        for trial in plan.todo
    )


def _stepper(p: Prepared, plan: TunePlan, batch: int) -> Callable[[int], object]:
    """Return a function that takes a training step of so many images of noise, at most `batch`, on copies."""
    trial = max(p.todo, key=lambda trial: len(p.subsets[trial.path]))
    subset = p.subsets[trial.path]
    place = np.full(len(p.data.table), -1, dtype=np.int64)
    place[subset] = np.arange(len(subset)) % batch
    noise = Images(synthetic_store(batch, p.config.data.image_size), place)
    settings, classes = p.config.finetune, plan.classes
    heads = {name: blank_head(name, p, plan.arms[name].features) for name in p.bodies if settings.head == "probe"}
    unlabelled, chosen = None, torch.arange(batch * settings.unlabelled_ratio)
    if any(map(p.untold, p.todo)):
        said = torch.full((len(chosen), classes), 1 / classes, device=p.compute.device)
        unlabelled = Unlabelled(chosen % batch, said, settings.unlabelled_ratio, settings.unlabelled_weight)
    t = new_tuning(p.job(noise), trial, p.bodies, subset, heads=heads, unlabelled=unlabelled)

    def step(images: int) -> None:
        pixels = t.store.batch(t.train_rows[:images], t.device)
        some = chosen[: images * settings.unlabelled_ratio]
        other = (some, t.store.batch(unlabelled.rows[some], t.device)) if unlabelled else None
        tune_step(t, pixels, t.train_labels[:images], lr=t.settings.lr, other=other)

    return step


def _fitting(p: Prepared, plan: TunePlan, timed: list[str]) -> float:
    """Return the seconds of all regressions: one that is small is timed, and work projected."""
    each, tried = [plan.arms[name].features for name in p.bodies], [plan.arms[name].features for name in p.rivals]
    tuned = p.config.finetune
    joint = len(each) > 1 and (not tuned.trains or tuned.head == "probe")
    heads = [*(each if tuned.fits_heads else ()), *([sum(each)] if joint else ()), *2 * tried]
    trial = max(p.todo, key=lambda trial: len(p.subsets[trial.path]))
    subset = p.subsets[trial.path]
    few = label_subset(p.data.labels, subset, fraction=min(1.0, FITTED_LABELS / len(subset)), seed=0)
    labels = p.data.labels[few]
    noise = _like_features(len(labels), max(heads))
    fit = partial(fit_regression, noise, labels, plan.classes, widths=[max(heads)], seed=trial.seed)
    seconds = statistics.median(_timed(fit, torch.device("cpu")))
    timed.append(f"a regression on {len(labels)} labels")
    unit = seconds / _work(len(labels), max(heads))
    return sum(unit * _work(trial.labels, width) for trial in plan.todo for width in heads)


def _like_features(images: int, width: int) -> NDArray[np.float32]:
    """Return noise [n, D] whose spectrum falls as that of features does, so that a fit takes about as many steps."""
    rng = np.random.default_rng(0)
    rank = min(images, width, 256)
    directions = rng.standard_normal((images, rank)) / np.sqrt(np.arange(1, rank + 1))
    return (directions @ rng.standard_normal((rank, width))).astype(np.float32)


def _work(labels: int, width: int) -> float:
    """Return what a regression on features [n, D] takes, up to a factor: principal axes, and what is done with each.

    The constants were found with n from 100 to 6,000 and D from 1,500 to 15,000.
    """
    axes = min(labels, width)
    if axes > MOST_AXES:  # they are not looked for, and the fit takes about three times as many steps
        return labels * width * 3 * 3500
    return labels * width * (4 * axes + 3500) + 12 * axes**3


def _seconds_an_image(
    work: Callable[[int], object], device: torch.device, *, flops: int, least: int, most: int
) -> tuple[float, int]:
    """Return the seconds that `work(images)` takes an image, and with how many at once that was timed.

    These are `most`, or as many, an image being `flops` operations, as a slow machine does in seconds.
    """
    images = min(most, max(least, int(FLOPS / max(flops, 1))))
    while True:
        seconds = _timed(partial(work, images), device)
        if images == most or min(seconds) > LONG:
            return statistics.median(seconds) / images, images
        images = min(4 * images, most)


def _timed(work: Callable[[], object], device: torch.device) -> list[float]:
    """Return the seconds of a few times that `work` was done, after one that does not count, unless it was slow."""
    seconds: list[float] = []
    while not seconds or (sum(seconds) < SLOW and len(seconds) <= REPEATS):
        began = time.perf_counter()
        work()
        wait_for(device)
        seconds.append(time.perf_counter() - began)
    return seconds[1:] or seconds
