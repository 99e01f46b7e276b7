"""What a run would do and need, worked out without training: for `--dry-run` and for the first lines of a run.

Legend: B batch, S image side.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import timm
import torch

from cass_cli.config.schema import Config
from cass_cli.engine.batches import batch_bounds
from cass_cli.engine.device import choose_device, choose_precision
from cass_cli.engine.prepare import Dataset
from cass_cli.engine.session import ARM_NAMES
from cass_cli.models.arms import arm_options


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
    device: str
    precision: str

    @property
    def memory_bytes(self) -> int:
        """Weights, gradients, optimiser state, averages, activations and decoded images."""
        return self.weight_bytes + self.activation_bytes + self.image_bytes


def plan_pretraining(config: Config, dataset: Dataset) -> Plan:
    """Count images, steps and parameters, and estimate memory.

    Activations are counted, not guessed: both arms run once on PyTorch's meta device, which allocates
    nothing, and every tensor that the backward pass would need is added up.
    """
    images = dataset.counts["train"]
    device = choose_device(config.train.device)
    precision = choose_precision(config.train.precision, device)
    per_epoch = len(batch_bounds(images, config.train.batch_size))
    parameters: dict[str, int] = {}
    activations = 0
    for arm in ARM_NAMES:
        name = getattr(config.arms, arm)
        parameters[arm], saved = _count(name, image_size=config.data.image_size, outputs=config.arms.outputs)
        activations += saved
    forward = -(-config.train.batch_size // config.train.accumulate)
    state = {"adam": 2, "sgd": 1}
    weights = sum(
        parameters[arm] * (2 + state[getattr(config.optim, arm)] + config.optim.averaging) for arm in ARM_NAMES
    )
    return Plan(
        images=dataset.counts,
        steps_per_epoch=per_epoch,
        steps=per_epoch * config.train.epochs,
        parameters=parameters,
        weight_bytes=4 * weights,
        activation_bytes=activations * min(forward, images) // (2 if precision == "bf16" else 1),
        image_bytes=images * 3 * config.data.image_size**2 if config.data.cache not in ("disk", "off") else 0,
        device=str(device),
        precision=precision,
    )


def _count(name: str, *, image_size: int, outputs: int) -> tuple[int, int]:
    """Return the parameters of a model and the fp32 bytes its backward pass keeps, per image."""
    with torch.device("meta"):
        model = timm.create_model(name, **arm_options(name, image_size=image_size, outputs=outputs))
        kept: dict[int, int] = {}
        own = {id(p) for p in model.parameters()}

        def note(tensor: torch.Tensor) -> torch.Tensor:
            if id(tensor) not in own:
                storage = tensor.untyped_storage()
                kept[storage._cdata] = storage.nbytes()
                alive.append(tensor)
            return tensor

        alive: list[torch.Tensor] = []  # so that no address is used twice
        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            model.train()(torch.empty(2, 3, image_size, image_size))
    return sum(p.numel() for p in model.parameters()), sum(kept.values()) // 2
