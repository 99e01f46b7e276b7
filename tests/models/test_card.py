"""The JSON beside an exported arm's weights and the value that it becomes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cass_cli.config.load import Layer, resolve
from cass_cli.engine.starting_arms import starting_body
from cass_cli.errors import RunError
from cass_cli.models.arms import load_arm
from cass_cli.models.card import ArmCard, CardRecord
from cass_cli.runs.directory import Run
from cass_cli.saved import parse

TIMM = {"model": "test_vit", "options": {"num_classes": 2, "img_size": 32}}
IMAGES = {"input_size": [3, 32, 32], "mean": [0.4, 0.5, 0.6], "std": [0.2, 0.3, 0.1], "fit": "pad"}
PRETRAINED = {"method": "cass", "epochs": 2, "averaged": False, "started_from": "random weights (80 tensors)"}
TUNED = {
    **{"classes": ["dark", "light"], "multilabel": False, "method": "none"},
    **{"started_from": "80/80 tensors from vit.safetensors", "labels": 14, "best_epoch": 0},
}


def card_of(value: dict[str, Any]) -> ArmCard:
    """The card, read."""
    return ArmCard.from_dict(parse(json.dumps(value), CardRecord))


@pytest.mark.parametrize("trained", [PRETRAINED, TUNED], ids=["pretrained", "fine-tuned"])
def test_what_is_read_is_written_again_in_the_same_order(trained: dict[str, Any]) -> None:
    value = TIMM | IMAGES | trained
    assert json.dumps(card_of(value).as_dict()) == json.dumps(value)


def test_values_have_their_types() -> None:
    card = card_of(TIMM | IMAGES | TUNED)
    assert (card.spec.size, card.spec.std, card.outputs) == (32, (0.2, 0.3, 0.1), 2)
    assert card.classes == ("dark", "light")
    assert (card.epochs, card.labels) == (None, 14)


def test_cards_from_before_there_was_a_choice_squash() -> None:
    images = {key: value for key, value in IMAGES.items() if key != "fit"}
    assert card_of(TIMM | images | TUNED).spec.fit == "squash"


def test_what_a_later_version_adds_is_left_out() -> None:
    value = TIMM | IMAGES | PRETRAINED
    assert card_of(value | {"later": [1]}) == card_of(value)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (json.dumps(IMAGES | PRETRAINED), "model is missing"),
        (json.dumps(TIMM | IMAGES | {"fit": "mirror"}), "fit should be 'squash', 'pad' or 'crop', not 'mirror'"),
        ("[]", "it should be an object, not []"),
        ('{"model": "test_vit"', "it holds no JSON"),
    ],
)
def test_a_damaged_card_is_named(tmp_path: Path, text: str, why: str) -> None:
    run = Run(tmp_path)
    run.arms.mkdir()
    (run.arms / "vit.json").write_text(text)
    config = resolve([Layer("test", {"finetune.init": "pretrained"})]).config
    for read in (lambda: load_arm(run.arms / "vit"), lambda: starting_body(run, config, "vit", seed=0)):
        with pytest.raises(RunError) as raised:
            read()
        assert raised.value.what.startswith(f"{run.arms / 'vit.json'} is damaged: {why}")
