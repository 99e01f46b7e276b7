"""An epoch of fine-tuning both arms, validation included, against a plain loop that does each arm in turn.

    python benchmarks/finetune.py                     ResNet-18 + ViT-Tiny at 128 px; on a GPU the paper's arms too
    python benchmarks/finetune.py --sizes paper --batch-size 4 --steps 2 --turns 3

Ours is the loop of `cass finetune --recipe paper` as it is: images decoded once, both arms learning from one pass over
them. The plain loop decodes and transforms each sample whenever it is asked for, once for each arm. Same files, arms,
loss and batch. Decoding once isn't in our epochs; its cost is given beside them.
"""

from __future__ import annotations

import argparse
import copy
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from machine import write_result
from plain import (
    Images,
    evaluation_transform,
    loader,
    plain_autocast,
    pytorch_defaults,
    training_transform,
    write_images,
)
from step import SIZES, Size, auto_precision, case, decode
from torch import Tensor, nn
from torch.utils.data import DataLoader
from turns import Memory, Turn, circumstances, clock, show, summarise, take_turns

from cass_cli.config.schema import ARM_NAMES, Config
from cass_cli.data.sample_table import SampleTable
from cass_cli.data.sources import load_samples
from cass_cli.data.views.spec import ImageSpec
from cass_cli.engine.compute import Compute
from cass_cli.engine.device import choose_device, set_up_backends
from cass_cli.engine.finetuning.focal import focal_loss
from cass_cli.engine.finetuning.loop import finetune
from cass_cli.engine.finetuning.session import Tuning, loss_arguments, prepare_arm
from cass_cli.engine.signals import StopRequest
from cass_cli.methods.build import build_arms

CLASSES = 4


def main() -> None:
    """Measure, print a table for each size and write benchmarks/results/<machine>/finetune.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", help=f"of {', '.join(SIZES)}; default: small, and paper on a GPU")
    parser.add_argument("--batch-size", type=int, help="default: the pair's, less on a CPU")
    parser.add_argument("--steps", type=int, help="steps of an epoch; validation images are a quarter of its images")
    parser.add_argument("--turns", type=int, default=7, help="epochs that each contestant is timed for")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    given = parser.parse_args()
    device = choose_device(given.device)
    results = {}
    for name in (given.sizes or ("small,paper" if device.type == "cuda" else "small")).split(","):
        size = SIZES[name]
        batch, steps = size.batch(device, given.batch_size), size.steps(device, given.steps)
        results[name] = measure(size, batch, steps, given.turns, device) | {"usual_batch_size": size.batch_size}
        title = f"{size.cnn} + {size.vit}, {size.image_size} px, batch {batch}, {results[name]['images']}, {device}"
        rows = results[name]["rows"]
        memory = {key: f"{row['peak_memory'] / 2**30:.1f} GiB" for key, row in rows.items() if row["peak_memory"]}
        show(title, rows, first="ours", notes=memory)
        print(f"Decoding, once: {1000 * results[name]['decoding_seconds_per_image']:.2f} ms/image.")
    path = write_result("finetune", {"settings": vars(given), **circumstances(device), "results": results})
    print(f"\nWritten: {path}")


def measure(size: Size, batch: int, steps: int, turns: int, device: torch.device) -> dict[str, Any]:
    """Let ours and the plain loops take turns, and return what each cost for a training image."""
    with tempfile.TemporaryDirectory() as folder:
        train, val = steps * batch, max(CLASSES, steps * batch // 4)
        write_images(Path(folder), images=train + val, size=size.image_size, classes=CLASSES)
        task = Task(size, batch, train, turns, device, load_samples(Path(folder)))
        contestants: dict[str, Turn] = {}
        memory: dict[str, int] = {}
        builders: dict[str, Callable[[], Turn]] = {"ours": partial(ours, task), "plain loop": partial(plain, task)}
        if task.precision == "bf16":
            builders["plain loop, bf16"] = partial(plain, task, bf16=True)
        for name, build in builders.items():
            measured = Memory(device)
            contestants[name] = build()
            contestants[name]()  # warms up
            memory[name] = measured.peak()
        rows = summarise(take_turns(contestants, turns=turns), images=train, first="ours")
    return {
        "rows": {name: {**row, "peak_memory": memory[name] or None} for name, row in rows.items()},
        "images": f"{train} training and {val} validation images",
        "batch_size": batch,
        "precision": task.precision,
        "decoding_seconds_per_image": task.decoding,
    }


class Task:
    """What all contestants are given."""

    def __init__(
        self, size: Size, batch: int, train: int, turns: int, device: torch.device, table: SampleTable
    ) -> None:
        self.batch, self.device, self.side = batch, device, size.image_size
        epochs = 2 * turns + 2  # none of which is the last
        tuned = {"finetune__epochs": epochs, "finetune__patience": epochs, "finetune__batch_size": batch}
        self.config: Config = case(size, batch, epochs=1, device=device, arms__outputs=CLASSES, **tuned)
        self.precision, _ = auto_precision(self.config, device)
        began = clock(device)
        self.store = decode(table, size.image_size, device)
        self.decoding = (clock(device) - began) / len(table)
        rows = np.random.default_rng(0).permutation(len(table))
        self.rows = {"train": rows[:train], "val": rows[train:]}
        self.files = [table.path(row) for row in range(len(table))]
        self.labels = np.asarray(table.labels)
        self.loss = loss_arguments(self.config.finetune, self.labels[rows[:train]], CLASSES, device)

    def networks(self) -> dict[str, nn.Module]:
        """Build the arms anew."""
        return {name: arm.model for name, arm in build_arms(self.config).items()}

    def batches(self, split: str) -> DataLoader[Any]:
        """Return the plain loop's loader of a split."""
        transform = (training_transform if split == "train" else evaluation_transform)(self.side)
        rows = self.rows[split]
        images = Images([self.files[row] for row in rows], transform, self.labels[rows].tolist())
        return loader(images, batch_size=self.batch, device=self.device, shuffle=split == "train")


def ours(task: Task) -> Turn:
    """Return a function that runs the next epoch of `cass finetune`, of both arms together."""
    config, device = task.config, task.device
    compute = Compute(device, task.precision)
    tuning = Tuning(
        store=task.store,
        train_rows=torch.from_numpy(task.rows["train"]),
        train_labels=torch.from_numpy(task.labels[task.rows["train"]]).to(device),
        val_rows=torch.from_numpy(task.rows["val"]),
        val_labels=task.labels[task.rows["val"]],
        seed=0,
        arm_index={name: ARM_NAMES.index(name) for name in ARM_NAMES},
        compute=compute,
        spec=ImageSpec(config.data.image_size, config.data.mean, config.data.std),
        view=config.augment.model_dump(),
        loss=task.loss,
        settings=config.finetune,
        save_minutes=config.train.save_minutes,
        unlabelled=None,
        arms={name: prepare_arm(network, name, config.finetune, compute) for name, network in task.networks().items()},
    )
    epochs = finetune(tuning, stop=StopRequest(), save=lambda _tuning: None)

    def turn() -> float:
        set_up_backends(device)
        began = clock(device)
        next(epochs)
        return clock(device) - began

    return turn


def plain(task: Task, *, bf16: bool = False) -> Turn:
    """Return a function that trains and validates each arm in turn for an epoch."""
    device, batches = task.device, {split: task.batches(split) for split in task.rows}
    networks = {name: network.to(device) for name, network in task.networks().items()}
    optimisers = {name: torch.optim.Adam(network.parameters(), lr=3e-4) for name, network in networks.items()}
    best: dict[str, dict[str, Tensor]] = {}
    lowest = dict.fromkeys(networks, float("inf"))

    def loss_of(network: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
        with plain_autocast(device, bf16=bf16):
            logits = network(images.to(device))
        return focal_loss(logits, targets.to(device), **task.loss)

    def turn() -> float:
        pytorch_defaults(device)
        began = clock(device)
        for name, network in networks.items():
            network.train()
            total = 0.0
            for images, targets in batches["train"]:
                optimisers[name].zero_grad()
                loss = loss_of(network, images, targets)
                loss.backward()
                optimisers[name].step()
                total += loss.item()
            network.eval()
            with torch.no_grad():
                seen = sum(loss_of(network, images, targets).item() for images, targets in batches["val"])
            if seen < lowest[name]:
                lowest[name], best[name] = seen, copy.deepcopy(network.state_dict())
        return clock(device) - began

    return turn


if __name__ == "__main__":
    main()
