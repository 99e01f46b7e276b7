from __future__ import annotations

import numpy as np
import pytest

from cass_cli.engine.looking.measures import (
    as_shares,
    centre_mass,
    connectedness,
    entropy,
    mean_estimates,
    measure_maps,
)


def maps(*rows: list[list[float]]) -> np.ndarray:
    return as_shares(np.array(rows, dtype=float))


@pytest.mark.parametrize("side", [2, 3, 4, 7, 8, 27])
def test_an_even_map(side: int) -> None:
    even = as_shares(np.full((1, side, side), 0.3))
    assert entropy(even) == pytest.approx(1)
    assert centre_mass(even) == pytest.approx(0.25)
    assert connectedness(even) == pytest.approx(1)


def test_a_single_patch() -> None:
    one = np.zeros((1, 4, 4))
    one[0, 1, 2] = 5
    assert entropy(as_shares(one)) == pytest.approx(0)
    assert centre_mass(as_shares(one)) == pytest.approx(1)
    assert connectedness(as_shares(one)) == pytest.approx(1)


def test_half_of_the_patches() -> None:
    halves = maps([[1, 1, 0, 0]] * 4)
    assert entropy(halves) == pytest.approx(np.log(8) / np.log(16))
    assert centre_mass(halves) == pytest.approx(0.25)


def test_border_patches_count_by_the_part_inside() -> None:
    """On a 3 × 3 grid the central square takes the middle patch and half of each neighbour's width."""
    cross = np.zeros((1, 3, 3))
    cross[0, 0, 1] = 1
    assert centre_mass(as_shares(cross)) == pytest.approx(0.25)  # a quarter of a patch high, full width


def test_pieces() -> None:
    together = maps([[6, 4, 0], [0, 0, 0], [0, 0, 0]])
    apart = maps([[6, 0, 4], [0, 0, 0], [0, 0, 0]])
    corner = maps([[6, 0, 0], [0, 4, 0], [0, 0, 0]])
    background = maps([[6, 1, 3], [1, 1, 1], [1, 1, 1]])  # 1/16 is below the even share 1/9
    assert connectedness(together) == pytest.approx(1)
    assert connectedness(apart) == pytest.approx(0.6)
    assert connectedness(corner) == pytest.approx(0.6), "patches that touch at a corner are two pieces"
    assert connectedness(background) == pytest.approx(6 / 9)


def test_measures_do_not_depend_on_the_scale_and_skip_empty_maps() -> None:
    some = np.random.default_rng(0).random((3, 4, 4))
    some[2] = 0
    distance = np.full((3, 2, 5), 0.4)
    first, second = measure_maps(some, distance), measure_maps(9 * some, distance)
    np.testing.assert_allclose(first, second)
    assert np.isnan(first[2, :3]).all()
    assert not np.isnan(first[:2]).any()
    assert first[:, 3] == pytest.approx(0.4)
    assert np.isnan(measure_maps(some)[:, 3]).all()


def test_intervals_hold_the_mean_and_know_groups() -> None:
    values = np.random.default_rng(0).normal(size=(60, 1))
    groups = [f"p{i // 20}" for i in range(60)]
    values += np.array([[0.0], [3.0], [6.0]]).repeat(20, axis=0)
    (alone,), (grouped,) = mean_estimates(values, None), mean_estimates(values, groups)
    assert alone.value == pytest.approx(values.mean())
    assert alone.low < alone.value < alone.high
    assert grouped.high - grouped.low > 2 * (alone.high - alone.low), "three patients say less than sixty images"


def test_means_leave_out_what_is_undefined() -> None:
    values = np.array([[1.0, np.nan], [3.0, np.nan], [np.nan, np.nan]])
    first, second = mean_estimates(values, None)
    assert first.value == 2
    assert 1 <= first.low <= first.high <= 3
    assert np.isnan(second.value)
    assert np.isnan(second.low)
    (single,) = mean_estimates(np.array([[2.0]]), None)
    assert single.value == 2
    assert np.isnan(single.low)
