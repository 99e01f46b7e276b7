"""A classifier over several layers of frozen arms: a linear map, kept beside the arms that it reads.

    logits = W · features + b

`features` are what `layers.py` reads of each arm, one arm after the other; how they are standardised is part of W and
b. The arm's own file stays without a head, as timm loads it. `join` puts the two together again:

>>> classifier = join("runs/NAME/finetune/imagenet-probe/1/seed0/arms/cnn-head")  # or vit-head, joint-head
>>> logits = classifier(images)  # [B, 3, S, S], made square and normalised as cnn.json says → [B, C]

Legend: B images, S image side, D features, C classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from operator import itemgetter
from pathlib import Path
from typing import Annotated

import torch
from pydantic import Field, PositiveFloat
from torch import Tensor, nn

from cass_cli.errors import ModelError
from cass_cli.models.arms import load_arm
from cass_cli.models.header import Header, check_form, read_header
from cass_cli.models.layers import arm_features
from cass_cli.models.sealed import check_card, load_file, write_sealed
from cass_cli.models.weights import check_finite, first_words
from cass_cli.saved import NonNegativeInt, read_json
from cass_cli.words import count

ENDING = "-head"  # of a head's file, after the name of the arm that it makes a classifier
FileName = Annotated[str, Field(pattern=r"^(cnn|vit)(-start)?$")]  # of an arm beside the head
WIDEST = 10_000_000  # features of all arms that a head reads
START = "-start"  # of an arm's file, after its name: the arm as it began, beside what it has learned


@dataclass(frozen=True)
class HeadCard:
    """What a head's JSON says: what it reads, and how it was fitted. A field added later needs a default."""

    arms: Annotated[tuple[FileName, ...], Field(min_length=1, max_length=2)]  # whose features it reads, in this order
    layers: Annotated[int, Field(ge=1, le=1_000_000_000)]  # of each arm, from the last
    mirrored: bool  # features are the mean of the image's and its mirror image's
    classes: tuple[str, ...]
    multilabel: bool
    labels: NonNegativeInt  # that it was fitted on
    inverse_l2: PositiveFloat  # scikit-learn's C, on features of mean square 1


class LayerHead(nn.Module):
    """The linear map of a head: features fp32 [B, D] of its arms to logits fp32 [B, C].

    It is computed in fp32 whatever the arms are: the features' mean would drown their differences in bf16.
    """

    weight: Tensor  # fp32 [C, D]
    bias: Tensor  # fp32 [C]

    def __init__(
        self,
        card: HeadCard,
        weight: Tensor,
        bias: Tensor,
        *,
        standard: tuple[Tensor, Tensor] | None = None,
        source: str = "The head",
    ) -> None:
        super().__init__()
        self.card, self.source = card, source  # the file that it was read from
        self.standard = standard  # mean and scale [D] that its features were fitted with; not saved
        self.register_buffer("weight", weight)
        self.register_buffer("bias", bias)

    def forward(self, features: Mapping[str, Tensor]) -> Tensor:
        """Return logits fp32 [B, C] from the features fp32 [B, D] of each arm."""
        joined = torch.cat([features[arm] for arm in self.card.arms], dim=1)
        if joined.shape[1] != self.weight.shape[1]:
            raise ModelError(
                f"{self.source} reads {self.weight.shape[1]:,} features, and {' and '.join(self.card.arms)} give "
                f"{joined.shape[1]:,}: it is of other arms.",
                hint="Fine-tune again.",
            )
        with full_precision(joined.device):
            logits: Tensor = joined.float() @ self.weight.T + self.bias
        return logits


def full_precision(device: torch.device) -> AbstractContextManager[object]:
    """Return a context in which nothing is computed in bf16, whatever the context around it says."""
    return nullcontext() if device.type == "meta" else torch.autocast(device.type, enabled=False)


class LearningHead(nn.Module):
    """A fitted head that learns on: logits = W · (features − mean) · scale + b, with W and b to be learned.

    On features that are alike a step of Adam, which has one size for all weights, changes the logits by a little.
    """

    mean: Tensor  # fp32 [D]
    scale: Tensor  # fp32 [D]

    def __init__(self, head: LayerHead) -> None:
        super().__init__()
        assert head.standard, "a head that was fitted, not read"
        self.card = head.card
        mean, scale = head.standard
        varies = scale > 0
        self.weight = nn.Parameter(torch.where(varies, head.weight / scale.where(varies, 1), 0))
        self.bias = nn.Parameter(head.bias + head.weight @ mean)
        self.register_buffer("mean", mean.clone())
        self.register_buffer("scale", scale.clone())

    def forward(self, features: Mapping[str, Tensor]) -> Tensor:
        """Return logits fp32 [B, C] from the features fp32 [B, D] of its arm."""
        (own,) = (features[arm] for arm in self.card.arms)
        with full_precision(own.device):
            logits: Tensor = ((own.float() - self.mean) * self.scale) @ self.weight.T + self.bias
        return logits

    def folded(self) -> LayerHead:
        """Return the same map as it is saved: of features as the arm gives them."""
        weight = self.weight.detach() * self.scale
        return LayerHead(self.card, weight.cpu(), (self.bias.detach() - weight @ self.mean).cpu())


class Joined(nn.Module):
    """Arms and a head as one network: images [B, 3, S, S] to logits fp32 [B, C]."""

    def __init__(self, arms: Mapping[str, nn.Module], head: LayerHead | LearningHead) -> None:
        super().__init__()
        self.arms = nn.ModuleDict(dict(arms))
        self.head = head
        self.num_classes = len(head.card.classes)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head({name: read(self.head.card, arm, images) for name, arm in self.arms.items()})
        return logits


def read(card: HeadCard, arm: nn.Module, images: Tensor) -> Tensor:
    """Return the features fp32 [B, D] of one arm as the head of `card` wants them, for images [B, 3, S, S]."""
    return arm_features(arm, images, layers=card.layers, mirrored=card.mirrored)[0]


def join(head: Path | str) -> Joined:
    """Return the classifier whose head is saved as `head`.safetensors, with the arms beside it, ready to answer.

    Raises `ModelError` where one of the files is missing or damaged.
    """
    path = Path(head)
    loaded = load_head(path)
    arms = {name: load_arm(path.with_name(name))[0] for name in loaded.card.arms}
    return Joined(arms, loaded).eval().requires_grad_(False)


def save_head(path: Path, head: LayerHead) -> None:
    """Write `path`.safetensors and `path`.json."""
    write_sealed(path, {key: value.contiguous() for key, value in head.state_dict().items()}, asdict(head.card))


def load_head(path: Path) -> LayerHead:
    """Return what `save_head` wrote; raises `RunError` for another card, `ModelError` for other weights."""
    card = read_json(path.with_suffix(".json"), HeadCard, hint="Fine-tune again.")
    check_card(path.with_suffix(".json"))
    try:
        header = read_header(path.with_suffix(".safetensors"))
        check_form(
            header, _form(header, len(card.classes)), of=f"a head of {count(len(card.classes), 'class', 'classes')}"
        )
        tensors = load_file(path.with_suffix(".safetensors"), header)
        weight, bias = itemgetter("weight", "bias")(tensors)
        head = LayerHead(card, weight, bias, source=f"{path}.safetensors")
    except Exception as error:
        raise ModelError(
            f"{path}.safetensors with {path.name}.json is not a head saved by cass: {first_words(error)}.",
            hint="Fine-tune again.",
        ) from error
    check_finite(tensors, path.with_suffix(".safetensors"))
    return head


def _form(header: Header, classes: int) -> dict[str, Tensor]:
    """Return the tensors of a head without numbers: as many features as it says, up to `WIDEST`."""
    _, shape = header.tensors.get("weight", ("", ()))
    features = min(shape[1], WIDEST) if len(shape) == 2 else 0
    return {"weight": torch.empty(classes, features, device="meta"), "bias": torch.empty(classes, device="meta")}
