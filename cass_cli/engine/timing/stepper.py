"""Training steps taken by hand and timed, on noise or on images: what benchmarks and forecasts are made of."""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from cass_cli.config.schema import Config
from cass_cli.data.store.store import ImageStore
from cass_cli.engine.batches import prefetch
from cass_cli.engine.compute import Compute
from cass_cli.engine.device import wait_for
from cass_cli.engine.distributed import World
from cass_cli.engine.pretraining.loop import fetch, train_step
from cass_cli.engine.pretraining.session import Session, build_session
from cass_cli.methods.build import build_arms, target_width
from cass_cli.seeds import generator

SPLIT_STEPS = 3  # further steps, with a wait after each phase


class Stepper:
    """A session, stepped by hand and timed."""

    def __init__(self, config: Config, store: ImageStore, compute: Compute) -> None:
        self.config, self.device = config, compute.device
        self.others = _allocated(self.device, reset=True)  # what other methods hold
        width = target_width(config.method)
        targets = torch.randn(len(store), width, generator=generator(0, "order")) if width else None
        self.session: Session = build_session(
            config, build_arms(config), store, compute, world=World(), targets=targets, measure=False
        )
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
            wait_for(self.device)
            now = time.perf_counter()
            steps[-1][phase] += now - last
            last = now

        for _ in range(SPLIT_STEPS):
            steps.append(defaultdict(float))
            last = time.perf_counter()
            self._take(mark)
        return {phase: statistics.median(step[phase] for step in steps) for phase in steps[0]}

    def _take(self, mark: Callable[[str], None] = lambda _phase: None) -> tuple[float, float]:
        """Take one step; return its seconds, and those of them that were spent on data."""
        began = time.perf_counter()
        batch, images = next(self.batches)
        fetched = time.perf_counter() - began
        _, augmenting = train_step(self.session, batch, images, lr=self.config.optim.lr, mark=mark)
        wait_for(self.device)
        return time.perf_counter() - began, fetched + augmenting


def _batches(s: Session) -> Iterator[tuple[Tensor, list[Tensor]]]:
    """Yield batches without end, each fetched while the one before is trained on, as in training."""

    def rows() -> Iterator[Tensor]:
        draw = generator(s.train.seed, "order")
        while True:
            yield torch.randint(s.images, (s.train.batch_size,), generator=draw)

    return prefetch(lambda batch: (batch, fetch(s, batch)), rows(), device=s.device)


def synthetic_store(images: int, size: int) -> ImageStore:
    """Return `images` of noise, uint8 [N, 3, S, S] in memory: as costly to train on as any."""
    pixels = torch.randint(0, 256, (images, 3, size, size), dtype=torch.uint8, generator=generator(0, "order"))
    return ImageStore(images=pixels, where="ram", kept=np.arange(images))


def _allocated(device: torch.device, *, reset: bool = False) -> int:
    """Return the peak bytes allocated on a GPU, or with `reset`, those allocated now, from which a peak then counts."""
    if device.type != "cuda":
        return 0
    if reset:
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device)
    return torch.cuda.max_memory_allocated(device)
