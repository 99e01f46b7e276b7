"""How networks take images."""

from __future__ import annotations

import torch

from cass_cli.data.views.apply import apply_view
from cass_cli.data.views.draw import unchanged
from cass_cli.data.views.spec import ImageSpec
from tests.data.pictures import SIDE, random_images


def test_at_another_size_all_else_stays() -> None:
    spec = ImageSpec(384, (0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    assert spec.at(None) is spec
    assert spec.at(96) == ImageSpec(96, (0.1, 0.2, 0.3), (0.4, 0.5, 0.6))


def test_a_view_ends_as_it_says() -> None:
    images, spec = random_images(2), ImageSpec(SIDE, (0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    plain, normalised = (apply_view(images, unchanged(2), s) for s in (ImageSpec(SIDE, (0,) * 3, (1,) * 3), spec))
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (spec.mean, spec.std))
    torch.testing.assert_close(normalised, (plain - mean) / std)
    assert apply_view(images, unchanged(2), spec.at(20)).shape == (2, 3, 20, 20)
