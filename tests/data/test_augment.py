"""Every operation against torchvision's functional one, and the properties of drawing and applying a view.

Tolerances are in units of the pixel range 0–1. Unless a test is about clamping, images stay within
[.3, .7], where neither side clamps.
"""

from __future__ import annotations

import dataclasses
import itertools
import math

import pytest
import torch
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as reference

from cass_cli.data import colour, geometry, views
from cass_cli.data.augment import ViewParameters, apply_view, draw_view, unchanged

SIDE = 48
BILINEAR = InterpolationMode.BILINEAR
PLAIN = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}  # so that the output is pixels in 0–1
SAME_ARITHMETIC = 2e-6
GREY_WEIGHTS = 1e-4  # torchvision's sum to .9999


def random_images(n: int, *, low: int = 76, high: int = 180, side: int = SIDE, seed: int = 0) -> Tensor:
    """Smooth in parts and noisy in others, uint8 [n, 3, side, side]."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(n, 3, 6, 6, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, size=side, mode="bicubic").clamp(0, 1)
    noise = torch.rand(n, 3, side, side, generator=generator)
    return (low + (high - low) * (0.7 * smooth + 0.3 * noise)).to(torch.uint8)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def doubles(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def view(n: int, **fields: Tensor) -> ViewParameters:
    return dataclasses.replace(unchanged(n), **fields)


def jitter_by(n: int, brightness: float = 1, contrast: float = 1, saturation: float = 1) -> Tensor:
    return colour.jitter(*(torch.full((n,), x, dtype=torch.float64) for x in (brightness, contrast, saturation)))


def assert_same_parameters(one: ViewParameters, other: ViewParameters) -> None:
    for field in dataclasses.fields(ViewParameters):
        assert torch.equal(getattr(one, field.name), getattr(other, field.name)), field.name


# One operation at a time, a different parameter for each sample of one batch.


@pytest.mark.parametrize("operation", ["brightness", "contrast", "saturation"])
def test_jitter_equals_torchvision(operation: str) -> None:
    factors = (0.8, 0.9, 1.1, 1.2)
    images = random_images(4)
    parameters = view(4, coefficients=torch.cat([jitter_by(1, **{operation: f}) for f in factors]))
    output = apply_view(images, parameters, **PLAIN)
    adjust = getattr(reference, f"adjust_{operation}")
    for image, factor, got in zip(images, factors, output, strict=True):
        torch.testing.assert_close(got, adjust(image / 255, factor), atol=GREY_WEIGHTS, rtol=0)


def test_brightness_contrast_saturation_in_this_order_as_one_map() -> None:
    images = random_images(1)
    expected = reference.adjust_brightness(images[0] / 255, 1.15)
    expected = reference.adjust_saturation(reference.adjust_contrast(expected, 0.8), 1.2)
    got = apply_view(images, view(1, coefficients=jitter_by(1, 1.15, 0.8, 1.2)), **PLAIN)[0]
    torch.testing.assert_close(got, expected, atol=GREY_WEIGHTS, rtol=0)


def test_two_jitters_compose_to_one_map() -> None:
    images, first, then = random_images(1), jitter_by(1, 0.9, 1.2, 0.8), jitter_by(1, 1.1, 0.85, 1.15)
    pixels = colour.recolour_(colour.recolour_(images.double(), first), then)
    at_once = colour.recolour_(images.double(), colour.compose(first, then))
    torch.testing.assert_close(at_once, pixels, atol=1e-10, rtol=0)


def test_hue_equals_torchvision() -> None:
    shifts = (-0.5, -0.2, -0.01, 0.0, 0.07, 0.2, 0.5)
    images = random_images(len(shifts), low=0, high=256)
    images[:, :, :8] = images[:, :1, :8]  # grey rows, where hue is undefined
    images[:, 0, 8:12] = images[:, 1, 8:12]  # two channels equal
    output = apply_view(images, view(len(shifts), hue=doubles(*shifts)), **PLAIN)
    for image, shift, got in zip(images, shifts, output, strict=True):
        torch.testing.assert_close(got, reference.adjust_hue(image / 255, shift), atol=SAME_ARITHMETIC, rtol=0)
    plain = apply_view(images, unchanged(len(shifts)), **PLAIN)
    assert torch.equal(output[3], plain[3])  # a shift of nought is not computed at all


def test_values_are_clamped_once_after_all_colours() -> None:
    images = random_images(1, low=0, high=256)
    coefficients = jitter_by(1, 1.2, 1.2, 1.2)
    raw = colour.recolour_(images.float(), coefficients.float()) / 255
    assert raw.max() > 1
    assert raw.min() < 0
    got = apply_view(images, view(1, coefficients=coefficients), **PLAIN)
    torch.testing.assert_close(got, raw.clamp(0, 1), atol=SAME_ARITHMETIC, rtol=0)


def test_greying_equals_torchvision() -> None:
    images = random_images(3, low=0, high=256)
    coefficients = colour.greyed(jitter_by(3, 0.9), torch.tensor([True, False, True]))
    output = apply_view(images, view(3, coefficients=coefficients), **PLAIN)
    for row, (image, got) in enumerate(zip(images, output, strict=True)):
        expected = reference.adjust_brightness(image / 255, 0.9)
        expected = expected if row == 1 else reference.rgb_to_grayscale(expected, num_output_channels=3)
        torch.testing.assert_close(got, expected, atol=GREY_WEIGHTS, rtol=0)


def test_solarise_equals_torchvision() -> None:
    images = random_images(3, low=0, high=256)
    output = apply_view(images, view(3, solarise=doubles(0.5, 0.8, views.NEVER_SOLARISED)), **PLAIN)
    for image, threshold, got in zip(images, (0.5, 0.8, 1.1), output, strict=True):
        pixels = image / 255
        expected = reference.solarize(pixels, threshold) if threshold < 1 else pixels
        torch.testing.assert_close(got, expected, atol=SAME_ARITHMETIC, rtol=0)


def test_blur_equals_torchvision() -> None:
    sigmas = (0.1, 0.7, 2.0, 0.0)
    images = random_images(4, low=0, high=256)
    output = apply_view(images, view(4, sigma=doubles(*sigmas)), **PLAIN)
    for image, sigma, got in zip(images, sigmas, output, strict=True):
        kernel = 2 * colour.blur_radius(sigma) + 1
        expected = reference.gaussian_blur(image / 255, [kernel] * 2, [sigma] * 2) if sigma else image / 255
        torch.testing.assert_close(got, expected, atol=1e-5, rtol=0)


def test_rotation_equals_torchvision() -> None:
    angles = (-10.0, -3.3, 5.0, 90.0)
    images = random_images(4, low=0, high=256)
    output = apply_view(images, view(4, homography=geometry.rotation(doubles(*angles))), **PLAIN)
    for image, angle, got in zip(images, angles, output, strict=True):
        expected = reference.affine(
            image / 255, angle=angle, translate=[0, 0], scale=1.0, shear=[0.0, 0.0], interpolation=BILINEAR
        )
        torch.testing.assert_close(got, expected, atol=1e-4, rtol=0)


def test_perspective_equals_torchvision_with_the_same_points() -> None:
    start = [[0, 0], [SIDE, 0], [SIDE, SIDE], [0, SIDE]]
    ends = [[[2, 4], [44, 1], [47, 46], [3, 40]], [[0, 0], [43, 5], [45, 48], [4, 48]]]
    images = random_images(2, low=0, high=256)
    # torchvision samples at the pixel's index + ½ and takes the points in the same coordinates, so a point p
    # is at 2p/S − 1 here, with no shift. (Its RandomPerspective draws corners at S − 1; ours are at the edge, S.)
    points = torch.tensor([[start] * 2, ends], dtype=torch.float64) * 2 / SIDE - 1
    output = apply_view(images, view(2, homography=geometry.perspective(points[0], points[1])), **PLAIN)
    for image, end, got in zip(images, ends, output, strict=True):
        expected = reference.perspective(image / 255, start, end, interpolation=BILINEAR)
        torch.testing.assert_close(got, expected, atol=1e-4, rtol=0)


def test_crop_equals_torchvision_enlarging() -> None:
    boxes = ((5, 3, 24, 30), (0, 10, 17, 12), (20, 0, 28, 48))  # top, left, height, width
    images = random_images(3, low=0, high=256)
    crop = [
        [(2 * left + width) / SIDE - 1, (2 * top + height) / SIDE - 1, width / SIDE, height / SIDE]
        for top, left, height, width in boxes
    ]
    mirrored = geometry.mirror(torch.tensor([False, True, False]), torch.tensor([False] * 3))
    output = apply_view(images, view(3, crop=torch.tensor(crop, dtype=torch.float64), homography=mirrored), **PLAIN)
    for row, (image, box, got) in enumerate(zip(images, boxes, output, strict=True)):
        expected = reference.resized_crop(image / 255, *box, [SIDE, SIDE], interpolation=BILINEAR, antialias=True)
        expected = reference.horizontal_flip(expected) if row == 1 else expected
        # torchvision repeats the crop's border pixels, ours looks beyond the crop: the interior agrees.
        torch.testing.assert_close(got[:, 3:-3, 3:-3], expected[:, 3:-3, 3:-3], atol=1e-4, rtol=0)


def test_shrinking_is_antialiased() -> None:
    images = random_images(2, low=0, high=256, side=96)
    output = apply_view(images, unchanged(2), **PLAIN, out_size=32)
    expected = reference.resize(images / 255, [32, 32], antialias=True)
    aliased = reference.resize(images / 255, [32, 32], antialias=False)
    ours, careless = (output - expected).abs().mean(), (aliased - expected).abs().mean()
    assert ours < 0.02  # another filter (box, not triangle)
    assert ours < 0.4 * careless


# Drawing.


def test_first_rows_do_not_depend_on_the_batch() -> None:
    knobs = views.DINO_LOCAL
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
    first, again, other = (apply_view(images, draw_view(12, generator=seeded(s)), **PLAIN) for s in (1, 1, 2))
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
    "knobs", [views.PAPER, *views.BYOL, *views.DINO_GLOBAL, views.DINO_LOCAL, views.PACKAGE_DINO_GLOBAL, views.MAE]
)
def test_every_recipe_draws_and_applies(knobs: views.ViewKnobs) -> None:
    output = apply_view(random_images(9), draw_view(9, generator=seeded(), **knobs), **PLAIN, out_size=32)
    assert output.shape == (9, 3, 32, 32)
    assert output.dtype == torch.float32
    assert output.min() >= 0
    assert output.max() <= 1 + 1e-6


# Applying.


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
    output = apply_view(images, nothing, mean=mean, std=std)
    expected = reference.normalize(images / 255, list(mean), list(std))
    torch.testing.assert_close(output, expected, atol=1e-6, rtol=0)
    back = ((output * torch.tensor(std).view(3, 1, 1) + torch.tensor(mean).view(3, 1, 1)) * 255).round()
    assert torch.equal(back.to(torch.uint8), images)


def test_flips_alone_move_pixels_bit_for_bit() -> None:
    images = random_images(4, low=0, high=256)
    untouched = images.clone()
    flags = torch.tensor(list(itertools.product([False, True], repeat=2)))
    plain = apply_view(images, unchanged(4), mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.1))
    flipped = view(4, homography=geometry.mirror(flags[:, 0], flags[:, 1]))
    output = apply_view(images, flipped, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.1))
    for row, dimensions in enumerate([(), (-2,), (-1,), (-1, -2)]):
        assert torch.equal(output[row], plain[row].flip(dimensions)), dimensions
    assert torch.equal(images, untouched)  # the store is never written to


def test_untouched_samples_keep_their_bits_beside_changed_ones() -> None:
    images = random_images(20, low=0, high=256)
    parameters = draw_view(20, generator=seeded())
    output = apply_view(images, parameters, **PLAIN)
    plain = apply_view(images, unchanged(20), **PLAIN)
    copied = (parameters.resampling == torch.eye(3)).all((1, 2)) & ~parameters.coloured
    assert 2 <= copied.sum() < 20
    assert torch.equal(output[copied], plain[copied])


def test_a_permuted_batch_gives_permuted_output() -> None:
    images, order = random_images(11, low=0, high=256), torch.randperm(11, generator=seeded(7))
    for knobs in (views.PAPER, views.BYOL[1]):
        parameters = draw_view(11, generator=seeded(), **knobs)
        output = apply_view(images, parameters, **PLAIN)
        permuted = apply_view(images[order], parameters[order], **PLAIN)
        torch.testing.assert_close(permuted, output[order], atol=SAME_ARITHMETIC, rtol=0)


def test_a_share_of_the_batch_gives_the_same_as_the_whole() -> None:
    images = random_images(10, low=0, high=256)
    parameters = draw_view(10, generator=seeded())
    whole = apply_view(images, parameters, **PLAIN)
    for rank in (0, 1):
        rows = slice(rank, None, 2)
        torch.testing.assert_close(
            apply_view(images[rows], parameters[rows], **PLAIN), whole[rows], atol=SAME_ARITHMETIC, rtol=0
        )


def test_composed_view_equals_operations_one_after_another() -> None:
    """Perspective, rotation, vertical, then horizontal flip: equal but for what resampling twice costs."""
    coarse = torch.rand(6, 3, 5, 5, generator=seeded())
    smooth = torch.nn.functional.interpolate(coarse, size=96, mode="bicubic").clamp(0, 1)
    images = (smooth * 255).to(torch.uint8)
    knobs: views.ViewKnobs = {"brightness": 0, "contrast": 0, "saturation": 0, "hue": 0}
    everything = {"perspective_probability": 1.0, "affine_probability": 1.0, "vertical_flip": 1.0}
    everything["horizontal_flip"] = 0.5
    at_once = apply_view(images, draw_view(6, generator=seeded(5), **knobs, **everything), **PLAIN)

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
    corner = apply_view(images, turned, mean=mean, std=std)[0, :, 0, 0]
    torch.testing.assert_close(corner, -torch.tensor(mean) / torch.tensor(std))


def test_a_crop_comes_before_its_colours() -> None:
    """Contrast then refers to the crop's mean grey, not the image's."""
    images = random_images(1)
    images[:, :, :, SIDE // 2 :] //= 2
    left_half = doubles(-0.5, 0.0, 0.5, 1.0).view(1, 4)
    output = apply_view(images, view(1, crop=left_half, coefficients=jitter_by(1, contrast=0.0)), **PLAIN)
    cut = reference.resize(images[:, :, :, : SIDE // 2] / 255, [SIDE, SIDE], antialias=False)
    grey = reference.rgb_to_grayscale(cut).mean().item()
    torch.testing.assert_close(output, torch.full_like(output, grey), atol=0.01, rtol=0)


@pytest.mark.parametrize("knobs", [views.PAPER, views.BYOL[1]])
def test_grey_images_take_a_shorter_way_to_the_same_result(
    knobs: views.ViewKnobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = random_images(8, low=0, high=256)
    images[::2] = images[::2, :1]  # every other one grey
    images[2, 2, 5, 5] ^= 1  # and one that is not quite
    parameters = draw_view(8, generator=seeded(), **knobs)
    output = apply_view(images, parameters, **PLAIN)
    monkeypatch.setattr("cass_cli.data.augment._is_grey", lambda _: False)
    torch.testing.assert_close(apply_view(images, parameters, **PLAIN), output, atol=SAME_ARITHMETIC, rtol=0)


def test_large_images_are_changed_a_few_at_a_time_to_the_same_result(monkeypatch: pytest.MonkeyPatch) -> None:
    images, parameters = random_images(7), draw_view(7, generator=seeded(), **views.BYOL[0])
    together = apply_view(images, parameters, **PLAIN)
    monkeypatch.setattr("cass_cli.data.augment.PIXELS_AT_ONCE", 1)
    torch.testing.assert_close(apply_view(images, parameters, **PLAIN), together, atol=SAME_ARITHMETIC, rtol=0)


@pytest.mark.parametrize("knobs", [views.PAPER, views.BYOL[1], views.DINO_LOCAL])
def test_no_decision_reads_the_pixels_of_a_device(knobs: views.ViewKnobs) -> None:
    """Meta tensors hold no values: reading one, which on a GPU would mean to wait for it, raises."""
    images = torch.empty(9, 3, SIDE, SIDE, dtype=torch.uint8, device="meta")
    for size in (SIDE, 32):
        output = apply_view(images, draw_view(9, generator=seeded(), **knobs), **PLAIN, out_size=size)
        assert output.shape == (9, 3, size, size)
        assert output.device.type == "meta"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_the_device_is_never_waited_for_and_gives_the_cpus_pixels() -> None:
    images = random_images(12)
    for knobs in (views.PAPER, views.BYOL[1]):
        parameters = draw_view(12, generator=seeded(), **knobs)
        expected = apply_view(images, parameters, **PLAIN)
        on_device = images.cuda()
        apply_view(on_device, parameters, **PLAIN)  # the first call may synchronise to allocate
        torch.cuda.set_sync_debug_mode("error")
        try:
            output = apply_view(on_device, parameters, **PLAIN)
        finally:
            torch.cuda.set_sync_debug_mode("default")
        torch.testing.assert_close(output.cpu(), expected, atol=1e-4, rtol=0)
