"""What a fine-tuning is said to take, against figures that are published or can be worked out."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from cass_cli.engine.timing import finetune_forecast
from cass_cli.engine.timing.finetune_forecast import _seconds_an_image
from cass_cli.engine.timing.finetune_plan import _Alive, _count_pass
from cass_cli.models.arms import build_arm

GIGA = 1e9


@pytest.mark.parametrize(("name", "size", "published"), [("resnet50", 224, 4.1), ("vit_base_patch16_384", 384, 55.5)])
def test_multiply_adds_of_known_networks(name: str, size: int, published: float) -> None:
    with torch.device("meta"):
        body = build_arm(name, image_size=size, outputs=0)
    counted = _count_pass(body, size, 1)
    assert counted.flops / 2 / GIGA == pytest.approx(published, rel=0.02)
    assert counted.features == {"resnet50": 2048, "vit_base_patch16_384": 2 * 768}[name]


def test_bytes_alive_at_once_by_hand() -> None:
    """With the images, four numbers, the ReLU's input and output of eight are alive; the weights don't count."""
    with torch.device("meta"), torch.no_grad():
        network = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        with _Alive(network) as alive:
            images = torch.empty(1, 4)
            network(images)
            assert alive.most == 4 * (4 + 8 + 8)
            del images
        assert alive.now == 0


@pytest.mark.parametrize(
    ("flops", "seconds", "images"),
    [
        (1, 9.0, 32),  # a small network takes the whole batch at once, even on a machine that is busy
        (10**10, 9.0, 10),  # a larger one fewer images
        (10**12, 9.0, 2),  # but no fewer than are needed,
        (10**12, 0.1, 32),  # and more where the machine is fast
    ],
)
def test_how_many_images_are_timed(monkeypatch: pytest.MonkeyPatch, flops: int, seconds: float, images: int) -> None:
    monkeypatch.setattr(finetune_forecast, "_timed", lambda *_: [seconds])
    found = _seconds_an_image(lambda _: None, torch.device("cpu"), flops=flops, least=2, most=32)
    assert found == (seconds / images, images)
