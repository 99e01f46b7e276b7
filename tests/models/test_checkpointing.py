"""Gradient checkpointing keeps less and changes nothing."""

from __future__ import annotations

import pytest
import torch

from cass_cli.engine.pretraining.loop import pretrain
from cass_cli.engine.pretraining.plan import count_cost
from cass_cli.engine.signals import StopRequest
from cass_cli.errors import ModelError
from tests.engine.tiny import tiny_config, tiny_session


@pytest.mark.parametrize("method", ["cass", "byol", "mae"])
def test_the_same_bits(method: str) -> None:
    """Weights, batch-norm statistics and averages after two epochs, with dropout that has to be drawn again."""
    states = []
    for on in (False, True):
        session = tiny_session(12, train__epochs=2, train__gradient_checkpointing=on, method__name=method)
        for network in session.method.arms.values():
            for module in network.modules():
                if isinstance(module, torch.nn.Dropout):
                    module.p = 0.1
        list(pretrain(session, stop=StopRequest(), save=lambda _s: None))
        states.append({k: v for k, v in session.method.state_dict().items() if not k.endswith("num_batches_tracked")})
    assert states[0].keys() == states[1].keys()
    different = [key for key in states[0] if not torch.equal(states[0][key], states[1][key])]
    assert different == []


@pytest.mark.parametrize("method", ["cass", "dino", "byol", "mae"])
def test_fewer_activations_and_more_arithmetic(method: str) -> None:
    settings = {"arms__cnn": "resnet18", "arms__vit": "vit_tiny_patch16_224", "data__image_size": 64}
    settings |= {"method__name": method, "method__prototypes": 64}
    off, on = (count_cost(tiny_config(**settings, train__gradient_checkpointing=flag)) for flag in (False, True))
    assert on.activation_bytes < off.activation_bytes / 2
    assert 1.2 * off.flops < on.flops < 4 / 3 * off.flops
    assert on.weight_bytes == off.weight_bytes


def test_a_network_that_cannot() -> None:
    with pytest.raises(ModelError, match="dla34 has no gradient checkpointing"):
        tiny_session(train__gradient_checkpointing=True, arms__cnn="dla34")
