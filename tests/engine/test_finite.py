"""Nothing that is not finite replaces what is: weights are ruined after a step, as a step does it."""

from __future__ import annotations

import math
import signal
from copy import deepcopy
from typing import Any

import pytest
import torch

from cass_cli.engine.finetuning.loop import finetune
from cass_cli.engine.finetuning.session import Tuning, restore_best, restore_tuning, tuning_state
from cass_cli.engine.finite import not_finite_in
from cass_cli.engine.pretraining.loop import EpochStats, pretrain
from cass_cli.engine.pretraining.session import Session, restore_session, session_state
from cass_cli.engine.signals import StopRequest
from cass_cli.errors import ModelError, RunError
from cass_cli.models.weights import not_finite
from tests.engine.finetuning.test_loop import tiny_tuning
from tests.engine.tiny import tiny_session

STEPS = 5  # an epoch of `tiny_session`
TUNE_STEPS = 4  # and of `tiny_tuning`


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.float64])
def test_what_is_not_finite_is_named(value: float, dtype: torch.dtype) -> None:
    bad = torch.ones(2, 3, 8, 8, dtype=dtype).to(memory_format=torch.channels_last)
    bad[1, 2, 7, 7] = value
    both = torch.tensor([math.inf, -math.inf], dtype=dtype)
    tensors = {"good": torch.ones(3, dtype=dtype), "bad": bad, "both": both, "count": torch.tensor(3)}
    assert not_finite(tensors) == ["bad", "both"]
    assert not_finite_in({"a": [{"b": bad}], "c": {"d": both}, "e": math.nan}) == "a.0.b and 1 more"


def test_large_numbers_are_finite() -> None:
    """Though their sum is not."""
    assert (
        not_finite({"large": torch.full((9,), 3e38), "none": torch.empty(0), "half": torch.full((9,), 6e4).half()})
        == []
    )


def ruin(s: Session, what: str) -> None:
    """Put one NaN or infinity into what a checkpoint holds of `s`."""
    with torch.no_grad():
        if what == "weight":
            list(s.method.arms["vit"].parameters())[-1].view(-1)[0] = math.nan
        elif what == "buffer":
            s.method.arms["cnn"].get_buffer("bn1.running_var")[0] = math.inf
        elif what == "optimiser":
            next(iter(s.optimisers["vit"].state.values()))["exp_avg_sq"].view(-1)[0] = math.inf
        else:
            next(s.averaged["vit"].parameters()).view(-1)[0] = math.nan


def pretrain_ruined(
    s: Session, what: str, *, at: int, when: str = "epoch"
) -> tuple[RunError, list[Any], list[EpochStats]]:
    """Ruin `s` after step `at`; return what is then said, saved and told."""
    saved: list[Any] = []
    told: list[EpochStats] = []
    stop = StopRequest()

    def on_step(_stats: object) -> None:
        if s.step == at:
            ruin(s, what)
            stop.number = signal.SIGTERM if when == "signal" else 0

    with pytest.raises(RunError) as caught:
        told.extend(pretrain(s, stop=stop, save=lambda s: saved.append(deepcopy(session_state(s))), on_step=on_step))
    return caught.value, saved, told


@pytest.mark.parametrize(
    ("what", "when"),
    [
        *(("weight", when) for when in ("epoch", "minutes", "signal")),
        *(("buffer", "epoch"), ("optimiser", "signal"), ("averaged", "minutes")),
    ],
)
def test_a_checkpoint_is_finite_whenever_it_is_saved(what: str, when: str) -> None:
    """Ruined by the last step of an epoch, by one before a save by minutes, or by one before a signal."""
    settings: dict[str, Any] = {"train__save_minutes": 1e-9} if when == "minutes" else {}
    at = 2 * STEPS if when == "epoch" else STEPS + 2
    error, saved, told = pretrain_ruined(tiny_session(optim__averaging_start=0, **settings), what, at=at, when=when)
    assert f"Training diverged in epoch 2, batch {at - STEPS}" in error.what
    assert "is no longer finite. The last good state is kept." in error.what
    assert "--resume" in error.hint
    assert saved[-1]["position"]["step"] == (at - 1 if when == "minutes" else STEPS)
    assert [stats.epoch for stats in told] == [1]  # what is told is what is saved
    again = tiny_session(optim__averaging_start=0)
    restore_session(again, saved[-1])  # and can be gone on with
    assert [stats.epoch for stats in pretrain(again, stop=StopRequest(), save=lambda _s: None)] == [2, 3]


def test_no_good_state_is_promised_where_none_was_saved() -> None:
    error, saved, _ = pretrain_ruined(tiny_session(), "weight", at=STEPS)
    assert saved == []
    assert "Nothing was saved before that" in error.what
    assert "--overwrite" in error.hint
    error, _, _ = pretrain_ruined(tiny_session(), "weight", at=2)
    assert "The loss became nan in epoch 1, batch 3. Nothing was saved before that." in error.what


def test_a_resumed_run_knows_that_it_was_saved() -> None:
    error, saved, _ = pretrain_ruined(tiny_session(), "weight", at=STEPS + 1)
    again = tiny_session()
    restore_session(again, saved[-1])
    error, _, _ = pretrain_ruined(again, "weight", at=STEPS + 1)
    assert "The last good state is kept" in error.what


def test_finite_weights_with_outputs_that_are_not() -> None:
    """No matrix of numbers is at fault, so the gauges have to say it: before the first step, and after an epoch."""
    s, saved = tiny_session(), []
    huge = {key: torch.full_like(value, 3e38) for key, value in s.method.arms["vit"].state_dict().items()}

    def on_step(_stats: object) -> None:
        if s.step == 2 * STEPS:
            s.method.arms["vit"].load_state_dict(huge)

    with pytest.raises(RunError, match=r"epoch 2: the outputs of vit are no longer finite\. The last good"):
        list(pretrain(s, stop=StopRequest(), save=lambda s: saved.append(s.step), on_step=on_step))
    assert saved == [STEPS]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.nn.Linear, "reset_parameters", lambda layer: torch.nn.init.constant_(layer.weight, 3e38))
        with pytest.raises(
            ModelError, match=r"Before any training, \w+ gives training images outputs that are not finite"
        ):
            tiny_session()


def test_a_checkpoint_that_is_not_finite_is_not_gone_on_with() -> None:
    """As versions before this one could leave."""
    s = tiny_session()
    ruin(s, "weight")
    with pytest.raises(RunError, match=r"method\.pair\.vit\S* is not finite[\s\S]*--overwrite"):
        restore_session(tiny_session(), session_state(s))
    t = tiny_tuning()
    ruin_arm(t, "cnn")
    with pytest.raises(RunError, match=r"cnn\.network\S* and \d+ more is not finite"):
        restore_tuning(tiny_tuning(), tuning_state(t))


def ruin_arm(t: Tuning, name: str) -> None:
    with torch.no_grad():
        for parameter in t.arms[name].network.parameters():
            parameter.fill_(math.nan)


def tune_ruined(t: Tuning, name: str, *, at: int, when: str = "epoch") -> tuple[list[Any], list[Any]]:
    """Ruin an arm of `t` after step `at`; return what is saved and told, with the error as the last of what is told."""
    saved: list[Any] = []
    told: list[Any] = []
    stop, steps = StopRequest(), []

    def on_step(_step: object) -> None:
        steps.append(1)
        if len(steps) == at:
            ruin_arm(t, name)
            stop.number = signal.SIGTERM if when == "signal" else 0

    try:
        told.extend(finetune(t, stop=stop, save=lambda t: saved.append(deepcopy(tuning_state(t))), on_step=on_step))
    except RunError as error:
        told.append(error)
    return saved, told


@pytest.mark.parametrize("name", ["cnn", "vit"])
@pytest.mark.parametrize("when", ["epoch", "minutes", "signal"])
def test_an_arm_that_diverges_leaves_the_last_good_state(name: str, when: str) -> None:
    t = tiny_tuning()
    t.save_minutes = 1e-9 if when == "minutes" else 10
    at = 2 * TUNE_STEPS if when == "epoch" else TUNE_STEPS + 2
    saved, told = tune_ruined(t, name, at=at, when=when)
    error = told.pop()
    assert isinstance(error, RunError)
    where = "the last batch of epoch 2" if when == "epoch" else "epoch 2, batch 2"
    assert f"Training diverged in {where}: {name}.network" in error.what
    assert "The last good state is kept" in error.what
    assert [epoch.epoch for epoch in told] == [1]
    again = tiny_tuning()
    restore_tuning(again, saved[-1])
    assert [epoch.epoch for epoch in finetune(again, stop=StopRequest(), save=lambda _t: None)] == [2, 3]


@pytest.mark.parametrize("val", [6, 0])
def test_an_arm_that_diverges_in_its_last_step_keeps_its_best_epoch(val: int) -> None:
    """It is not trained any further, so nothing is lost; its twin is the run that was stopped before."""
    t, twin = tiny_tuning(val=val), tiny_tuning(val=val, epochs=3)
    saved, told = tune_ruined(t, "cnn", at=3 * TUNE_STEPS)
    assert [epoch.epoch for epoch in told] == [1, 2, 3]
    row = told[-1].row()["arms"]["cnn"]
    assert row["val_loss"] is None
    assert row["best_epoch"] < 3
    restore_best(t)
    assert not_finite(t.arms["cnn"].network.state_dict()) == []
    restore_tuning(twin, saved[-1])  # the checkpoint after it can be gone on with
    assert list(finetune(twin, stop=StopRequest(), save=lambda _t: None)) == []
    restore_best(twin)
    for name in ("cnn", "vit"):
        first, second = (of.arms[name].network.state_dict() for of in (t, twin))
        assert all(torch.equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize("guard", [True, False])
def test_an_arm_without_a_good_epoch_has_its_probe_or_nothing(guard: bool) -> None:
    t = tiny_tuning(epochs=1, guard=guard)
    _, told = tune_ruined(t, "vit", at=TUNE_STEPS)
    assert [epoch.epoch for epoch in told] == [1]
    if guard:
        restore_best(t)  # the guard keeps the probe of an arm whose outputs are not finite
        assert not_finite(t.arms["vit"].network.state_dict())
    else:
        with pytest.raises(RunError, match=r"vit diverged[\s\S]*--lr"):
            restore_best(t)
