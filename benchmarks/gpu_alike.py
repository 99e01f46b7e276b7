"""Tiny sessions that start alike on every device, how far apart what they compute is, and in which arithmetic.

Legend: B batch.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partialmethod
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
import torch.distributed as dist
from torch import Tensor, nn

from cass_cli.config.load import Layer
from cass_cli.config.recipes import resolve_with_recipe
from cass_cli.config.schema import Config
from cass_cli.data.store.store import ImageStore
from cass_cli.data.views.apply import apply_view
from cass_cli.engine import inference
from cass_cli.engine.compute import choose_compute
from cass_cli.engine.device import set_up_backends
from cass_cli.engine.distributed import World
from cass_cli.engine.finetuning import loop as tuning_loop
from cass_cli.engine.pretraining import loop, session
from cass_cli.engine.pretraining.loop import fetch, train_step
from cass_cli.engine.pretraining.session import Session, build_session
from cass_cli.engine.timing.stepper import synthetic_store
from cass_cli.methods import mae
from cass_cli.methods.build import build_arms, build_method

CPU = torch.device("cpu")
SETTINGS: dict[str, Any] = {
    "data.image_size": 32,
    "arms.cnn": "test_resnet",
    "arms.vit": "test_vit",
    "arms.init": "random",
    "arms.outputs": 16,
    "method.prototypes": 64,
    "train.epochs": 2,
    "train.batch_size": 4,
    "train.compile": "off",
}
IMAGES, BATCH, LR = 8, 4, 1e-3

Tensors = Mapping[str, Tensor]


@dataclass(frozen=True)
class Step:
    """What a step did, on the CPU in float64."""

    loss: Tensor
    gradients: list[Tensor]
    weights: Tensors  # of the whole method: averages, statistics and centres too


def config_of(device: torch.device, *, precision: str = "fp32", **settings: Any) -> Config:
    """Return the configuration of a tiny run; settings by their dotted names."""
    chosen = {**SETTINGS, **settings, "train.device": str(device), "train.precision": precision}
    return resolve_with_recipe([], [Layer("check", chosen)]).config


def session_on(
    device: torch.device,
    *,
    precision: str = "fp32",
    measure: bool = False,
    store: ImageStore | None = None,
    **settings: Any,
) -> Session:
    """Return a tiny session, its weights the same on every device."""
    config = config_of(device, precision=precision, **settings)
    images = store or synthetic_store(IMAGES, config.data.image_size)
    return build_session(
        config, build_arms(config), images, choose_compute(config.train), world=World(), measure=measure
    )


def take_step(s: Session, *, tf32: bool = False) -> Step:
    """Take a step on the first images, without TF32 unless it is asked for."""
    gradients: list[Tensor] = []

    def keep(optimiser: torch.optim.Optimizer, _arguments: object, _keywords: object) -> None:
        learned = (p for group in optimiser.param_groups for p in group["params"])
        gradients.extend(p.grad.detach().cpu().double().clone() for p in learned if p.grad is not None)

    hooks = [optimiser.register_step_pre_hook(keep) for optimiser in s.optimisers.values()]
    rows = torch.arange(BATCH)
    with ExitStack() as stack:
        if not tf32:
            stack.enter_context(without_tf32(s.device))
        loss, _ = train_step(s, rows, fetch(s, rows), lr=LR)
    for hook in hooks:
        hook.remove()
    return Step(loss.detach().cpu().double(), gradients, copied(s.method))


def copied(network: nn.Module) -> Tensors:
    """Return a copy of all that a network holds, on the CPU in float64, but for batch norm's count of its batches.

    Gradient checkpointing counts a batch twice; nothing reads the count.
    """
    return {
        name: value.detach().cpu().double().clone()
        for name, value in network.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }


def relative(these: Iterable[Tensor], those: Iterable[Tensor]) -> float:
    """Return ‖these − those‖ / ‖those‖ over all tensors."""
    mine, theirs = (torch.cat([tensor.flatten() for tensor in tensors]) for tensors in (these, those))
    return float((mine - theirs).norm() / theirs.norm())


def farthest(these: Tensors, those: Tensors) -> float:
    """Return by how much the most different number differs; NaN where one is NaN. Both have the same names."""
    assert these.keys() == those.keys(), "they hold other tensors"
    return float(torch.stack([(these[name] - those[name]).abs().max() for name in those]).max())


@contextmanager
def in_double() -> Iterator[None]:
    """Let every session that is built from now on train in float64, its losses too, on views that the CPU made."""

    def view_of_the_cpu(pixels: Tensor, *arguments: Any, **keywords: Any) -> Tensor:
        return apply_view(pixels.cpu(), *arguments, **keywords).double().to(pixels.device)

    def as_it_is(tensor: Tensor) -> Tensor:
        return tensor if tensor.dtype == torch.float64 else tensor.to(torch.float32)

    with ExitStack() as stack:
        for module in (loop, session, tuning_loop, inference):
            stack.enter_context(patch.object(module, "apply_view", view_of_the_cpu))
        built = lambda *given, **keywords: build_method(*given, **keywords).double()  # noqa: E731
        stack.enter_context(patch.object(session, "build_method", built))
        stack.enter_context(patch.object(Tensor, "float", as_it_is))
        yield


@contextmanager
def masks_of_the_cpu() -> Iterator[None]:
    """Let MAE hide the same patches on every device: each has a stream of chance of its own."""
    choose = mae.choose_visible

    def chosen(*arguments: Any, device: torch.device, **keywords: Any) -> Tensor:
        return choose(*arguments, **keywords).to(device)

    with patch.object(mae, "choose_visible", chosen):
        yield


@contextmanager
def without_tf32(device: torch.device) -> Iterator[None]:
    """Compute products and convolutions in true fp32; a session that is built within brings TF32 back."""
    if device.type == "cuda":
        torch.set_float32_matmul_precision("highest")
        torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        if device.type == "cuda":
            torch.backends.cudnn.allow_tf32 = True  # PyTorch's default
        set_up_backends(device)


@contextmanager
def steady_algorithms(device: torch.device) -> Iterator[None]:
    """Let cuDNN take the same algorithms each time, and such as add up in the same order."""
    torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = False, True
    try:
        yield
    finally:
        torch.backends.cudnn.deterministic = False
        set_up_backends(device)


@contextmanager
def light_compiler(device: torch.device) -> Iterator[None]:
    """On a CPU, where this is a rehearsal, let torch.compile trace, and run what it traced as it is."""
    if device.type == "cuda":
        yield
        return
    with patch.object(nn.Module, "compile", partialmethod(nn.Module.compile, backend="eager")):
        yield


@contextmanager
def group_of_one(device: torch.device) -> Iterator[None]:
    """Let this process be a group: of NCCL on a GPU, of gloo on a CPU."""
    if device.type == "cuda":
        torch.cuda.set_device(device)
    with tempfile.TemporaryDirectory() as folder:
        dist.init_process_group(
            "nccl" if device.type == "cuda" else "gloo",
            store=dist.FileStore(str(Path(folder) / "store"), 1),
            rank=0,
            world_size=1,
            timeout=timedelta(seconds=60),
        )
        try:
            yield
        finally:
            dist.destroy_process_group()
