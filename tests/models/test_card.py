"""The JSON beside an exported arm's weights and the value that it becomes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import timm
import torch

from cass_cli.config.load import Layer, resolve
from cass_cli.engine.starting_arms import starting_body
from cass_cli.errors import ModelError, RunError
from cass_cli.models.arms import load_arm
from cass_cli.models.card import ArmCard, CardRecord, read_card
from cass_cli.models.sealed import write_sealed
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


@pytest.mark.parametrize(
    "options",
    [
        *({"checkpoint_path": "/x"}, {"pretrained": True}, {"pretrained_cfg": {"file": "/x"}}, {"cache_dir": "x"}),
        *({"depth": 10**5}, {"in_chans": 10**6}, {"img_size": 10**6}, {"img_size": [32, 32]}, {"img_size": 64}),
        *({"num_classes": 10**9}, {"num_classes": 3}, {"num_classes": -1}, {"output_stride": 7}),
    ],
)
def test_options_are_those_that_cass_gives(tmp_path: Path, options: dict[str, Any]) -> None:
    value = TIMM | IMAGES | TUNED
    (tmp_path / "vit.json").write_text(json.dumps(value))
    assert read_card(tmp_path / "vit.json").outputs == 2
    (tmp_path / "vit.json").write_text(json.dumps(value | {"options": TIMM["options"] | options}))
    with pytest.raises(RunError, match="damaged"):
        read_card(tmp_path / "vit.json")


@pytest.mark.parametrize(
    "values",
    [
        *({"input_size": [3, 10**6, 10**6]}, {"input_size": [3, 32, 64]}, {"input_size": [1, 32, 32]}),
        *({"input_size": [3, 64, 64]}, {"mean": [1e308] * 3}, {"std": [1e-300] * 3}, {"classes": ["a", "a"]}),
        *({"classes": ["a", "b", "c"]}, {"labels": 10**30}),
    ],
)
def test_what_does_not_fit_together_is_told(tmp_path: Path, values: dict[str, Any]) -> None:
    (tmp_path / "vit.json").write_text(json.dumps(TIMM | IMAGES | TUNED | values))
    with pytest.raises(RunError, match="damaged"):
        read_card(tmp_path / "vit.json")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"model": "local-dir:/x"}, "would be loaded from elsewhere"),
        ({"model": "hf-hub:timm/resnet18.a1_in1k"}, "would be loaded from elsewhere"),
        ({"model": "vit_giant_patch14_clip_224", "options": {"num_classes": 2, "img_size": 32}}, "giant"),
        ({"model": "resnet50", "options": {"num_classes": 2}}, "of the resnet50 of its card"),
        ({"model": "a" * 10**5}, "timm has no model 'aaa"),
    ],
)
def test_a_network_of_another_form_is_not_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, values: dict[str, Any], said: str
) -> None:
    """A stranger's card is sealed as any other: only the tensors tell whether it is theirs."""
    network = timm.create_model("test_vit", **TIMM["options"])  # type: ignore[arg-type]
    card = TIMM | IMAGES | {key: value for key, value in TUNED.items() if key != "classes"} | values
    write_sealed(tmp_path / "vit", network.state_dict(), card)
    built = timm.create_model

    def on_meta(name: str, **options: Any) -> Any:
        assert torch.empty(()).device.type == "meta", "no memory is taken"
        return built(name, **options)

    monkeypatch.setattr(timm, "create_model", on_meta)
    with pytest.raises(ModelError, match=said) as raised:
        load_arm(tmp_path / "vit")
    assert len(str(raised.value)) < 1000
