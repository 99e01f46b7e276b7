"""What a run would do and need, worked out without training: for `--dry-run` and for the first lines of a run.

Legend: B batch, S image side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from cass_cli.config.schema import Config, Train
from cass_cli.data.dataset import Dataset
from cass_cli.engine.batches import batch_bounds
from cass_cli.engine.compute import Compute
from cass_cli.errors import ConfigError, DataError
from cass_cli.methods.build import build_arms, build_method
from cass_cli.methods.method import Method
from cass_cli.models.checkpointing import checkpoint_gradients
from cass_cli.models.unreal import unreal


@dataclass(frozen=True)
class Plan:
    """A run before it is run. Bytes are of the training process, without Python and libraries."""

    images: Mapping[str, int]
    steps_per_epoch: int
    steps: int
    parameters: Mapping[str, int]
    weight_bytes: int
    activation_bytes: int
    image_bytes: int
    flops_per_image: float
    device: str
    precision: str

    @property
    def memory_bytes(self) -> int:
        """Weights, gradients, optimiser state, averages, activations and decoded images."""
        return self.weight_bytes + self.activation_bytes + self.image_bytes


def plan_pretraining(config: Config, dataset: Dataset, compute: Compute, *, processes: int = 1) -> Plan:
    """Count images, steps, parameters, bytes and floating-point operations.

    Raises what `check_batches` and building the arms raise.
    """
    images = dataset.counts["train"]
    per_epoch = len(batch_bounds(images, config.train.batch_size, smallest=2 * processes))
    cost = count_cost(config)
    check_batches(config.train, images, processes, fewest=cost.fewest)
    forward = -(-config.train.batch_size // config.train.accumulate)
    return Plan(
        images=dataset.counts,
        steps_per_epoch=per_epoch,
        steps=per_epoch * config.train.epochs,
        parameters=cost.parameters,
        weight_bytes=cost.weight_bytes,
        activation_bytes=cost.activation_bytes * min(forward, images) // (2 if compute.precision == "bf16" else 1),
        image_bytes=images * 3 * config.data.image_size**2 if config.data.cache not in ("disk", "off") else 0,
        flops_per_image=cost.flops,
        device=str(compute.device),
        precision=compute.precision,
    )


def fewest_images(networks: Iterable[nn.Module]) -> int:
    """Return how many images a forward pass needs: two where one of the networks has batch norm."""
    return 2 if any(isinstance(part, _BatchNorm) for network in networks for part in network.modules()) else 1


def check_batches(train: Train, images: int, processes: int, *, fewest: int) -> None:
    """Raise where a process would have fewer than the `fewest` images in a forward pass, or the gauges fewer than 2."""
    among = f" for {processes} processes" if processes > 1 else ""
    if images < 2 * processes:
        raise DataError(
            f"There {'is 1 training image' if images == 1 else f'are {images} training images'}{among}, "
            f"and at least {2 * processes} are needed.",
            hint="Give more images, or a larger share of them: --set data.fractions=[0.7,0.1,0.2]",
        )
    if train.batch_size < fewest * train.accumulate * processes:
        parts = f", in {train.accumulate} parts" if train.accumulate > 1 else ""
        or_fewer = f", or --accumulate {most}" if (most := train.batch_size // (fewest * processes)) else ""
        raise ConfigError(
            f"A batch of {train.batch_size}{parts}{among} leaves "
            f"{'one image for a forward pass; batch norm needs two' if fewest > 1 else 'some passes without image'}.",
            hint=f"Take --batch-size {fewest * train.accumulate * processes}{or_fewer}.",
        )


@dataclass(frozen=True)
class Cost:
    """What a method takes, whatever the machine."""

    parameters: Mapping[str, int]  # of each exported arm
    weight_bytes: int  # fp32 weights, gradients, optimiser state and averages
    activation_bytes: int  # fp32, that the backward pass keeps, an image
    flops: float  # forward and backward, an image; a multiply-add counts as two
    fewest: int = 2  # images in a forward pass


def count_cost(config: Config) -> Cost:
    """Count, not guess: the method runs once on PyTorch's meta device, which holds no numbers.

    Every tensor that the backward pass would need is added up, and every product counted.
    """
    images = 2  # batch norm needs two
    with unreal():
        method = _unreal_method(config)
    with torch.device("meta"):
        views = [torch.empty(images, 3, side, side) for side in _sides(method, config)]
        if method.target_width:
            views.append(torch.empty(images, method.target_width))
    kept, flops = count_backward(method, lambda: method(*views, progress=0.5))
    optim = config.optim
    state = {"adam": 2, "adamw": 2, "sgd": 1}
    floats = _count(method)
    for arm, learner in method.learners.items():
        learned = sum(p.numel() for p in learner.parameters() if p.requires_grad)
        floats += learned * (1 + state[getattr(optim, arm)])
    parameters = {arm: _count(network) for arm, network in method.arms.items()}
    return Cost(
        parameters=parameters,
        weight_bytes=4 * (floats + optim.averaging * sum(parameters.values())),
        activation_bytes=kept // images,
        flops=flops / images,
        fewest=fewest_images([method]),
    )


def count_backward(network: nn.Module, forward: Callable[[], torch.Tensor]) -> tuple[int, int]:
    """Return the bytes that the backward pass from the scalar `forward()` needs, and the operations of both passes.

    The parameters of `network`, which computes it on the meta device, aren't among the bytes.
    """
    own = {p.untyped_storage()._cdata for p in network.parameters()}
    kept: dict[int, int] = {}
    alive: list[torch.Tensor] = []  # so that no address is used twice

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in own:
            kept[storage._cdata] = storage.nbytes()
            alive.append(tensor)
        return tensor

    operations = Operations()
    with operations, torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        forward().backward()
    return sum(kept.values()), operations.count


class Operations(TorchDispatchMode):
    """Counts what PyTorch's `FlopCounterMode` counts, in half of the time: nothing is taken apart that it looks at."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        more = kwargs or {}
        made = func(*args, **more)
        if counted := flop_registry.get(func.overloadpacket):
            self.count += counted(*args, **more, out_val=made)
        return made


def view_sides(config: Config) -> list[int]:
    """Return the side in pixels of each view that the method looks at."""
    with unreal():
        return _sides(_unreal_method(config), config)


def _unreal_method(config: Config) -> Method:
    """Build the method without reading weights; inside `unreal()`, without any numbers."""
    arms = config.arms.model_copy(update={"init": "random", "weights": {}})
    built = build_arms(config.model_copy(update={"arms": arms}))
    if config.train.gradient_checkpointing:
        checkpoint_gradients(built)
    return build_method(config, {name: arm.model for name, arm in built.items()})


def _sides(method: Method, config: Config) -> list[int]:
    return [view.size or config.data.image_size for view in method.views]


def _count(module: Any) -> int:
    return sum(p.numel() for p in module.parameters())


def memory_settings(train: Train) -> dict[str, int]:
    """Return the options that decide how much memory a step takes, with their present values."""
    return {
        "--batch-size": train.batch_size,
        "--accumulate": train.accumulate,
        "--gradient-checkpointing": int(train.gradient_checkpointing),
    }
