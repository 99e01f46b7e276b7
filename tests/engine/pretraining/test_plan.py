"""What a method is said to cost, against figures that are published or can be worked out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from cass_cli.data.dataset import Dataset
from cass_cli.data.sample_table import SampleTable
from cass_cli.engine.compute import choose_compute
from cass_cli.engine.pretraining.plan import _unreal_method, count_cost, plan_pretraining, view_sides
from cass_cli.methods.cass import Cass
from tests.engine.tiny import tiny_config

GIGA = 1e9


def multiply_adds(**settings: Any) -> float:
    """Giga multiply-adds of a training step, an image."""
    return count_cost(tiny_config(**settings)).flops / 2 / GIGA


@pytest.mark.parametrize(
    ("arm", "name", "size", "published"), [("cnn", "resnet50", 224, 4.1), ("vit", "vit_base_patch16_384", 384, 55.5)]
)
def test_multiply_adds_of_known_networks(arm: str, name: str, size: int, published: float) -> None:
    """BYOL looks at an image eight times: forward and backward (twice a forward) of two views, two more as target."""
    settings = {f"arms__{arm}": name, "data__image_size": size, "method__name": "byol", "method__arm": arm}
    assert multiply_adds(**settings) / 8 == pytest.approx(published, rel=0.02)


@pytest.mark.parametrize("method", ["cass", "mae"])
def test_operations_are_those_that_pytorch_counts(method: str) -> None:
    """Its own counter, which takes what it looks at apart, and takes twice as long."""
    config = tiny_config(method__name=method, **({"method__arm": "vit"} if method == "mae" else {}))
    with torch.device("meta"):
        network = _unreal_method(config)
        views = [torch.empty(2, 3, side, side) for side in view_sides(config)]
    counter = FlopCounterMode(display=False)
    with counter:
        network(*views, progress=0.5).backward()
    assert count_cost(config).flops == counter.get_total_flops() / 2 > 0


def test_dino_as_the_paper_had_it_costs_eight_thirds_of_cass() -> None:
    """Two views forward and backward and two more of the teacher, against one forward and backward."""
    settings = {"arms__cnn": "resnet18", "arms__vit": "vit_small_patch16_384", "data__image_size": 384}
    dino = multiply_adds(**settings, method__name="dino", method__dino_setting="paper")
    assert dino / multiply_adds(**settings) == pytest.approx(8 / 3, rel=0.01)


def test_official_dino_costs_its_views() -> None:
    """8 passes at the large size and 24 at the small one, each by its area: a convolution's work is its pixels'."""
    settings = {"arms__cnn": "resnet10t", "method__arm": "cnn", "data__image_size": 224, "method__prototypes": 2}
    passes = multiply_adds(**settings, method__name="byol") / 8
    dino = multiply_adds(**settings, method__name="dino")
    assert dino / passes == pytest.approx(8 + 24 * (96 / 224) ** 2, rel=0.03)
    assert view_sides(tiny_config(**settings, method__name="dino")) == [224, 224, *[96] * 8]


def test_mae_encodes_a_quarter() -> None:
    """Of 576 patches 144 and the class token, beside all of patch embedding and a decoder that is small here."""
    settings = {"arms__vit": "vit_base_patch16_384", "method__arm": "vit", "data__image_size": 384}
    mae = multiply_adds(**settings, method__name="mae", method__decoder_width=32, method__decoder_depth=1)
    tokens, width, depth = 144 + 1, 768, 12
    block = tokens * 12 * width**2 + 2 * tokens**2 * width
    embedding = 576 * width**2
    decoder = 577 * (12 * 32**2) + 2 * 577**2 * 32 + 576 * 32 * width + tokens * width * 32
    expected = (3 * (depth * block + decoder) + 2 * embedding) / GIGA  # nobody asks for the pixels' gradient
    assert mae == pytest.approx(expected, rel=0.01)


def test_parameters_and_bytes() -> None:
    """Four bytes for each weight, its gradient, two moments of Adam; the teacher's weights; the averages."""
    vit = sum(p.numel() for p in timm.create_model("test_vit", num_classes=0, img_size=32).parameters())
    base = {"method__name": "dino", "method__arm": "vit", "method__dino_setting": "paper", "method__prototypes": 8}
    head = 64 * 256 + 2 * 256 * 256 + 3 * 256 + 256 * 8 + 8
    plain = count_cost(tiny_config(**base))
    assert plain.parameters == {"vit": vit}
    assert plain.weight_bytes == 4 * (vit + head) * (1 + 1 + 1 + 2)
    assert count_cost(tiny_config(**base, optim__vit="sgd")).weight_bytes == 4 * (vit + head) * (1 + 1 + 1 + 1)
    assert count_cost(tiny_config(**base, optim__averaging=True)).weight_bytes == plain.weight_bytes + 4 * vit


class _Squares(Cass):
    """Σ (W x)²: the backward pass needs x, 3 · 32² numbers an image, and W x, five numbers."""

    def forward(self, view: Tensor, *, progress: float = 0.0) -> Tensor:  # noqa: ARG002
        loss: Tensor = self.pair["vit"](view).square().sum()
        return loss


def test_activations_of_one_layer_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    def build(_config: object) -> Cass:
        return _Squares({"vit": nn.Sequential(nn.Flatten(), nn.Linear(3 * 32**2, 5, bias=False))}, view={})

    monkeypatch.setattr("cass_cli.engine.pretraining.plan._unreal_method", build)
    cost = count_cost(tiny_config(data__image_size=32))
    assert cost.activation_bytes == 4 * (3 * 32**2 + 5)
    assert cost.flops == 2 * 2 * (3 * 32**2 * 5)  # forward, and the gradient of W; nobody asks for that of x


def test_activations_grow_with_what_is_looked_at() -> None:
    base = {"arms__vit": "test_vit", "data__image_size": 64}
    cass = count_cost(tiny_config(**base)).activation_bytes
    dino = count_cost(tiny_config(**base, method__name="dino", method__dino_setting="paper", method__prototypes=8))
    assert 1.9 < dino.activation_bytes / cass < 2.3  # two student views; the teacher keeps nothing


@pytest.mark.parametrize(("processes", "steps"), [(1, 3), (2, 2)])
def test_a_rest_that_is_too_small_for_all_processes_is_no_step(processes: int, steps: int) -> None:
    """Of 18 images in batches of 8, two are left: batch norm needs two a process."""
    dataset = Dataset(SampleTable(root=Path(), names=()), splits=("train",) * 18)
    config = tiny_config(train__batch_size=8)
    plan = plan_pretraining(config, dataset, choose_compute(config.train), processes=processes)
    assert plan.steps_per_epoch == steps
    assert plan.steps == 3 * steps
