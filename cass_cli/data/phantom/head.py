"""A generated head slice without a lesion: outline, bone, tissue, folds, fluid; and the scanner's effects.

Legend: fields are float64 [S, S]; head coordinates have the head's centre at 0, x to the right, y to the back;
intensities lie roughly in 0–1. `rng` is consumed in a fixed order, so an image is a function of its state.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float64]

SKULL_OUTER, SKULL_INNER, BRAIN = 0.93, 0.86, 0.82
"""Shares of the head's radius where bone begins (scalp outside it) and ends, and where the brain begins."""


@dataclass(frozen=True)
class Slice:
    """One head before its lesion: where things are and how bright they are."""

    x: Field
    y: Field
    radius: Field
    """Distance from the centre as a share of the head's outline in that direction."""
    brain: Field
    """1 inside the brain, 0 outside, soft between."""
    intensity: Field
    water: float
    """1 where water is dark (T1-like), −1 where it is bright (T2-like)."""
    base: bool
    """A slice near the skull base: a cistern in place of the ventricles."""


def draw_slice(size: int, rng: np.random.Generator, *, base_probability: float) -> Slice:
    """A head of random shape, place, tilt, tissue contrast and level."""
    x, y = _head_coordinates(size, rng)
    radius = _relative_radius(x, y, rng)
    base = bool(rng.random() < base_probability)
    water = -1.0 if rng.random() < 0.15 else 1.0
    folds = noise(size, rng, cells=14, octaves=2)
    texture = noise(size, rng, cells=8, octaves=4)
    edge = 2.5 / size  # softness of borders: about a pixel

    brain = inside(BRAIN - radius + 0.012 * folds, edge)
    # Grey matter follows the folds: a winding ribbon at the surface, and a pair of islands deep inside.
    ribbon = inside(0.66 + rng.uniform(-0.05, 0.04) - radius - 0.1 * np.abs(folds) + 0.05, 0.035)
    white = ribbon * (1 - rng.uniform(0.4, 0.9) * _deep_nuclei(x, y, texture, rng))
    grey_level, white_level = rng.uniform(0.34, 0.44), rng.uniform(0.48, 0.57)
    fluid_level = rng.uniform(0.08, 0.2)
    if water < 0:
        grey_level, white_level, fluid_level = rng.uniform(0.5, 0.6), rng.uniform(0.34, 0.44), rng.uniform(0.7, 0.85)
    tissue = grey_level + (white_level - grey_level) * white + rng.uniform(0.015, 0.04) * texture

    fluid = _sulci(radius, folds, rng) + _fissure(x, y, texture, rng)
    fluid = np.maximum(fluid, _cistern(x, y, texture, rng) if base else _ventricles(x, y, texture, rng))
    tissue += (fluid_level - tissue) * np.clip(fluid, 0, 1)

    scalp = inside(1 - radius, edge) * rng.uniform(0.45, 0.8) * (1 + 0.15 * texture)
    bone = inside(SKULL_OUTER + 0.01 * folds - radius, edge)
    rim = inside(SKULL_INNER - radius, edge)
    outer = scalp * (1 - bone) + bone * (1 - rim) * rng.uniform(0.03, 0.12) + rim * fluid_level
    intensity = outer * (1 - brain) + tissue * brain
    return Slice(x=x, y=y, radius=radius, brain=brain, intensity=intensity, water=water, base=base)


def _head_coordinates(size: int, rng: np.random.Generator) -> tuple[Field, Field]:
    """Pixel centres in head coordinates: shifted by up to 3 % of the side, turned by up to 12°, mirrored."""
    line = (np.arange(size) * 2 + 1) / size - 1
    x, y = line[None, :] - rng.uniform(-0.06, 0.06), line[:, None] - rng.uniform(-0.06, 0.06)
    angle = np.deg2rad(rng.uniform(-12, 12))
    mirror = rng.choice([-1.0, 1.0])
    return mirror * (np.cos(angle) * x + np.sin(angle) * y), np.cos(angle) * y - np.sin(angle) * x


def _relative_radius(x: Field, y: Field, rng: np.random.Generator) -> Field:
    """Distance from the centre as a share of an uneven oval's radius in that direction."""
    width, length = rng.uniform(0.7, 0.82), rng.uniform(0.84, 0.94)
    place = y / length + 1j * (x / width)
    distance = np.abs(place)
    direction = place / np.maximum(distance, 1e-9)  # e^(i·angle), angle 0 towards the back
    outline = 1 + rng.uniform(0.0, 0.05) * direction.real  # a wider back of the head
    wave = direction
    for waves in (2, 3, 4):
        wave = wave * direction
        outline += rng.normal(0, 0.03 / waves) * (wave * np.exp(1j * rng.uniform(0, 2 * np.pi))).real
    return np.asarray(distance / outline)


def _sulci(radius: Field, folds: Field, rng: np.random.Generator) -> Field:
    """Thin winding clefts in the outer part of the brain: where a smooth noise crosses nought."""
    width = rng.uniform(0.1, 0.2)
    outer_part = np.clip((radius - 0.42) / 0.3, 0, 1)
    return np.exp(-((folds / width) ** 2)) * outer_part * rng.uniform(0.45, 0.85)


def _deep_nuclei(x: Field, y: Field, texture: Field, rng: np.random.Generator) -> Field:
    """A pair of grey ovals beside the ventricles."""
    across, centre_y = rng.uniform(0.2, 0.26), rng.uniform(-0.1, 0.08)
    distance = np.hypot((np.abs(x) - across) / 0.1, (y - centre_y) / rng.uniform(0.17, 0.24))
    return inside(1 - distance + 0.12 * texture, 0.15)


def _fissure(x: Field, y: Field, texture: Field, rng: np.random.Generator) -> Field:
    """The cleft between the hemispheres, at the front and at the back."""
    line = np.exp(-(((x + 0.015 * texture) / rng.uniform(0.012, 0.022)) ** 2))
    return line * np.clip((np.abs(y) - 0.22) / 0.1, 0, 1) * rng.uniform(0.6, 1.0)


def _ventricles(x: Field, y: Field, texture: Field, rng: np.random.Generator) -> Field:
    """Two crescents beside the midline, their horns bent outwards, not quite alike."""
    openness, half_length = rng.uniform(0.035, 0.085), rng.uniform(0.22, 0.34)
    centre_y, bend = rng.uniform(-0.08, 0.06), rng.uniform(0.6, 1.6)
    field = np.zeros_like(x)
    for side in (-1.0, 1.0):
        along = (y - centre_y) / half_length
        middle = side * (0.07 + openness * 0.6 + 0.09 * bend * along**2)
        width = openness * rng.uniform(0.75, 1.25) * np.sqrt(np.clip(1 - along**2, 0, None))
        field = np.maximum(field, inside(width - np.abs(x - middle) + 0.008 * texture, 0.02))
    return field


def _cistern(x: Field, y: Field, texture: Field, rng: np.random.Generator) -> Field:
    """A ragged star of fluid around the midline, as above the sella."""
    centre_y, reach = rng.uniform(-0.16, -0.02), rng.uniform(0.13, 0.22)
    angle, distance = np.arctan2(x, -(y - centre_y)), np.hypot(x, (y - centre_y) * rng.uniform(0.8, 1.3))
    arms = np.cos(rng.integers(5, 7) * angle + 0.5 * texture) * rng.uniform(0.25, 0.42)
    return inside(reach * (0.65 + arms) - distance + 0.012 * texture, 0.03) * rng.uniform(0.6, 1.0)


def scan(picture: Field, rng: np.random.Generator) -> NDArray[np.uint8]:
    """What a scanner adds: an uneven field, Rician noise, another window each time."""
    size = len(picture)
    field = np.exp(0.16 * noise(size, rng, cells=3))
    signal = np.clip(picture, 0, None) * field
    real, imaginary = rng.uniform(0.01, 0.04) * rng.standard_normal((2, size, size))
    measured = np.hypot(signal + real, imaginary)
    measured = np.clip((measured - rng.uniform(0, 0.04)) * rng.uniform(0.85, 1.2), 0, 1) ** rng.uniform(0.8, 1.25)
    pixels: NDArray[np.uint8] = (measured * 255).round().astype(np.uint8)
    return pixels


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
