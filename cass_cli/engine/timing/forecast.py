"""How long a run would take here: a few timed steps, projected."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from cass_cli.config.load import Resolved
from cass_cli.config.schema import Config
from cass_cli.data.dataset import find_dataset
from cass_cli.data.views.spec import spec_of
from cass_cli.engine.compute import Compute, choose_compute
from cass_cli.engine.device import wait_for
from cass_cli.engine.fastest import settle_compute
from cass_cli.engine.features import BATCH, Reading, read_batch
from cass_cli.engine.pretraining.plan import Plan, plan_pretraining
from cass_cli.engine.pretraining.request import why_method
from cass_cli.engine.pretraining.targets import build_teachers, check_teachers
from cass_cli.engine.starting_arms import known_starts
from cass_cli.engine.timing.stepper import Stepper, synthetic_store
from cass_cli.methods.build import build_arms
from cass_cli.models.arms import Arm
from cass_cli.runs.directory import Run, barely_begun

FORECAST_STEPS = 2
TRIED_FIRST, SLOW_STEP = 2, 1.0  # images; seconds. ResNet-50 + ViT-B/16 at 384 px take some 8 s for two on two cores


@dataclass(frozen=True)
class Forecast:
    """How long a run would take, from a few timed steps on noise, without compiling and without reading images."""

    seconds: float
    images_per_second: float
    timed: str
    reading_seconds: float = 0.0  # of these: frozen networks read images, to teach or to be compared


@dataclass(frozen=True)
class Foreseen:
    """What a pretraining would be: settings, counts, and how long it would take."""

    resolved: Resolved
    plan: Plan
    forecast: Forecast
    notes: tuple[str, ...]


def foresee(resolved: Resolved, *, resume: Run | None = None) -> Foreseen:
    """Find the images, choose how to compute, count and time, as a run with these settings would begin or go on."""
    if resume and barely_begun(resume.path):  # it is started again
        resume = None
    splits = resume.splits if resume else None
    dataset = find_dataset(resolved.config.data, seed=resolved.config.train.seed, saved_splits=splits)
    why = unnamed = None
    check_teachers(resolved.config)
    if not resume:
        unnamed = why_method(resolved)
        build_teachers(resolved.config)
        arms = build_arms(resolved.config).values()
        resolved, why = settle_compute(resolved, arms, choose_compute(resolved.config.train).device)
    plan = plan_pretraining(resolved.config, dataset, choose_compute(resolved.config.train))
    forecast = forecast_run(resolved.config, plan.images["train"])
    labelled = dataset.table.labels is not None and resolved.config.train.advice
    teaches = resolved.config.method.name == "distill" and not resume
    reading = _reading(resolved.config, plan.images, teaches=teaches, advises=labelled)
    forecast = replace(forecast, seconds=forecast.seconds + reading, reading_seconds=reading)
    return Foreseen(resolved, plan, forecast, tuple(filter(None, (unnamed, *dataset.table.notes, why))))


def forecast_run(config: Config, images: int) -> Forecast:
    """Time a few steps of the run that `config` describes, and project them on `images` training images.

    On a CPU the first try has two images a step, and stays the only one where such a step takes seconds.
    """
    compute = choose_compute(config.train)
    whole = config.train.batch_size
    batches = [whole] if compute.device.type != "cpu" or whole <= TRIED_FIRST else [TRIED_FIRST, whole]
    for batch in batches:
        seconds = _median_step(config, compute, batch)
        if seconds > SLOW_STEP:
            break
    rate = batch / seconds
    timed = f"{FORECAST_STEPS} timed steps of {batch} images of noise"
    return Forecast(images * config.train.epochs / rate, rate, timed)


def _reading(config: Config, images: Mapping[str, int], *, teaches: bool, advises: bool) -> float:
    """Return the seconds in which frozen networks read images: those that teach, and arms that are compared."""
    compute, arms = choose_compute(config.train), config.arms.model_copy(update={"init": "random", "weights": {}})
    unread = config.model_copy(update={"arms": arms})
    seconds = 0.0
    if teaches:
        seconds += images["train"] * sum(_pass(arm, config, compute) for arm in build_teachers(unread).values())
    if advises:  # as they were and as they are
        built = build_arms(unread)
        seconds += 2 * sum(images.values()) * sum(_pass(built[name], config, compute) for name in known_starts(config))
    return seconds


def _pass(arm: Arm, config: Config, compute: Compute) -> float:
    """Return the seconds in which an arm reads an image for a probe."""
    reading = Reading(spec_of(config.data), config.finetune.layers, config.finetune.mirrored)
    network = compute.place(arm.model).eval()
    seconds: list[float] = []
    for count in (TRIED_FIRST, TRIED_FIRST, BATCH):  # the first doesn't count; the last is as a run reads, unless slow
        pixels = synthetic_store(count, config.data.image_size).images.to(compute.device)
        began = time.perf_counter()
        read_batch(network, pixels, reading, compute)
        wait_for(compute.device)
        seconds.append((time.perf_counter() - began) / count)
        if len(seconds) > 1 and seconds[-1] * count > SLOW_STEP:
            break
    return seconds[-1]


def _median_step(config: Config, compute: Compute, batch: int) -> float:
    train = config.train.model_copy(update={"batch_size": batch, "accumulate": 1, "compile": "off"})
    arms = config.arms.model_copy(update={"init": "random", "weights": {}})
    case = config.model_copy(update={"train": train, "arms": arms})
    stepper = Stepper(case, synthetic_store(max(2, batch), config.data.image_size), compute)
    stepper.warm_up(1)
    for _ in range(FORECAST_STEPS):
        stepper.step()
    return statistics.median(stepper.seconds)
