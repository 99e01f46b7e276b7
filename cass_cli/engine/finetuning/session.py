"""Everything that fine-tuning on one label subset with one seed holds while it runs.

Legend: n labelled images, m validation images, C classes.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cass_cli.config.schema import Finetune
from cass_cli.data.splits import Labels
from cass_cli.data.store.store import ImageStore
from cass_cli.data.views.spec import ImageSpec
from cass_cli.engine.batches import batch_bounds
from cass_cli.engine.compute import Compute
from cass_cli.engine.device import exact
from cass_cli.engine.finetuning.cross_teach import Unlabelled
from cass_cli.engine.finetuning.focal import Form, class_weights, focal_loss
from cass_cli.engine.finetuning.imbalance import logit_adjustment
from cass_cli.engine.finite import check_restored, diverged, not_finite_in
from cass_cli.engine.inference import store_logits
from cass_cli.engine.optimisers import build_tuner
from cass_cli.engine.state import first, no_seconds, optimiser_unlike, unlike
from cass_cli.errors import RunError
from cass_cli.models.heads import Joined
from cass_cli.scores.calibration import to_probabilities
from cass_cli.scores.values import metric_values


@dataclass
class ArmTuning:
    """One network that learns the classes, and its best weights so far, held on the CPU."""

    network: nn.Module
    answers: nn.Module  # what is validated and kept: the network itself, or the moving average of its weights
    optimiser: torch.optim.Optimizer
    loss_sum: Tensor
    best_loss: float = math.inf
    best_epoch: int = 0
    stopped: bool = False
    best: dict[str, Tensor] = field(default_factory=dict)

    def keep_best(self) -> None:
        """Copy the current weights aside."""
        self.best = {key: value.detach().cpu().clone() for key, value in self.answers.state_dict().items()}

    @torch.no_grad()
    def average(self, step: int, decay: float) -> None:
        """Move the average towards the network after the step numbered `step`, at first faster (as TensorFlow's)."""
        if self.answers is self.network:
            return
        share = 1 - min(decay, (1 + step) / (10 + step))
        for mean, value in zip(self.answers.state_dict().values(), self.network.state_dict().values(), strict=True):
            if mean.is_floating_point():
                mean.lerp_(value, share)
            else:
                mean.copy_(value)


@dataclass
class Tuning:
    """The moving parts of one fine-tuning. Everything above the line is fixed; what is below it a checkpoint holds."""

    store: ImageStore
    train_rows: Tensor  # int64 [n], rows of the store
    train_labels: Tensor  # int64 [n], or int8 [n, C] for multi-label, on the device
    val_rows: Tensor  # int64 [m]
    val_labels: Labels
    seed: int  # of all streams of chance
    arm_index: Mapping[str, int]
    compute: Compute
    spec: ImageSpec
    view: Mapping[str, Any]
    loss: Mapping[str, Any]  # arguments of the focal loss
    settings: Finetune
    save_minutes: float
    unlabelled: Unlabelled | None  # other images, that teach
    # ----
    arms: dict[str, ArmTuning]
    epoch: int = 0
    batch: int = 0
    seconds: dict[str, float] = field(default_factory=no_seconds)  # that were spent before the last checkpoint
    saved: bool = False  # whether there is a checkpoint to go on from

    @property
    def device(self) -> torch.device:
        return self.compute.device

    @property
    def images(self) -> int:
        return len(self.train_rows)

    @property
    def passes(self) -> int:
        """Over the images, an epoch."""
        return passes_of(self.images, self.settings)

    @property
    def bounds(self) -> list[tuple[int, int]]:
        """Those of an epoch's batches."""
        return epoch_bounds(self.images, self.settings)

    @property
    def multilabel(self) -> bool:
        return self.train_labels.ndim == 2

    @property
    def learning(self) -> bool:
        return any(not arm.stopped for arm in self.arms.values())


def passes_of(images: int, settings: Finetune) -> int:
    """Return how often an epoch passes over so many images, for all epochs to have the steps that are the least."""
    return max(1, math.ceil(settings.steps * settings.batch_size / (settings.epochs * images)))


def epoch_bounds(images: int, settings: Finetune) -> list[tuple[int, int]]:
    """Return the [start, stop) bounds of an epoch's batches, one pass over the images following the other."""
    return batch_bounds(passes_of(images, settings) * images, settings.batch_size)


def loss_arguments(settings: Finetune, labels: Labels, classes: int, device: torch.device) -> dict[str, Any]:
    """Return the arguments of the focal loss for the labels that may be seen."""
    multilabel, tau = labels.ndim == 2, settings.logit_adjustment
    form: Form = "sigmoid" if multilabel else settings.loss_form
    shown = (labels == 1).sum(axis=0) if multilabel else np.bincount(labels, minlength=classes)
    counts, known = torch.from_numpy(shown), torch.from_numpy(np.atleast_1d((labels >= 0).sum(axis=0)))  # [C], [C or 1]
    return {
        "form": form,
        "alpha": settings.alpha,
        "gamma": settings.gamma,
        "class_weights": class_weights(counts, settings.class_weights).to(device),
        "adjustment": logit_adjustment(counts, known, form=form, tau=tau).to(device) if tau else None,
    }


def prepare_arm(network: nn.Module, name: str, settings: Finetune, compute: Compute) -> ArmTuning:
    """Put a network on the device with its optimiser, its body frozen where the settings say so."""
    compute.place(network)
    let_learn(network, settings)
    body = network.arms[name] if isinstance(network, Joined) else network
    tuner = build_tuner(network, settings, network=body, share=getattr(settings, f"share_{name}"))
    answers = copy.deepcopy(network).eval().requires_grad_(False) if settings.averaging else network
    return ArmTuning(network, answers, tuner, torch.zeros((), dtype=exact(compute.device), device=compute.device))


def let_learn(network: nn.Module, settings: Finetune) -> None:
    """Put a network into training mode, or only its head where the settings freeze the body."""
    if not settings.freeze:
        network.train()
        if settings.batch_norm == "frozen":
            for module in network.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()
        return
    # In evaluation mode a frozen body gives the features that it was pretrained to give: no dropout, and the
    # batch-norm statistics of pretraining.
    head: Any = network.eval().requires_grad_(False)
    classifier = head.get_classifier()
    for part in classifier if isinstance(classifier, (tuple, list)) else (classifier,):
        part.train().requires_grad_(True)


def validate(
    t: Tuning, names: list[str], *, on_scored: Callable[[int, int], None] | None = None
) -> dict[str, tuple[float, float]]:
    """Return the validation loss and headline metric of the named arms; NaN without validation images or patience.

    The loss is that of training, with its class weights and logit adjustment: so the two that are shown are of one
    kind, and patience watches what is trained. The images are taken as they are, each once, whatever the sampling,
    and the metric is that of the outputs, without adjustment.
    """
    if len(t.val_rows) == 0 or t.settings.patience is None:
        return dict.fromkeys(names, (math.nan, math.nan))
    logits = outputs(t, names, t.val_rows, on_scored=on_scored)
    targets, ones = torch.as_tensor(t.val_labels), [np.ones((1, len(t.val_labels)))]
    ranking = t.settings.metric in ("auroc", "average_precision")
    found = {}
    for name, given in logits.items():
        loss = focal_loss(torch.as_tensor(given), targets, **t.loss)
        if not np.isfinite(given).all():  # never the best
            found[name] = (math.inf, math.nan)
            continue
        probabilities = to_probabilities(given, multilabel=t.val_labels.ndim == 2)
        values = metric_values(t.val_labels, probabilities, ones, ranking=ranking)
        found[name] = (float(loss), float(values[t.settings.metric][0]))
    return found


def outputs(
    t: Tuning, names: list[str], rows: Tensor, *, on_scored: Callable[[int, int], None] | None = None
) -> dict[str, np.ndarray]:
    """Return the outputs fp64 [len(rows), C] of the named arms for rows of the store; `on_scored` counts images."""
    return store_logits(
        {name: t.arms[name].answers for name in names},
        t.store,
        rows,
        spec=t.spec,
        compute=t.compute,
        on_progress=on_scored,
    )


def restore_best(t: Tuning) -> None:
    """Give every arm its best weights.

    An arm without any diverged in each epoch: its probe will do where the guard is up, else this raises `RunError`.
    """
    for name, arm in t.arms.items():
        if arm.best:
            arm.answers.load_state_dict(arm.best)
        elif not t.settings.guard:
            raise stopped(t, f"{name} diverged: no epoch left it with finite weights and outputs")


def check_finite(t: Tuning) -> None:
    """Raise `RunError` where what a checkpoint would hold, and training would go on from, is not finite.

    An arm that has stopped is not gone on with: what counts is its best state.
    """
    if bad := not_finite_in(_needed(tuning_state(t))):
        where = f"epoch {t.epoch + 1}, batch {t.batch}" if t.batch else f"the last batch of epoch {t.epoch}"
        raise stopped(t, f"Training diverged in {where}: {bad} is no longer finite")


def stopped(t: Tuning, what: str) -> RunError:
    """Return the error that says `what` is no longer finite, and what to try."""
    other = "with --overwrite, or beside this one with --variant NAME"
    return diverged(what, f"Try a lower --lr, or --precision fp32 if this was bf16: {other}.", saved=t.saved)


def _needed(state: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the part of `tuning_state` that is still used."""
    return {name: {"best": arm["best"]} if arm["stopped"] else arm for name, arm in state["arms"].items()}


def tuning_state(t: Tuning) -> dict[str, Any]:
    """Return all that a step depends on, as tensors and plain values."""
    arms = {
        name: {
            "network": arm.network.state_dict(),
            **({"average": arm.answers.state_dict()} if arm.answers is not arm.network else {}),
            "optimiser": arm.optimiser.state_dict(),
            "loss_sum": arm.loss_sum,
            "best_loss": arm.best_loss,
            "best_epoch": arm.best_epoch,
            "stopped": arm.stopped,
            "best": arm.best,
        }
        for name, arm in t.arms.items()
    }
    return {"arms": arms, "epoch": t.epoch, "batch": t.batch, "images": t.images, "seconds": dict(t.seconds)}


def check_state(t: Tuning, state: Mapping[str, Any], path: Path) -> None:
    """Raise `RunError` where `state`, which was read from `path`, cannot be brought into `t`.

    A state of other arms or images is no damage.
    """
    if wrong := first(_faults(t, state)):
        raise RunError(f"{path} is damaged: {wrong}.", hint="Restore it from a copy, or start again with --overwrite.")


def _faults(t: Tuning, state: Mapping[str, Any]) -> Iterator[str]:
    """Yield what in `state` is missing, of another kind or impossible: the first counts."""
    now = tuning_state(t)
    yield from (f"it lacks {key}" for key in now if key not in state)
    yield from unlike({key: state[key] for key in now} | {"arms": 0}, now | {"arms": 0}, "it")
    if not isinstance(state["arms"], Mapping):
        yield "it has no arms"
    if state["arms"].keys() != t.arms.keys() or state["images"] != t.images:
        return
    for name, arm in t.arms.items():
        saved, like = state["arms"][name], now["arms"][name]
        if not isinstance(saved, Mapping):
            yield f"arms.{name} is no table of values"
        best = like["network"] if saved.get("best") else {}
        yield from unlike(saved | {"optimiser": 0}, like | {"optimiser": 0, "best": best}, f"arms.{name}")
        yield from optimiser_unlike(saved.get("optimiser"), arm.optimiser, f"arms.{name}.optimiser")
        if not 0 <= saved["best_epoch"] <= state["epoch"]:
            yield f"the best epoch of {name} is {saved['best_epoch']}, of {state['epoch']}"
    batches = len(t.bounds)
    if not (0 <= state["epoch"] <= t.settings.epochs and 0 <= state["batch"] <= batches):
        yield f"it stands in epoch {state['epoch']}, batch {state['batch']}, which cannot be"


def restore_tuning(t: Tuning, state: Mapping[str, Any]) -> None:
    """Bring `t` to where `tuning_state` was taken; raise `RunError` where that isn't finite."""
    check_restored(_needed(state))
    t.epoch, t.batch, t.seconds, t.saved = state["epoch"], state["batch"], dict(state["seconds"]), True
    for name, arm in t.arms.items():
        saved = state["arms"][name]
        arm.network.load_state_dict(saved["network"])
        if arm.answers is not arm.network:
            arm.answers.load_state_dict(saved["average"])
        arm.optimiser.load_state_dict(saved["optimiser"])
        arm.loss_sum = saved["loss_sum"].to(t.device, exact(t.device))
        arm.best_loss, arm.best_epoch = saved["best_loss"], saved["best_epoch"]
        arm.stopped, arm.best = saved["stopped"], saved["best"]
