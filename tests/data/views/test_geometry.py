"""Every warp against torchvision's, a different parameter for each sample of one batch."""

from __future__ import annotations

import torch
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as reference

from cass_cli.data.views import geometry
from cass_cli.data.views.apply import apply_view
from cass_cli.data.views.draw import unchanged
from tests.data.pictures import PLAIN, SIDE, doubles, random_images, view

BILINEAR = InterpolationMode.BILINEAR


def test_rotation_equals_torchvision() -> None:
    angles = (-10.0, -3.3, 5.0, 90.0)
    images = random_images(4, low=0, high=256)
    output = apply_view(images, view(4, homography=geometry.rotation(doubles(*angles))), PLAIN)
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
    output = apply_view(images, view(2, homography=geometry.perspective(points[0], points[1])), PLAIN)
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
    output = apply_view(images, view(3, crop=torch.tensor(crop, dtype=torch.float64), homography=mirrored), PLAIN)
    for row, (image, box, got) in enumerate(zip(images, boxes, output, strict=True)):
        expected = reference.resized_crop(image / 255, *box, [SIDE, SIDE], interpolation=BILINEAR, antialias=True)
        expected = reference.horizontal_flip(expected) if row == 1 else expected
        # torchvision repeats the crop's border pixels, ours looks beyond the crop: the interior agrees.
        torch.testing.assert_close(got[:, 3:-3, 3:-3], expected[:, 3:-3, 3:-3], atol=1e-4, rtol=0)


def test_shrinking_is_antialiased() -> None:
    images = random_images(2, low=0, high=256, side=96)
    output = apply_view(images, unchanged(2), PLAIN.at(32))
    expected = reference.resize(images / 255, [32, 32], antialias=True)
    aliased = reference.resize(images / 255, [32, 32], antialias=False)
    ours, careless = (output - expected).abs().mean(), (aliased - expected).abs().mean()
    assert ours < 0.02  # another filter (box, not triangle)
    assert ours < 0.4 * careless
