"""Each corruption against another way to compute it; each strength is worse than the one before."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest
from PIL import Image, ImageEnhance
from scipy.ndimage import gaussian_filter

from cass_cli.data.corruptions import AMOUNTS, KINDS, SIDE, STRENGTHS, Pixels, corrupt, is_grey
from cass_cli.data.phantom.pictures import phantom_image

# ImageNet-C's code on `stripes()` with scikit-image 0.26.0 and Pillow: mean, mean absolute change, pixel [100, 50].
# Of colour MedMNIST-C's. Pixels are rounded, which that code leaves to a cast that cuts decimals.
REFERENCE = {
    ("blur", 1): (125.8199, 10.9122, [120.0, 144.0, 168.0]),
    ("blur", 3): (125.8195, 30.3636, [121.0, 141.0, 165.0]),
    ("blur", 5): (125.8558, 48.4883, [125.0, 127.0, 147.0]),
    ("brightness", 1): (140.6765, 14.8581, [138.0, 166.0, 194.0]),
    ("brightness", 3): (159.2678, 33.4495, [175.0, 210.0, 244.0]),
    ("brightness", 5): (167.8197, 42.0014, [182.0, 219.0, 255.0]),
    ("contrast", 1): (125.7943, 37.8059, [124.0, 133.0, 142.0]),
    ("contrast", 3): (125.8292, 50.4071, [125.0, 130.0, 133.0]),
    ("contrast", 5): (125.8169, 59.8588, [126.0, 127.0, 127.0]),
    ("jpeg", 1): (125.9221, 22.2172, [126.0, 142.0, 175.0]),
    ("jpeg", 3): (125.7631, 24.7473, [113.0, 147.0, 149.0]),
    ("jpeg", 5): (125.9881, 28.9760, [124.0, 138.0, 164.0]),
    ("colour", 1): (121.3509, 4.4674, [112.0, 140.0, 168.0]),
    ("colour", 3): (113.6740, 12.1443, [95.0, 131.0, 168.0]),
    ("colour", 5): (107.7233, 18.0950, [78.0, 123.0, 168.0]),
}


def stripes() -> Pixels:
    """Coloured stripes with hard edges, uint8 [3, 224, 224]."""
    c, i, j = np.ogrid[:3, :SIDE, :SIDE]
    return ((i * j // 24 + 40 * c + 3 * i + (60 * c + 31) * (i // 28 + j // 28)) % 256).astype(np.uint8)


@pytest.fixture(scope="module")
def lesion() -> Pixels:
    """A drawn skin lesion at a size other than SIDE, uint8 [3, 112, 112]."""
    drawn = phantom_image("melanoma", size=112, rng=np.random.default_rng(0))
    return np.ascontiguousarray(drawn.transpose(2, 0, 1))


@pytest.mark.parametrize(("kind", "strength"), REFERENCE)
def test_it_is_what_imagenet_c_makes(kind: str, strength: int) -> None:
    before = stripes()
    found = corrupt(before, kind, strength, seed=0).astype(float)
    mean, change, pixel = REFERENCE[kind, strength]
    close = 1.0 if kind == "jpeg" else 0.05  # JPEG libraries differ, and halves may be rounded either way
    assert found.mean() == pytest.approx(mean, abs=close)
    assert np.abs(found - before).mean() == pytest.approx(change, abs=close)
    assert found[:, 100, 50] == pytest.approx(pixel, abs=8 if kind == "jpeg" else 1)


@pytest.mark.parametrize("strength", STRENGTHS)
def test_noise_has_its_standard_deviation_and_no_pattern(strength: int) -> None:
    grey = np.full((3, 112, 112), 128, np.uint8)
    noise = corrupt(grey, "noise", strength, seed=7).astype(float) - 128
    inside = AMOUNTS["noise"][strength - 1] * 255
    drawn = np.random.default_rng(1).normal(scale=inside, size=10**6)  # and what clipping leaves of it
    assert noise.std() == pytest.approx(np.rint(128 + drawn).clip(0, 255).std(), rel=0.02)
    assert abs(noise.mean()) < 4 * inside / np.sqrt(noise.size) + 0.5
    pairs = [noise[0, :, :-1] * noise[0, :, 1:], noise[0] * noise[1], noise[1] * noise[2]]
    assert all(abs(pair.mean()) < 0.03 * noise.var() for pair in pairs)


def test_noise_is_decided_by_its_seed_alone(lesion: Pixels) -> None:
    first, again, other = (corrupt(lesion, "noise", 2, seed=seed) for seed in (5, 5, 6))
    assert (first == again).all()
    assert (first != other).mean() > 0.9


@pytest.mark.parametrize("strength", STRENGTHS)
def test_a_blur_scales_with_the_image(lesion: Pixels, strength: int) -> None:
    sigma = AMOUNTS["blur"][strength - 1] * lesion.shape[1] / SIDE
    one_by_one = [gaussian_filter(plane.astype(float), sigma, mode="nearest", truncate=4) for plane in lesion]
    found = corrupt(lesion, "blur", strength, seed=0)
    assert found == pytest.approx(np.rint(np.stack(one_by_one)), abs=1)


@pytest.mark.parametrize(("kind", "channel"), [("brightness", 2), ("colour", 1)])
def test_pixels_change_in_hsv_as_python_has_it(lesion: Pixels, kind: str, channel: int) -> None:
    small = lesion[:, ::8, ::8].copy()
    small[:, 0, :3] = np.array([[0, 255, 40], [0, 255, 40], [0, 255, 40]])  # black, white and grey
    for strength in STRENGTHS:
        found = corrupt(small, kind, strength, seed=0)
        for place in np.ndindex(small.shape[1:]):
            own = small[(slice(None), *place)] / 255
            hsv = list(colorsys.rgb_to_hsv(*own))
            if kind == "brightness" or own.max() > own.min():
                hsv[channel] = min(1, hsv[channel] + AMOUNTS[kind][strength - 1])
            expected = np.array(colorsys.hsv_to_rgb(*hsv)) * 255
            assert found[(slice(None), *place)] == pytest.approx(expected, abs=0.501)


def test_contrast_of_a_grey_image_is_pillows(lesion: Pixels) -> None:
    plane = lesion[0]
    for strength, left in zip(STRENGTHS, AMOUNTS["contrast"], strict=True):
        expected = np.asarray(ImageEnhance.Contrast(Image.fromarray(plane)).enhance(left)).astype(float)
        found = corrupt(np.stack([plane] * 3), "contrast", strength, seed=0)
        assert found[1] == pytest.approx(expected, abs=1.01)  # whose mean is a whole number, and which cuts decimals


@pytest.mark.parametrize("kind", KINDS)
def test_each_strength_is_worse_than_the_one_before(lesion: Pixels, kind: str) -> None:
    levels = [corrupt(lesion, kind, strength, seed=3) for strength in STRENGTHS]
    changes = [np.abs(level.astype(float) - lesion).mean() for level in (lesion, *levels)]
    assert (np.diff(changes) > 0.1).all(), changes
    assert all(level.dtype == np.uint8 and level.shape == lesion.shape for level in levels)
    untouched = phantom_image("melanoma", size=112, rng=np.random.default_rng(0)).transpose(2, 0, 1)
    assert (lesion == untouched).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shade", [0, 255])
def test_a_plain_image_stays_in_range(kind: str, shade: int) -> None:
    plain = np.full((3, 28, 28), shade, np.uint8)
    found = corrupt(plain, kind, 5, seed=0)
    assert found.dtype == np.uint8
    if kind in ("blur", "contrast", "jpeg", "colour") or (kind == "brightness" and shade):
        assert (found == shade).all()
    elif kind == "noise":
        assert (found == shade).mean() == pytest.approx(0.5, abs=0.05), "half of it lies beyond black, or white"
    else:
        assert (found == 128).all(), "half of white is added"


def test_of_grey_images_no_colour_changes(lesion: Pixels) -> None:
    grey = np.stack([lesion[1]] * 3)
    assert is_grey(grey) and is_grey(np.stack([grey, grey]))
    assert not is_grey(np.stack([grey, lesion]))
    assert (corrupt(grey, "colour", 5, seed=0) == grey).all()
