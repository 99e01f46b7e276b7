"""The embedded demo set: generated slices that look like brain MRI, in four classes named like the paper's.

Nothing here is anatomy; it only has to be learned like it. What tells the classes apart is local and sits at
varying places and contrasts, so raw pixels in a linear model do poorly and a small network does well:

    glioma       inside the tissue, irregular, heterogeneous, often a ring, with an oedema halo
    meningioma   smooth and even, on the inner side of the skull
    pituitary    small and round, on the midline near the skull base
    no_tumor     none, but more of the bright vessels that all classes have

Image i of class c depends on (seed, c, i) alone. Legend: S side in pixels; fields are float64 [S, S]; head
coordinates have the head's centre at 0, x to the right, y to the back; intensities lie roughly in 0–1.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cass_cli.errors import DataError

Field = NDArray[np.float64]

CLASSES = ("glioma", "meningioma", "no_tumor", "pituitary")
MANIFEST = "phantom.json"
VERSION = 1
"""Raised when the pictures change, so that an older set is not taken for this one."""

SKULL_OUTER, SKULL_INNER, BRAIN = 0.93, 0.86, 0.82
"""Shares of the head's radius where bone begins (scalp outside it) and ends, and where the brain begins."""


@dataclass(frozen=True)
class _Slice:
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


def make_phantoms(root: Path, *, images_per_class: int = 150, size: int = 128, seed: int = 0) -> Path:
    """Write root/<class>/<class>_0001.png … (8-bit grey, size × size) and return `root`.

    A complete set with the same parameters is left as it is. The folder appears whole or not at all.
    Raises DataError if `root` holds anything else.
    """
    wanted = {"version": VERSION, "images_per_class": images_per_class, "size": size, "seed": seed}
    if root.exists():
        if _read_manifest(root) == wanted:
            return root
        if any(root.iterdir()):
            raise DataError(
                f"{root} already holds something other than this demo set ({_describe(wanted)}).",
                hint="Give another folder, or remove that one first.",
            )
    root.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{root.name}-", dir=root.parent))
    try:
        partial.chmod(0o755)
        _write_images(partial, images_per_class=images_per_class, size=size, seed=seed)
        (partial / MANIFEST).write_text(json.dumps(wanted, indent=1) + "\n")
        _move_into_place(partial, root, wanted)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return root


def phantom_image(label: str, *, size: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """One slice of the class `label`: uint8 [size, size]."""
    head = _draw_slice(size, label, rng)
    picture = _add_vessels(head, 8 if label == "no_tumor" else 5, rng)
    draw_lesion = {"glioma": _add_glioma, "meningioma": _add_meningioma, "pituitary": _add_pituitary}
    if label in draw_lesion:
        picture = draw_lesion[label](head, picture, rng)
    return _scan(picture, rng)


def _write_images(folder: Path, *, images_per_class: int, size: int, seed: int) -> None:
    for index, label in enumerate(CLASSES):
        (folder / label).mkdir()
        for number in range(images_per_class):
            pixels = phantom_image(label, size=size, rng=np.random.default_rng([seed, index, number]))
            Image.fromarray(pixels).save(folder / label / f"{label}_{number + 1:04d}.png", compress_level=1)


def _move_into_place(partial: Path, root: Path, wanted: dict[str, int]) -> None:
    """Rename, which replaces an empty folder; if another process was faster with the same set, its set stays."""
    try:
        os.replace(partial, root)
    except OSError:
        if not root.exists() or _read_manifest(root) != wanted:
            raise


def _read_manifest(root: Path) -> object:
    try:
        return json.loads((root / MANIFEST).read_text())
    except (OSError, ValueError):
        return None


def _describe(wanted: dict[str, int]) -> str:
    return ", ".join(f"{key} {value}" for key, value in wanted.items())


# Drawing. `rng` is consumed in a fixed order, so an image is a function of its generator's state.


def _draw_slice(size: int, label: str, rng: np.random.Generator) -> _Slice:
    """A head of random shape, place, tilt, tissue contrast and level."""
    x, y = _head_coordinates(size, rng)
    radius = _relative_radius(x, y, rng)
    base = bool(rng.random() < (0.7 if label == "pituitary" else 0.35))
    water = -1.0 if rng.random() < 0.3 else 1.0
    folds = _noise(size, rng, cells=13)
    texture = _noise(size, rng, cells=7, octaves=3)
    edge = 2.5 / size  # softness of borders: about a pixel

    brain = _inside(BRAIN - radius + 0.012 * folds, edge)
    depth = radius + 0.075 * folds + 0.03 * texture
    white = _inside(0.62 + rng.uniform(-0.05, 0.05) - depth, 0.03)
    grey_level, white_level = rng.uniform(0.36, 0.48), rng.uniform(0.52, 0.64)
    fluid_level = rng.uniform(0.08, 0.2)
    if water < 0:
        grey_level, white_level, fluid_level = rng.uniform(0.5, 0.6), rng.uniform(0.34, 0.44), rng.uniform(0.7, 0.85)
    tissue = grey_level + (white_level - grey_level) * white + rng.uniform(0.015, 0.04) * texture

    fluid = _sulci(radius, folds, rng) + _fissure(x, y, texture, rng)
    fluid = np.maximum(fluid, _cistern(x, y, rng) if base else _ventricles(x, y, texture, rng))
    tissue += (fluid_level - tissue) * np.clip(fluid, 0, 1)

    scalp = _inside(1 - radius, edge) * rng.uniform(0.45, 0.8) * (1 + 0.15 * texture)
    bone = _inside(SKULL_OUTER + 0.01 * folds - radius, edge)
    rim = _inside(SKULL_INNER - radius, edge)
    outer = scalp * (1 - bone) + bone * (1 - rim) * rng.uniform(0.03, 0.12) + rim * fluid_level
    intensity = outer * (1 - brain) + tissue * brain
    return _Slice(x=x, y=y, radius=radius, brain=brain, intensity=intensity, water=water, base=base)


def _head_coordinates(size: int, rng: np.random.Generator) -> tuple[Field, Field]:
    """Pixel centres in head coordinates: shifted by up to 8 % of the side, turned by up to 15°, mirrored."""
    line = (np.arange(size) * 2 + 1) / size - 1
    x, y = line[None, :] - rng.uniform(-0.08, 0.08), line[:, None] - rng.uniform(-0.08, 0.08)
    angle = np.deg2rad(rng.uniform(-15, 15))
    mirror = rng.choice([-1.0, 1.0])
    return mirror * (np.cos(angle) * x + np.sin(angle) * y), np.cos(angle) * y - np.sin(angle) * x


def _relative_radius(x: Field, y: Field, rng: np.random.Generator) -> Field:
    """Distance from the centre as a share of an uneven oval's radius in that direction."""
    width, length = rng.uniform(0.62, 0.76), rng.uniform(0.78, 0.9)
    angle = np.arctan2(x / width, y / length)  # 0 towards the back
    outline = 1 + rng.uniform(0.0, 0.05) * np.cos(angle)  # a wider back of the head
    for waves in (2, 3, 4, 5):
        outline += rng.normal(0, 0.012) * np.cos(waves * angle + rng.uniform(0, 2 * np.pi))
    return np.hypot(x / width, y / length) / outline


def _sulci(radius: Field, folds: Field, rng: np.random.Generator) -> Field:
    """Thin winding clefts in the outer part of the brain: where a smooth noise crosses nought."""
    width = rng.uniform(0.08, 0.16)
    outer_part = np.clip((radius - 0.5) / 0.25, 0, 1)
    return np.exp(-((folds / width) ** 2)) * outer_part * rng.uniform(0.5, 0.9)


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
        field = np.maximum(field, _inside(width - np.abs(x - middle) + 0.008 * texture, 0.02))
    return field


def _cistern(x: Field, y: Field, rng: np.random.Generator) -> Field:
    """A five-armed star of fluid around the midline, as above the sella."""
    centre_y, reach = rng.uniform(-0.16, -0.02), rng.uniform(0.13, 0.22)
    angle, distance = np.arctan2(x, -(y - centre_y)), np.hypot(x, y - centre_y)
    star = reach * (0.62 + 0.38 * np.cos(5 * angle))
    return _inside(star - distance, 0.03) * rng.uniform(0.6, 1.0)


def _add_vessels(head: _Slice, most: int, rng: np.random.Generator) -> Field:
    """Bright dots and short curved strokes: distractors that every class has."""
    picture = head.intensity.copy()
    for _ in range(rng.integers(most // 3, most + 1)):
        angle, share = rng.uniform(0, 2 * np.pi), rng.uniform(0.1, 0.78)
        x0, y0 = 0.68 * share * np.sin(angle), 0.82 * share * np.cos(angle)
        if head.base and rng.random() < 0.3:
            x0, y0 = rng.normal(0, 0.02), rng.uniform(0.0, 0.2)  # the artery before the brain stem
        turn, length = rng.uniform(0, np.pi), rng.choice([0.0, 0.0, rng.uniform(0.05, 0.16)])
        u = np.cos(turn) * (head.x - x0) + np.sin(turn) * (head.y - y0)
        v = np.cos(turn) * (head.y - y0) - np.sin(turn) * (head.x - x0) + rng.uniform(-3, 3) * u**2
        distance = np.hypot(np.maximum(np.abs(u) - length, 0), v)
        dot = np.exp(-((distance / rng.uniform(0.014, 0.034)) ** 2)) * head.brain
        picture += (rng.uniform(0.75, 1.0) - picture) * dot * rng.uniform(0.6, 1.0)
    return picture


def _add_glioma(head: _Slice, picture: Field, rng: np.random.Generator) -> Field:
    """Irregular and uneven, off the midline: oedema around, often a bright rim about a dark core."""
    size = len(picture)
    side, share = rng.choice([-1.0, 1.0]), rng.uniform(0.25, 0.6)
    angle = rng.uniform(0.2 * np.pi, 0.8 * np.pi)
    x0, y0 = side * 0.62 * share * np.sin(angle), 0.8 * share * np.cos(angle)
    extent = rng.uniform(0.12, 0.24)
    rough, inner = _noise(size, rng, cells=9, octaves=3), _noise(size, rng, cells=16, octaves=2)
    distance = np.hypot(head.x - x0, (head.y - y0) * rng.uniform(0.75, 1.3)) / extent + 0.24 * rough
    strength = rng.uniform(0.5, 1.0)

    oedema = _inside(rng.uniform(1.45, 2.0) - distance, 0.25) * head.brain
    picture = picture - head.water * 0.16 * strength * oedema
    body = _inside(1 - distance, 0.08) * head.brain
    level = rng.uniform(0.4, 0.7) + 0.13 * inner
    picture = picture + (level - picture) * body * rng.uniform(0.6, 0.9)
    if rng.random() < 0.7:
        rim = np.exp(-(((distance - 0.85) / rng.uniform(0.1, 0.2)) ** 2)) * head.brain
        picture = picture + (0.9 - picture) * rim * strength * np.clip(0.75 + 0.35 * inner, 0, 1)
        core = _inside(rng.uniform(0.4, 0.7) - distance, 0.1) * head.brain
        picture = picture + (0.5 - head.water * 0.3 - picture) * core * strength
    return picture


def _add_meningioma(head: _Slice, picture: Field, rng: np.random.Generator) -> Field:
    """A smooth, even dome on the inner side of the skull, with a thin cleft towards the brain."""
    angle, extent = rng.uniform(0, 2 * np.pi), rng.uniform(0.11, 0.22)
    direction = head.x * np.sin(angle) / 0.69 + head.y * np.cos(angle) / 0.84
    # Where the ray at this angle crosses the inner skull: the pixel there gives the place on the real outline.
    on_wall = np.argmax(direction - 40 * np.abs(head.radius - SKULL_INNER))
    x0, y0 = head.x.flat[on_wall] * 0.96, head.y.flat[on_wall] * 0.96
    distance = np.hypot(head.x - x0, head.y - y0) / extent
    within = _inside(SKULL_INNER - head.radius, 0.02)
    edge = rng.uniform(0.04, 0.08)
    cleft = _inside(1.16 - distance, edge) * within * rng.uniform(0.2, 0.9)
    picture = picture + (0.5 - head.water * 0.35 - picture) * cleft
    dome = _inside(1 - distance, edge) * within
    level = rng.uniform(0.62, 0.95) if head.water > 0 else rng.uniform(0.5, 0.68)
    return picture + (level + 0.02 * _noise(len(picture), rng, cells=11) - picture) * dome * rng.uniform(0.8, 1.0)


def _add_pituitary(head: _Slice, picture: Field, rng: np.random.Generator) -> Field:
    """A small round mass on the midline in front of the centre, at times with a waist."""
    x0, y0, extent = rng.normal(0, 0.015), rng.uniform(-0.2, -0.02), rng.uniform(0.065, 0.12)
    waist = rng.uniform(0.0, 0.18)
    angle = np.arctan2(head.x - x0, head.y - y0)
    distance = np.hypot((head.x - x0) * rng.uniform(0.85, 1.1), head.y - y0) / extent - waist * np.cos(2 * angle)
    mass = _inside(1 - distance, 0.1)
    level = rng.uniform(0.62, 0.9) if head.water > 0 else rng.uniform(0.5, 0.65)
    picture = picture + (0.5 - head.water * 0.3 - picture) * _inside(1.25 - distance, 0.12) * rng.uniform(0.2, 0.7)
    return picture + (level + 0.03 * _noise(len(picture), rng, cells=15) - picture) * mass * rng.uniform(0.8, 1.0)


def _scan(picture: Field, rng: np.random.Generator) -> NDArray[np.uint8]:
    """What a scanner adds: an uneven field, Rician noise, another window each time."""
    size = len(picture)
    field = np.exp(0.16 * _noise(size, rng, cells=3))
    signal = np.clip(picture, 0, None) * field
    noise = rng.uniform(0.015, 0.06) * rng.standard_normal((2, size, size))
    measured = np.hypot(signal + noise[0], noise[1])
    measured = np.clip((measured - rng.uniform(0, 0.04)) * rng.uniform(0.85, 1.2), 0, 1) ** rng.uniform(0.8, 1.25)
    return (measured * 255).round().astype(np.uint8)


def _inside(margin: Field, softness: float) -> Field:
    """1 where `margin` is positive, 0 where negative, a logistic step of the given width between."""
    return 0.5 + 0.5 * np.tanh(margin / softness)


def _noise(size: int, rng: np.random.Generator, *, cells: int, octaves: int = 1) -> Field:
    """Smooth noise [size, size] of about unit variance, with `cells` bumps across the image in its lowest octave."""
    total, power = np.zeros((size, size)), 0.0
    for octave in range(octaves):
        count, weight = cells * 2**octave, 0.5**octave
        spread = _spline(size, count)
        total += weight * (spread @ rng.standard_normal((count + 3, count + 3)) @ spread.T)
        power += weight**2 * float((spread**2).sum(1).mean()) ** 2
    return total / np.sqrt(power)


@lru_cache(maxsize=32)
def _spline(size: int, cells: int) -> Field:
    """Cubic B-spline weights [size, cells + 3] of evenly spaced knots."""
    position = (np.arange(size) + 0.5) / size * cells + 1
    distance = np.abs(position[:, None] - np.arange(cells + 3)[None, :])
    near = 2 / 3 - distance**2 + distance**3 / 2
    far = np.clip(2 - distance, 0, None) ** 3 / 6
    return np.where(distance < 1, near, far)
