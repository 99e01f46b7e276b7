"""Applying a view: what is composed, what is left alone, and that a sample does not depend on its neighbours."""

from __future__ import annotations

import itertools

import pytest
import torch
from torchvision.transforms.v2 import functional as reference

from cass_cli.data.views import draw, geometry
from cass_cli.data.views.apply import apply_view
from cass_cli.data.views.draw import draw_view, unchanged
from cass_cli.data.views.spec import ImageSpec
from cass_cli.methods import byol, dino
from tests.data.pictures import (
    PLAIN,
    SAME_ARITHMETIC,
    SIDE,
    assert_same_parameters,
    doubles,
    jitter_by,
    random_images,
    seeded,
    view,
)


def test_probability_nought_is_a_plain_normalised_copy() -> None:
    images = random_images(5, low=0, high=256)
    nothing = draw_view(
        5,
        generator=seeded(),
        perspective_probability=0.0,
        affine_probability=0.0,
        vertical_flip=0.0,
        horizontal_flip=0.0,
    )
    assert_same_parameters(nothing, unchanged(5))
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    output = apply_view(images, nothing, ImageSpec(SIDE, mean, std))
    expected = reference.normalize(images / 255, list(mean), list(std))
    torch.testing.assert_close(output, expected, atol=1e-6, rtol=0)
    back = ((output * torch.tensor(std).view(3, 1, 1) + torch.tensor(mean).view(3, 1, 1)) * 255).round()
    assert torch.equal(back.to(torch.uint8), images)


def test_flips_alone_move_pixels_bit_for_bit() -> None:
    images = random_images(4, low=0, high=256)
    untouched = images.clone()
    flags = torch.tensor(list(itertools.product([False, True], repeat=2)))
    spec = ImageSpec(SIDE, (0.4, 0.5, 0.6), (0.2, 0.3, 0.1))
    plain = apply_view(images, unchanged(4), spec)
    flipped = view(4, homography=geometry.mirror(flags[:, 0], flags[:, 1]))
    output = apply_view(images, flipped, spec)
    for row, dimensions in enumerate([(), (-2,), (-1,), (-1, -2)]):
        assert torch.equal(output[row], plain[row].flip(dimensions)), dimensions
    assert torch.equal(images, untouched)  # the store is never written to


def test_untouched_samples_keep_their_bits_beside_changed_ones() -> None:
    images = random_images(20, low=0, high=256)
    parameters = draw_view(20, generator=seeded())
    output = apply_view(images, parameters, PLAIN)
    plain = apply_view(images, unchanged(20), PLAIN)
    copied = (parameters.resampling == torch.eye(3)).all((1, 2)) & ~parameters.coloured
    assert 2 <= copied.sum() < 20
    assert torch.equal(output[copied], plain[copied])


def test_a_permuted_batch_gives_permuted_output() -> None:
    images, order = random_images(11, low=0, high=256), torch.randperm(11, generator=seeded(7))
    for knobs in ({}, byol.VIEWS[1]):
        parameters = draw_view(11, generator=seeded(), **knobs)
        output = apply_view(images, parameters, PLAIN)
        permuted = apply_view(images[order], parameters[order], PLAIN)
        torch.testing.assert_close(permuted, output[order], atol=SAME_ARITHMETIC, rtol=0)


def test_a_share_of_the_batch_gives_the_same_as_the_whole() -> None:
    images = random_images(10, low=0, high=256)
    parameters = draw_view(10, generator=seeded())
    whole = apply_view(images, parameters, PLAIN)
    for rank in (0, 1):
        rows = slice(rank, None, 2)
        torch.testing.assert_close(
            apply_view(images[rows], parameters[rows], PLAIN), whole[rows], atol=SAME_ARITHMETIC, rtol=0
        )


def test_composed_view_equals_operations_one_after_another() -> None:
    """Perspective, rotation, vertical, then horizontal flip: equal but for what resampling twice costs."""
    coarse = torch.rand(6, 3, 5, 5, generator=seeded())
    smooth = torch.nn.functional.interpolate(coarse, size=96, mode="bicubic").clamp(0, 1)
    images = (smooth * 255).to(torch.uint8)
    knobs: draw.ViewKnobs = {"brightness": 0, "contrast": 0, "saturation": 0, "hue": 0}
    everything = {"perspective_probability": 1.0, "affine_probability": 1.0, "vertical_flip": 1.0}
    everything["horizontal_flip"] = 0.5
    at_once = apply_view(images, draw_view(6, generator=seeded(5), **knobs, **everything), PLAIN.at(96))

    alone = {"vertical_flip": 0.0, "horizontal_flip": 0.0}
    tilt = draw_view(6, generator=seeded(5), **knobs, **alone, perspective_probability=1.0, affine_probability=0.0)
    turn = draw_view(6, generator=seeded(5), **knobs, **alone, perspective_probability=0.0, affine_probability=1.0)
    horizontal = draw_view(6, generator=seeded(5), **knobs, **everything).homography
    step = geometry.warp(images.float() / 255, tilt.homography, size=96)
    step = geometry.warp(step, turn.homography, size=96).flip(-2)
    mirrored = torch.linalg.det(horizontal) * -1 < 0  # the vertical flip alone makes it negative
    step[mirrored] = step[mirrored].flip(-1)
    assert mirrored.any()
    assert not mirrored.all()
    assert (at_once - step).abs().mean() < 0.01
    assert (at_once - step.flip(-1)).abs().mean() > 0.05


def test_outside_the_image_is_black_whatever_the_colours() -> None:
    images = random_images(1)
    turned = view(1, homography=geometry.rotation(doubles(45.0)), coefficients=jitter_by(1, 1.1, 0.5), hue=doubles(0.1))
    mean, std = (0.4, 0.5, 0.6), (0.2, 0.3, 0.1)
    corner = apply_view(images, turned, ImageSpec(SIDE, mean, std))[0, :, 0, 0]
    torch.testing.assert_close(corner, -torch.tensor(mean) / torch.tensor(std))


def test_a_crop_comes_before_its_colours() -> None:
    """Contrast then refers to the crop's mean grey, not the image's."""
    images = random_images(1)
    images[:, :, :, SIDE // 2 :] //= 2
    left_half = doubles(-0.5, 0.0, 0.5, 1.0).view(1, 4)
    output = apply_view(images, view(1, crop=left_half, coefficients=jitter_by(1, contrast=0.0)), PLAIN)
    cut = reference.resize(images[:, :, :, : SIDE // 2] / 255, [SIDE, SIDE], antialias=False)
    grey = reference.rgb_to_grayscale(cut).mean().item()
    torch.testing.assert_close(output, torch.full_like(output, grey), atol=0.01, rtol=0)


@pytest.mark.parametrize("knobs", [{}, byol.VIEWS[1]])
def test_grey_images_take_a_shorter_way_to_the_same_result(
    knobs: draw.ViewKnobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = random_images(8, low=0, high=256)
    images[::2] = images[::2, :1]  # every other one grey
    images[2, 2, 5, 5] ^= 1  # and one that is not quite
    parameters = draw_view(8, generator=seeded(), **knobs)
    output = apply_view(images, parameters, PLAIN)
    monkeypatch.setattr("cass_cli.data.views.apply._is_grey", lambda _: False)
    torch.testing.assert_close(apply_view(images, parameters, PLAIN), output, atol=SAME_ARITHMETIC, rtol=0)


def test_large_images_are_changed_a_few_at_a_time_to_the_same_result(monkeypatch: pytest.MonkeyPatch) -> None:
    images, parameters = random_images(7), draw_view(7, generator=seeded(), **byol.VIEWS[0])
    together = apply_view(images, parameters, PLAIN)
    monkeypatch.setattr("cass_cli.data.views.apply.PIXELS_AT_ONCE", 1)
    torch.testing.assert_close(apply_view(images, parameters, PLAIN), together, atol=SAME_ARITHMETIC, rtol=0)


@pytest.mark.parametrize("knobs", [{}, byol.VIEWS[1], dino.LOCAL_VIEW])
def test_no_decision_reads_the_pixels_of_a_device(knobs: draw.ViewKnobs) -> None:
    """Meta tensors hold no values: reading one, which on a GPU would mean to wait for it, raises."""
    images = torch.empty(9, 3, SIDE, SIDE, dtype=torch.uint8, device="meta")
    for size in (SIDE, 32):
        output = apply_view(images, draw_view(9, generator=seeded(), **knobs), PLAIN.at(size))
        assert output.shape == (9, 3, size, size)
        assert output.device.type == "meta"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_the_device_is_never_waited_for_and_gives_the_cpus_pixels() -> None:
    images = random_images(12)
    for knobs in ({}, byol.VIEWS[1]):
        parameters = draw_view(12, generator=seeded(), **knobs)
        expected = apply_view(images, parameters, PLAIN)
        on_device = images.cuda()
        apply_view(on_device, parameters, PLAIN)  # the first call may synchronise to allocate
        torch.cuda.set_sync_debug_mode("error")
        try:
            output = apply_view(on_device, parameters, PLAIN)
        finally:
            torch.cuda.set_sync_debug_mode("default")
        torch.testing.assert_close(output.cpu(), expected, atol=1e-4, rtol=0)
