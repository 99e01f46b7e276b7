"""Every colour operation against torchvision's, a different parameter for each sample of one batch.

Tolerances are in units of the pixel range 0–1. Unless a test is about clamping, images stay within [.3, .7],
where neither side clamps.
"""

from __future__ import annotations

import pytest
import torch
from torchvision.transforms.v2 import functional as reference

from cass_cli.data.views import colour, draw
from cass_cli.data.views.apply import apply_view
from cass_cli.data.views.draw import unchanged
from tests.data.pictures import PLAIN, SAME_ARITHMETIC, doubles, jitter_by, random_images, view

GREY_WEIGHTS = 1e-4
"""Tolerance where grey enters: torchvision's weights sum to .9999."""


@pytest.mark.parametrize("operation", ["brightness", "contrast", "saturation"])
def test_jitter_equals_torchvision(operation: str) -> None:
    factors = (0.8, 0.9, 1.1, 1.2)
    images = random_images(4)
    parameters = view(4, coefficients=torch.cat([jitter_by(1, **{operation: f}) for f in factors]))
    output = apply_view(images, parameters, PLAIN)
    adjust = getattr(reference, f"adjust_{operation}")
    for image, factor, got in zip(images, factors, output, strict=True):
        torch.testing.assert_close(got, adjust(image / 255, factor), atol=GREY_WEIGHTS, rtol=0)


def test_brightness_contrast_saturation_in_this_order_as_one_map() -> None:
    images = random_images(1)
    expected = reference.adjust_brightness(images[0] / 255, 1.15)
    expected = reference.adjust_saturation(reference.adjust_contrast(expected, 0.8), 1.2)
    got = apply_view(images, view(1, coefficients=jitter_by(1, 1.15, 0.8, 1.2)), PLAIN)[0]
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
    output = apply_view(images, view(len(shifts), hue=doubles(*shifts)), PLAIN)
    for image, shift, got in zip(images, shifts, output, strict=True):
        torch.testing.assert_close(got, reference.adjust_hue(image / 255, shift), atol=SAME_ARITHMETIC, rtol=0)
    plain = apply_view(images, unchanged(len(shifts)), PLAIN)
    assert torch.equal(output[3], plain[3])  # a shift of nought is not computed at all


def test_values_are_clamped_once_after_all_colours() -> None:
    images = random_images(1, low=0, high=256)
    coefficients = jitter_by(1, 1.2, 1.2, 1.2)
    raw = colour.recolour_(images.float(), coefficients.float()) / 255
    assert raw.max() > 1
    assert raw.min() < 0
    got = apply_view(images, view(1, coefficients=coefficients), PLAIN)
    torch.testing.assert_close(got, raw.clamp(0, 1), atol=SAME_ARITHMETIC, rtol=0)


def test_greying_equals_torchvision() -> None:
    images = random_images(3, low=0, high=256)
    coefficients = colour.greyed(jitter_by(3, 0.9), torch.tensor([True, False, True]))
    output = apply_view(images, view(3, coefficients=coefficients), PLAIN)
    for row, (image, got) in enumerate(zip(images, output, strict=True)):
        expected = reference.adjust_brightness(image / 255, 0.9)
        expected = expected if row == 1 else reference.rgb_to_grayscale(expected, num_output_channels=3)
        torch.testing.assert_close(got, expected, atol=GREY_WEIGHTS, rtol=0)


def test_solarise_equals_torchvision() -> None:
    images = random_images(3, low=0, high=256)
    output = apply_view(images, view(3, solarise=doubles(0.5, 0.8, draw.NEVER_SOLARISED)), PLAIN)
    for image, threshold, got in zip(images, (0.5, 0.8, 1.1), output, strict=True):
        pixels = image / 255
        expected = reference.solarize(pixels, threshold) if threshold < 1 else pixels
        torch.testing.assert_close(got, expected, atol=SAME_ARITHMETIC, rtol=0)


def test_blur_equals_torchvision() -> None:
    sigmas = (0.1, 0.7, 2.0, 0.0)
    images = random_images(4, low=0, high=256)
    output = apply_view(images, view(4, sigma=doubles(*sigmas)), PLAIN)
    for image, sigma, got in zip(images, sigmas, output, strict=True):
        kernel = 2 * colour.blur_radius(sigma) + 1
        expected = reference.gaussian_blur(image / 255, [kernel] * 2, [sigma] * 2) if sigma else image / 255
        torch.testing.assert_close(got, expected, atol=1e-5, rtol=0)
