"""Drawing: seeded, row by row, with the probabilities and strengths asked for."""

from __future__ import annotations

import math

import pytest
import torch

from cass_cli.data.views import draw, geometry
from cass_cli.data.views.apply import apply_view
from cass_cli.data.views.draw import draw_view, unchanged
from cass_cli.methods import byol, dino, mae
from tests.data.pictures import PLAIN, assert_same_parameters, random_images, seeded


def test_first_rows_do_not_depend_on_the_batch() -> None:
    knobs = dino.LOCAL_VIEW
    assert_same_parameters(draw_view(40, generator=seeded(), **knobs)[:13], draw_view(13, generator=seeded(), **knobs))


def test_batches_continue_each_other() -> None:
    generator = seeded(3)
    parts = [draw_view(k, generator=generator) for k in (5, 1, 10)]
    whole = draw_view(16, generator=seeded(3))
    assert_same_parameters(whole[5:6], parts[1])
    assert_same_parameters(whole[torch.arange(6, 16)], parts[2])


def test_switching_one_operation_leaves_the_others() -> None:
    one = draw_view(50, generator=seeded())
    other = draw_view(50, generator=seeded(), blur=0.5, solarise=0.5, crop_scale=(0.2, 1.0))
    assert torch.equal(one.homography, other.homography)
    assert torch.equal(one.coefficients, other.coefficients)
    assert not torch.equal(one.sigma, other.sigma)


def test_same_seed_same_pixels_and_another_seed_others() -> None:
    images = random_images(12)
    first, again, other = (apply_view(images, draw_view(12, generator=seeded(s)), PLAIN) for s in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_frequencies_of_the_papers_view() -> None:
    n, p = 10_000, 0.3
    drawn = draw_view(n, generator=seeded())
    sigma = math.sqrt(p * (1 - p) / n)
    tilted = drawn.homography[:, 2, :2].abs().sum(1) > 0
    alone = draw_view(n, generator=seeded(), perspective_probability=0.0)
    turned = alone.homography[:, 0, 1] != 0
    for happened in (tilted, turned, alone.homography[:, 0, 0] < 0, alone.homography[:, 1, 1] < 0, alone.hue != 0):
        assert abs(happened.double().mean() - p) < 4 * sigma
    assert abs(drawn.coloured.double().mean() - (1 - 0.7**2)) < 4 * sigma
    assert torch.equal(turned, alone.coloured)  # one draw for a pair
    assert (tilted & turned).double().mean() == pytest.approx(p * p, abs=4 * sigma)


def test_strengths_are_bounds_that_are_reached() -> None:
    drawn = draw_view(20_000, generator=seeded(), affine_probability=0.0, contrast=0.0, saturation=0.0)
    brightness = drawn.coefficients[:, 0]
    assert brightness.min() == pytest.approx(0.8, abs=1e-3)
    assert brightness.max() == pytest.approx(1.2, abs=1e-3)
    assert drawn.hue.abs().max() == pytest.approx(0.2, abs=1e-3)
    turned = draw_view(20_000, generator=seeded(), perspective_probability=0.0, vertical_flip=0, horizontal_flip=0)
    angles = torch.rad2deg(torch.asin(turned.homography[:, 0, 1]))
    assert angles.min() == pytest.approx(-10, abs=0.05)
    assert angles.max() == pytest.approx(10, abs=0.05)


def test_perspective_draws_corners_inwards() -> None:
    uniform = torch.rand(500, 8, generator=seeded(), dtype=torch.float64)
    moved = geometry.corner_displacement(uniform, 0.2) / torch.tensor(geometry.CORNERS)
    assert moved.min() == pytest.approx(0.8, abs=0.01)
    assert moved.max() <= 1


def test_crops_have_the_area_and_aspect_asked_for_and_lie_inside() -> None:
    crop = draw_view(5000, generator=seeded(), crop_scale=(0.05, 0.4)).crop
    area, aspect = crop[:, 2] * crop[:, 3], crop[:, 2] / crop[:, 3]
    assert (area.min(), area.max()) == (pytest.approx(0.05, abs=0.01), pytest.approx(0.4, abs=0.01))
    assert aspect.log().abs().max() <= math.log(4 / 3) + 1e-9
    assert aspect.log().mean() == pytest.approx(0, abs=0.02)
    assert (crop[:, :2].abs() + crop[:, 2:]).max() <= 1 + 1e-12
    assert crop[:, 0].max() > 0.5
    assert crop[:, 0].min() < -0.5


def test_a_crop_that_never_fits_is_the_whole_image() -> None:
    crop = draw_view(20, generator=seeded(), crop_scale=(1.0, 1.0), crop_ratio=(2.0, 3.0)).crop
    assert torch.equal(crop, unchanged(20).crop)


@pytest.mark.parametrize(
    "knobs", [{}, *byol.VIEWS, *dino.GLOBAL_VIEWS, dino.LOCAL_VIEW, dino.PACKAGE_GLOBAL_VIEW, mae.VIEW]
)
def test_every_recipe_draws_and_applies(knobs: draw.ViewKnobs) -> None:
    output = apply_view(random_images(9), draw_view(9, generator=seeded(), **knobs), PLAIN.at(32))
    assert output.shape == (9, 3, 32, 32)
    assert output.dtype == torch.float32
    assert output.min() >= 0
    assert output.max() <= 1 + 1e-6
