"""The pretraining loop, for every method: forward, loss, finite check, backward, step, average.

It yields what each epoch did and never prints. A step is a pure function of the weights, the seed and its
position, so a resumed run is the run that was interrupted.

Legend: B batch, S image side.
"""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from cass_cli.data.views.apply import apply_view
from cass_cli.data.views.draw import draw_view
from cass_cli.engine.batches import batch_bounds, epoch_order, prefetch
from cass_cli.engine.device import memory_taken
from cass_cli.engine.finite import finite_only
from cass_cli.engine.optimisers import clip_each, learning_rate, set_rates, weight_decay
from cass_cli.engine.pretraining.collapse import ADVICE, ArmGauges
from cass_cli.engine.pretraining.session import Session, check_finite, measure_gauges, stopped
from cass_cli.engine.signals import StopRequest
from cass_cli.errors import Interrupted, RunError
from cass_cli.models.checkpointing import statistics_kept
from cass_cli.seeds import generator, stream_seed

# Reading a number from a GPU waits for it, so there the loss is looked at only every so many steps.
GPU_CHECK_EVERY = 50


@dataclass(frozen=True)
class StepStats:
    """Where the run is, for a progress display. `waiting` is the share of the epoch so far spent on data."""

    epoch: int
    batch: int
    batches: int
    images: int
    loss: float
    lr: float
    waiting: float
    peak_memory: int = 0  # bytes of the GPU, so far


@dataclass(frozen=True)
class EpochStats:
    """What one epoch did. `seconds` is of training alone, by every process that had a part in the epoch.

    `waiting` is the share of it that the last of them spent on data.
    """

    epoch: int
    loss: float
    lr: float
    images: int
    seconds: float
    waiting: float
    gauges: dict[str, ArmGauges]
    states: dict[str, str]
    probes: dict[str, Any] = field(default_factory=dict)  # of each arm, in epochs that probe

    @property
    def images_per_second(self) -> float:
        return self.images / self.seconds if self.seconds else math.nan

    def row(self) -> dict[str, Any]:
        """Return the row of metrics.jsonl."""
        return {**asdict(self), "images_per_second": self.images_per_second}


def pretrain(
    s: Session,
    *,
    stop: StopRequest,
    save: Callable[[Session], None],
    on_step: Callable[[StepStats], None] = lambda _stats: None,
) -> Iterator[EpochStats]:
    """Train from where `s` stands to its last epoch, yielding each epoch as it ends.

    `save` is called when an epoch has been yielded, every `save_minutes`, when `stop` asks for it, and before
    `Interrupted` is raised for `stop`.
    Raises `RunError` when the loss, or what would be saved, is no longer finite; the last saved state is then the last
    good one.
    """
    save = finite_only(save, check_finite)
    bounds = batch_bounds(s.images, s.train.batch_size, smallest=2 * s.world.size)
    check_every = GPU_CHECK_EVERY if s.device.type != "cpu" else 1
    while s.epoch < s.train.epochs:
        order = epoch_order(s.images, seed=s.train.seed, epoch=s.epoch)
        batches = [order[start:stop_] for start, stop_ in bounds[s.batch :]]
        waiting = 0.0
        here = saved = mark = time.monotonic()
        began = here - s.seconds["epoch"]
        for batch, images in prefetch(lambda batch: (batch, fetch(s, batch)), batches, device=s.device):
            waiting += time.monotonic() - mark
            lr = _lr(s, s.step)
            loss, augmenting = train_step(s, batch, images, lr=lr)
            s.loss_sum += loss * len(batch)
            s.seen, s.batch, s.step, waiting = s.seen + len(batch), s.batch + 1, s.step + 1, waiting + augmenting
            asked = s.world.size == 1 and stop.asked  # several processes ask each other
            if s.step % check_every == 0 or s.batch == len(bounds) or asked:
                value = float(loss) * s.world.size  # device sync
                if s.world.any(not math.isfinite(value)):
                    raise stopped(s, f"The loss became {value} in epoch {s.epoch + 1}, batch {s.batch}")
                share = waiting / (time.monotonic() - here)
                s.seconds["epoch"] = time.monotonic() - began
                peak = memory_taken(s.device)
                on_step(StepStats(s.epoch, s.batch, len(bounds), s.seen, value, lr, share, peak))
                if s.world.any(bool(stop)):
                    save(s)
                    raise Interrupted(stop.number or signal.SIGTERM)
                if s.world.any(bool(stop.saving) or time.monotonic() - saved > 60 * s.train.save_minutes):
                    save(s)
                    saved = time.monotonic()
            mark = time.monotonic()
        now = time.monotonic()
        stats = _end_epoch(s, seconds=max(now - began, 1e-9), waiting=waiting / max(now - here, 1e-9))
        yield stats
        save(s)  # only now: what a checkpoint holds has been told, whenever the process dies
        if s.train.on_collapse == "stop" and s.world.any("collapsed" in stats.states.values()):
            raise RunError(f"Stopped after epoch {s.epoch}: an arm collapsed.", hint=ADVICE)


def _end_epoch(s: Session, *, seconds: float, waiting: float) -> EpochStats:
    """Average the weights, measure the gauges, and move `s` to the start of the next epoch."""
    loss = float(_sum_over_processes(s.loss_sum)) / s.seen  # device sync
    if s.epoch >= math.floor(s.optim.averaging_start * s.train.epochs):
        for name, averaged in s.averaged.items():
            averaged.update_parameters(s.method.arms[name])
    check_finite(s)  # before the epoch is told: one that was told is saved
    trained = s.seen
    s.epoch, s.batch, s.seen, s.loss_sum = s.epoch + 1, 0, 0, torch.zeros_like(s.loss_sum)
    s.seconds["epoch"] = 0.0
    gauges = measure_gauges(s)
    states = {arm: gauges[arm].state(s.start_gauges[arm]) for arm in gauges}
    due = s.probe is not None and (s.epoch % s.train.probe_every == 0 or s.epoch == s.train.epochs)
    probes = s.probe(s) if s.probe is not None and due else {}
    return EpochStats(s.epoch, loss, _lr(s, s.step - 1), trained, seconds, waiting, gauges, states, probes)


def _lr(s: Session, step: int) -> float:
    return learning_rate(step, steps=s.steps, optim=s.optim)


def fetch(s: Session, batch: Tensor) -> list[Tensor]:
    """Read this process's share of `batch` [B] from the store, in the parts it is accumulated over."""
    return [s.store.batch(batch[part], s.device) for part in _parts(s, len(batch))]


def _parts(s: Session, size: int) -> list[Tensor]:
    """Return the positions within a batch of `size` that this process takes, a tensor a forward pass.

    Batch norm needs two in each, so a small last batch may have fewer passes; as many in every process.
    """
    mine = torch.arange(s.world.rank, size, s.world.size)
    return list(mine.tensor_split(max(1, min(s.train.accumulate, size // s.world.size // s.fewest))))


def train_step(
    s: Session, batch: Tensor, images: list[Tensor], *, lr: float, mark: Callable[[str], None] = lambda _phase: None
) -> tuple[Tensor, float]:
    """Take one optimiser step on `images`, the uint8 [b, 3, S, S] parts of this process's share of `batch` [B].

    Returns this process's part of the batch's mean loss, on the device, and the seconds spent on data. `mark` is
    told when a phase has been queued: data, forward, backward, optimiser.
    """
    torch.manual_seed(stream_seed(s.train.seed, "layers", s.epoch, s.batch, s.world.rank))  # dropout
    draw = generator(s.train.seed, "views", s.epoch, s.batch)
    drawn = [(s.spec.at(view.size), draw_view(len(batch), generator=draw, **view.knobs)) for view in s.method.views]
    parts, progress = _parts(s, len(batch)), s.step / s.steps
    total, waiting = torch.zeros((), device=s.device), 0.0
    for i, (part, pixels) in enumerate(zip(parts, images, strict=True)):
        began = time.monotonic()
        views = [apply_view(pixels, view[part], spec) for spec, view in drawn]
        if s.targets is not None:
            views.append(s.targets[batch[part].to(s.device)])
        mark("data")
        waiting += time.monotonic() - began
        last = i == len(parts) - 1
        with nullcontext() if last or s.world.size == 1 else s.parallel.no_sync():
            with s.compute.autocast():
                loss = s.parallel(*views, progress=progress)
            mark("forward")
            share = len(part) / len(batch)
            with statistics_kept(s.method) if s.train.gradient_checkpointing else nullcontext():
                (loss * share * s.world.size).backward()  # DDP divides by the number of processes
            mark("backward")
        total += loss.detach() * share
    _update(s, lr=lr)
    s.method.after_step(progress)
    mark("optimiser")
    return total, waiting


def _update(s: Session, *, lr: float) -> None:
    """Let every optimiser take its step."""
    decay = weight_decay(s.step, steps=s.steps, optim=s.optim)
    for optimiser in s.optimisers.values():
        if s.optim.clip is not None:
            clip_each((p for group in optimiser.param_groups for p in group["params"]), s.optim.clip)
        set_rates(optimiser, lr=lr, weight_decay=decay)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)


def _sum_over_processes(value: Tensor) -> Tensor:
    if dist.is_initialized():
        value = value.clone()
        dist.all_reduce(value)
    return value
