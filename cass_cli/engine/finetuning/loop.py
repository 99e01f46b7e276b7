"""The fine-tuning loop (Sec. 4.3, C.6): every arm learns the classes on its own, from the same views.

The recipes that train differ in what they begin with and in their settings, not in the way (`config/recipes.py`).

It yields what each epoch did and never prints. A step is a pure function of the weights, the seed and its
position, so a resumed run is the run that was interrupted; and an arm learns the same alone or beside another, unless
they teach each other.

Legend: n labelled images, B batch, C classes, S image side.
"""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from cass_cli.data.views.apply import apply_view
from cass_cli.data.views.draw import draw_view, unchanged
from cass_cli.engine.batches import epoch_order, prefetch
from cass_cli.engine.finetuning.cross_teach import APART, STRONG, Unlabelled, soft_loss, teachers_say
from cass_cli.engine.finetuning.focal import focal_loss
from cass_cli.engine.finetuning.imbalance import balanced_order
from cass_cli.engine.finetuning.session import ArmTuning, Tuning, check_finite, stopped, validate
from cass_cli.engine.finite import finite_only, not_finite_in
from cass_cli.engine.optimisers import cosine_lr
from cass_cli.engine.signals import StopRequest
from cass_cli.errors import Interrupted
from cass_cli.seeds import generator, stream_seed

# Reading a number from a GPU waits for it, so there the loss is looked at only every so many steps.
GPU_CHECK_EVERY = 50


@dataclass(frozen=True)
class TuneStep:
    """Where the training is, for a progress display."""

    epoch: int
    batch: int
    batches: int
    images: int
    loss: float
    lr: float


@dataclass(frozen=True)
class ArmEpoch:
    """What one epoch did to one arm; NaN where there are no validation images.

    An infinite `val_loss` is of an arm that diverged in the last epoch that it learned; earlier, training stops.
    """

    loss: float
    val_loss: float
    val_score: float  # the headline metric
    best_epoch: int  # with the lowest validation loss so far
    stopped: bool  # its patience is at an end


@dataclass(frozen=True)
class TuneEpoch:
    """What one epoch did. Arms that had stopped before are absent."""

    epoch: int
    lr: float
    images: int
    seconds: float
    arms: dict[str, ArmEpoch]

    def row(self) -> dict[str, Any]:
        """Return the row of metrics.jsonl; None for NaN and infinities, which JSON does not have."""
        arms = {
            name: {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in vars(arm).items()}
            for name, arm in self.arms.items()
        }
        return {**vars(self), "arms": arms}


def falling_lr(step: int, *, peak: float, steps: int, warmup: float = 0.0) -> float:
    """Return the learning rate of `step`: half a cosine from `peak` to 0 over all `steps` (C.6).

    Before it falls it rises along a line, over the share `warmup` of the steps.
    """
    rising = round(warmup * steps)
    if step < rising:
        return peak * (step + 1) / (rising + 1)
    return cosine_lr(step - rising, peak=peak, lowest=0.0, period=max(1, steps - rising))


def finetune(
    t: Tuning,
    *,
    stop: StopRequest,
    save: Callable[[Tuning], None],
    on_step: Callable[[TuneStep], None] = lambda _step: None,
    on_scored: Callable[[int, int], None] | None = None,
) -> Iterator[TuneEpoch]:
    """Train from where `t` stands until every arm has stopped, yielding each epoch as it ends.

    An arm stops after the last epoch, or after `patience` epochs without a validation loss below its best
    so far. `save` is called when an epoch has been yielded, every `save_minutes`, when `stop` asks for it, and before
    `Interrupted` is raised for `stop`. Raises `RunError` when a loss, or what would be saved, is no longer finite; the
    last saved state is then the last good one. The best weights are kept aside in `t`. `on_scored(done, total)` counts
    the validation images of an epoch.
    """
    save = finite_only(save, check_finite)
    bounds = t.bounds
    check_every = GPU_CHECK_EVERY if t.device.type != "cpu" else 1
    while t.epoch < t.settings.epochs and t.learning:
        order = _order(t)
        targets = t.train_labels[order.to(t.device)]
        others = _others(t, len(order))
        saved = time.monotonic()
        began = saved - t.seconds["epoch"]
        for bound, pixels, other in prefetch(partial(_fetch, t, order, others), bounds[t.batch :], device=t.device):
            lr = _lr(t, t.epoch * len(bounds) + t.batch)
            losses = tune_step(t, pixels, targets[slice(*bound)], lr=lr, other=other)
            t.batch += 1
            if t.batch % check_every == 0 or t.batch == len(bounds) or stop.asked:
                _check_finite(t, losses)
                t.seconds["epoch"] = time.monotonic() - began
                on_step(TuneStep(t.epoch, t.batch, len(bounds), bound[1], max(map(float, losses.values())), lr))
                if stop:
                    save(t)
                    raise Interrupted(stop.number or signal.SIGTERM)
                if stop.saving or time.monotonic() - saved > 60 * t.save_minutes:
                    save(t)
                    saved = time.monotonic()
        lr = _lr(t, (t.epoch + 1) * len(bounds) - 1)  # of the last step, which a resumed run may not have taken
        yield _end_epoch(t, lr=lr, seconds=time.monotonic() - began, on_scored=on_scored)
        save(t)  # only now: what a checkpoint holds has been told, whenever the process dies


def _order(t: Tuning) -> Tensor:
    """Return which labelled images this epoch takes, int64 [passes · n], in their order."""
    numbers = range(t.epoch * t.passes, (t.epoch + 1) * t.passes)
    if t.settings.sampling == "balanced":
        labels = t.train_labels.cpu()  # device sync, once an epoch
        return torch.cat([balanced_order(labels, seed=t.seed, epoch=number) for number in numbers])
    return torch.cat([epoch_order(t.images, seed=t.seed, epoch=number) for number in numbers])


def _others(t: Tuning, labelled: int) -> Tensor:
    """Return which images without a label go with so many labelled ones of this epoch, in their order; [0] for none."""
    if t.unlabelled is None:
        return torch.empty(0, dtype=torch.int64)
    return t.unlabelled.order(t.epoch, labelled * t.unlabelled.ratio, seed=t.seed)


def _fetch(
    t: Tuning, order: Tensor, others: Tensor, bound: tuple[int, int]
) -> tuple[tuple[int, int], Tensor, tuple[Tensor, Tensor] | None]:
    """Return the pixels of a batch of labelled images, and those of the others that go with it with their numbers."""
    pixels = t.store.batch(t.train_rows[order[slice(*bound)]], t.device)
    if t.unlabelled is None:
        return bound, pixels, None
    first, last = (t.unlabelled.ratio * edge for edge in bound)
    chosen = others[first:last]
    return bound, pixels, (chosen, t.store.batch(t.unlabelled.rows[chosen], t.device))


def _lr(t: Tuning, step: int) -> float:
    return falling_lr(step, peak=t.settings.lr, steps=t.settings.epochs * len(t.bounds), warmup=t.settings.warmup)


def tune_step(
    t: Tuning, pixels: Tensor, targets: Tensor, *, lr: float, other: tuple[Tensor, Tensor] | None = None
) -> dict[str, Tensor]:
    """Take one optimiser step of every learning arm on uint8 images [B, 3, S, S] with targets [B] or [B, C].

    `other` are images [M, 3, S, S] without a label, after their numbers [M]. Returns the losses, on the device, which
    are those of the labelled images.
    """
    view = draw_view(len(pixels), generator=generator(t.seed, "views", t.epoch, t.batch), **t.view)
    images = apply_view(pixels, view, t.spec)
    taught, losses = {}, {}
    if t.unlabelled and other:
        strong = draw_view(len(other[1]), generator=generator(t.seed, "views", t.epoch, t.batch, APART), **STRONG)
        images = torch.cat([images, apply_view(other[1], strong, t.spec)])
        taught = _taught(t, t.unlabelled, *other)
    for name, arm in t.arms.items():
        if arm.stopped:
            continue
        torch.manual_seed(stream_seed(t.seed, "layers", t.epoch, t.batch, t.arm_index[name]))  # dropout
        with t.compute.autocast():
            logits = arm.network(images)
        loss = total = focal_loss(logits[: len(pixels)], targets, **t.loss)
        if t.unlabelled and taught:
            lesson = soft_loss(logits[len(pixels) :], taught[name], multilabel=t.multilabel)
            total = loss + t.unlabelled.weight * lesson
        total.backward()
        if t.settings.clip:
            torch.nn.utils.clip_grad_norm_(arm.network.parameters(), t.settings.clip)
        for group in arm.optimiser.param_groups:
            group["lr"] = lr * group.get("scale", 1.0)  # a checkpoint from before there were shares has none
        arm.optimiser.step()
        arm.optimiser.zero_grad(set_to_none=True)
        arm.average(t.epoch * len(t.bounds) + t.batch, t.settings.averaging)
        losses[name] = loss.detach()
        arm.loss_sum += losses[name] * len(pixels)
    return losses


def _taught(t: Tuning, unlabelled: Unlabelled, chosen: Tensor, pixels: Tensor) -> dict[str, Tensor]:
    """Return what each arm is taught of `chosen` images without a label, by what all arms say of them as they are."""
    images = apply_view(pixels, unchanged(len(pixels)), t.spec)
    with t.compute.autocast():
        said = teachers_say({name: arm.answers for name, arm in t.arms.items()}, images, multilabel=t.multilabel)
    progress = (t.epoch + t.batch / len(t.bounds)) / t.settings.epochs
    return unlabelled.taught(chosen, said, progress)


def _end_epoch(t: Tuning, *, lr: float, seconds: float, on_scored: Callable[[int, int], None] | None) -> TuneEpoch:
    """Validate the learning arms, keep their best weights, and move `t` to the start of the next epoch."""
    learning = {name: arm for name, arm in t.arms.items() if not arm.stopped}
    seen = validate(t, list(learning), on_scored=on_scored)
    t.epoch, t.batch, t.seconds["epoch"] = t.epoch + 1, 0, 0.0
    arms = {}
    for name, arm in learning.items():
        val_loss, score = seen[name]
        _judge(t, arm, val_loss)
        loss = float(arm.loss_sum) / (t.passes * t.images)  # device sync
        arm.loss_sum = torch.zeros_like(arm.loss_sum)
        arms[name] = ArmEpoch(loss, val_loss, score, arm.best_epoch, arm.stopped)
    check_finite(t)  # before the epoch is told: one that was told is saved
    return TuneEpoch(t.epoch, lr, t.passes * t.images, max(seconds, 1e-9), arms)


def _judge(t: Tuning, arm: ArmTuning, val_loss: float) -> None:
    """Keep the weights when they are the best so far; stop the arm when its patience is at an end.

    Without validation images or patience the latest weights count as the best, and all epochs are trained.
    """
    if (math.isnan(val_loss) and not not_finite_in(arm.answers.state_dict())) or val_loss < arm.best_loss:
        arm.best_loss, arm.best_epoch = (arm.best_loss if math.isnan(val_loss) else val_loss), t.epoch
        arm.keep_best()
    patience = t.settings.patience or t.settings.epochs
    arm.stopped = t.epoch - arm.best_epoch >= patience or t.epoch == t.settings.epochs


def _check_finite(t: Tuning, losses: dict[str, Tensor]) -> None:
    for name, loss in losses.items():
        if not math.isfinite(float(loss)):  # device sync
            raise stopped(t, f"The loss of {name} became {float(loss)} in epoch {t.epoch + 1}, batch {t.batch}")
