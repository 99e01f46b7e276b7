"""What the recipe tuned adds to the loop: heads that were fitted, averages, shares of the rate, other images."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import timm
import torch
from torch import nn

from cass_cli.config.schema import Finetune
from cass_cli.data.views.spec import ImageSpec
from cass_cli.engine.compute import Compute
from cass_cli.engine.finetuning import loop
from cass_cli.engine.finetuning.cross_teach import MOST, STRONG, Unlabelled, soft_loss, teachers_say
from cass_cli.engine.finetuning.loop import TuneEpoch, falling_lr, finetune
from cass_cli.engine.finetuning.session import (
    Tuning,
    loss_arguments,
    outputs,
    prepare_arm,
    restore_tuning,
    tuning_state,
)
from cass_cli.engine.optimisers import build_tuner
from cass_cli.engine.signals import StopRequest
from cass_cli.engine.starting_arms import with_drop_path, with_probe_head
from cass_cli.errors import Interrupted
from cass_cli.models.arms import build_arm
from cass_cli.models.heads import HeadCard, Joined, LayerHead, LearningHead
from cass_cli.models.layers import arm_features
from tests.engine.tiny import tiny_store

MODELS = {"cnn": "test_resnet", "vit": "test_vit"}
TUNED = {"optimiser": "adamw", "averaging": 0.9, "batch_norm": "frozen", "patience": None, "head": "probe"}


def head_of(name: str, network: nn.Module, *, classes: int, seed: int = 0) -> LayerHead:
    """A head over two layers of a network whose features have some mean and scale."""
    draws = torch.Generator().manual_seed(seed)
    width = arm_features(network.eval(), torch.zeros(1, 3, 32, 32), layers=2)[0].shape[1]
    card = HeadCard((name,), 2, False, tuple("abcdefgh"[:classes]), False, 7, 30.0)
    mean, scale = torch.randn(width, generator=draws), torch.rand(width, generator=draws)
    scale[0] = 0  # of a feature that does not vary
    weight = torch.randn(classes, width, generator=draws) * scale
    return LayerHead(card, weight, torch.randn(classes, generator=draws), standard=(mean, scale))


def tuning(*, images: int = 14, unlabelled: int = 0, multilabel: bool = False, **changes: Any) -> Tuning:
    settings = Finetune(**{"recipe": "tuned", "epochs": 3, "batch_size": 4, "lr": 1e-3, **TUNED, **changes})
    store, compute = tiny_store(images + 6 + unlabelled), Compute(torch.device("cpu"))
    labels: Any = np.arange(images + 6) % 2
    labels = np.eye(2, dtype=np.int8)[labels] if multilabel else labels
    networks = {}
    for name, model in MODELS.items():
        body = with_drop_path(build_arm(model, image_size=32, outputs=5), settings.drop_path, seed=0)
        networks[name] = with_probe_head(body, name, head_of(name, body.model, classes=2))
    others = None
    if unlabelled:
        said = torch.rand(unlabelled, 2, generator=torch.Generator().manual_seed(1)).softmax(dim=1)
        rows = torch.arange(images + 6, images + 6 + unlabelled)
        others = Unlabelled(rows, said, settings.unlabelled_ratio, settings.unlabelled_weight)
    return Tuning(
        store=store,
        train_rows=torch.arange(images),
        train_labels=torch.from_numpy(labels[:images]),
        val_rows=torch.arange(images, images + 6),
        val_labels=labels[images:],
        seed=5,
        arm_index={"cnn": 0, "vit": 1},
        compute=compute,
        spec=ImageSpec(32, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        view={"horizontal_flip": 0.5},
        loss=loss_arguments(settings, labels[:images], 2, compute.device),
        settings=settings,
        save_minutes=10,
        unlabelled=others,
        arms={name: prepare_arm(network, name, settings, compute) for name, network in networks.items()},
    )


def train(t: Tuning) -> list[TuneEpoch]:
    return list(finetune(t, stop=StopRequest(), save=lambda _: None))


def test_a_head_that_learns_on_begins_as_it_was_fitted_and_is_saved_as_it_learned() -> None:
    network = timm.create_model("test_vit", num_classes=0, img_size=32)
    fitted = head_of("vit", network, classes=3)
    features = {"vit": torch.randn(5, fitted.weight.shape[1])}
    learning = LearningHead(fitted)
    torch.testing.assert_close(learning(features), fitted(features), atol=1e-4, rtol=1e-4)
    with torch.no_grad():
        learning.weight.add_(torch.randn_like(learning.weight))
        learning.bias.add_(1.0)
    torch.testing.assert_close(learning.folded()(features), learning(features), atol=1e-4, rtol=1e-4)
    assert not learning.folded().weight[:, 0].any()  # of what does not vary nothing is learned


def test_a_head_is_computed_in_full_precision_beside_a_network_that_is_not() -> None:
    fitted = head_of("vit", timm.create_model("test_vit", num_classes=0, img_size=32), classes=3)
    learning, features = LearningHead(fitted), {"vit": 100 + torch.randn(5, fitted.weight.shape[1])}
    with torch.autocast("cpu", torch.bfloat16):
        given = learning(features)
        as_fitted = fitted(features)
    assert given.dtype == torch.float32
    torch.testing.assert_close(given, fitted(features), atol=1e-2, rtol=1e-4)
    assert torch.equal(as_fitted, fitted(features))


def test_layers_learn_slower_the_deeper_they_lie_and_the_head_at_the_rate_itself() -> None:
    network = timm.create_model("test_vit", num_classes=0, img_size=32)
    joined = Joined({"vit": network}, LearningHead(head_of("vit", network, classes=2)))
    settings = Finetune(optimiser="adamw", layer_decay=0.5, weight_decay=0.1)
    tuner = build_tuner(joined, settings, network=network, share=0.4)
    found = {id(p): (g["scale"], g["weight_decay"]) for g in tuner.param_groups for p in g["params"]}
    assert len(found) == len(list(joined.parameters()))
    blocks = len(network.blocks)
    for name, parameter in joined.named_parameters():
        part, _, rest = name.removeprefix("arms.vit.").partition(".")
        above = {"blocks": lambda rest=rest: blocks - 1 - int(rest.split(".")[0]), "norm": lambda: 0}
        above |= dict.fromkeys(("patch_embed", "cls_token", "pos_embed"), lambda: blocks)
        expected = 1.0 if part == "head" else 0.4 * 0.5 ** above[part]()
        scale, decay = found[id(parameter)]
        assert scale == pytest.approx(expected), name
        assert decay == (0.1 if parameter.ndim > 1 else 0.0), name


@pytest.mark.parametrize("model", ["test_resnet", "test_vit"])
def test_a_new_head_learns_at_the_rate_itself(model: str) -> None:
    network: Any = timm.create_model(model, num_classes=2)
    for decay in (1.0, 0.5):
        tuner = build_tuner(network, Finetune(layer_decay=decay), share=0.25)
        scale = {id(p): group["scale"] for group in tuner.param_groups for p in group["params"]}
        head = {scale.pop(id(p)) for p in network.get_classifier().parameters()}
        assert (head, max(scale.values())) == ({1.0}, 0.25)


def test_the_papers_optimiser_is_plain_adam_over_all_weights() -> None:
    network = timm.create_model("test_resnet", num_classes=2)
    (group,) = build_tuner(network, Finetune(weight_decay=0.1)).param_groups
    assert [id(p) for p in group["params"]] == [id(p) for p in network.parameters()]
    assert (group["scale"], group["weight_decay"], group["lr"]) == (1.0, 0.1, 3e-4)


def test_each_arm_learns_at_its_share() -> None:
    for name, arm in tuning(share_cnn=0.5, share_vit=0.25, layer_decay=0.7).arms.items():
        scale = {id(p): group["scale"] for group in arm.optimiser.param_groups for p in group["params"]}
        own = [scale[id(p)] for p in arm.network.arms[name].parameters()]  # type: ignore[union-attr, index]
        assert max(own) == {"cnn": 0.5, "vit": 0.25}[name]
        assert min(own) < max(own)
        assert {scale[id(p)] for p in arm.network.head.parameters()} == {1.0}  # type: ignore[union-attr]


def test_steps_are_taken_at_the_rising_and_falling_rate() -> None:
    steps: list[float] = []
    t = tuning(warmup=0.5, epochs=2)
    list(finetune(t, stop=StopRequest(), save=lambda _: None, on_step=lambda step: steps.append(step.lr)))
    assert steps == pytest.approx([falling_lr(number, peak=1e-3, steps=8, warmup=0.5) for number in range(8)])


def test_the_rate_rises_and_falls() -> None:
    rates = [falling_lr(step, peak=1.0, steps=40, warmup=0.25) for step in range(41)]
    assert rates[:10] == pytest.approx([(step + 1) / 11 for step in range(10)])
    assert rates[10] == 1.0
    assert rates[25] == pytest.approx(0.5)
    assert rates[40] == pytest.approx(0.0)


def test_few_images_are_passed_over_until_the_steps_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    t = tuning(images=6, steps=12, epochs=2)
    assert t.passes == 4
    seen: list[torch.Tensor] = []
    real = loop.tune_step

    def record(t: Tuning, pixels: torch.Tensor, *rest: Any, **how: Any) -> Any:
        seen.append(pixels)
        return real(t, pixels, *rest, **how)

    monkeypatch.setattr(loop, "tune_step", record)
    epochs = train(t)
    assert len(seen) == 12
    assert [epoch.images for epoch in epochs] == [24, 24]
    looks = [(torch.cat(seen) == image).flatten(1).all(dim=1).sum() for image in t.store.images[:6]]
    assert looks == [8] * 6
    assert not torch.equal(torch.cat(seen)[:6], torch.cat(seen)[6:12])  # each pass has an order of its own


def test_the_average_of_the_weights_answers() -> None:
    t = tuning(epochs=1)
    arm = t.arms["cnn"]
    mean = {key: value.clone() for key, value in arm.answers.state_dict().items()}
    taken: list[dict[str, torch.Tensor]] = []
    real = arm.optimiser.step

    def step(*arguments: Any, **how: Any) -> Any:
        found = real(*arguments, **how)
        taken.append({key: value.clone() for key, value in arm.network.state_dict().items()})
        return found

    arm.optimiser.step = step  # type: ignore[method-assign]
    train(t)
    for number, weights in enumerate(taken):
        decay = min(0.9, (1 + number) / (10 + number))
        mean = {k: decay * v + (1 - decay) * weights[k] if v.is_floating_point() else v for k, v in mean.items()}
    for key, value in arm.best.items():
        torch.testing.assert_close(value, mean[key], atol=1e-5, rtol=1e-4)
    assert not torch.equal(arm.best["head.weight"], taken[-1]["head.weight"])


def test_frozen_statistics_stay_while_weights_learn() -> None:
    t = tuning()
    before = {key: value.clone() for key, value in t.arms["cnn"].network.state_dict().items()}
    train(t)
    after = t.arms["cnn"].network.state_dict()
    statistics = {key for key in before if "running" in key}
    assert statistics
    assert all(torch.equal(before[key], after[key]) for key in statistics)
    assert not torch.equal(before["arms.cnn.bn1.weight"], after["arms.cnn.bn1.weight"])


def test_gradients_are_clipped_together(monkeypatch: pytest.MonkeyPatch) -> None:
    norms: list[float] = []
    t = tuning(clip=0.01, epochs=1)
    real = t.arms["vit"].optimiser.step

    def step(*arguments: Any, **how: Any) -> Any:
        squares = [p.grad.square().sum() for p in t.arms["vit"].network.parameters() if p.grad is not None]
        norms.append(math.sqrt(float(sum(squares))))
        return real(*arguments, **how)

    monkeypatch.setattr(t.arms["vit"].optimiser, "step", step)
    train(t)
    assert norms == pytest.approx([0.01] * len(norms), rel=1e-3)


def test_without_patience_no_validation_image_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any, **__: Any) -> None:
        raise AssertionError

    monkeypatch.setattr("cass_cli.engine.finetuning.session.store_logits", never)
    epochs = train(tuning())
    assert [epoch.arms["vit"].best_epoch for epoch in epochs] == [1, 2, 3]
    assert all(math.isnan(epoch.arms["vit"].val_loss) for epoch in epochs)


def test_branches_are_left_out_while_an_arm_learns_and_never_when_it_answers() -> None:
    body = build_arm("test_vit", image_size=32, outputs=5)
    dropping = with_drop_path(body, 0.9, seed=0).model
    images = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(dropping.eval()(images), body.model.eval()(images))
    assert not torch.equal(dropping.train()(images), dropping(images))
    plain = build_arm("vgg11", image_size=32, outputs=5)
    assert with_drop_path(plain, 0.9, seed=0) is plain


@pytest.mark.parametrize(("after", "unlabelled"), [(2, 9), (8, 0)])
def test_interrupted_and_resumed_equals_uninterrupted(after: int, unlabelled: int) -> None:
    how: dict[str, Any] = {"drop_path": 0.2, "warmup": 0.2, "layer_decay": 0.7, "clip": 1.0, "unlabelled": unlabelled}
    whole, first, second = (tuning(**how) for _ in range(3))
    train(whole)
    stop, steps, saved = StopRequest(), [], []

    def count(_step: object) -> None:
        steps.append(1)
        stop.number = 15 if len(steps) == after else 0

    with pytest.raises(Interrupted):
        list(finetune(first, stop=stop, save=lambda t: saved.append(tuning_state(t)), on_step=count))
    restore_tuning(second, saved[-1])
    train(second)
    for arm in MODELS:
        assert all(torch.equal(value, second.arms[arm].best[key]) for key, value in whole.arms[arm].best.items())


def test_what_is_taught_goes_from_joint_to_the_other_arm() -> None:
    others = Unlabelled(torch.arange(3), torch.tensor([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]]), 1, 1.0)
    chosen = torch.tensor([2, 0])
    said = {"cnn": torch.tensor([[0.2, 0.8], [0.6, 0.4]]), "vit": torch.tensor([[0.9, 0.1], [0.3, 0.7]])}
    first = others.taught(chosen, said, 0.0)
    assert torch.equal(first["cnn"], others.joint[chosen])
    last = others.taught(chosen, said, 1.0)
    torch.testing.assert_close(last["cnn"], (1 - MOST) * others.joint[chosen] + MOST * said["vit"])
    torch.testing.assert_close(last["vit"], (1 - MOST) * others.joint[chosen] + MOST * said["cnn"])


def test_teachers_answer_without_chance_before_and_after_they_are_scored() -> None:
    t = tuning(unlabelled=6, drop_path=0.5, epochs=1)
    for _ in range(2):
        assert not any(module.training for arm in t.arms.values() for module in arm.answers.modules())
        outputs(t, ["cnn", "vit"], t.val_rows)
        train(t)


def test_labelled_images_are_shown_as_ever_and_the_others_in_a_strong_view(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[tuple[int, dict[str, Any]]] = []
    real = loop.draw_view

    def draw(count: int, *, generator: torch.Generator, **knobs: Any) -> Any:
        drawn.append((count, knobs))
        return real(count, generator=generator, **knobs)

    monkeypatch.setattr(loop, "draw_view", draw)
    t = tuning(unlabelled=6, epochs=1, unlabelled_ratio=2)
    train(t)
    assert drawn[:2] == [(4, dict(t.view)), (8, dict(STRONG))]


def test_a_lesson_counts_as_much_as_its_weight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "focal_loss", lambda logits, _targets, **_: 0 * logits.sum())
    slopes: list[torch.Tensor] = []
    for weight in (1.0, 3.0):
        t = tuning(unlabelled=6, unlabelled_weight=weight)
        bias = t.arms["vit"].network.head.bias  # type: ignore[union-attr]
        monkeypatch.setattr(t.arms["vit"].optimiser, "step", lambda bias=bias: slopes.append(bias.grad.clone()))
        loop.tune_step(t, t.store.images[:4], t.train_labels[:4], lr=1e-3, other=(torch.arange(6), t.store.images[20:]))
    torch.testing.assert_close(slopes[1], 3 * slopes[0])


def test_the_other_arm_counts_more_from_step_to_step(monkeypatch: pytest.MonkeyPatch) -> None:
    progress: list[float] = []
    real = Unlabelled.taught

    def taught(self: Unlabelled, chosen: torch.Tensor, answers: Any, done: float) -> Any:
        progress.append(done)
        return real(self, chosen, answers, done)

    monkeypatch.setattr(Unlabelled, "taught", taught)
    train(tuning(unlabelled=6, epochs=2))
    assert progress == pytest.approx([step / 8 for step in range(8)])


def test_other_images_come_equally_often() -> None:
    others = Unlabelled(torch.arange(5), torch.zeros(5, 2), 1, 1.0)
    order = others.order(0, 12, seed=3)
    assert sorted(torch.bincount(order).tolist()) == [2, 2, 2, 3, 3]
    assert not torch.equal(order, others.order(1, 12, seed=3))
    assert torch.equal(order, others.order(0, 12, seed=3))


@pytest.mark.parametrize("multilabel", [False, True])
def test_a_lesson_is_least_where_the_answer_is_what_is_taught(multilabel: bool) -> None:
    logits = torch.randn(6, 3, generator=torch.Generator().manual_seed(0), requires_grad=True)
    taught = logits.sigmoid() if multilabel else logits.softmax(dim=1)
    soft_loss(logits, taught.detach(), multilabel=multilabel).backward()
    assert logits.grad is not None
    torch.testing.assert_close(logits.grad, torch.zeros_like(logits), atol=1e-7, rtol=0)
    said = teachers_say({"cnn": nn.Identity()}, logits.detach(), multilabel=multilabel)["cnn"]
    torch.testing.assert_close(said, taught.detach())


@pytest.mark.parametrize("multilabel", [False, True])
def test_images_without_a_label_bring_arms_to_what_they_are_taught(multilabel: bool) -> None:
    """Brightness is the class, of which the labelled images tell nothing: each of them is of both kinds."""
    t = tuning(unlabelled=24, multilabel=multilabel, epochs=10, lr=1e-2, drop_path=0.0)
    kind = torch.arange(24) % 2
    t.store.images[20:] = (40 + 160 * kind).byte()[:, None, None, None]
    t.store.images[:20] = 120
    others = Unlabelled(t.unlabelled.rows, nn.functional.one_hot(kind, 2).float(), 2, 3.0)  # type: ignore[union-attr]
    t.unlabelled = others
    train(t)
    agree = 0
    for name, arm in t.arms.items():
        pixels = (t.store.images[others.rows].float() / 255 - 0.5) / 0.5
        said = teachers_say({name: arm.answers}, pixels, multilabel=multilabel)[name]
        agree += int((said.argmax(dim=1) == kind).sum())
    assert agree > 40  # of 48
