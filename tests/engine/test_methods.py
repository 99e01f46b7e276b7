"""Every method under the one loop: resumed runs, gauges, what is exported, what comes with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from cass_cli.config.load import Layer
from cass_cli.config.recipes import resolve_with_recipe
from cass_cli.engine.checkpoint import load_checkpoint, save_checkpoint
from cass_cli.engine.plan import count_cost
from cass_cli.engine.pretrain import StepStats, pretrain
from cass_cli.engine.session import Session, measure_gauges, restore_session, session_state
from cass_cli.engine.signals import StopRequest
from cass_cli.errors import ConfigError, Interrupted
from tests.engine.tiny import tiny_session

METHODS: dict[str, dict[str, Any]] = {
    "dino": {"method__name": "dino", "method__prototypes": 32},
    "dino-paper": {"method__name": "dino", "method__prototypes": 32, "method__dino_setting": "paper"},
    "byol": {"method__name": "byol", "method__arm": "vit"},
    "mae": {"method__name": "mae", "method__decoder_width": 32, "method__decoder_depth": 1},
}
every_method = pytest.mark.parametrize("settings", METHODS.values(), ids=METHODS)


def session(settings: dict[str, Any]) -> Session:
    return tiny_session(8, train__epochs=2, **settings)


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


@every_method
def test_resumed_run_equals_the_uninterrupted_one(tmp_path: Path, settings: dict[str, Any]) -> None:
    whole = session(settings)
    list(pretrain(whole, stop=StopRequest(), save=lambda _s: None))

    first, stop = session(settings), StopRequest()

    def stop_at_third(stats: StepStats) -> None:
        if first.step == 3:
            stop.number = 15

    def save(s: Session) -> None:
        save_checkpoint(tmp_path / "state.pt", session_state(s))

    with pytest.raises(Interrupted):
        list(pretrain(first, stop=stop, save=save, on_step=stop_at_third))
    second = session(settings)
    restore_session(second, load_checkpoint(tmp_path / "state.pt"))
    assert second.step == 3
    list(pretrain(second, stop=StopRequest(), save=lambda _s: None))
    assert same(whole.method.state_dict(), second.method.state_dict())


@every_method
def test_gauges_change_nothing(settings: dict[str, Any]) -> None:
    s = session(settings)
    before = {key: value.clone() for key, value in s.method.state_dict().items()}
    assert measure_gauges(s) == measure_gauges(s)
    assert same(before, s.method.state_dict())


@pytest.mark.parametrize(("setting", "follows"), [("official", True), ("paper", False)])
def test_dino_keeps_the_teacher_in_its_authors_setting_and_the_student_in_the_papers(
    setting: str, follows: bool
) -> None:
    s = tiny_session(8, method__name="dino", method__prototypes=32, method__dino_setting=setting, method__arm="vit")
    kept = next(s.method.arms["vit"].parameters())
    assert kept.requires_grad is not follows


@every_method
def test_a_recipe_averages_nothing(settings: dict[str, Any]) -> None:
    assert session(settings).averaged == {}


@pytest.mark.parametrize("key", ["dino", "byol"])
def test_two_arms_side_by_side_are_trained_as_each_alone(key: str) -> None:
    settings = {k: v for k, v in METHODS[key].items() if k != "method__arm"}
    both = tiny_session(8, train__epochs=1, **settings)
    alone = tiny_session(8, train__epochs=1, **settings, method__arm="cnn")
    for s in (both, alone):
        list(pretrain(s, stop=StopRequest(), save=lambda _s: None))
    for one, other in zip(both.method.arms["cnn"].parameters(), alone.method.arms["cnn"].parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def test_what_the_user_says_goes_before_the_recipe_and_the_recipe_before_the_preset() -> None:
    preset = Layer("preset x", {"optim.lr": 1.0, "optim.cnn": "sgd", "train.batch_size": 128})
    flag = Layer("flag", {"method.name": "dino", "optim.clip": 1.0})
    resolved = resolve_with_recipe([preset], [flag])
    assert resolved.config.optim.lr == pytest.approx(5e-4 * 128 / 256)
    assert resolved.origins["optim.lr"] == "method dino, official"
    assert resolved.config.optim.cnn == "adamw"
    assert resolved.config.optim.clip == 1.0
    assert resolved.origins["optim.clip"] == "flag"
    assert resolve_with_recipe([preset], []).config.optim.lr == 1.0


@pytest.mark.parametrize("wrong", [{"method.arm": "cnn"}, {"method.name": "mae", "method.arm": "both"}])
def test_a_method_that_cannot_train_the_arm_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"method\.arm"):
        resolve_with_recipe([], [Layer("flag", wrong)])


def test_work_is_that_of_the_papers_networks_and_views() -> None:
    def flops(**settings: Any) -> float:
        layer = Layer("test", {key.replace("__", "."): value for key, value in settings.items()})
        return count_cost(resolve_with_recipe([], [layer]).config).flops

    cass = flops()
    assert cass == pytest.approx(3 * 2 * (12.0e9 + 55.5e9), rel=0.02)  # the paper's arms at 384 px; forward is a third
    assert flops(method__name="dino", method__dino_setting="paper") / cass == pytest.approx(8 / 3, rel=0.01)
