"""Legend: H × W pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cass_cli.data.slides.tissue import LEAST, otsu, saturation, tissue


def variance_between(values: NDArray[np.uint8], t: int) -> float:
    """Otsu's σ²(t), as he writes it."""
    low, high = values[values <= t].astype(float), values[values > t].astype(float)
    if not low.size or not high.size:
        return 0.0
    return low.size * high.size / values.size**2 * (low.mean() - high.mean()) ** 2


def test_otsu_is_the_best_of_all_thresholds() -> None:
    rng = np.random.default_rng(0)
    for _ in range(5):
        values = np.concatenate([rng.normal(30, 9, 400), rng.normal(120, 25, 200)]).clip(0, 255).astype(np.uint8)
        assert otsu(values) == max(range(256), key=lambda t: variance_between(values, t))
    assert otsu(np.zeros(0, np.uint8)) == 0


def mask_of(rgb: NDArray[np.uint8], alpha: int = 255) -> NDArray[np.bool_]:
    return tissue(*saturation(np.dstack([rgb, np.full(rgb.shape[:2], alpha, np.uint8)])))


def noisy(colour: tuple[int, int, int], spread: int = 3) -> NDArray[np.uint8]:
    noise = np.random.default_rng(1).integers(-spread, spread + 1, (40, 40, 3))
    return (np.array(colour) + noise).clip(0, 255).astype(np.uint8)


def test_saturation_is_that_of_hsv() -> None:
    pixels = np.array([[[200, 100, 150, 255], [0, 0, 0, 255], [255, 255, 255, 255], [255, 0, 0, 0]]], np.uint8)
    values, scanned = saturation(pixels)
    assert values.tolist() == [[127, 0, 0, 255]]
    assert scanned.tolist() == [[True, False, True, False]]


def test_empty_glass_a_black_frame_and_what_was_not_scanned_are_no_tissue() -> None:
    assert not mask_of(noisy((243, 242, 244))).any()
    assert not mask_of(noisy((5, 5, 5), 5)).any()  # whose saturation is high: it is noise
    assert not mask_of(noisy((200, 100, 150)), alpha=0).any()


def test_a_slide_full_of_tissue_is_all_tissue() -> None:
    """Otsu's threshold alone would part pale tissue from dark, and lose the pale half."""
    full = np.vstack([noisy((225, 180, 215)), noisy((150, 60, 140))])
    values, _ = saturation(np.dstack([full, np.full(full.shape[:2], 255, np.uint8)]))
    assert otsu(values.ravel()) > values.min() > LEAST
    assert mask_of(full).all()


def test_tissue_is_parted_from_glass() -> None:
    mask = mask_of(np.vstack([noisy((240, 236, 242)), noisy((210, 130, 180))]))
    assert not mask[:40].any() and mask[40:].all()
