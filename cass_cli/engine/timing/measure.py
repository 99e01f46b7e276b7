"""What a pretraining step costs on this machine, method beside method: the measurement behind `cass benchmark-time`.

Methods take their steps in turn, so that whatever drifts (clock, temperature, neighbours) hits all alike. They run
the engine's own step, on the same images, in the same precision, memory format and compilation.

Legend: B batch, S image side.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch

from cass_cli.config.schema import Config
from cass_cli.data.store.store import ImageStore
from cass_cli.engine.compute import Compute, choose_compute
from cass_cli.engine.device import device_name, give_memory_back, wait_for
from cass_cli.engine.memory import lacks_memory
from cass_cli.engine.pretraining.plan import count_cost, view_sides
from cass_cli.engine.timing.stepper import Stepper

PEAK_SIDE = {"cuda": 8192, "mps": 4096, "cpu": 1024}  # of the square product whose rate is called the peak
PEAK_REPEATS = 10


@dataclass(frozen=True)
class Timing:
    """What a step of one method costs: seconds, bytes, floating-point operations; None where it isn't known."""

    method: str
    networks: Mapping[str, str]
    batch_size: int
    image_size: int
    views: str
    seconds: float | None = None  # median step, and its quartiles
    low: float | None = None
    high: float | None = None
    steps: int = 0
    waiting: float | None = None  # share of the time spent on data
    split: Mapping[str, float] | None = None  # median seconds of each phase
    first_step: float | None = None  # with what it takes to compile and warm up
    flops: float | None = None  # forward and backward
    peak_share: float | None = None
    memory: int | None = None  # peak: measured on a GPU, forecast on a CPU
    problem: str = ""

    @property
    def images_per_second(self) -> float | None:
        """Images trained on, each in all its views."""
        return self.batch_size / self.seconds if self.seconds else None


@dataclass(frozen=True)
class Machine:
    """Where and how the timings were taken."""

    device: str
    precision: str
    compiled: bool
    interleaved: bool
    peak_flops: float  # a second, of a large product in that precision


def time_methods(
    cases: Mapping[str, Config],
    store: ImageStore,
    *,
    steps: int,
    warmup: int,
    on_step: Callable[[str, int], None] = lambda _method, _step: None,
) -> tuple[Machine, dict[str, Timing]]:
    """Time `steps` steps of each case on the images of `store`, after `warmup` steps that don't count.

    Device and precision are the first case's. Where all cases together don't fit into memory, they are timed one
    after the other; one that doesn't fit alone says so in its `problem`.
    """
    train = next(iter(cases.values())).train
    compute = choose_compute(train)
    peak = matmul_peak(compute)
    measure = partial(_in_turn, store=store, compute=compute, steps=steps, warmup=warmup, peak=peak, on_step=on_step)
    timings = measure(cases)
    interleaved = bool(timings)
    for name, config in cases.items():
        if name not in timings:
            problem = f"out of memory at batch size {config.train.batch_size}"
            timings[name] = measure({name: config}).get(name, _described(name, config, problem=problem))
    name = device_name(compute.device)
    return Machine(name, compute.precision, train.compile == "on", interleaved, peak), timings


def _in_turn(
    cases: Mapping[str, Config],
    *,
    store: ImageStore,
    compute: Compute,
    steps: int,
    warmup: int,
    peak: float,
    on_step: Callable[[str, int], None],
) -> dict[str, Timing]:
    """Return the timings of all cases, stepping in turn; nothing when they don't fit into memory together."""
    running: dict[str, Stepper] = {}
    try:
        for name, config in cases.items():
            running[name] = Stepper(config, store, compute)
            running[name].warm_up(warmup)
        for step in range(steps):
            for name, stepper in running.items():
                stepper.step()
                on_step(name, step + 1)
        return {name: _timing(stepper, _described(name, cases[name]), peak) for name, stepper in running.items()}
    except Exception as error:
        if not lacks_memory(error):
            raise
        return {}
    finally:
        running.clear()
        gc.collect()
        give_memory_back(compute.device)


def _timing(s: Stepper, described: Timing, peak: float) -> Timing:
    """Summarise what was measured."""
    cost = count_cost(s.config)
    flops, seconds = cost.flops * described.batch_size, statistics.median(s.seconds)
    low, high = np.quantile(s.seconds, (0.25, 0.75)).tolist()
    forecast = cost.weight_bytes + cost.activation_bytes * described.batch_size
    return replace(
        described,
        seconds=seconds,
        low=low,
        high=high,
        steps=len(s.seconds),
        waiting=sum(s.waiting) / sum(s.seconds),
        split=s.split(),
        first_step=s.first,
        flops=flops,
        peak_share=flops / seconds / peak,
        memory=s.memory if s.device.type == "cuda" else forecast,
    )


def matmul_peak(compute: Compute) -> float:
    """Return the floating-point operations a second of the best of several large square products."""
    device = compute.device
    side = PEAK_SIDE[device.type]
    left, right = (torch.randn(side, side, device=device) for _ in range(2))
    best = float("inf")
    with compute.autocast():
        for _ in range(PEAK_REPEATS):
            wait_for(device)
            began = time.perf_counter()
            left @ right
            wait_for(device)
            best = min(best, time.perf_counter() - began)
    return 2 * side**3 / best


def _described(name: str, config: Config, *, problem: str = "") -> Timing:
    """Return a timing without any time."""
    counted = Counter(view_sides(config))
    views = " + ".join(f"{n} × {side} px" for side, n in counted.items())
    networks: dict[str, str] = {arm: getattr(config.arms, arm) for arm in config.method.arms}
    return Timing(name, networks, config.train.batch_size, config.data.image_size, views, problem=problem)
