from __future__ import annotations

import errno
import signal
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.optim.lr_scheduler import CosineAnnealingLR

from cass_cli.data.views.apply import apply_view
from cass_cli.data.views.draw import draw_view
from cass_cli.engine.checkpoint import load_checkpoint, save_checkpoint
from cass_cli.engine.optimisers import cosine_lr
from cass_cli.engine.pretraining.loop import EpochStats, StepStats, pretrain
from cass_cli.engine.pretraining.session import Session, refresh_averages, restore_session, session_state
from cass_cli.engine.signals import StopRequest
from cass_cli.errors import Interrupted, RunError
from cass_cli.methods.build import build_arms
from cass_cli.methods.cass import cass_loss
from cass_cli.seeds import generator
from tests.engine.tiny import tiny_config, tiny_session, tiny_store, train_in_double


def train(session: Session, **options: Any) -> list[EpochStats]:
    return list(pretrain(session, stop=StopRequest(), save=lambda _s: None, **options))


def weights(session: Session) -> dict[str, Tensor]:
    return {key: value.clone() for key, value in session.method.state_dict().items()}


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return all(torch.equal(first[key], second[key]) for key in first)


def test_schedule_equals_torch() -> None:
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimiser = torch.optim.Adam([parameter], lr=1e-3)
    schedule = CosineAnnealingLR(optimiser, T_max=16, eta_min=1e-6)
    for step in range(100):
        assert cosine_lr(step, peak=1e-3, lowest=1e-6, period=16) == pytest.approx(schedule.get_last_lr()[0], rel=1e-6)
        optimiser.step()
        schedule.step()


def test_equals_a_loop_written_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole path against Algorithm 1 in plain PyTorch: two Adams, cosine steps, the same augmented batches."""
    train_in_double(monkeypatch.setattr)
    session = tiny_session(images=12)
    arms = {name: arm.model.double() for name, arm in build_arms(tiny_config()).items()}
    optimisers = [torch.optim.Adam(arm.parameters(), lr=1e-3) for arm in arms.values()]
    schedules = [CosineAnnealingLR(o, T_max=16, eta_min=1e-6) for o in optimisers]
    pixels, expected = tiny_store(12).images, []
    for epoch in range(3):
        order = torch.randperm(12, generator=generator(0, "order", epoch))
        for batch, rows in enumerate(order.split(4)):
            view = draw_view(4, generator=generator(0, "views", epoch, batch), **tiny_config().augment.model_dump())
            x = apply_view(pixels[rows], view, session.spec).double()
            loss = cass_loss(arms["cnn"].train()(x), arms["vit"].train()(x))
            for optimiser in optimisers:
                optimiser.zero_grad()
            loss.backward()
            for optimiser, schedule in zip(optimisers, schedules, strict=True):
                optimiser.step()
                schedule.step()
            expected.append(loss.item())
    losses: list[float] = []
    train(session, on_step=lambda stats: losses.append(stats.loss))
    assert losses == pytest.approx(expected, rel=1e-6)


def test_loss_falls_on_a_tiny_set_and_epoch_loss_is_the_mean_over_images() -> None:
    seen: list[StepStats] = []
    stats = train(tiny_session(images=17, train__epochs=8), on_step=seen.append)
    assert stats[-1].loss < 0.5 * stats[0].loss
    first = [step for step in seen if step.epoch == 0]
    sizes = [4, 4, 4, 5]  # the tail of one joined the batch before
    mean = sum(step.loss * size for step, size in zip(first, sizes, strict=True)) / 17
    assert stats[0].loss == pytest.approx(mean, rel=1e-5)
    assert [s.images for s in stats] == [17] * 8


@pytest.mark.parametrize("stop_after", [1, 5, 6, 11])  # five batches an epoch: 5 is at its very end
def test_resumed_run_equals_the_uninterrupted_one(tmp_path: Path, stop_after: int) -> None:
    """Interrupted by a signal after any step, saved, loaded elsewhere and continued: the same bits."""
    whole = tiny_session()
    epochs = train(whole)

    stop, first = StopRequest(), tiny_session()

    def interrupt(stats: StepStats) -> None:
        if first.step == stop_after:
            stop.number = signal.SIGTERM

    with pytest.raises(Interrupted) as caught:
        for _ in pretrain(
            first, stop=stop, save=lambda s: save_checkpoint(tmp_path / "state.pt", session_state(s)), on_step=interrupt
        ):
            pass
    assert caught.value.exit_code == 143

    second = tiny_session()
    state = load_checkpoint(tmp_path / "state.pt")
    assert 0 < state["seconds"]["epoch"] < 60
    state["seconds"]["epoch"] += 1000
    restore_session(second, state)
    assert second.step == stop_after
    rest = train(second)
    assert [s.seconds > 1000 for s in rest] == [True, *len(rest[1:]) * [False]]  # what the first process spent counts
    assert [s.images for s in rest] == [s.images for s in epochs[-len(rest) :]]
    assert same(weights(whole), weights(second))
    assert [s.loss for s in rest] == [s.loss for s in epochs[-len(rest) :]]
    assert [s.gauges for s in rest] == [s.gauges for s in epochs[-len(rest) :]]
    assert [s.lr for s in rest] == [s.lr for s in epochs[-len(rest) :]]
    averages = [refresh_averages(session) for session in (whole, second)]
    for name in averages[0]:
        assert same(averages[0][name].state_dict(), averages[1][name].state_dict())


def test_an_epoch_is_told_before_it_is_saved() -> None:
    """So that no epoch that a checkpoint holds can be missing from the log, whenever the process dies."""
    told: list[int] = []
    saved_after: list[list[int]] = []
    epochs = pretrain(tiny_session(), stop=StopRequest(), save=lambda _s: saved_after.append(list(told)))
    told.extend(stats.epoch for stats in epochs)
    assert saved_after == [[1], [1, 2], [1, 2, 3]]


def test_seed_decides_everything() -> None:
    first, again, other = tiny_session(), tiny_session(), tiny_session(train__seed=1)
    for session in (first, again, other):
        torch.rand(3)  # the global generator's state must not matter
        train(session)
    assert same(weights(first), weights(again))
    assert not same(weights(first), weights(other))


def test_accumulation_equals_one_forward_pass_without_batch_norm(monkeypatch: pytest.MonkeyPatch) -> None:
    train_in_double(monkeypatch.setattr)
    plain, split = (
        tiny_session(arms__cnn="test_convnext", train__epochs=1, optim__cnn="sgd", optim__vit="sgd", **extra)
        for extra in ({}, {"train__accumulate": 2})
    )
    loss_plain, loss_split = train(plain)[0].loss, train(split)[0].loss
    assert loss_split == pytest.approx(loss_plain, rel=1e-6)
    for key, value in weights(plain).items():
        torch.testing.assert_close(weights(split)[key], value, rtol=1e-6, atol=1e-9)


def test_averages_are_the_mean_of_the_last_epochs_and_have_their_own_batch_norm() -> None:
    session = tiny_session(train__epochs=4, optim__averaging_start=0.5)
    loop = pretrain(session, stop=StopRequest(), save=lambda _s: None)
    snapshots = [weights(session) for stats in loop if stats.epoch > 2]
    averages = refresh_averages(session)
    for name, network in averages.items():
        for key, value in network.named_parameters():
            mean = torch.stack([snapshot[f"pair.{name}.{key}"] for snapshot in snapshots]).mean(0)
            torch.testing.assert_close(value, mean, rtol=1e-5, atol=1e-6)
    raw, averaged = session.method.arms["cnn"].state_dict(), averages["cnn"].state_dict()
    running = [key for key in raw if key.endswith("running_mean")]
    assert running
    assert not any(torch.equal(raw[key], averaged[key]) for key in running)


def test_averaging_can_be_off() -> None:
    session = tiny_session(optim__averaging=False, train__epochs=1)
    train(session)
    assert refresh_averages(session) == {}


def test_a_loss_that_is_not_finite_stops_with_the_last_good_state_kept() -> None:
    session, saved = tiny_session(), []

    def poison(stats: StepStats) -> None:
        if session.step == 6:
            with torch.no_grad():
                next(session.method.arms["vit"].parameters()).fill_(float("nan"))

    with pytest.raises(RunError, match=r"The loss became nan in epoch 2, batch 2[\s\S]*--resume"):
        for _ in pretrain(
            session, stop=StopRequest(), save=lambda s: saved.append(deepcopy(session_state(s))), on_step=poison
        ):
            pass
    assert saved[-1]["position"]["step"] == 5  # the end of the first epoch
    assert all(value.isfinite().all() for value in saved[-1]["method"].values())


def test_collapse_is_seen_and_can_stop_the_run() -> None:
    """Adam at 1e-1 drives these arms to a constant within an epoch or two, and the loss to almost nothing."""
    settings = {"optim__lr": 0.1, "optim__lr_period": 10_000, "train__epochs": 12}
    stats = train(tiny_session(**settings))
    assert stats[-1].loss < 0.05
    assert "collapsed" in stats[-1].states.values()
    with pytest.raises(RunError, match="an arm collapsed"):
        train(tiny_session(train__on_collapse="stop", **settings))


@pytest.mark.parametrize("images", [2, 3])
def test_a_set_smaller_than_a_batch_trains(images: int) -> None:
    stats = train(tiny_session(images=images, train__epochs=2, train__batch_size=16))
    assert [s.images for s in stats] == [images] * 2


def test_two_arms_of_one_kind_train() -> None:
    for name in ("test_vit", "test_resnet"):
        train(tiny_session(arms__cnn=name, arms__vit=name, train__epochs=1, train__seed=2))


def test_full_disk_keeps_the_old_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_descriptor: int, _data: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "state.pt"
    save_checkpoint(path, {"value": 1})
    monkeypatch.setattr("cass_cli.files._write", refuse)
    with pytest.raises(RunError, match=r"disk is full[\s\S]*--resume"):
        save_checkpoint(path, {"value": torch.zeros(100_000)})
    assert load_checkpoint(path) == {"value": 1}
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x03\x04"])
def test_a_file_that_is_no_checkpoint(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "state.pt").write_bytes(content)
    with pytest.raises(RunError, match="not a checkpoint of cass"):
        load_checkpoint(tmp_path / "state.pt")
