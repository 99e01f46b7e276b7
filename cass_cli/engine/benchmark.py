"""What a pretraining step costs on this machine, method beside method: the measurement behind `cass benchmark-time`.

Methods take their steps in turn, so that whatever drifts (clock, temperature, neighbours) hits all alike. They run
the engine's own step, on the same images, in the same precision, memory format and compilation.

Legend: B batch, S image side.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from cass_cli.config.schema import Config
from cass_cli.data.cache import ImageStore
from cass_cli.engine.batches import prefetch
from cass_cli.engine.device import autocast, choose_device, choose_precision, set_up_backends
from cass_cli.engine.distributed import World
from cass_cli.engine.objective import build_arms
from cass_cli.engine.plan import count_cost, view_sides
from cass_cli.engine.pretrain import fetch, train_step
from cass_cli.engine.seeds import generator
from cass_cli.engine.session import Session, build_session
from cass_cli.errors import ConfigError

PEAK_SIDE = {"cuda": 8192, "cpu": 1024}  # of the square product whose rate is called the peak
PEAK_REPEATS = 10
FORECAST_STEPS = 2
TRIED_FIRST, SLOW_STEP = 2, 1.0  # images; seconds. ResNet-50 + ViT-B/16 at 384 px take some 8 s for two on two cores
SPLIT_STEPS = 3  # further steps, with a wait after each phase


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
    device = choose_device(train.device)
    set_up_backends(device)
    precision = choose_precision(train.precision, device)
    peak = matmul_peak(device, precision)
    measure = partial(_in_turn, store=store, device=device, steps=steps, warmup=warmup, peak=peak, on_step=on_step)
    timings = measure(cases)
    interleaved = bool(timings)
    for name, config in cases.items():
        if name not in timings:
            problem = f"out of memory at batch size {config.train.batch_size}"
            timings[name] = measure({name: config}).get(name, _described(name, config, problem=problem))
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    return Machine(name, precision, train.compile == "on", interleaved, peak), timings


@dataclass(frozen=True)
class Forecast:
    """How long a run would take, from a few timed steps on noise, without compiling and without reading images."""

    seconds: float
    images_per_second: float
    timed: str


def forecast_run(config: Config, images: int) -> Forecast:
    """Time a few steps of the run that `config` describes, and project them on `images` training images.

    On a CPU the first try has two images a step, and stays the only one where such a step takes seconds. Raises
    `ConfigError` where a step does not fit into memory.
    """
    device = choose_device(config.train.device)
    set_up_backends(device)
    whole = config.train.batch_size
    batches = [whole] if device.type == "cuda" or whole <= TRIED_FIRST else [TRIED_FIRST, whole]
    for batch in batches:
        seconds = _median_step(config, device, batch)
        if seconds > SLOW_STEP:
            break
    rate = batch / seconds
    return Forecast(
        images * config.train.epochs / rate, rate, f"{FORECAST_STEPS} timed steps of {batch} images of noise"
    )


def _median_step(config: Config, device: torch.device, batch: int) -> float:
    train = config.train.model_copy(update={"batch_size": batch, "accumulate": 1, "compile": "off"})
    arms = config.arms.model_copy(update={"init": "random", "weights": {}})
    case = config.model_copy(update={"train": train, "arms": arms})
    try:
        stepper = _Stepper(case, synthetic_store(max(2, batch), config.data.image_size), device)
        stepper.warm_up(1)
        for _ in range(FORECAST_STEPS):
            stepper.step()
    except (MemoryError, RuntimeError) as error:
        if not _is_out_of_memory(error):
            raise
        raise ConfigError(
            f"A step of {batch} images does not fit into memory.",
            hint="Try a smaller --batch-size, --accumulate 2 or more, or a smaller --image-size.",
        ) from error
    return statistics.median(stepper.seconds)


def _in_turn(
    cases: Mapping[str, Config],
    *,
    store: ImageStore,
    device: torch.device,
    steps: int,
    warmup: int,
    peak: float,
    on_step: Callable[[str, int], None],
) -> dict[str, Timing]:
    """Return the timings of all cases, stepping in turn; nothing when they don't fit into memory together."""
    running: dict[str, _Stepper] = {}
    try:
        for name, config in cases.items():
            running[name] = _Stepper(config, store, device)
            running[name].warm_up(warmup)
        for step in range(steps):
            for name, stepper in running.items():
                stepper.step()
                on_step(name, step + 1)
        return {name: stepper.timing(_described(name, cases[name]), peak) for name, stepper in running.items()}
    except (MemoryError, RuntimeError) as error:
        if not _is_out_of_memory(error):
            raise
        return {}
    finally:
        running.clear()
        gc.collect()
        if device.type == "cuda":
            torch.cuda.empty_cache()


class _Stepper:
    """A session, stepped by hand and timed."""

    def __init__(self, config: Config, store: ImageStore, device: torch.device) -> None:
        self.config, self.device = config, device
        self.others = _allocated(device, reset=True)  # what other methods hold
        self.session: Session = build_session(config, build_arms(config), store, world=World(), measure=False)
        self.session.step = self.session.steps // 2  # past what only the first steps do
        self.batches = _batches(self.session)
        self.seconds: list[float] = []
        self.waiting: list[float] = []
        self.first, self.memory = 0.0, 0

    def warm_up(self, steps: int) -> None:
        """Take steps that don't count; note the time of the first, and the memory that they take."""
        for index in range(max(1, steps)):
            seconds, _ = self._take()
            self.first = self.first if index else seconds
        self.memory = _allocated(self.device) - self.others

    def step(self) -> None:
        """Take a step that counts."""
        seconds, waiting = self._take()
        self.seconds.append(seconds)
        self.waiting.append(waiting)

    def split(self) -> dict[str, float]:
        """Return the median seconds of each phase of further steps, waiting for the device after each phase."""
        steps: list[dict[str, float]] = []
        last = 0.0

        def mark(phase: str) -> None:
            nonlocal last
            _wait(self.device)
            now = time.perf_counter()
            steps[-1][phase] += now - last
            last = now

        for _ in range(SPLIT_STEPS):
            steps.append(defaultdict(float))
            last = time.perf_counter()
            self._take(mark)
        return {phase: statistics.median(step[phase] for step in steps) for phase in steps[0]}

    def timing(self, described: Timing, peak: float) -> Timing:
        """Summarise what was measured."""
        cost = count_cost(self.config)
        flops, seconds = cost.flops * described.batch_size, statistics.median(self.seconds)
        low, high = np.quantile(self.seconds, (0.25, 0.75)).tolist()
        forecast = cost.weight_bytes + cost.activation_bytes * described.batch_size
        return replace(
            described,
            seconds=seconds,
            low=low,
            high=high,
            steps=len(self.seconds),
            waiting=sum(self.waiting) / sum(self.seconds),
            split=self.split(),
            first_step=self.first,
            flops=flops,
            peak_share=flops / seconds / peak,
            memory=self.memory if self.device.type == "cuda" else forecast,
        )

    def _take(self, mark: Callable[[str], None] = lambda _phase: None) -> tuple[float, float]:
        """Take one step; return its seconds, and those of them that were spent on data."""
        began = time.perf_counter()
        batch, images = next(self.batches)
        fetched = time.perf_counter() - began
        _, augmenting = train_step(self.session, batch, images, lr=self.config.optim.lr, mark=mark)
        _wait(self.device)
        return time.perf_counter() - began, fetched + augmenting


def _batches(s: Session) -> Iterator[tuple[Tensor, list[Tensor]]]:
    """Yield batches without end, each fetched while the one before is trained on, as in training."""

    def rows() -> Iterator[Tensor]:
        draw = generator(s.train.seed, "order")
        while True:
            yield torch.randint(s.images, (s.train.batch_size,), generator=draw)

    return prefetch(lambda batch: (batch, fetch(s, batch)), rows())


def synthetic_store(images: int, size: int) -> ImageStore:
    """Return `images` of noise, uint8 [N, 3, S, S] in memory: as costly to train on as any."""
    pixels = torch.randint(0, 256, (images, 3, size, size), dtype=torch.uint8, generator=generator(0, "order"))
    return ImageStore(images=pixels, where="ram", kept=np.arange(images))


def matmul_peak(device: torch.device, precision: str) -> float:
    """Return the floating-point operations a second of the best of several large square products."""
    side = PEAK_SIDE[device.type]
    left, right = (torch.randn(side, side, device=device) for _ in range(2))
    best = float("inf")
    with autocast(precision, device):
        for _ in range(PEAK_REPEATS):
            _wait(device)
            began = time.perf_counter()
            left @ right
            _wait(device)
            best = min(best, time.perf_counter() - began)
    return 2 * side**3 / best


def _described(name: str, config: Config, *, problem: str = "") -> Timing:
    """Return a timing without any time."""
    counted = Counter(view_sides(config))
    views = " + ".join(f"{n} × {side} px" for side, n in counted.items())
    networks: dict[str, str] = {arm: getattr(config.arms, arm) for arm in config.method.arms}
    return Timing(name, networks, config.train.batch_size, config.data.image_size, views, problem=problem)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _allocated(device: torch.device, *, reset: bool = False) -> int:
    """Return the peak bytes allocated on a GPU, or with `reset`, those allocated now, from which a peak then counts."""
    if device.type != "cuda":
        return 0
    if reset:
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device)
    return torch.cuda.max_memory_allocated(device)


def _is_out_of_memory(error: Exception) -> bool:
    said = str(error).lower()
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "allocate memory" in said
