"""A sample of whole units holds every class in its share, and no more images than were asked for."""

from __future__ import annotations

import numpy as np
import pytest

from cass_cli.data.stratify import sample_units


@pytest.mark.parametrize("most", [12, 100, 399])
def test_a_sample_has_its_share_of_every_class(most: int) -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [300, 96, 4])
    rows = sample_units(np.eye(3, dtype=np.int64)[labels], rng.permutation(400), most, rng)
    assert len(rows) == len(set(rows.tolist())) == most
    held = np.bincount(labels[rows], minlength=3)
    assert held.min() >= 1
    assert held[:2] == pytest.approx(np.array([300, 96]) * most / 400, abs=2)


def test_units_are_whole(most: int = 50) -> None:
    rng = np.random.default_rng(1)
    units = np.repeat(np.arange(40), rng.integers(1, 9, 40))
    bits = (rng.random((len(units), 4)) < 0.3).astype(np.int64)  # several classes an image
    rows = sample_units(bits, units, most, np.random.default_rng(2))
    assert most - 8 < len(rows) <= most
    whole = np.isin(units, units[rows])
    assert (np.flatnonzero(whole) == rows).all()
    assert (rows == sample_units(bits, units, most, np.random.default_rng(2))).all()
    assert len(sample_units(bits, units, 1, rng)) >= 1, "one unit, however large"
    assert (sample_units(bits, units, len(units), rng) == np.arange(len(units))).all()
