"""What a fine-tuning would do and need, worked out without running it: for `cass finetune --dry-run`.

Legend: B batch, C classes, D features of an arm, S image side.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary

from cass_cli.data.splits import SPLITS
from cass_cli.engine import features, inference
from cass_cli.engine.finetuning.prepare import Prepared, comparable
from cass_cli.engine.finetuning.session import epoch_bounds, let_learn, passes_of
from cass_cli.engine.finetuning.shared import reading_of
from cass_cli.engine.pretraining.plan import Operations, count_backward
from cass_cli.engine.regression import MOST_AXES
from cass_cli.models.arms import Arm
from cass_cli.models.heads import HeadCard, Joined, LayerHead
from cass_cli.models.layers import arm_features
from cass_cli.models.unreal import unreal
from cass_cli.runs.rows import TrialRow
from cass_cli.runs.trials import Trial
from cass_cli.words import count

FLOAT = 4  # bytes
FITTED = 20  # bytes of each feature of each label while a regression is fitted: as it is read, then twice in fp64
AXES = 32  # bytes of each pair of principal axes: what they are found from, they, and the room to find them


@dataclass(frozen=True)
class PlannedTrial:
    """A trial before it is run."""

    path: Path
    fraction: float
    seed: int
    fold: int  # of a cross-validation; 0: the run's own split
    labels: int
    kept: bool  # finished already
    epochs: int  # to go, at most; 0 where no arm is trained
    steps: int  # the same


@dataclass(frozen=True)
class PlannedArm:
    """What the trials start from, and what a probe reads of it."""

    model: str
    weights: str  # how it got them
    parameters: int
    flops: int  # forward, an image; a multiply-add counts as two
    features: int  # D; 0 where there is no probe
    unread: int  # images that it has yet to read for probes; those whose features are on the disk are not read again


@dataclass(frozen=True)
class TunePlan:
    """A fine-tuning before it is run. Bytes are of its process, without Python and libraries."""

    variant: Path
    images: Mapping[str, int]  # with a label, by split; of a cross-validation those of its first fold
    folds: int  # 0: the run's own split
    dealt: int  # images with a label that have a part; those of all splits
    classes: int
    multilabel: bool
    trials: tuple[PlannedTrial, ...]
    arms: Mapping[str, PlannedArm]
    weight_bytes: int
    activation_bytes: int
    image_bytes: int
    feature_bytes: int
    device: str
    precision: str

    @property
    def memory_bytes(self) -> int:
        """Weights, gradients, optimiser state, activations, decoded images and features."""
        return self.weight_bytes + self.activation_bytes + self.image_bytes + self.feature_bytes

    @property
    def todo(self) -> tuple[PlannedTrial, ...]:
        """The trials that are not kept."""
        return tuple(trial for trial in self.trials if not trial.kept)


def plan_finetuning(p: Prepared) -> TunePlan:
    """Count images, labels, trials, steps and bytes, and look up what is on the disk already."""
    cost = _cost(p)
    unread = _unread(p) if p.probes and p.todo else dict.fromkeys(p.readers, 0)
    data, first = p.config.data, p.data_of(p.trials[0])
    held = data.cache not in ("disk", "off")
    return TunePlan(
        variant=p.variant.path,
        images={split: len(first.rows[split]) for split in SPLITS},
        folds=p.folds.count if p.folds else 0,
        dealt=len(p.data.all_rows),
        classes=len(p.data.table.classes),
        multilabel=p.data.table.multilabel,
        trials=tuple(_planned(p, trial) for trial in p.trials),
        arms={
            name: PlannedArm(
                model=body.name,
                weights=str(body.weights),
                parameters=_count(body.model),
                flops=cost.flops[name],
                features=cost.features[name],
                unread=unread[name],
            )
            for name, (_, body) in p.readers.items()
        },
        weight_bytes=cost.weight_bytes,
        activation_bytes=cost.activation_bytes // (2 if p.compute.precision == "bf16" else 1),
        image_bytes=len(np.unique(p.decoded)) * 3 * data.image_size**2 if held and p.todo else 0,
        feature_bytes=_feature_bytes(p, cost.features),
        device=str(p.compute.device),
        precision=p.compute.precision,
    )


def what_is_replaced(p: Prepared) -> str:
    """Return a sentence on what --overwrite would remove, or ""."""
    if not p.overwrite:
        return ""
    if p.new_run:
        return f"{p.run.path} would be replaced." if p.run.config.exists() else ""
    whole = p.variant.config.is_file() and not comparable(p.variant, p.resolved, p.data)
    gone = p.variant.trials() if whole else [trial for trial in p.trials if trial.path.exists()]
    return f"{count(len(gone), 'trial')} in {p.variant.path} would be replaced." if gone else ""


def _planned(p: Prepared, trial: Trial) -> PlannedTrial:
    labels, settings, kept = len(p.subsets[trial.path]), p.config.finetune, trial not in p.todo
    begun = len(trial.files.rows(TrialRow)) if trial.files.checkpoint.exists() and not p.overwrite else 0
    epochs = max(0, settings.epochs - begun) if settings.trains and not kept else 0
    steps = epochs * len(epoch_bounds(labels, settings))
    return PlannedTrial(trial.path, trial.fraction, trial.seed, trial.fold, labels, kept, epochs, steps)


def _unread(p: Prepared) -> dict[str, int]:
    """Return how many images each arm has yet to read.

    With random weights each seed has arms of its own, which are not drawn to look them up: all count as unread.
    """
    each_its_own = p.config.finetune.init == "random"
    groups = [[t for t in p.todo if t.seed == seed] for seed in {t.seed for t in p.todo}] if each_its_own else [p.todo]
    kept = p.run.features.is_dir() and not p.new_run and not each_its_own
    found = dict.fromkeys(p.readers, 0)
    for trials in groups:
        for data, rows in ((p.data, p.rows(trials)), (p.data.of_bare(), p.data.bare)):
            batches = features.batches_with(data, rows) if len(rows) else {}
            for reader, (name, body) in p.readers.items():
                numbers = list(batches)
                if kept:
                    arm = {name: body.model}
                    places = features.feature_folders(p.run.features, arm, data, reading_of(p.config), p.compute)
                    numbers = features.unread(places[name], batches)
                found[reader] += sum(len(batches[number]) for number in numbers)
    return found


@dataclass(frozen=True)
class _Cost:
    """What a recipe takes, whatever the machine; activations in fp32."""

    weight_bytes: int
    activation_bytes: int
    flops: Mapping[str, int]  # of each arm, forward, an image
    features: Mapping[str, int]  # D of each arm; 0 without a probe


def _cost(p: Prepared) -> _Cost:
    settings, parameters = p.config.finetune, [_count(body.model) for body in p.bodies.values()]
    layers = settings.layers if p.probes else 1
    passes = {name: _count_pass(body, p.config.data.image_size, layers) for name, (_, body) in p.readers.items()}
    flops = {name: counted.flops for name, counted in passes.items()}
    widths = {name: counted.features if p.probes else 0 for name, counted in passes.items()}
    peak = max(counted.peak for counted in passes.values())
    rivals = sum(_count(body.model) for body in p.rivals.values())
    if not settings.trains:  # each arm in turn is copied to where it computes
        weights, images = sum(parameters) + max(parameters) + rivals, sum(map(len, p.data.rows.values()))
        return _Cost(FLOAT * weights, min(features.BATCH, images) * peak, flops, widths)
    learned, kept = zip(*(_count_training(p, name) for name in p.bodies), strict=True)
    # Of each arm what it begins with, what is trained, its average and the best so far; gradients, two of Adam's.
    weights = rivals + (4 if settings.averaging else 3) * sum(parameters) + 3 * sum(learned)
    passed = [passes_of(seen, settings) * seen for trial in p.todo if (seen := len(p.subsets[trial.path]))]
    batch = min(settings.batch_size, max(passed, default=0))
    batch *= 1 + settings.unlabelled_ratio if any(map(p.untold, p.todo)) else 1
    validated = min(inference.BATCH, max(len(p.data_of(trial).rows["val"]) for trial in p.trials))
    return _Cost(FLOAT * weights, max(batch * max(kept), validated * peak), flops, widths)


@dataclass(frozen=True)
class _Pass:
    """One image through a frozen arm."""

    peak: int  # bytes at once, in fp32
    flops: int
    features: int  # D


def _count_pass(body: Arm, size: int, layers: int) -> _Pass:
    operations = Operations()
    with torch.device("meta"), torch.no_grad():
        with unreal():
            network = timm.create_model(body.name, **body.options).eval()
        with operations, _Alive(network) as alive:
            _, widths = arm_features(network, torch.empty(1, 3, size, size), layers=layers)
    return _Pass(alive.most, operations.count, sum(widths))


def _count_training(p: Prepared, name: str) -> tuple[int, int]:
    """Return the parameters of an arm that learn, and the bytes an image that its backward pass needs."""
    size, images = p.config.data.image_size, 2  # batch norm needs two
    body, classes, head = p.bodies[name], len(p.data.table.classes), 0
    with torch.device("meta"):
        if p.config.finetune.head == "probe":
            plain = timm.create_model(body.name, **{**body.options, "num_classes": 0})
            _, widths = arm_features(plain.eval(), torch.empty(1, 3, size, size), layers=p.config.finetune.layers)
            network: nn.Module = Joined({name: plain}, blank_head(name, p, sum(widths)))
            head = classes * (sum(widths) + 1)
        else:
            network = timm.create_model(body.name, **{**body.options, "num_classes": classes})
        let_learn(network, p.config.finetune)
        kept, _ = count_backward(network, lambda: network(torch.empty(images, 3, size, size)).square().sum())
    return head + sum(tensor.numel() for tensor in network.parameters() if tensor.requires_grad), kept // images


def _feature_bytes(p: Prepared, widths: Mapping[str, int]) -> int:
    """Return the bytes of all features that the largest trial holds, and of what its largest regression copies."""
    if not p.probes or not p.todo:
        return 0
    trial = max(p.todo, key=lambda trial: len(p.subsets[trial.path]))
    images = sum(map(len, features.batches_with(p.data, p.rows([trial])).values()))
    joint = not p.config.finetune.trains or p.config.finetune.head == "probe"
    fitted = sum(widths[name] for name in p.bodies) if joint else max(widths.values())
    labels = len(p.subsets[trial.path])
    axes = min(labels, fitted)
    regression = FITTED * labels * fitted + (AXES * axes**2 if axes <= MOST_AXES else 0)
    return FLOAT * images * sum(widths.values()) + regression


def blank_head(name: str, p: Prepared, width: int) -> LayerHead:
    """Return a head of an arm with so many features that nothing was fitted of, to count and to time with."""
    reading, table = reading_of(p.config), p.data.table
    card = HeadCard((name,), reading.layers, reading.mirrored, table.classes, table.multilabel, 0, 1.0)
    weight, bias = torch.zeros(len(table.classes), width), torch.zeros(len(table.classes))
    return LayerHead(card, weight, bias, standard=(torch.zeros(width), torch.ones(width)))


class _Alive(TorchDispatchMode):
    """Counts the bytes of tensors alive at once of those that are made under it; the network's own don't count."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.most = 0
        self.known = WeakIdKeyDictionary()
        for tensor in (*network.parameters(), *network.buffers()):
            self.known[tensor.untyped_storage()] = True

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor) and (storage := leaf.untyped_storage()) not in self.known:
                self.known[storage] = True
                self._add(storage.nbytes())
                weakref.finalize(storage, self._add, -storage.nbytes())
        return result

    def _add(self, number: int) -> None:
        self.now += number
        self.most = max(self.most, self.now)


def _count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())
