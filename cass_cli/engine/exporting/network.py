"""A fine-tuning's answer as one network: from the pixels of images to calibrated probabilities.

    p = Σ w · softmax(logits / T)    over the arms, or the regressions on their layers, that the answer is made of

With labels that do not exclude each other, a sigmoid. Normalising is inside, so that whoever runs the network need know
neither mean nor standard deviation.

Shapes: B images, S image side, C classes.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from cass_cli.engine.compute import Compute
from cass_cli.engine.finetuning.tuned_arms import TunedArms
from cass_cli.engine.inference import answers_of, batch_logits
from cass_cli.errors import ModelError
from cass_cli.scores.calibration import ENSEMBLE, MEAN
from cass_cli.scores.judgement import probabilities_of
from cass_cli.scores.values import Floats


class AnswerNetwork(nn.Module):
    """Images uint8 [B, 3, S, S] (RGB, 0 … 255) to probabilities fp32 [B, C]; of a trial's candidates one."""

    mean: Tensor  # fp32 [3, 1, 1]
    std: Tensor  # fp32 [3, 1, 1]

    def __init__(self, arms: TunedArms, candidate: str) -> None:
        super().__init__()
        judged = arms.summary.judgement
        self.weights = weights_of(arms, candidate)
        self.temperatures = {name: judged.temperatures[name] for name in self.weights}
        self.multilabel = arms.summary.multilabel
        heads = {name: head for name, head in arms.heads.items() if name in self.weights}
        read = {name for head in heads.values() for name in head.card.arms}
        needed = read | (self.weights.keys() - heads.keys())
        self.networks = nn.ModuleDict({name: each for name, each in arms.readers.items() if name in needed})
        self.heads = nn.ModuleDict(heads)
        self.register_buffer("mean", torch.tensor(arms.spec.mean).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(arms.spec.std).view(3, 1, 1))

    def forward(self, pixels: Tensor) -> Tensor:
        images = (pixels.float() / 255 - self.mean) / self.std
        heads = dict(self.heads.items())
        given = answers_of(dict(self.networks.items()), images, compute=PLAIN, heads=heads)  # type: ignore[arg-type]
        answer = torch.zeros((), device=images.device)
        for name, weight in self.weights.items():
            scaled = given[name] / self.temperatures[name]
            answer = answer + weight * (scaled.sigmoid() if self.multilabel else scaled.softmax(dim=1))
        return answer


PLAIN = Compute(torch.device("cpu"), "fp32", torch.contiguous_format)  # how an exported network computes


def weights_of(arms: TunedArms, candidate: str) -> Mapping[str, float]:
    """Return which arms and regressions a candidate averages, and how; raise `ModelError` where it is no network."""
    if arms.summary.members:
        raise ModelError(
            "This is an average of several fine-tunings, not one network.",
            hint="Export each of them: --variant names it, or --run a trial's folder.",
        )
    if candidate == MEAN:
        return {name: 1 / len(arms.networks) for name in arms.networks}
    return arms.summary.judgement.weights if candidate == ENSEMBLE else {candidate: 1.0}


def expected_answers(arms: TunedArms, candidate: str, pixels: Tensor) -> Floats:
    """Return what `cass predict` answers [B, C] to images uint8 [B, 3, S, S]: what an exported network is held to."""
    judged = arms.summary.judgement
    logits = batch_logits(arms.readers, pixels, spec=arms.spec, compute=PLAIN, heads=arms.heads)
    numbers = {name: given.double().numpy() for name, given in logits.items()}
    found = probabilities_of(numbers, judged.temperatures, judged.weights, multilabel=arms.summary.multilabel)
    return found[candidate]


def made_up_pixels(size: int, *, images: int, seed: int = 0) -> Tensor:
    """Return pictures uint8 [B, 3, S, S] of noise on every scale, from patches as large as the picture to pixels."""
    rng = np.random.default_rng(seed)
    total = np.zeros((images, 3, size, size))
    scale = 1
    while scale <= size:
        coarse = torch.from_numpy(rng.normal(size=(images, 3, scale, scale)))
        total += nn.functional.interpolate(coarse, size=(size, size), mode="nearest").numpy() / np.sqrt(scale)
        scale *= 2
    low, high = total.min(axis=(1, 2, 3), keepdims=True), total.max(axis=(1, 2, 3), keepdims=True)
    return torch.from_numpy(((total - low) / (high - low) * 255).round().astype(np.uint8))
