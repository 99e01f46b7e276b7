"""Draw what happens to each sample: seeded, on the CPU, row by row.

A process of several draws the rows of the global batch and takes its share: `draw_view(64, …)[rank::world]`.

Legend: n samples.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

import torch
from torch import Tensor

from cass_cli.data.views import colour, geometry

WHOLE_IMAGE = (0.0, 0.0, 1.0, 1.0)
UNCHANGED_COLOUR = (1.0, 0.0, 0.0)
NEVER_SOLARISED = 2.0


class ViewKnobs(TypedDict, total=False):
    """The keywords of `draw_view`, so that a recipe is `draw_view(n, generator=…, **RECIPE)`."""

    perspective_probability: float
    affine_probability: float
    brightness: float
    contrast: float
    saturation: float
    hue: float
    perspective: float
    degrees: float
    vertical_flip: float
    horizontal_flip: float
    crop_scale: tuple[float, float] | None
    crop_ratio: tuple[float, float]
    grayscale: float
    blur: float
    blur_sigma: tuple[float, float]
    solarise: float
    solarise_threshold: float


FLIP_AND_JITTER: ViewKnobs = {
    "perspective_probability": 0.8,  # the jitter's, as no perspective comes with it
    "affine_probability": 0.0,
    "brightness": 0.4,
    "contrast": 0.4,
    "saturation": 0.2,
    "hue": 0.1,
    "perspective": 0.0,
    "vertical_flip": 0.0,
    "horizontal_flip": 0.5,
    "grayscale": 0.2,
}
"""What the views of BYOL and DINO have in common (Grill et al. 2020, appendix B)."""

FLIP_AND_TILT: ViewKnobs = {
    "perspective_probability": 0.6,
    "affine_probability": 0.6,
    "brightness": 0.3,
    "contrast": 0.3,
    "saturation": 0.3,
    "hue": 0.1,
    "vertical_flip": 0.5,
    "horizontal_flip": 0.5,
}
"""The paper's view (C.5.2), stronger: crops of a tenth of a lesion, as ImageNet's methods take, leave none of it."""


@dataclass(frozen=True)
class ViewParameters:
    """What is done to each of n samples. CPU tensors, one row a sample; `parameters[rows]` takes a share."""

    crop: Tensor
    """float64 [n, 4]: box cut out of the input (`geometry.window`)."""
    homography: Tensor
    """float64 [n, 3, 3]: perspective, rotation and flips, from output to input (`geometry`)."""
    coefficients: Tensor
    """float64 [n, 3]: brightness, contrast, saturation and greying (`colour.jitter`)."""
    hue: Tensor
    """float64 [n]: turns of the colour circle."""
    sigma: Tensor
    """float64 [n]: Gaussian blur in output pixels; 0 = none."""
    solarise: Tensor
    """float64 [n]: what is at least this bright (0–1) is inverted; `NEVER_SOLARISED` = none."""

    @property
    def cropped(self) -> Tensor:
        """bool [n]: samples of which a box is cut out."""
        return (self.crop != torch.tensor(WHOLE_IMAGE, dtype=torch.float64)).any(1)

    @property
    def coloured(self) -> Tensor:
        """bool [n]: samples with any jitter, hue shift or greying."""
        identity = torch.tensor(UNCHANGED_COLOUR, dtype=torch.float64)
        return (self.coefficients != identity).any(1) | (self.hue != 0)

    @property
    def resampling(self) -> Tensor:
        """float64 [n, 3, 3]: crop, perspective, rotation and flips as one homography."""
        return geometry.window(self.crop) @ self.homography

    def __len__(self) -> int:
        return len(self.hue)

    def __getitem__(self, rows: slice | Sequence[int] | Tensor) -> ViewParameters:
        chosen = rows if isinstance(rows, slice) else torch.as_tensor(rows)
        return ViewParameters(*(getattr(self, field.name)[chosen] for field in dataclasses.fields(self)))


def unchanged(n: int) -> ViewParameters:
    """Parameters of n samples that are only normalised (evaluation, or a starting point for tests)."""
    return ViewParameters(
        crop=torch.tensor(WHOLE_IMAGE, dtype=torch.float64).repeat(n, 1),
        homography=torch.eye(3, dtype=torch.float64).repeat(n, 1, 1),
        coefficients=torch.tensor(UNCHANGED_COLOUR, dtype=torch.float64).repeat(n, 1),
        hue=torch.zeros(n, dtype=torch.float64),
        sigma=torch.zeros(n, dtype=torch.float64),
        solarise=torch.full((n,), NEVER_SOLARISED, dtype=torch.float64),
    )


def draw_view(
    n: int,
    *,
    generator: torch.Generator,
    perspective_probability: float = 0.3,
    affine_probability: float = 0.3,
    brightness: float = 0.2,
    contrast: float = 0.2,
    saturation: float = 0.2,
    hue: float = 0.2,
    perspective: float = 0.2,
    degrees: float = 10.0,
    vertical_flip: float = 0.3,
    horizontal_flip: float = 0.3,
    crop_scale: tuple[float, float] | None = None,
    crop_ratio: tuple[float, float] = (3 / 4, 4 / 3),
    grayscale: float = 0.0,
    blur: float = 0.0,
    blur_sigma: tuple[float, float] = (0.1, 2.0),
    solarise: float = 0.0,
    solarise_threshold: float = 0.5,
) -> ViewParameters:
    """Draw one view of n samples; the defaults are the paper's (C.5.2).

    With `perspective_probability` a sample gets colour jitter and a perspective, then with
    `affine_probability` colour jitter and a rotation within ±`degrees` (one draw for each pair), then flips.
    Jitter strengths have torchvision's meaning: a factor within 1 ± strength, a hue shift within ± strength
    turns. The rest, off by default, serves the ablation B.3 and the baselines: a random resized crop of
    `crop_scale` of the area, then `grayscale`, `blur` and `solarise` with those probabilities.

    Every sample consumes the same number of random numbers whatever the settings, so the first rows do not
    depend on n, nor one operation's draws on whether another is switched on.
    """
    widths = [1, 4, 8, 1, 4, 1, 2, 2 * geometry.CROP_ATTEMPTS + 2, 1, 2, 1]
    uniform = torch.rand(n, sum(widths), generator=generator, dtype=torch.float64)
    columns = torch.split(uniform, widths, dim=1)
    first, jitter_1, corners, second, jitter_2, angle, flips, crop, grey, soft, solar = columns
    in_first, in_second = first[:, 0] < perspective_probability, second[:, 0] < affine_probability

    strengths = (brightness, contrast, saturation, hue)
    colour_1, hue_1 = _draw_jitter(jitter_1, in_first, strengths)
    colour_2, hue_2 = _draw_jitter(jitter_2, in_second, strengths)
    is_grey = grey[:, 0] < grayscale

    homography = _draw_distortion(corners, in_first, perspective)
    turned = geometry.rotation(torch.where(in_second, (2 * angle[:, 0] - 1) * degrees, 0.0))
    flipped = geometry.mirror(flips[:, 1] < horizontal_flip, flips[:, 0] < vertical_flip)
    box = torch.tensor(WHOLE_IMAGE, dtype=torch.float64).repeat(n, 1)
    low, high = blur_sigma
    return ViewParameters(
        crop=box if crop_scale is None else geometry.random_boxes(crop, crop_scale, crop_ratio),
        homography=homography @ turned @ flipped,
        coefficients=colour.greyed(colour.compose(colour_1, colour_2), is_grey),
        hue=torch.where(is_grey, 0.0, hue_1 + hue_2),
        sigma=torch.where(soft[:, 0] < blur, low + (high - low) * soft[:, 1], 0.0),
        solarise=torch.where(solar[:, 0] < solarise, solarise_threshold, NEVER_SOLARISED),
    )


def _draw_jitter(uniform: Tensor, where: Tensor, strengths: tuple[float, float, float, float]) -> tuple[Tensor, Tensor]:
    """Colour coefficients [n, 3] and hue shift [n] of one jitter stage; nothing outside `where`."""
    signed = torch.where(where[:, None], 2 * uniform - 1, 0.0) * torch.tensor(strengths, dtype=torch.float64)
    brightness, contrast, saturation = (1 + signed[:, :3]).clamp(min=0).unbind(1)
    return colour.jitter(brightness, contrast, saturation), signed[:, 3]


def _draw_distortion(uniform: Tensor, where: Tensor, distortion: float) -> Tensor:
    """Homographies [n, 3, 3] of a random perspective; exactly the identity outside `where`."""
    homography = torch.eye(3, dtype=torch.float64).repeat(len(uniform), 1, 1)
    rows = where.nonzero()[:, 0]
    if len(rows) and distortion:
        start = torch.tensor(geometry.CORNERS, dtype=torch.float64).repeat(len(rows), 1, 1)
        homography[rows] = geometry.perspective(start, geometry.corner_displacement(uniform[rows], distortion))
    return homography
