"""Images without a label that teach: each arm learns what the other says of them.

    L_a = L(labelled) + weight · CE(q_a(u), p_a(strong u))
    q_a(u) = (1 − r) · joint(u) + r · p̄_b(u)

u is an image of the training split whose label is not shown, or that has none. p̄_b is what the other arm answers by the
moving average of its weights, for the image as it is; the arm that learns sees a strong view of it. That is cross
teaching between a CNN and a Transformer (Luo et al. 2021, 2112.04894; Semiformer, 2111.11067), and CASS's own idea
carried into the labels: two architectures, one image, one answer. The joint probe of the arms as they began knows more
in the beginning than either arm, so r rises from 0 to `MOST` along a line.

What is taught are probabilities, without a threshold (FixMatch, USB): those of answers for which all classes count
alike, as in the probe and in the recipe's loss, lest the common class swallow the others.

Legend: U images without a label that is shown, B labelled and M other images of a batch, C classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cass_cli.data.views.draw import FLIP_AND_TILT, ViewKnobs
from cass_cli.engine.batches import epoch_order
from cass_cli.seeds import stream_seed

MOST = 0.5  # share of the other arm in what is taught at the end
STRONG: ViewKnobs = {**FLIP_AND_TILT, "degrees": 45.0, "blur": 0.3}
APART = 1  # what their order and views draw by, next to those of the labelled images


@dataclass(frozen=True)
class Unlabelled:
    """Images without a label that is shown, and what the joint probe says of them."""

    rows: Tensor  # int64 [U], of the store
    joint: Tensor  # fp32 [U, C], probabilities, on the device
    ratio: int  # such images of a batch for each labelled one
    weight: float  # of what they teach, in the loss

    def order(self, epoch: int, count: int, *, seed: int) -> Tensor:
        """Return which images an epoch takes, int64 [count]: each as often as any other, or once more."""
        passes = -(-count // len(self.rows))
        own = stream_seed(seed, "order", APART)
        numbers = range(epoch * passes, (epoch + 1) * passes)
        return torch.cat([epoch_order(len(self.rows), seed=own, epoch=number) for number in numbers])[:count]

    def taught(self, chosen: Tensor, answers: Mapping[str, Tensor], progress: float) -> dict[str, Tensor]:
        """Return what each arm is taught, fp32 [M, C], of the `chosen` images int64 [M].

        `answers` are each arm's probabilities [M, C], `progress` is the share of the training that is done.
        """
        share, joint = MOST * progress, self.joint[chosen.to(self.joint.device)]
        others = {arm: [given for name, given in answers.items() if name != arm] for arm in answers}
        return {arm: torch.lerp(joint, torch.stack(given).mean(dim=0), share) for arm, given in others.items()}


@torch.no_grad()
def teachers_say(teachers: Mapping[str, nn.Module], images: Tensor, *, multilabel: bool) -> dict[str, Tensor]:
    """Return the probabilities fp32 [M, C] of networks in evaluation mode for `images` as they are."""
    logits = {name: network(images).float() for name, network in teachers.items()}
    return {name: given.sigmoid() if multilabel else given.softmax(dim=1) for name, given in logits.items()}


def soft_loss(logits: Tensor, taught: Tensor, *, multilabel: bool) -> Tensor:
    """Return the cross-entropy of logits [M, C] against probabilities [M, C], the mean over images.

    Multi-label: the mean over images and classes of the binary ones.
    """
    if multilabel:
        return nn.functional.binary_cross_entropy_with_logits(logits.float(), taught)
    return nn.functional.cross_entropy(logits.float(), taught)
