"""DINO: a student says of every crop what its teacher says of the large ones (Caron et al. 2021, Algorithm 1).

    q_s = softmax(g(v_s) / τ)                       student on its crops v_s
    p_t = softmax((g'(v_t) − c) / τ')               teacher on the two large crops v_t; no gradient
    loss = mean over images and over pairs t ≠ s of −Σ_k p_t[k] log q_s[k]                        (Eq. 3)
    c  ← m_c · c + (1 − m_c) · mean of g'           centre, after each step                       (Eq. 4)
    g' ← m · g' + (1 − m) · g                       teacher, after each step

Sharpening (τ' < τ) keeps the teacher from the uniform answer, centring from a constant one.

Two settings. `OFFICIAL` is the authors' (facebookresearch/dino, main_dino.py and its advised teacher temperature):
the student sees both large crops and eight small ones of 96/224 of their side. `PAPER` is what the CASS paper
compared with, the DINO of the vit-pytorch package: the student sees two crops of other parts of the image at full
size, and a much softer student, a faster teacher and a narrower head. Warm-ups given in epochs there are shares of
a run of 100 epochs here. The networks' own drop path is left as it is.

Legend: B batch, S side of a view, D feature width, K prototypes, n student views.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from cass_cli.data.views.draw import FLIP_AND_JITTER, ViewKnobs
from cass_cli.methods.method import SoloMethod, View
from cass_cli.methods.teacher import Branch, cosine, follow, teacher_of

GLOBAL_VIEWS: tuple[ViewKnobs, ViewKnobs] = (
    {**FLIP_AND_JITTER, "crop_scale": (0.4, 1.0), "blur": 1.0},
    {**FLIP_AND_JITTER, "crop_scale": (0.4, 1.0), "blur": 0.1, "solarise": 0.2},
)
LOCAL_VIEW: ViewKnobs = {**FLIP_AND_JITTER, "crop_scale": (0.05, 0.4), "blur": 0.5}
"""Caron et al. 2021: two global crops (224 px) and several local ones (96 px)."""
_PACKAGE_VIEW: ViewKnobs = {
    **FLIP_AND_JITTER,
    "perspective_probability": 0.3,
    "brightness": 0.8,
    "contrast": 0.8,
    "saturation": 0.8,
    "hue": 0.2,
    "blur": 0.2,
    "blur_sigma": (1.0, 2.0),
}
PACKAGE_GLOBAL_VIEW: ViewKnobs = {**_PACKAGE_VIEW, "crop_scale": (0.5, 1.0)}
PACKAGE_LOCAL_VIEW: ViewKnobs = {**_PACKAGE_VIEW, "crop_scale": (0.05, 0.4)}
"""The vit-pytorch package's DINO, which the paper compared with (its blur kernel is 3×3)."""

LARGE_CROPS = 2
SMALL_SHARE = 96 / 224  # side of a small crop over that of a large one
BOTTLENECK = 256
CENTRE_MOMENTUM = 0.9


@dataclass(frozen=True)
class Setting:
    """What tells one DINO from another. Shares are of the whole run."""

    large: tuple[Mapping[str, Any], Mapping[str, Any]]
    others: tuple[Mapping[str, Any], ...]
    others_are_small: bool
    student_sees_large: bool
    student_temperature: float
    teacher_temperature: tuple[float, float]  # first, and after `teacher_warmup`
    teacher_warmup: float
    momentum: tuple[float, float]  # first, last
    hidden: int
    bent_bottleneck: bool  # whether a GELU follows the third layer too
    unit_prototypes: bool
    frozen_prototypes: float  # share of the run in which the prototypes do not learn
    keep_teacher: bool


OFFICIAL = Setting(
    large=GLOBAL_VIEWS,
    others=(LOCAL_VIEW,) * 8,
    others_are_small=True,
    student_sees_large=True,
    student_temperature=0.1,
    teacher_temperature=(0.04, 0.07),
    teacher_warmup=0.3,
    momentum=(0.996, 1.0),
    hidden=2048,
    bent_bottleneck=False,
    unit_prototypes=True,
    frozen_prototypes=0.01,
    keep_teacher=True,
)
PAPER = Setting(
    large=(PACKAGE_GLOBAL_VIEW, PACKAGE_GLOBAL_VIEW),
    others=(PACKAGE_LOCAL_VIEW, PACKAGE_LOCAL_VIEW),
    others_are_small=False,
    student_sees_large=False,
    student_temperature=0.9,
    teacher_temperature=(0.04, 0.04),
    teacher_warmup=0.0,
    momentum=(0.9, 0.9),
    hidden=256,
    bent_bottleneck=True,
    unit_prototypes=False,
    frozen_prototypes=0.0,
    keep_teacher=False,
)
SETTINGS = {"official": OFFICIAL, "paper": PAPER}


def dino_loss(
    student: Tensor, teacher: Tensor, centre: Tensor, *, student_temperature: float, teacher_temperature: float
) -> Tensor:
    """Return Eq. 3 for logits `student` [n, B, K] and `teacher` [2, B, K] and the `centre` [K]: a scalar.

    Student view s and teacher view t are of the same crop where s = t, and such pairs are left out.
    """
    log_q = F.log_softmax(student.float() / student_temperature, dim=-1).unbind()  # n × [B, K]
    p = F.softmax((teacher.float() - centre) / teacher_temperature, dim=-1).unbind()  # 2 × [B, K]
    # no matrix product, which autocast would compute in bf16
    pairs = [(one * other).sum(dim=-1).mean() for t, one in enumerate(p) for s, other in enumerate(log_q) if s != t]
    return -torch.stack(pairs).mean()


class Head(nn.Module):
    """Three layers, L2 normalisation, and a linear map onto K prototypes."""

    def __init__(self, width: int, *, hidden: int, prototypes: int, bent: bool, unit: bool) -> None:
        """With `bent` a GELU follows each of the three layers; with `unit`, prototypes have length 1 and no bias."""
        super().__init__()
        self.mlp = nn.Sequential(
            *(nn.Linear(width, hidden), nn.GELU()),
            *(nn.Linear(hidden, hidden), nn.GELU()),
            *(nn.Linear(hidden, BOTTLENECK), nn.GELU() if bent else nn.Identity()),
        )
        self.prototypes = nn.Linear(BOTTLENECK, prototypes, bias=not unit)
        self.unit = unit
        if unit:
            for layer in self.mlp:
                if isinstance(layer, nn.Linear):
                    nn.init.trunc_normal_(layer.weight, std=0.02)
                    nn.init.zeros_(layer.bias)

    def forward(self, features: Tensor, *, frozen: bool = False) -> Tensor:
        """Return logits [B, K] for features [B, D]; `frozen` keeps the prototypes from learning."""
        z = F.normalize(self.mlp(features), dim=-1, eps=1e-6)
        weight = self.prototypes.weight
        if frozen:
            weight = weight.detach() + 0 * weight  # used, as DistributedDataParallel wants, at a gradient of 0
        return F.linear(z, F.normalize(weight, dim=1) if self.unit else weight, self.prototypes.bias)


class Dino(SoloMethod):
    """One network as student and teacher."""

    centre: Tensor

    def __init__(
        self, network: nn.Module, *, width: int, setting: Setting = OFFICIAL, prototypes: int, small: int | None = None
    ) -> None:
        """`network` maps [B, 3, S, S] to pooled features [B, `width`]; `small` is the side of small crops in pixels."""
        super().__init__()
        head = Head(
            width,
            hidden=setting.hidden,
            prototypes=prototypes,
            bent=setting.bent_bottleneck,
            unit=setting.unit_prototypes,
        )
        self.student = Branch(network, head)
        self.teacher = teacher_of(self.student)
        self.setting = setting
        self.register_buffer("centre", torch.zeros(prototypes))
        self.said: list[Tensor] = []  # by the teacher since the last step: sum of logits, and their number, [K + 1]
        size = small if setting.others_are_small else None
        self.views = (*(View(knobs) for knobs in setting.large), *(View(knobs, size) for knobs in setting.others))

    @property
    def saved(self) -> Branch:
        return self.teacher if self.setting.keep_teacher else self.student

    @property
    def kept(self) -> nn.Module:
        return self.saved.network

    @property
    def learned(self) -> nn.Module:
        network: nn.Module = self.student.network
        return network

    @property
    def learner(self) -> nn.Module:
        return self.student

    @property
    def networks(self) -> tuple[nn.Module, ...]:
        return self.student.network, self.teacher.network

    def forward(self, *views: Tensor, progress: float = 0.0) -> Tensor:
        """Return the loss of the views [B, 3, S, S], the two large crops first."""
        setting, batch = self.setting, len(views[0])
        with torch.no_grad():
            teacher = self.teacher(torch.cat(views[:LARGE_CROPS])).unflatten(0, (LARGE_CROPS, batch))
        self.said.append(F.pad(teacher.float().sum(dim=(0, 1)), (0, 1), value=LARGE_CROPS * batch))
        looked_at = views if setting.student_sees_large else views[LARGE_CROPS:]
        frozen = progress < setting.frozen_prototypes
        student = torch.cat(  # crops of one size go through the network together
            [
                self.student.head(self.student.network(torch.cat(list(crops))), frozen=frozen)
                for _, crops in groupby(looked_at, key=lambda view: view.shape[-1])
            ]
        ).unflatten(0, (len(looked_at), batch))
        return dino_loss(
            student,
            teacher,
            self.centre,
            student_temperature=setting.student_temperature,
            teacher_temperature=teacher_temperature(progress, setting),
        )

    @torch.no_grad()
    def after_step(self, progress: float) -> None:
        """Move the centre towards what the teacher said, and the teacher towards the student."""
        said = torch.stack(self.said).sum(dim=0)
        self.said.clear()
        if dist.is_initialized():
            dist.all_reduce(said)
        self.centre.lerp_(said[:-1] / said[-1], 1 - CENTRE_MOMENTUM)
        follow(self.teacher, self.student, cosine(progress, *self.setting.momentum))

    def outputs(self, features: Tensor) -> Tensor:
        """Return the logits [B, K] of the kept network's pooled features [B, D]."""
        logits: Tensor = self.saved.head(features)
        return logits


def teacher_temperature(progress: float, setting: Setting) -> float:
    """Return τ': linear from the first to the last value during the warm-up, then constant."""
    first, last = setting.teacher_temperature
    done = min(progress / setting.teacher_warmup, 1.0) if setting.teacher_warmup else 1.0
    return first + (last - first) * done


def small_side(large: int, *, patch: int) -> int:
    """Return the side in pixels of small crops beside large ones of `large`: 96/224 of it, in whole patches."""
    return max(1, round(large * SMALL_SHARE / patch)) * patch
