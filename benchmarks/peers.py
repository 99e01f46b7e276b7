"""Seconds an image of pretraining by DINO and BYOL: ours against lightly's components, on the same files.

    python benchmarks/peers.py                              ResNet-18 and ViT-Tiny at 128 px
    python benchmarks/peers.py --methods byol --arms cnn --turns 5

lightly's side is the plain PyTorch loop of its documentation's example: its transforms in a DataLoader with two
workers, its heads, losses and momentum updates. Backbone, image size, batch, views, widths of the heads, prototypes,
optimiser and learning rate are ours on both sides, so that a step is the same work. On a GPU each side comes in its
default precision (lightly: fp32, ours: bf16) and in the other's. Turns are epochs, as in step.py.

Where lightly-train is installed beside cass (it isn't a dependency), its DINO joins in, with the same crops and
prototypes, in the precision that it chooses. It owns the whole of a run: a turn of it is the second epoch of a process.
"""

from __future__ import annotations

import argparse
import copy
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightly.data import LightlyDataset
from lightly.loss import DINOLoss, NegativeCosineSimilarity
from lightly.models.modules import BYOLPredictionHead, BYOLProjectionHead, DINOProjectionHead
from lightly.models.utils import deactivate_requires_grad, update_momentum
from lightly.transforms.byol_transform import BYOLTransform, BYOLView1Transform, BYOLView2Transform
from lightly.transforms.dino_transform import DINOTransform
from lightly.utils.scheduler import cosine_schedule
from machine import write_result
from plain import loader, plain_autocast, pytorch_defaults, write_images
from step import SIZES, Size, auto_precision, decode, ours, with_precision
from torch import Tensor, nn
from turns import Memory, Turn, circumstances, clock, quartiles, show, summarise, take_turns

from cass_cli.config.load import Layer
from cass_cli.config.recipes import resolve_with_recipe
from cass_cli.config.schema import Config
from cass_cli.data.sources import load_samples
from cass_cli.engine.device import choose_device
from cass_cli.engine.pretraining.plan import view_sides
from cass_cli.methods.build import build_arms
from cass_cli.methods.byol import HIDDEN, MOMENTUM, PROJECTION
from cass_cli.methods.dino import BOTTLENECK, OFFICIAL

LossOf = Callable[[list[Tensor], float], Tensor]  # of the views, at a share of the run


def main() -> None:
    """Measure, print a table for each method and arm, and write benchmarks/results/<machine>/peers.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", default="byol,dino")
    parser.add_argument("--arms", default="cnn,vit")
    parser.add_argument("--size", default="small", choices=list(SIZES), help="pair of arms")
    parser.add_argument("--batch-size", type=int, help="default: the pair's, less on a CPU")
    parser.add_argument("--prototypes", type=int, default=2048, help="of DINO, as in lightly's example")
    parser.add_argument("--steps", type=int, help="steps of a turn")
    parser.add_argument("--turns", type=int, default=5, help="turns that each contestant is timed for")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    given = parser.parse_args()
    device, size = choose_device(given.device), SIZES[given.size]
    batch, steps = size.batch(device, given.batch_size), size.steps(device, given.steps)
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        write_images(Path(folder), images=batch * steps, size=size.image_size)
        for method in given.methods.split(","):
            for arm in given.arms.split(","):
                config = case(method, arm, size, batch, given.turns + 1, given.prototypes, device)
                rows = measure(config, Path(folder), batch * steps, given.turns, device)
                views = ", ".join(f"{side} px" for side in view_sides(config))
                title = f"{method}, {getattr(size, arm)}, batch {batch}, views of {views}, {device}"
                results[f"{method} {arm}"] = {"title": title, "rows": rows}
                notes = {
                    name: f"waiting for data {row['waiting'][0]:.1%}" for name, row in rows.items() if row["waiting"]
                }
                show(title, rows, first="ours", notes=notes)
    settings = {**vars(given), "batch_size": batch, "steps": steps}
    print(f"\nWritten: {write_result('peers', {'settings': settings, **circumstances(device), 'results': results})}")


def case(method: str, arm: str, size: Size, batch: int, epochs: int, prototypes: int, device: torch.device) -> Config:
    """Return the configuration of ours: the method's own recipe, on one arm."""
    values = {
        "method.name": method,
        "method.arm": arm,
        "method.prototypes": prototypes,
        "arms.cnn": size.cnn,
        "arms.vit": size.vit,
        "arms.init": "random",
        "data.image_size": size.image_size,
        "train.batch_size": batch,
        "train.epochs": epochs,
        "train.device": str(device),
        "train.compile": "off",
    }
    return resolve_with_recipe([], [Layer("benchmark", values)]).config


def measure(config: Config, folder: Path, images: int, turns: int, device: torch.device) -> dict[str, Any]:
    """Let both sides take turns, and return what each cost."""
    store = decode(load_samples(folder), config.data.image_size, device)
    own, _ = auto_precision(config, device)
    waiting: list[float] = []
    builders: dict[str, Callable[[], Turn]] = {
        "ours": partial(ours, config, store, waiting),
        "lightly": partial(lightly, config, folder, device),
    }
    if own == "bf16":
        builders["ours, fp32"] = partial(ours, with_precision(config, "fp32"), store, [])
        builders["lightly, bf16"] = partial(lightly, config, folder, device, bf16=True)
    if config.method.name == "dino" and importlib.util.find_spec("lightly_train"):
        builders["lightly-train"] = partial(lightly_train, config, folder)
    contestants: dict[str, Turn] = {}
    memory: dict[str, int] = {}
    for name, build in builders.items():
        measured = Memory(device)
        contestants[name] = build()
        contestants[name]()  # warms up
        memory[name] = measured.peak()
    rows = summarise(take_turns(contestants, turns=turns), images=images, first="ours")
    for name, row in rows.items():
        row["peak_memory"] = memory[name] or None
        row["waiting"] = quartiles(waiting[1:]) if name == "ours" else None
    return rows


def lightly(config: Config, folder: Path, device: torch.device, *, bf16: bool = False) -> Turn:
    """Return a function that pretrains one network for an epoch as lightly's examples do."""
    network: Any = next(iter(build_arms(config).values())).model
    width = int(getattr(network, "head_hidden_size", None) or network.num_features)
    build = {"byol": lightly_byol, "dino": lightly_dino}[config.method.name]
    model, transform, loss_of = build(network, width, config)
    model.to(device).train()
    batches = loader(
        LightlyDataset(str(folder), transform=transform), batch_size=config.train.batch_size, device=device
    )
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[config.optim.cnn]
    optimiser = kind((p for p in model.parameters() if p.requires_grad), lr=config.optim.lr)
    done = 0

    def turn() -> float:
        nonlocal done
        pytorch_defaults(device)
        began, total = clock(device), 0.0
        for batch in batches:
            views = [view.to(device) for view in batch[0]]
            with plain_autocast(device, bf16=bf16):
                loss = loss_of(views, done / (len(batches) * config.train.epochs))
            total += loss.detach().item()
            loss.backward()
            optimiser.step()
            optimiser.zero_grad()
            done += 1
        return clock(device) - began

    return turn


def lightly_byol(network: nn.Module, width: int, config: Config) -> tuple[nn.Module, Any, LossOf]:
    """Return lightly's BYOL: its modules, its transform, and its loss."""
    online = nn.Sequential(network, BYOLProjectionHead(width, HIDDEN, PROJECTION))
    predictor, target = BYOLPredictionHead(PROJECTION, HIDDEN, PROJECTION), copy.deepcopy(online)
    deactivate_requires_grad(target)
    criterion, side = NegativeCosineSimilarity(), config.data.image_size
    transform = BYOLTransform(
        view_1_transform=BYOLView1Transform(input_size=side), view_2_transform=BYOLView2Transform(input_size=side)
    )

    def loss_of(views: list[Tensor], _progress: float) -> Tensor:
        update_momentum(online, target, m=MOMENTUM)
        p0, p1 = (predictor(online(view)) for view in views)
        z0, z1 = (target(view).detach() for view in views)
        loss: Tensor = 0.5 * (criterion(p0, z1) + criterion(p1, z0))
        return loss

    return nn.ModuleList([online, predictor, target]), transform, loss_of


def lightly_dino(network: nn.Module, width: int, config: Config) -> tuple[nn.Module, Any, LossOf]:
    """Return lightly's DINO: its modules, its transform, and its loss."""
    prototypes, locals_ = config.method.prototypes, len(OFFICIAL.others)
    head = DINOProjectionHead(width, OFFICIAL.hidden, BOTTLENECK, prototypes, freeze_last_layer=1)
    student = nn.Sequential(network, head)
    teacher = nn.Sequential(copy.deepcopy(network), DINOProjectionHead(width, OFFICIAL.hidden, BOTTLENECK, prototypes))
    deactivate_requires_grad(teacher)
    criterion = DINOLoss(output_dim=prototypes, warmup_teacher_temp_epochs=5)
    large, small = config.data.image_size, min(view_sides(config))
    transform = DINOTransform(global_crop_size=large, local_crop_size=small, n_local_views=locals_)

    def loss_of(views: list[Tensor], progress: float) -> Tensor:
        update_momentum(student, teacher, m=cosine_schedule(round(100 * progress), 101, *OFFICIAL.momentum))
        said = [teacher(view).detach() for view in views[:2]]
        loss: Tensor = criterion(said, [student(view) for view in views], epoch=0)
        return loss

    return nn.ModuleList([student, teacher, criterion]), transform, loss_of


def lightly_train(config: Config, folder: Path) -> Turn:
    """Return a function that pretrains one network by lightly-train, and returns the seconds of its second epoch."""
    sides = view_sides(config)
    values = {
        "data": folder,
        "model": getattr(config.arms, str(config.method.arm)),
        "small-crops": sides.count(min(sides)),
        "prototypes": config.method.prototypes,
        "batch-size": config.train.batch_size,
        "epochs": 2,
    }
    command = [sys.executable, str(Path(__file__).with_name("lightly_train_epochs.py"))]
    command += ["--sides", str(max(sides)), str(min(sides))]
    command += [word for name, value in values.items() for word in (f"--{name}", str(value))]
    environment = {**os.environ, "LIGHTLY_TRAIN_EVENTS_DISABLED": "1"}

    def turn() -> float:
        with tempfile.TemporaryDirectory() as out:
            done = subprocess.run(
                [*command, "--out", f"{out}/run"], check=True, env=environment, stdout=subprocess.PIPE, text=True
            )
        seconds: list[float] = json.loads(done.stdout.splitlines()[-1])
        return seconds[0]

    return turn


if __name__ == "__main__":
    main()
