"""A generated piece of skin without a lesion, and what lies over it: hairs, a dermatoscope's rim, a camera's effects.

Legend: a field is float64 [S, S], a picture float64 [S, S, 3], its colours roughly in 0–1; x and y run from −1 to 1
across it. `rng` is consumed in a fixed order, so an image is a function of its state.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

Field = NDArray[np.float64]
Picture = NDArray[np.float64]

PALE, DARK = np.array([0.93, 0.76, 0.66]), np.array([0.72, 0.50, 0.38])
HAIR = (0.13, 0.09, 0.07)


@dataclass(frozen=True)
class Skin:
    """A piece of skin before its lesion."""

    x: Field
    y: Field
    colours: Picture


def draw_skin(size: int, rng: np.random.Generator) -> Skin:
    """Skin of a random tone, fine-grained, unevenly flushed."""
    line = (np.arange(size) * 2 + 1) / size - 1
    x, y = np.meshgrid(line, line)
    tone = rng.uniform(0.05, 0.85)
    grain = 1 + 0.05 * noise(size, rng, cells=20, octaves=3) + 0.05 * noise(size, rng, cells=3)
    return Skin(x, y, (PALE + (DARK - PALE) * tone) * grain[..., None])


def photograph(skin: Skin, picture: Picture, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return `picture` as a dermatoscope shows it: at times through hairs or a round rim; lit, tinted and noisy."""
    if rng.random() < 0.4:
        hairs = strokes(skin, rng, number=int(rng.integers(1, 9)), width=0.012, lengths=(0.3, 0.9))
        picture = mixed(picture, HAIR, 0.85 * hairs)
    if rng.random() < 0.2:
        picture = picture * inside(rng.uniform(1.05, 1.3) - np.hypot(skin.x, skin.y), 0.03)[..., None]
    light = 1 + 0.08 * (rng.normal() * skin.x + rng.normal() * skin.y)
    tint = rng.uniform(0.82, 1.1) * np.exp(rng.normal(0, 0.045, 3))
    seen = picture * light[..., None] * tint + rng.uniform(0.005, 0.03) * rng.standard_normal(picture.shape)
    pixels: NDArray[np.uint8] = (seen.clip(0, 1) ** rng.uniform(0.85, 1.2) * 255).round().astype(np.uint8)
    return pixels


def mixed(picture: Picture, colour: ArrayLike, share: Field) -> Picture:
    """Return `picture` with `share` of `colour` [3] mixed in."""
    return picture + (np.asarray(colour) - picture) * share[..., None]


def strokes(
    skin: Skin,
    rng: np.random.Generator,
    *,
    number: int,
    width: float,
    lengths: tuple[float, float],
    within: Field | None = None,
) -> Field:
    """Return a field of short bent strokes, 1 on them; each begins anywhere, or where `within` is."""
    found, places = np.zeros_like(skin.x), _places(within)
    for _ in range(number):
        x0, y0 = rng.uniform(-1, 1, 2) if places is None else _place(skin, places, rng)
        turn, length, bend = rng.uniform(0, np.pi), rng.uniform(*lengths), rng.uniform(-1.2, 1.2)
        along = np.cos(turn) * (skin.x - x0) + np.sin(turn) * (skin.y - y0)
        across = np.cos(turn) * (skin.y - y0) - np.sin(turn) * (skin.x - x0) + bend * along**2
        beyond = np.maximum(np.abs(along) - length, 0)
        found = np.maximum(found, np.exp(-(beyond**2 + across**2) / width**2))
    return found if within is None else found * within


def dots(skin: Skin, rng: np.random.Generator, *, number: int, radii: tuple[float, float], within: Field) -> Field:
    """Return a field of soft dots, 1 at their centres, which lie where `within` is."""
    found, places = np.zeros_like(skin.x), _places(within)
    assert places is not None
    for _ in range(number):
        x0, y0 = _place(skin, places, rng)
        distance_squared = (skin.x - x0) ** 2 + (skin.y - y0) ** 2
        found = np.maximum(found, np.exp(-distance_squared / rng.uniform(*radii) ** 2))
    return found * within


def _places(within: Field | None) -> NDArray[np.int64] | None:
    """Return the pixels [n, 2] that are more in than out, or the one that is most in."""
    if within is None:
        return None
    places = np.argwhere(within > 0.5)
    return places if len(places) else np.argwhere(within == within.max())[:1]


def _place(skin: Skin, places: NDArray[np.int64], rng: np.random.Generator) -> tuple[float, float]:
    row, column = places[rng.integers(len(places))]
    return float(skin.x[row, column]), float(skin.y[row, column])


def inside(margin: Field, softness: float) -> Field:
    """1 where `margin` is positive, 0 where negative, a smooth step of about twice `softness` between."""
    step = np.clip(margin / (3 * softness) + 0.5, 0, 1)
    return step * step * (3 - 2 * step)


def noise(size: int, rng: np.random.Generator, *, cells: int, octaves: int = 1) -> Field:
    """Smooth noise [size, size] of about unit variance, with `cells` bumps across the image in its lowest octave."""
    total, power = np.zeros((size, size)), 0.0
    for octave in range(octaves):
        count, weight = cells * 2**octave, 0.5**octave
        spread = _spline(size, count)
        total += weight * (spread @ rng.standard_normal((count + 3, count + 3)) @ spread.T)
        power += weight**2 * float((spread**2).sum(1).mean()) ** 2
    return np.asarray(total / np.sqrt(power))


@lru_cache(maxsize=32)
def _spline(size: int, cells: int) -> Field:
    """Cubic B-spline weights [size, cells + 3] of evenly spaced knots."""
    position = (np.arange(size) + 0.5) / size * cells + 1
    distance = np.abs(position[:, None] - np.arange(cells + 3)[None, :])
    near = 2 / 3 - distance**2 + distance**3 / 2
    far = np.clip(2 - distance, 0, None) ** 3 / 6
    return np.where(distance < 1, near, far)
