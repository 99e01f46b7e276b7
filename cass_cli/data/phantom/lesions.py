"""The lesions of the demo: what tells its four classes apart.

Legend as in `skin.py`; each function returns a new picture [S, S, 3].
"""

from __future__ import annotations

import numpy as np

from cass_cli.data.phantom.skin import Field, Picture, Skin, dots, inside, mixed, noise, strokes

BROWN = np.array([0.50, 0.31, 0.20])
MELANOMA = np.array([[0.12, 0.09, 0.09], [0.33, 0.36, 0.45], [0.60, 0.25, 0.22], [0.70, 0.52, 0.42]])
"""Black, blue-grey, red and faded parts."""


def add_nevus(skin: Skin, rng: np.random.Generator) -> Picture:
    """Round, evenly brown, with a regular network of darker lines."""
    size, brown = len(skin.x), BROWN * rng.uniform(0.75, 1.3)
    body = _body(skin, rng, roughness=0.07, softness=0.1)
    share = np.clip(0.85 + 0.1 * noise(size, rng, cells=5), 0, 1) * rng.uniform(0.6, 0.9)
    picture = mixed(skin.colours, 1.15 * brown, body * share)
    return mixed(picture, 0.6 * brown, body * _network(skin, rng) * rng.uniform(0.25, 0.6))


def add_melanoma(skin: Skin, rng: np.random.Generator) -> Picture:
    """Irregular in outline and colour: two or three colours beside brown, and dark streaks."""
    size, brown = len(skin.x), BROWN * rng.uniform(0.75, 1.3)
    body = _body(skin, rng, roughness=0.3, softness=0.06)
    picture = mixed(skin.colours, 0.8 * brown, body * rng.uniform(0.75, 0.95))
    for colour in rng.permutation(MELANOMA)[: rng.integers(2, 4)]:
        part = inside(noise(size, rng, cells=4, octaves=2) - rng.uniform(-0.1, 0.6), 0.2)
        picture = mixed(picture, colour, body * part * rng.uniform(0.6, 0.95))
    streaks = strokes(skin, rng, number=int(rng.integers(3, 10)), width=0.025, lengths=(0.05, 0.15), within=body)
    return mixed(picture, 0.5 * brown, 0.7 * streaks)


def add_keratosis(skin: Skin, rng: np.random.Generator) -> Picture:
    """Sharply bordered, waxy yellow to brown, with white and dark dots."""
    size, wax = len(skin.x), np.array([0.58, 0.42, 0.28]) * rng.uniform(0.75, 1.2)
    body = _body(skin, rng, roughness=0.13, softness=0.03)
    picture = mixed(skin.colours, wax, body * rng.uniform(0.7, 0.95))
    picture = picture * (1 + 0.1 * body * noise(size, rng, cells=16, octaves=3))[..., None]
    white = dots(skin, rng, number=int(rng.integers(6, 16)), radii=(0.02, 0.04), within=body)
    dark = dots(skin, rng, number=int(rng.integers(4, 14)), radii=(0.025, 0.05), within=body)
    return mixed(mixed(picture, (0.93, 0.90, 0.82), 0.85 * white), (0.20, 0.13, 0.10), 0.8 * dark)


def add_basal_cell_carcinoma(skin: Skin, rng: np.random.Generator) -> Picture:
    """Pink and faint, with red vessels and a few blue-grey nests."""
    pink = np.array([0.82, 0.58, 0.52]) * rng.uniform(0.85, 1.1)
    body = _body(skin, rng, roughness=0.2, softness=0.12)
    picture = mixed(skin.colours, pink, body * rng.uniform(0.45, 0.8))
    vessels = strokes(skin, rng, number=int(rng.integers(4, 10)), width=0.018, lengths=(0.08, 0.25), within=body)
    picture = mixed(picture, (0.72, 0.18, 0.20), vessels * rng.uniform(0.5, 0.85))
    nests = dots(skin, rng, number=int(rng.integers(1, 7)), radii=(0.04, 0.09), within=body)
    return mixed(picture, (0.36, 0.38, 0.48), nests * rng.uniform(0.5, 0.9))


def _body(skin: Skin, rng: np.random.Generator, *, roughness: float, softness: float) -> Field:
    """Return a lesion's place, 1 in it and 0 outside: an oval of random size, with an outline as rough as it says."""
    x0, y0 = rng.uniform(-0.28, 0.28, 2)
    extent, oblong, turn = rng.uniform(0.4, 0.65), rng.uniform(0.75, 1.3), rng.uniform(0, np.pi)
    along = np.cos(turn) * (skin.x - x0) + np.sin(turn) * (skin.y - y0)
    across = np.cos(turn) * (skin.y - y0) - np.sin(turn) * (skin.x - x0)
    outline = roughness * rng.uniform(0.7, 1.3) * noise(len(skin.x), rng, cells=7, octaves=2)
    return inside(1 - np.hypot(along * oblong, across / oblong) / extent - outline, softness)


def _network(skin: Skin, rng: np.random.Generator) -> Field:
    """Return a grid of lines, slightly bent."""
    spacing, turn = rng.uniform(0.07, 0.1), rng.uniform(0, np.pi)
    bent = [0.03 * noise(len(skin.x), rng, cells=8) for _ in range(2)]
    along = np.cos(turn) * skin.x + np.sin(turn) * skin.y + bent[0]
    across = np.cos(turn) * skin.y - np.sin(turn) * skin.x + bent[1]
    lines: Field = np.maximum(np.cos(np.pi * along / spacing) ** 8, np.cos(np.pi * across / spacing) ** 8)
    return lines
