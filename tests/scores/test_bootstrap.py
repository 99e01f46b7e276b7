from __future__ import annotations

import json
from math import isnan, nan

import numpy as np

from cass_cli.scores import bootstrap
from cass_cli.scores.bootstrap import Estimate, draw_units, interval, intervals, resample_weights


def weights(units: np.ndarray, resamples: int = 200, seed: int = 0) -> np.ndarray:
    return np.concatenate(list(resample_weights(units, resamples=resamples, seed=seed)))


def test_images_are_drawn_with_replacement() -> None:
    drawn = weights(np.arange(50), resamples=2000)
    assert drawn.shape == (2000, 50)
    assert (drawn.sum(axis=1) == 50).all()
    assert abs(drawn.var() - (1 - 1 / 50)) < 0.02  # the multinomial's variance: 1 − 1/N


def test_groups_stay_together() -> None:
    units = draw_units(7, ["a", "b", "a", "", "b", "", "a"])
    assert units.tolist() == [0, 1, 0, 2, 1, 3, 0]
    drawn = weights(units)
    assert (drawn[:, 0] == drawn[:, 2]).all()
    assert (drawn[:, 1] == drawn[:, 4]).all()
    assert (drawn[:, 3] != drawn[:, 5]).any(), "images without a group are drawn on their own"
    assert (drawn[:, [0, 1, 3, 5]].sum(axis=1) == 4).all()


def test_the_seed_decides(monkeypatch) -> None:
    units = np.arange(20)
    assert (weights(units, seed=1) == weights(units, seed=1)).all()
    assert (weights(units, seed=1) != weights(units, seed=2)).any()
    whole = weights(units, seed=1)
    monkeypatch.setattr(bootstrap, "CHUNK_ENTRIES", 20 * 7)
    assert (weights(units, seed=1) == whole).all(), "chunks are a matter of memory only"


def test_one_unit_gives_no_resamples() -> None:
    assert list(resample_weights(draw_units(5, ["p"] * 5))) == []
    assert list(resample_weights(np.arange(0))) == []


def test_interval_is_the_percentile_interval_of_defined_values() -> None:
    low, high = interval(np.r_[np.linspace(0, 1, 1001), np.full(50, nan)])
    assert np.allclose([low, high], [0.025, 0.975])
    assert all(isnan(v) for v in interval(np.full(3, nan)))


def test_intervals_are_those_of_each_column() -> None:
    rng = np.random.default_rng(0)
    values = np.where(rng.random((200, 6)) < np.linspace(0, 1, 6), nan, rng.random((200, 6)))
    expected = [np.quantile(v[~np.isnan(v)], [0.025, 0.975]) if (~np.isnan(v)).any() else [nan, nan] for v in values.T]
    np.testing.assert_allclose(intervals(values).T, expected, rtol=1e-12)
    assert np.isnan(intervals(np.empty((0, 6)))).all()


def test_mean_of_normal_data_is_covered_nineteen_times_in_twenty() -> None:
    rng = np.random.default_rng(3)
    covered = 0
    for trial in range(200):
        sample = rng.normal(size=100)
        low, high = interval(weights(np.arange(100), resamples=300, seed=trial) @ sample / 100)
        covered += low <= 0 <= high
    assert 180 <= covered <= 198  # 190 expected


def test_estimate_is_valid_json() -> None:
    assert json.loads(json.dumps(Estimate(0.5).as_dict())) == {"value": 0.5, "low": None, "high": None}
