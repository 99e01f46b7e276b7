"""Everything a pretraining run holds while it runs, built from a configuration, saved and restored."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from timm.layers.norm_act import convert_sync_batchnorm
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel, get_swa_multi_avg_fn, update_bn

from cass_cli.config.schema import Config, Optim, Train
from cass_cli.data.store.store import ImageStore
from cass_cli.data.views.apply import apply_view
from cass_cli.data.views.draw import draw_view, unchanged
from cass_cli.data.views.spec import ImageSpec, spec_of
from cass_cli.engine.batches import batch_bounds, epoch_order
from cass_cli.engine.compute import Compute
from cass_cli.engine.device import exact
from cass_cli.engine.distributed import World
from cass_cli.engine.finite import check_restored, diverged, not_finite_in
from cass_cli.engine.optimisers import build_optimiser
from cass_cli.engine.pretraining.collapse import ArmGauges, Gauge
from cass_cli.engine.pretraining.plan import check_batches, fewest_images
from cass_cli.engine.state import first, no_seconds, optimiser_unlike, unlike
from cass_cli.errors import ConfigError, ModelError, RunError
from cass_cli.methods.build import build_method
from cass_cli.methods.method import Method
from cass_cli.models.arms import Arm
from cass_cli.models.checkpointing import checkpoint_gradients
from cass_cli.seeds import generator

MONITORED_IMAGES = 128
COMPILE_PAYS_AFTER = 2_000  # steps; compiling two arms takes a minute or two


@dataclass
class Session:
    """The moving parts of a run. Everything above the line is fixed; what is below it a checkpoint holds."""

    arms: Mapping[str, Arm]
    store: ImageStore
    world: World
    compute: Compute
    compiled: bool
    spec: ImageSpec
    optim: Optim
    train: Train
    parallel: Any
    fewest: int  # images in a forward pass
    targets: Tensor | None  # fp32 [N, K] of the store's images, where the method learns any
    # ----
    method: Method
    optimisers: dict[str, torch.optim.Optimizer]
    averaged: dict[str, AveragedModel]
    epoch: int = 0
    batch: int = 0
    step: int = 0
    seen: int = 0
    loss_sum: Tensor = field(default_factory=lambda: torch.zeros((), dtype=torch.float64))
    start_gauges: dict[str, ArmGauges] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=no_seconds)  # that were spent before the last checkpoint
    probe: Callable[[Session], dict[str, Any]] | None = None  # on the leading process, where probes are asked for
    saved: bool = False  # whether there is a checkpoint to go on from

    @property
    def device(self) -> torch.device:
        return self.compute.device

    @property
    def images(self) -> int:
        return len(self.store.kept)

    @property
    def steps(self) -> int:
        """Optimiser steps of the whole run."""
        return len(batch_bounds(self.images, self.train.batch_size, smallest=2 * self.world.size)) * self.train.epochs


def build_session(
    config: Config,
    arms: Mapping[str, Arm],
    store: ImageStore,
    compute: Compute,
    *,
    world: World,
    targets: Tensor | None = None,
    measure: bool = True,
) -> Session:
    """Put the arms on the device, with their method, optimisers and running averages.

    `targets` fp32 [N, K] are those of the images in `store`, for a method that learns some.
    With `measure`, the gauges are read before the first step; a session that is to be restored needs none. Raises
    `ConfigError` where a process would have fewer than two images at once, or would compile on MPS, and `ModelError`
    where an arm gives outputs that are not finite.
    """
    train, optim = config.train, config.optim
    device = compute.device
    if device.type == "mps" and train.compile == "on":
        raise ConfigError("On MPS cass does not compile.", hint="Use --compile off.")
    networks = {name: compute.place(arm.model).train() for name, arm in arms.items()}
    if train.gradient_checkpointing:
        checkpoint_gradients(arms)
    method = build_method(config, networks, targets=None if targets is None else targets.shape[1])
    fewest = fewest_images([method])
    check_batches(train, len(store.kept), world.size, fewest=fewest)
    method.to(device)
    steps = train.epochs * len(batch_bounds(len(store.kept), train.batch_size, smallest=2 * world.size))
    compiled = train.compile == "on" or (
        train.compile == "auto" and device.type == "cuda" and steps >= COMPILE_PAYS_AFTER
    )
    average = get_swa_multi_avg_fn()
    kept = method.arms if optim.averaging else {}
    averaged = {name: AveragedModel(net, multi_avg_fn=average) for name, net in kept.items()}
    if world.size > 1 and device.type == "cuda":  # after the copies, which one process alone refreshes
        convert_sync_batchnorm(method)  # type: ignore[no-untyped-call]  # timm has no types
    if compiled:
        for network in method.networks:
            network.compile()
    ids = [device] if device.type == "cuda" else None
    session = Session(
        arms=arms,
        store=store,
        world=world,
        compute=compute,
        compiled=compiled,
        spec=spec_of(config.data),
        optim=optim,
        train=train,
        fewest=fewest,
        targets=None if targets is None else targets.to(device),
        parallel=method if world.size == 1 else DistributedDataParallel(method, device_ids=ids),
        method=method,
        optimisers={
            name: build_optimiser(
                getattr(optim, name), net, optim, network=method.learned[name], share=getattr(optim, f"share_{name}")
            )
            for name, net in method.learners.items()
        },
        averaged=averaged,
        loss_sum=torch.zeros((), dtype=exact(device), device=device),
    )
    if measure:
        session.start_gauges = measure_gauges(session)
    return session


def session_state(s: Session) -> dict[str, Any]:
    """Return all that a step depends on, as tensors and plain values."""
    return {
        "method": s.method.state_dict(),
        "optimisers": {name: optimiser.state_dict() for name, optimiser in s.optimisers.items()},
        "averaged": {name: averaged.state_dict() for name, averaged in s.averaged.items()},
        "position": {"epoch": s.epoch, "batch": s.batch, "step": s.step, "seen": s.seen},
        "loss_sum": s.loss_sum,
        "images": s.images,
        "start_gauges": {arm: asdict(gauges) for arm, gauges in s.start_gauges.items()},
        "seconds": dict(s.seconds),
    }


def check_finite(s: Session) -> None:
    """Raise `RunError` where what a checkpoint would hold is not finite; every process must ask."""
    bad = not_finite_in(session_state(s))
    if s.world.any(bool(bad)):
        where, bad = f"epoch {s.epoch + 1}, batch {s.batch}", bad or "a tensor of another process"
        raise stopped(s, f"Training diverged in {where}: {bad} is no longer finite")


def stopped(s: Session, what: str) -> RunError:
    """Return the error that says `what` is no longer finite, and how to go on."""
    hint = "Start again with a lower --lr, or --precision fp32 if this was bf16: with --overwrite, or another --name."
    go_on = "\n--resume goes on from that state, with the settings as they are."
    return diverged(what, hint + (go_on if s.saved else ""), saved=s.saved)


def check_state(s: Session, state: Mapping[str, Any], path: Path) -> None:
    """Raise `RunError` where `state`, which was read from `path`, cannot be brought into `s`."""
    if wrong := first(_faults(s, state)):
        raise RunError(f"{path} is damaged: {wrong}.", hint="Restore it from a copy, or start the run again.")


def _faults(s: Session, state: Mapping[str, Any]) -> Iterator[str]:
    """Yield what in `state` is missing, of another kind or impossible: the first counts."""
    gauges = dict.fromkeys(s.method.arms, asdict(ArmGauges(Gauge(0.0, 0.0, 0.0), Gauge(0.0, 0.0, 0.0))))
    now = {**session_state(s), "start_gauges": gauges}
    yield from (f"it lacks {key}" for key in now if key not in state)
    yield from unlike({key: state[key] for key in now} | {"optimisers": 0}, now | {"optimisers": 0}, "it")
    if not isinstance(state["optimisers"], Mapping):
        yield "it has no optimisers"
    for name, optimiser in s.optimisers.items():
        yield from optimiser_unlike(state["optimisers"].get(name), optimiser, f"optimisers.{name}")
    batches = len(batch_bounds(state["images"], s.train.batch_size, smallest=2 * s.world.size))
    epoch, batch, step, seen = (state["position"][key] for key in ("epoch", "batch", "step", "seen"))
    fitting = 0 <= batch <= batches and 0 <= seen <= state["images"] and epoch >= 0
    more = step - epoch * batches - batch  # with other processes an epoch had one batch more, or less
    if not fitting or abs(more) > epoch:
        yield f"it stands in epoch {epoch}, batch {batch} after {step} steps and {seen} images, which cannot be"


def restore_session(s: Session, state: Mapping[str, Any]) -> None:
    """Bring `s` to where `session_state` was taken; raise `RunError` where that isn't finite."""
    check_restored(state)
    s.method.load_state_dict(state["method"])
    for name, optimiser in s.optimisers.items():
        optimiser.load_state_dict(state["optimisers"][name])
    for name, averaged in s.averaged.items():
        averaged.load_state_dict(state["averaged"][name])
    s.epoch, s.batch, s.step, s.seen = (state["position"][key] for key in ("epoch", "batch", "step", "seen"))
    s.loss_sum = state["loss_sum"].to(s.device, exact(s.device))
    s.start_gauges = {arm: ArmGauges.from_dict(values) for arm, values in state["start_gauges"].items()}
    s.seconds, s.saved = dict(state["seconds"]), True


@torch.no_grad()
def measure_gauges(s: Session) -> dict[str, ArmGauges]:
    """Measure the collapse gauges of each arm on a fixed, seeded set of training images, without augmentation.

    Raises `RunError`, or before the first step `ModelError`, where an arm's outputs are not finite: finite weights can
    still be too large.
    """
    rows = torch.randperm(s.images, generator=generator(s.train.seed, "monitor"))[:MONITORED_IMAGES]
    gauges = {}
    s.method.eval()
    for name in s.method.arms:
        parts = []
        for part in rows.split(s.train.batch_size):
            with s.compute.autocast():
                parts.append(s.method.embed(name, plain_view(s, part)))
        features, outputs = (torch.cat(column).float() for column in zip(*parts, strict=True))
        if s.world.any(not bool(features.isfinite().all() and outputs.isfinite().all())):
            raise _outputs_not_finite(s, name)
        gauges[name] = ArmGauges(Gauge.of(outputs), Gauge.of(features))
    s.method.train()
    return gauges


def _outputs_not_finite(s: Session, arm: str) -> RunError | ModelError:
    if s.step == 0:
        what = f"Before any training, {arm} gives training images outputs that are not finite (NaN or infinite)."
        return ModelError(what, hint="Try --precision fp32 if this was bf16, or other weights.")
    return stopped(s, f"Training diverged in epoch {s.epoch}: the outputs of {arm} are no longer finite")


def plain_view(s: Session, rows: Tensor) -> Tensor:
    """Return the images `rows` of the store, normalised and not augmented: [B, 3, S, S]."""
    return apply_view(s.store.batch(rows, s.device), unchanged(len(rows)), s.spec)


@torch.no_grad()
def refresh_averages(s: Session) -> dict[str, nn.Module]:
    """Return the averaged arms with batch-norm statistics of their own, from one pass over augmented images.

    Empty when averaging is off or never began.
    """
    averages: dict[str, nn.Module] = {}
    for name, averaged in s.averaged.items():
        if int(averaged.n_averaged) > 0:
            with s.compute.autocast():
                update_bn(_augmented_epoch(s), averaged, device=s.device)
            averages[name] = averaged.module
    return averages


def _augmented_epoch(s: Session) -> Any:
    order = epoch_order(s.images, seed=s.train.seed, epoch=s.train.epochs)
    for index, (start, stop) in enumerate(batch_bounds(s.images, s.train.batch_size)):
        draw = generator(s.train.seed, "views", s.train.epochs, index)
        view = draw_view(stop - start, generator=draw, **s.method.views[0].knobs)
        yield apply_view(s.store.batch(order[start:stop], s.device), view, s.spec)
