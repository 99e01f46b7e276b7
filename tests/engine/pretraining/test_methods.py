"""DINO, BYOL, MAE, VICReg and distillation in the loop that trains CASS, with the real augmentation."""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cass_cli.data.views.apply import apply_view
from cass_cli.data.views.draw import FLIP_AND_TILT, draw_view
from cass_cli.engine.checkpoint import load_checkpoint, save_checkpoint
from cass_cli.engine.optimisers import set_rates
from cass_cli.engine.pretraining.loop import EpochStats, pretrain
from cass_cli.engine.pretraining.session import (
    Session,
    measure_gauges,
    refresh_averages,
    restore_session,
    session_state,
)
from cass_cli.engine.signals import StopRequest
from cass_cli.errors import Interrupted, ModelError
from cass_cli.methods.build import build_arms, build_method
from cass_cli.methods.byol import Byol
from cass_cli.methods.dino import SETTINGS
from cass_cli.methods.teacher import cosine
from cass_cli.seeds import generator
from tests.engine.tiny import tiny_config, tiny_session, tiny_store, train_in_double

TINY: dict[str, dict[str, Any]] = {
    "official": {"method__name": "dino", "method__prototypes": 32},
    "paper": {"method__name": "dino", "method__dino_setting": "paper", "method__prototypes": 32},
    "byol": {"method__name": "byol"},
    "mae": {"method__name": "mae", "method__decoder_width": 32, "method__decoder_depth": 1},
    "vicreg": {"method__name": "vicreg"},
    "distill": {"method__name": "distill"},
    "cass-vicreg": {"method__name": "cass", "method__objective": "vicreg", "method__arm": "both"},
}
METHODS = pytest.mark.parametrize("method", TINY)


@pytest.fixture(autouse=True)
def _spare_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Heads of 64 channels in place of 2048 or 4096, two small crops in place of eight."""
    for name, setting in dict(SETTINGS).items():
        monkeypatch.setitem(SETTINGS, name, replace(setting, hidden=64, others=setting.others[:2]))
    monkeypatch.setitem(Byol.__init__.__kwdefaults__, "hidden", 64)


def session_of(method: str, **changes: Any) -> Session:
    """One epoch of three batches of four images, of the Transformer alone unless told."""
    settings = {"images": 12, "train__epochs": 1, "method__arm": "vit"} | TINY[method] | changes
    return tiny_session(**settings)


def train(session: Session, **options: Any) -> list[EpochStats]:
    return list(pretrain(session, stop=StopRequest(), save=lambda _s: None, **options))


def weights(session: Session) -> dict[str, Tensor]:
    return {key: value.clone() for key, value in session.method.state_dict().items()}


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


# ---- the loop


@METHODS
def test_resumed_run_equals_the_uninterrupted_one(method: str, tmp_path: Path) -> None:
    """Stopped in the middle of an epoch, saved, loaded elsewhere and continued: the same bits."""
    whole = session_of(method)
    epochs = train(whole)

    stop, first = StopRequest(), session_of(method)

    def interrupt(_stats: object) -> None:
        if first.step == 2:
            stop.number = signal.SIGTERM

    with pytest.raises(Interrupted):
        for _ in pretrain(
            first, stop=stop, save=lambda s: save_checkpoint(tmp_path / "state.pt", session_state(s)), on_step=interrupt
        ):
            pass

    second = session_of(method, train__epochs=1)
    restore_session(second, load_checkpoint(tmp_path / "state.pt"))
    assert second.step == 2
    rest = train(second)
    assert same(weights(whole), weights(second))
    assert (rest[-1].loss, rest[-1].gauges) == (epochs[-1].loss, epochs[-1].gauges)


@METHODS
def test_seed_decides_everything(method: str) -> None:
    """Also what the global generator is drawn from: heads, and MAE's masks."""
    first, again, other = session_of(method), session_of(method), session_of(method, train__seed=1)
    assert same(weights(first), weights(again))
    losses = []
    for session in (first, again, other):
        torch.rand(3)
        losses.append(train(session)[0].loss)
    assert losses[0] == losses[1] != losses[2]
    assert same(weights(first), weights(again))


def gradients(session: Session, monkeypatch: pytest.MonkeyPatch) -> dict[str, Tensor]:
    """Take the first step; return what the optimisers were given."""
    seen: dict[str, Tensor] = {}

    def keep(s: Session, **_: Any) -> None:
        seen.update((name, p.grad.clone()) for name, p in s.method.named_parameters() if p.grad is not None)

    with monkeypatch.context() as patch:
        patch.setattr("cass_cli.engine.pretraining.loop._update", keep)
        train(session)
    return seen


@pytest.mark.parametrize("method", ["official", "paper", "mae"])
def test_accumulation_gives_the_same_gradients(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a single batch of five, in parts of three and two; not where a batch's statistics count."""
    if method == "mae":  # an image's mask must not depend on its place in the batch
        fixed = torch.tensor([2, 0])
        monkeypatch.setattr("cass_cli.methods.mae.choose_visible", lambda n, *_, **__: fixed.expand(n, -1))
    whole, parts = (
        session_of(method, images=5, train__batch_size=5, optim__warmup=0.0, train__accumulate=k) for k in (1, 2)
    )
    expected, found = gradients(whole, monkeypatch), gradients(parts, monkeypatch)
    assert expected.keys() == found.keys() and len(expected) > 10
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], atol=1e-5, rtol=1e-4)
    if method in ("official", "paper"):
        centres = [session.method.state_dict()["methods.vit.centre"] for session in (whole, parts)]
        assert centres[0].abs().max() > 0
        torch.testing.assert_close(centres[1], centres[0], atol=1e-6, rtol=1e-5)


@METHODS
def test_gauges_leave_the_method_as_it_was(method: str) -> None:
    """Batch statistics, centre and teacher too."""
    session = session_of(method, method__arm="vit" if method == "mae" else "both")
    before = weights(session)
    gauges = measure_gauges(session)
    assert set(gauges) == set(session.method.arms)
    assert same(before, weights(session))
    assert session.method.training


def test_after_each_step_the_teacher_follows_with_the_momentum_of_that_step() -> None:
    session = session_of("official", optim__warmup=0.0)
    solo: Any = session.method.get_submodule("methods.vit")
    expected = [p.clone() for p in solo.teacher.parameters()]

    def check(_stats: object) -> None:
        momentum = cosine(session.step_taken / 3, *SETTINGS["official"].momentum)  # type: ignore[attr-defined]
        for teacher, student in zip(expected, solo.student.parameters(), strict=True):
            teacher.lerp_(student.detach(), 1 - momentum)
        session.step_taken += 1  # type: ignore[attr-defined]

    session.step_taken = 0  # type: ignore[attr-defined]
    train(session, on_step=check)
    for ours, theirs in zip(solo.teacher.parameters(), expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-5)


def test_first_loss_is_that_of_views_drawn_by_hand() -> None:
    """The views in the order of the recipe, the small ones small, and the loss of the method on them."""
    session, config = session_of("official", images=4), tiny_config(method__arm="vit", **TINY["official"])
    setting = SETTINGS["official"]
    method = build_method(config, {name: arm.model.train() for name, arm in build_arms(config).items()})
    draw = generator(0, "views", 0, 0)
    order = torch.randperm(4, generator=generator(0, "order", 0))
    pixels = tiny_store(4).images[order]
    views = [
        apply_view(pixels, draw_view(4, generator=draw, **knobs), session.spec.at(size))
        for knobs, size in [*((knobs, None) for knobs in setting.large), *((knobs, 16) for knobs in setting.others)]
    ]
    assert train(session)[0].loss == pytest.approx(float(method(*views).detach()), rel=1e-5)


# ---- arms


@pytest.mark.parametrize("method", ["official", "paper", "byol", "vicreg", "distill"])
def test_two_arms_side_by_side_learn_as_if_each_were_alone(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Same starting weights, same views, same steps: one arm knows nothing of the other.

    (At 112 px, where small crops have 48 px whether they must be cut into patches or not.)
    """
    train_in_double(monkeypatch.setattr)
    size = {"data__image_size": 112 if method == "official" else 32}
    both = session_of(method, images=4, method__arm="both", optim__warmup=0.0, **size)
    total = train(both)[0].loss
    losses = []
    for arm in ("cnn", "vit"):
        alone = session_of(method, images=4, method__arm=arm, optim__warmup=0.0, **size)
        losses.append(train(alone)[0].loss)
        together = weights(both)
        for name, value in weights(alone).items():
            torch.testing.assert_close(value, together[name], atol=1e-12, rtol=1e-9)
    assert total == pytest.approx(sum(losses), rel=1e-6)


@METHODS
def test_kept_arms_are_those_that_timm_builds_and_have_moved(method: str) -> None:
    session = session_of(method, optim__warmup=0.0)
    before = {name: [p.clone() for p in net.parameters()] for name, net in session.method.arms.items()}
    train(session)
    built = build_arms(tiny_config(**{"method__arm": "vit"} | TINY[method]))
    assert session.method.arms.keys() == built.keys()
    for name, net in session.method.arms.items():
        assert net.state_dict().keys() == built[name].model.state_dict().keys()
        assert any(not torch.equal(p, old) for p, old in zip(net.parameters(), before[name], strict=True))


@pytest.mark.parametrize(("method", "kept"), [("official", "teacher"), ("paper", "student")])
def test_which_branch_of_dino_is_exported(method: str, kept: str) -> None:
    session = session_of(method)
    train(session)
    solo: Any = session.method.get_submodule("methods.vit")
    (net,) = session.method.arms.values()
    assert net is getattr(solo, kept).network
    other: nn.Module = (solo.student if kept == "teacher" else solo.teacher).network
    assert not same(net.state_dict(), other.state_dict())


@METHODS
def test_recipes_do_not_average_unless_told(method: str) -> None:
    plain = session_of(method)
    assert plain.averaged == {}
    assert refresh_averages(plain) == {}
    told = session_of(method, optim__averaging=True, optim__averaging_start=0.0)
    train(told)
    assert set(refresh_averages(told)) == set(told.method.arms)


def test_each_image_is_taught_its_own_target() -> None:
    """Whatever the order of the epoch: the loss of the first batch is that of these images with their targets."""
    session, config = session_of("distill", images=4), tiny_config(method__arm="vit", **TINY["distill"])
    method = build_method(config, {name: arm.model.train() for name, arm in build_arms(config).items()}, targets=6)
    for owner in (session.method, method):  # from zero the first loss is that of any pairs
        nn.init.normal_(owner.get_parameter("methods.vit.branch.head.weight"), generator=generator(0, "heads"))
    order = torch.randperm(4, generator=generator(0, "order", 0))
    view = draw_view(4, generator=generator(0, "views", 0, 0), **FLIP_AND_TILT)
    images = apply_view(tiny_store(4).images[order], view, session.spec)
    assert session.targets is not None
    loss = float(method(images, session.targets[order]).detach())
    assert train(session)[0].loss == pytest.approx(loss, rel=1e-5)
    assert abs(loss - float(method(images, session.targets[order.flip(0)]).detach())) > 1e-3


@pytest.mark.parametrize("method", ["vicreg", "official"])
def test_a_network_learns_at_its_share_of_the_rate_and_its_head_at_all_of_it(method: str) -> None:
    """Also where a teacher is kept, which learns nothing itself."""
    session = session_of(method, optim__lr=1e-2, optim__share_vit=0.01)
    (optimiser,), (learner,) = session.optimisers.values(), session.method.learners.values()
    inner = {id(p) for p in learner.network.parameters()}
    set_rates(optimiser, lr=5e-3, weight_decay=0.0)
    seen = {id(p) in inner: group["lr"] for group in optimiser.param_groups for p in group["params"]}
    assert seen == {True: pytest.approx(5e-5), False: pytest.approx(5e-3)}
    learns = [p for p in learner.parameters() if p.requires_grad]
    assert sum(len(group["params"]) for group in optimiser.param_groups) == len(learns)


def test_small_crops_need_a_transformer_of_any_size() -> None:
    with pytest.raises(ModelError, match="one size only"):
        build_arms(tiny_config(arms__vit="convit_tiny", **TINY["official"]))
