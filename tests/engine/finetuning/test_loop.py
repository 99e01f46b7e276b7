"""The fine-tuning loop on arms and images of a few pixels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import timm
import torch

from cass_cli.config.schema import Finetune
from cass_cli.data.views.spec import ImageSpec
from cass_cli.engine.compute import Compute
from cass_cli.engine.finetuning import loop
from cass_cli.engine.finetuning.focal import focal_loss
from cass_cli.engine.finetuning.imbalance import balanced_order
from cass_cli.engine.finetuning.loop import TuneEpoch, falling_lr, finetune
from cass_cli.engine.finetuning.session import (
    Tuning,
    loss_arguments,
    outputs,
    prepare_arm,
    restore_best,
    restore_tuning,
    tuning_state,
    validate,
)
from cass_cli.engine.signals import StopRequest
from cass_cli.errors import Interrupted, RunError
from tests.engine.tiny import tiny_store

CLASSES = 2
VIEW = {"horizontal_flip": 0.5}


def tiny_tuning(
    arms: tuple[str, ...] = ("cnn", "vit"), *, val: int = 6, multilabel: bool = False, **changes: Any
) -> Tuning:
    """Fourteen training images of noise, whose class is written into their brightness."""
    settings = Finetune(**{"epochs": 3, "batch_size": 4, "lr": 1e-3, **changes})
    store, compute = tiny_store(14 + val), Compute(torch.device("cpu"))
    labels: Any = np.arange(14 + val) % CLASSES
    store.images[:] = store.images // 2 + torch.from_numpy(100 * labels).byte()[:, None, None, None]
    labels = np.eye(CLASSES, dtype=np.uint8)[labels] if multilabel else labels
    built = {"cnn": "test_resnet", "vit": "test_vit"}
    networks = {}
    for index, arm in enumerate(arms):
        torch.manual_seed(index if len(arms) > 1 else ("cnn", "vit").index(arm))
        size: dict[str, Any] = {"img_size": 32} if arm == "vit" else {}
        networks[arm] = timm.create_model(built[arm], num_classes=CLASSES, drop_rate=0.2, **size)
    return Tuning(
        store=store,
        train_rows=torch.arange(14),
        train_labels=torch.from_numpy(labels[:14]),
        val_rows=torch.arange(14, 14 + val),
        val_labels=labels[14:],
        seed=5,
        arm_index={"cnn": 0, "vit": 1},
        compute=compute,
        spec=ImageSpec(32, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        view=VIEW,
        loss=loss_arguments(settings, labels[:14], CLASSES, compute.device),
        settings=settings,
        save_minutes=10,
        unlabelled=None,
        arms={name: prepare_arm(network, name, settings, compute) for name, network in networks.items()},
    )


def train(t: Tuning, stop: StopRequest | None = None) -> list[TuneEpoch]:
    return list(finetune(t, stop=stop or StopRequest(), save=lambda _: None))


def weights(t: Tuning, arm: str) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in t.arms[arm].network.state_dict().items()}


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(first[key], second[key]) for key in first)


def test_learning_rate_falls_along_a_cosine_to_zero() -> None:
    parameter = torch.nn.Parameter(torch.zeros(1))
    adam = torch.optim.Adam([parameter], lr=3e-4)
    reference = torch.optim.lr_scheduler.CosineAnnealingLR(adam, T_max=40)
    for step in range(40):
        assert falling_lr(step, peak=3e-4, steps=40) == pytest.approx(adam.param_groups[0]["lr"], abs=1e-9)
        adam.step()
        reference.step()
    assert falling_lr(40, peak=3e-4, steps=40) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ("arms", "changes"),
    [(("cnn", "vit"), {}), (("vit",), {"loss_form": "sigmoid"}), (("vit",), {"gamma": 0})],
)
def test_arms_learn_a_simple_difference(arms: tuple[str, ...], changes: dict[str, Any]) -> None:
    epochs = train(tiny_tuning(arms, epochs=9, patience=9, **changes))
    for arm in arms:
        assert epochs[-1].arms[arm].loss < 0.7 * epochs[0].arms[arm].loss
        assert max(epoch.arms[arm].val_score for epoch in epochs) == 1


def test_multilabel_learns_too() -> None:
    epochs = train(tiny_tuning(("vit",), multilabel=True, epochs=9, patience=9))
    assert epochs[-1].arms["vit"].val_score == 1


def test_an_arm_learns_the_same_alone_and_beside_another() -> None:
    both, alone = tiny_tuning(), tiny_tuning(("vit",))
    train(both), train(alone)
    assert same(weights(both, "vit"), weights(alone, "vit"))


@pytest.mark.parametrize("sampling", ["shuffled", "balanced"])
@pytest.mark.parametrize("after", [2, 8])
def test_interrupted_and_resumed_equals_uninterrupted(after: int, sampling: str) -> None:
    """After `after` steps of 4 an epoch: within the first epoch, and at the end of the second."""
    whole = tiny_tuning(sampling=sampling)
    expected = train(whole)
    first, stop, steps, saved = tiny_tuning(sampling=sampling), StopRequest(), [], []

    def count(_step: object) -> None:
        steps.append(1)
        stop.number = 15 if len(steps) == after else 0

    with pytest.raises(Interrupted) as stopped:
        list(finetune(first, stop=stop, save=lambda t: saved.append(tuning_state(t)), on_step=count))
    assert stopped.value.exit_code == 143
    second = tiny_tuning(sampling=sampling)
    assert 0 < saved[-1]["seconds"]["epoch"] < 60
    saved[-1]["seconds"]["epoch"] += 1000
    restore_tuning(second, saved[-1])
    rows = train(second)
    assert [row.seconds > 1000 for row in rows] == [True, *len(rows[1:]) * [False]]  # what was spent before counts
    assert [row.arms for row in rows] == [row.arms for row in expected][-len(rows) :]
    for arm in ("cnn", "vit"):
        assert same(weights(whole, arm), weights(second, arm))
        assert same(whole.arms[arm].best, second.arms[arm].best)


@pytest.mark.parametrize("multilabel", [False, True])
def test_balanced_sampling_trains_on_the_images_and_labels_of_its_draws(
    monkeypatch: pytest.MonkeyPatch, multilabel: bool
) -> None:
    t = tiny_tuning(("vit",), multilabel=multilabel, sampling="balanced", epochs=2)
    pixels, targets = [], []

    def record(
        _t: Tuning, images: torch.Tensor, labels: torch.Tensor, *, lr: float, other: None
    ) -> dict[str, torch.Tensor]:
        pixels.append(images), targets.append(labels)
        return {"vit": torch.tensor(lr)}

    monkeypatch.setattr(loop, "tune_step", record)
    train(t)
    drawn = torch.cat([balanced_order(t.train_labels, seed=t.seed, epoch=epoch) for epoch in range(2)])
    assert torch.equal(torch.cat(pixels), t.store.images[t.train_rows[drawn]])
    assert torch.equal(torch.cat(targets), t.train_labels[drawn])


@pytest.mark.parametrize("form", ["softmax", "sigmoid"])
def test_the_validation_loss_is_adjusted_as_that_of_training_and_the_outputs_are_not(form: str) -> None:
    labels = np.array([0] * 9 + [1])
    found = {}
    for tau in (0.0, 1.0):
        t = tiny_tuning(("vit",), loss_form=form, logit_adjustment=tau)
        t.loss = loss_arguments(t.settings, labels, CLASSES, t.device)
        logits = outputs(t, ["vit"], t.val_rows)["vit"]
        found[tau] = validate(t, ["vit"])["vit"], logits
    (plain, score), raw = found[0.0]
    (adjusted, adjusted_score), same_raw = found[1.0]
    assert np.array_equal(raw, same_raw)
    assert score == adjusted_score
    odds = np.log([9, 1 / 9]) if form == "sigmoid" else np.log([0.9, 0.1])
    settings = {"form": form, "class_weights": t.loss["class_weights"]}
    for loss, shift in ((plain, 0), (adjusted, odds)):
        expected = focal_loss(torch.from_numpy(raw + shift), torch.from_numpy(t.val_labels), **settings)
        assert loss == pytest.approx(float(expected), rel=1e-6)


def test_patience_counts_from_the_best_epoch_and_the_best_weights_return() -> None:
    t = tiny_tuning(("vit",), lr=1e-9, epochs=9, patience=2)
    t.arms["vit"].best_loss = 0.0  # nothing can be better, as after a lucky epoch
    t.arms["vit"].keep_best()
    start = weights(t, "vit")
    epochs = train(t)
    assert [epoch.arms["vit"].stopped for epoch in epochs] == [False, True]
    assert epochs[-1].arms["vit"].best_epoch == 0
    restore_best(t)
    assert same(start, weights(t, "vit"))


def test_a_stopped_arm_stays_as_it_is_while_the_other_learns() -> None:
    t = tiny_tuning()
    t.arms["cnn"].stopped = True
    before = weights(t, "cnn")
    epochs = train(t)
    assert all(set(epoch.arms) == {"vit"} for epoch in epochs)
    assert same(before, weights(t, "cnn"))


def test_without_validation_all_epochs_are_trained_and_the_last_weights_kept() -> None:
    t = tiny_tuning(("vit",), val=0, patience=1)
    epochs = train(t)
    assert len(epochs) == 3
    assert math.isnan(epochs[-1].arms["vit"].val_loss)
    assert epochs[-1].row()["arms"]["vit"]["val_loss"] is None
    last = weights(t, "vit")
    restore_best(t)
    assert same(last, weights(t, "vit"))


def test_frozen_trains_the_head_alone_and_leaves_batch_norm() -> None:
    t = tiny_tuning(freeze=True)
    before = {arm: weights(t, arm) for arm in t.arms}
    train(t)
    for arm, network in ((name, tuning.network) for name, tuning in t.arms.items()):
        changed = {key for key, value in network.state_dict().items() if not torch.equal(value, before[arm][key])}
        assert changed, arm
        assert all(key.startswith(("fc.", "head.", "head_")) or ".fc." in key for key in changed), changed


def test_a_loss_that_is_not_finite_stops() -> None:
    t = tiny_tuning(("vit",))
    with torch.no_grad():
        next(iter(t.arms["vit"].network.parameters())).fill_(torch.inf)
    with pytest.raises(RunError, match="vit became nan"):
        train(t)


@pytest.mark.parametrize("form", ["softmax", "sigmoid"])
def test_loss_arguments_count_the_labels_that_are_seen(form: str) -> None:
    labels = np.array([0, 0, 0, 1])
    settings = Finetune(class_weights="inverse", loss_form=form)
    found = loss_arguments(settings, labels, 3, torch.device("cpu"))
    assert found["class_weights"].tolist() == pytest.approx([0.5, 1.5, 1.0])  # a class without labels weighs 1
    assert (found["form"], found["gamma"], found["alpha"]) == (form, 2, 1)


def test_loss_arguments_adjust_logits_by_the_labels_that_are_seen() -> None:
    labels = np.array([0, 0, 0, 1])
    shares = {False: np.log([0.75, 0.25]), True: np.log([3, 1 / 3])}  # of 3 and 1 in 4; or their odds
    for multilabel, expected in shares.items():
        given = np.eye(2, dtype=np.uint8)[labels] if multilabel else labels
        found = loss_arguments(Finetune(logit_adjustment=0.5), given, 2, torch.device("cpu"))
        assert found["adjustment"].tolist() == pytest.approx(0.5 * expected)
    assert loss_arguments(Finetune(), labels, 2, torch.device("cpu"))["adjustment"] is None


def test_loss_arguments_count_known_labels_alone() -> None:
    labels = np.array([[1, -1, -1], [1, 1, -1], [0, 0, -1], [0, -1, -1], [0, 0, -1]], dtype=np.int8)
    settings = Finetune(logit_adjustment=1.0, class_weights="inverse")
    found = loss_arguments(settings, labels, 3, torch.device("cpu"))
    assert found["class_weights"].tolist() == pytest.approx([2 / 3, 4 / 3, 1])  # 2 and 1 are shown
    assert found["adjustment"].tolist() == pytest.approx([np.log(2 / 3), np.log(1 / 2), 0])  # 2 of 5, 1 of 3, none


def test_what_is_unknown_is_not_learned() -> None:
    """A class of unknown labels alone, beside one that is known, leaves its outputs as they began."""
    t = tiny_tuning(("cnn",), multilabel=True, sampling="balanced")
    t.train_labels = t.train_labels.to(torch.int8)
    t.train_labels[:, 1] = -1
    t.val_labels = np.where(np.arange(2) == 1, -1, t.val_labels).astype(np.int8)
    head = t.arms["cnn"].network.get_classifier()
    before = head.weight.detach().clone()
    epochs = train(t)
    assert torch.equal(head.weight[1], before[1])
    assert not torch.equal(head.weight[0], before[0])
    assert all(np.isfinite([e.arms["cnn"].loss, e.arms["cnn"].val_loss, e.arms["cnn"].val_score]).all() for e in epochs)
