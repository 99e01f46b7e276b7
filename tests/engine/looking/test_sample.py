from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cass_cli.config.schema import Data
from cass_cli.data.sample_table import SampleTable
from cass_cli.data.views.spec import ImageSpec
from cass_cli.engine.looking.sample import ImageSample, class_shares, draw_rows, sample_of_paths
from cass_cli.errors import DataError


def test_a_sample_has_the_class_distribution() -> None:
    labels = np.repeat([0, 1, 2], [600, 300, 100])
    drawn = draw_rows(labels, 1000, samples=30, seed=0)
    assert np.bincount(labels[drawn]).tolist() == [18, 9, 3]
    assert (np.diff(drawn) > 0).all()


def test_rare_classes_have_an_example_where_there_is_room() -> None:
    """C.4: 100 samples of ISIC 2019, so that each class has one."""
    isic = np.array([4522, 12875, 3323, 867, 2624, 239, 253, 628])
    shares = class_shares(isic, 100)
    assert shares.sum() == 100
    assert shares.min() == 1
    assert np.abs(shares - isic * 100 / isic.sum()).max() < 1
    assert class_shares(np.array([1000, 1, 1]), 2).tolist() == [2, 0, 0]


def test_a_sample_is_a_function_of_the_seed() -> None:
    labels = np.arange(200) % 4
    first, again, other = (draw_rows(labels, 200, samples=20, seed=seed) for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


def test_several_labels_an_image_and_none() -> None:
    rng = np.random.default_rng(0)
    bits = (rng.random((400, 3)) < [0.6, 0.3, 0.05]).astype(np.uint8)
    drawn = draw_rows(bits, 400, samples=40, seed=0)
    assert np.abs(bits[drawn].mean(axis=0) - bits.mean(axis=0)).max() <= 1 / 40
    unknown = np.where(bits == 0, -1, bits).astype(np.int8)  # which are no positives
    assert np.array_equal(draw_rows(unknown, 400, samples=40, seed=0), drawn)
    assert len(set(draw_rows(None, 50, samples=30, seed=0).tolist())) == 30
    assert draw_rows(None, 5, samples=30, seed=0).tolist() == [0, 1, 2, 3, 4], "no more than there are"


def test_labels_in_words() -> None:
    names = ("a.png", "b.png")
    classes = ("x", "y")
    single = SampleTable(Path(), names, classes, np.array([1, -1]))
    several = SampleTable(Path(), names, classes, np.array([[1, 1], [0, 0]], dtype=np.int8))
    unknown = SampleTable(Path(), names, classes, np.array([[-1, 1], [-1, -1]], dtype=np.int8))
    assert [ImageSample(single, Data()).label(row) for row in (0, 1)] == ["y", ""]
    assert [ImageSample(several, Data()).label(row) for row in (0, 1)] == ["x + y", ""]
    assert [ImageSample(unknown, Data()).label(row) for row in (0, 1)] == ["y", ""]


def test_own_pictures(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    for name, value in (("z.png", 10), ("more/a.png", 20), ("more/b.png", 30)):
        Image.new("RGB", (9, 5), (value, value, value)).save(tmp_path / name)
    sample = sample_of_paths([tmp_path / "z.png", tmp_path / "more"], Data())
    spec = ImageSpec(4, (0.0,) * 3, (1.0,) * 3)
    pixels = sample.pixels(spec)
    assert pixels.shape == (3, 3, 4, 4)
    assert pixels[:, 0, 0, 0].tolist() == [10, 20, 30]
    assert sample.pixels(spec) is pixels, "decoded once"
    assert sample.pixels(replace(spec, fit="pad")) is not pixels
    with pytest.raises(DataError, match="no picture"):
        sample_of_paths([tmp_path / "gone.png"], Data())
