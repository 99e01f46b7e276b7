"""How long a run would take here: a few timed steps, projected."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass

from cass_cli.config.load import Resolved
from cass_cli.config.schema import Config
from cass_cli.data.dataset import find_dataset
from cass_cli.engine.compute import Compute, choose_compute
from cass_cli.engine.fastest import settle_compute
from cass_cli.engine.pretraining.plan import Plan, plan_pretraining
from cass_cli.engine.pretraining.request import why_this_method
from cass_cli.engine.pretraining.targets import build_teachers, check_teachers, make_targets
from cass_cli.engine.timing.stepper import Stepper, synthetic_store
from cass_cli.methods.build import build_arms
from cass_cli.runs.directory import Run, barely_begun

FORECAST_STEPS = 2
TRIED_FIRST, SLOW_STEP = 2, 1.0  # images; seconds. ResNet-50 + ViT-B/16 at 384 px take some 8 s for two on two cores


@dataclass(frozen=True)
class Forecast:
    """How long a run would take, from a few timed steps on noise, without compiling and without reading images."""

    seconds: float
    images_per_second: float
    timed: str


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
    why = ""
    check_teachers(resolved.config)
    if not resume:
        arms = build_arms(resolved.config).values()
        resolved, why = settle_compute(resolved, arms, choose_compute(resolved.config.train).device)
    plan = plan_pretraining(resolved.config, dataset, choose_compute(resolved.config.train))
    forecast = forecast_run(resolved.config, plan.images["train"])
    notes = (*dataset.table.notes, why_this_method(resolved), why)
    return Foreseen(resolved, plan, forecast, tuple(filter(None, notes)))


def forecast_run(config: Config, images: int) -> Forecast:
    """Time a few steps of the run that `config` describes, and project them on `images` training images.

    On a CPU the first try has two images a step, and stays the only one where such a step takes seconds.
    """
    compute = choose_compute(config.train)
    whole = config.train.batch_size
    batches = [whole] if compute.device.type == "cuda" or whole <= TRIED_FIRST else [TRIED_FIRST, whole]
    for batch in batches:
        seconds = _median_step(config, compute, batch)
        if seconds > SLOW_STEP:
            break
    rate = batch / seconds
    timed = f"{FORECAST_STEPS} timed steps of {batch} images of noise"
    return Forecast(images * (config.train.epochs / rate + _reading(config, compute)), rate, timed)


def _reading(config: Config, compute: Compute) -> float:
    """Return the seconds an image in which the networks that teach read it once; 0 where none does."""
    if config.method.name != "distill":
        return 0.0
    arms = config.arms.model_copy(update={"init": "random", "weights": {}})
    teachers = build_teachers(config.model_copy(update={"arms": arms}))
    store = synthetic_store(TRIED_FIRST, config.data.image_size)
    began = time.perf_counter()
    make_targets(config, teachers, store, compute)
    return (time.perf_counter() - began) / TRIED_FIRST


def _median_step(config: Config, compute: Compute, batch: int) -> float:
    train = config.train.model_copy(update={"batch_size": batch, "accumulate": 1, "compile": "off"})
    arms = config.arms.model_copy(update={"init": "random", "weights": {}})
    case = config.model_copy(update={"train": train, "arms": arms})
    stepper = Stepper(case, synthetic_store(max(2, batch), config.data.image_size), compute)
    stepper.warm_up(1)
    for _ in range(FORECAST_STEPS):
        stepper.step()
    return statistics.median(stepper.seconds)
