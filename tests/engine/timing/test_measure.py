"""Timing methods: what is reported follows from the steps that were taken."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from cass_cli.config.presets import preset_about
from cass_cli.engine.batches import batch_bounds
from cass_cli.engine.compute import Compute
from cass_cli.engine.pretraining.plan import count_cost
from cass_cli.engine.timing import measure as module
from cass_cli.engine.timing.forecast import forecast_run
from cass_cli.engine.timing.job import benchmark_job, parse_sweep
from cass_cli.engine.timing.measure import matmul_peak, time_methods
from cass_cli.engine.timing.stepper import synthetic_store
from cass_cli.errors import ConfigError
from tests.engine.tiny import SETTINGS, tiny_config

TINY: dict[str, Any] = {
    "arms.cnn": "test_resnet",
    "arms.vit": "test_vit",
    "data.image_size": 32,
    "train.batch_size": 4,
    "train.device": "cpu",
    "train.precision": "fp32",
    "method.prototypes": 64,
}


def test_methods_step_in_turn_and_every_step_counts() -> None:
    taken: list[tuple[str, int]] = []
    cases = {"cass": tiny_config(), "mae": tiny_config(method__name="mae", method__decoder_depth=1)}
    machine, timings = time_methods(
        cases, synthetic_store(8, 32), steps=3, warmup=1, on_step=lambda name, step: taken.append((name, step))
    )
    assert taken == [(name, step) for step in (1, 2, 3) for name in ("cass", "mae")]
    assert machine.interleaved
    for name, timing in timings.items():
        assert timing.steps == 3
        assert timing.seconds is not None and timing.low is not None and timing.high is not None
        assert 0 < timing.low <= timing.seconds <= timing.high
        assert timing.split is not None and set(timing.split) == {"data", "forward", "backward", "optimiser"}
        assert timing.waiting is not None and 0 <= timing.waiting < 1
        flops = count_cost(cases[name]).flops * 4
        assert timing.flops == flops
        assert timing.peak_share == pytest.approx(flops / timing.seconds / machine.peak_flops)
    assert dict(timings["mae"].networks) == {"vit": "test_vit"}


def test_a_method_that_does_not_fit_says_so_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    class Greedy(module.Stepper):
        def __init__(self, config: Any, *more: Any) -> None:
            if config.method.name == "byol":
                raise torch.OutOfMemoryError("CUDA out of memory")
            super().__init__(config, *more)

    monkeypatch.setattr(module, "Stepper", Greedy)
    cases = {"cass": tiny_config(), "byol": tiny_config(method__name="byol")}
    machine, timings = time_methods(cases, synthetic_store(8, 32), steps=1, warmup=1)
    assert not machine.interleaved
    assert timings["cass"].seconds and not timings["cass"].problem
    assert timings["byol"].seconds is None
    assert timings["byol"].problem == "out of memory at batch size 4"


def test_a_fault_of_ours_is_not_taken_for_a_lack_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_arguments: Any) -> None:
        raise RuntimeError("shapes differ")

    monkeypatch.setattr(module, "Stepper", broken)
    with pytest.raises(RuntimeError, match="shapes differ"):
        time_methods({"cass": tiny_config()}, synthetic_store(8, 32), steps=1, warmup=1)


def test_hours_are_steps_times_seconds() -> None:
    result = benchmark_job(["dermofit", "autoimmune"], ["cass", "dino"], TINY, steps=1, warmup=1, epochs=10)
    (one,) = result.rounds  # both presets ask for the same work
    assert [projection.preset for projection in one.projections] == ["dermofit", "autoimmune"]
    for projection in one.projections:
        steps = 10 * len(batch_bounds(preset_about(projection.preset).train_images, 4))
        for method, hours in projection.hours.items():
            assert hours == pytest.approx(steps * (one.timings[method].seconds or 0) / 3600)
    assert dict(one.projections[0].paper_hours) == {"cass": 71 / 60, "dino": 189 / 60}
    assert "dino (official)" in one.timings  # the setting is named, as the ratio means little without it
    assert result.reduced == ""  # every size was asked for


def test_a_sweep_is_a_round_for_each_value() -> None:
    settings = {key: value for key, value in TINY.items() if key != "train.batch_size"}
    result = benchmark_job(["demo"], ["cass"], settings, steps=1, warmup=1, sweep=parse_sweep("batch-size=2,4"))
    assert [one.setting for one in result.rounds] == ["batch-size 2", "batch-size 4"]
    assert [one.timings["cass"].batch_size for one in result.rounds] == [2, 4]
    assert "batch size" not in result.reduced


def test_without_a_gpu_sizes_that_are_left_open_are_reduced_and_that_is_said() -> None:
    settings = {key: value for key, value in TINY.items() if key != "train.batch_size"}
    result = benchmark_job(["dermofit"], ["cass"], settings, steps=1, warmup=1)
    assert result.reduced == "no GPU: batch size 4"
    assert result.rounds[0].timings["cass"].batch_size == 4


@pytest.mark.parametrize("text", ["batch-size", "batch-size=", "batch-size=8,x", "lr=1", "batch-size=0"])
def test_a_sweep_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="not of the form"):
        parse_sweep(text)


def test_forecast_projects_its_rate_on_all_epochs() -> None:
    forecast = forecast_run(tiny_config(train__epochs=7, train__compile="on"), images=500)
    assert forecast.seconds == pytest.approx(7 * 500 / forecast.images_per_second)


def test_forecast_starts_from_random_weights_and_so_needs_no_download() -> None:
    assert SETTINGS["arms.init"] == "random"
    assert forecast_run(tiny_config(arms__init="imagenet"), images=10).seconds > 0


def test_peak_is_the_rate_of_the_best_product(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter([0.0, 4.0, 10.0, 12.0, 20.0, 23.0])  # products of 4, 2 and 3 seconds
    monkeypatch.setattr(module, "PEAK_REPEATS", 3)
    monkeypatch.setattr(module, "PEAK_SIDE", {"cpu": 8})
    monkeypatch.setattr(module.time, "perf_counter", lambda: next(ticks))
    assert matmul_peak(Compute(torch.device("cpu"))) == 2 * 8**3 / 2.0
