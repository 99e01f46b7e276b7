"""What is drawn into a generated head slice: vessels in every class, and the lesion of each.

Legend as in `phantom_head`; each function returns a new picture [S, S].
"""

from __future__ import annotations

import numpy as np

from cass_cli.data.phantom.head import SKULL_INNER, Field, Slice, inside, noise


def add_vessels(head: Slice, most: int, rng: np.random.Generator) -> Field:
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
        distance_squared = np.maximum(np.abs(u) - length, 0) ** 2 + v**2
        dot = np.exp(-distance_squared / rng.uniform(0.014, 0.034) ** 2) * head.brain
        picture += (rng.uniform(0.65, 0.95) - picture) * dot * rng.uniform(0.5, 0.9)
    return picture


def add_glioma(head: Slice, picture: Field, rng: np.random.Generator) -> Field:
    """Irregular and uneven, off the midline: oedema around, often a bright rim about a dark core."""
    size = len(picture)
    side, share = rng.choice([-1.0, 1.0]), rng.uniform(0.25, 0.6)
    angle = rng.uniform(0.2 * np.pi, 0.8 * np.pi)
    x0, y0 = side * 0.7 * share * np.sin(angle), 0.85 * share * np.cos(angle)
    extent = rng.uniform(0.17, 0.32)
    rough, inner = noise(size, rng, cells=10, octaves=4), noise(size, rng, cells=18, octaves=3)
    distance = np.hypot(head.x - x0, (head.y - y0) * rng.uniform(0.75, 1.3)) / extent + 0.3 * rough
    strength = rng.uniform(0.65, 1.0)

    oedema = inside(rng.uniform(1.45, 2.0) - distance, 0.25) * head.brain
    picture = picture - head.water * 0.2 * strength * oedema
    body = inside(1 - distance, 0.08) * head.brain
    level = rng.uniform(0.4, 0.7) + 0.13 * inner
    picture = picture + (level - picture) * body * rng.uniform(0.6, 0.9)
    if rng.random() < 0.7:
        rim = np.exp(-(((distance - 0.85) / rng.uniform(0.1, 0.2)) ** 2)) * head.brain
        picture = picture + (0.9 - picture) * rim * strength * np.clip(0.7 + 0.45 * inner, 0, 1)
        core = inside(rng.uniform(0.4, 0.7) - distance, 0.1) * head.brain
        picture = picture + (0.5 - head.water * 0.3 - picture) * core * strength
    return picture


def add_meningioma(head: Slice, picture: Field, rng: np.random.Generator) -> Field:
    """A smooth, even dome on the inner side of the skull, with a thin cleft towards the brain."""
    angle, extent = rng.uniform(0, 2 * np.pi), rng.uniform(0.15, 0.28)
    direction = head.x * np.sin(angle) / 0.76 + head.y * np.cos(angle) / 0.89
    # Where the ray at this angle crosses the inner skull: the pixel there gives the place on the real outline.
    on_wall = np.argmax(direction - 40 * np.abs(head.radius - SKULL_INNER))
    x0, y0 = head.x.flat[on_wall] * 0.96, head.y.flat[on_wall] * 0.96
    distance = np.hypot(head.x - x0, head.y - y0) / extent
    within = inside(SKULL_INNER - head.radius, 0.02)
    edge = rng.uniform(0.04, 0.08)
    cleft = inside(1.16 - distance, edge) * within * rng.uniform(0.2, 0.9)
    picture = picture + (0.5 - head.water * 0.35 - picture) * cleft
    dome = inside(1 - distance, edge) * within
    level = rng.uniform(0.7, 0.98)
    return picture + (level + 0.02 * noise(len(picture), rng, cells=11) - picture) * dome * rng.uniform(0.8, 1.0)


def add_pituitary(head: Slice, picture: Field, rng: np.random.Generator) -> Field:
    """A small round mass on the midline in front of the centre, at times with a waist."""
    x0, y0, extent = rng.normal(0, 0.015), rng.uniform(-0.18, -0.02), rng.uniform(0.085, 0.14)
    waist = rng.uniform(0.0, 0.18)
    angle = np.arctan2(head.x - x0, head.y - y0)
    distance = np.hypot((head.x - x0) * rng.uniform(0.85, 1.1), head.y - y0) / extent - waist * np.cos(2 * angle)
    mass = inside(1 - distance, 0.1)
    level = rng.uniform(0.68, 0.95)
    picture = picture + (0.5 - head.water * 0.3 - picture) * inside(1.25 - distance, 0.12) * rng.uniform(0.2, 0.7)
    return picture + (level + 0.03 * noise(len(picture), rng, cells=15) - picture) * mass * rng.uniform(0.8, 1.0)
