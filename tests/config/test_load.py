from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from cass_cli.config.load import (
    Layer,
    asked_layers,
    known_keys,
    parse_assignments,
    read_config_file,
    read_saved,
    resolve,
    to_yaml,
)
from cass_cli.config.presets import preset_about, preset_layer, preset_names, preset_path
from cass_cli.errors import ConfigError

PAPER_PRESETS = ("autoimmune", "brain-mri", "dermofit", "isic2019")


def test_later_layers_win_and_every_value_knows_its_origin(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("optim: {lr: 0.5}\ntrain: {epochs: 7, batch_size: 3}\n")
    resolved = resolve(
        [
            preset_layer("demo"),
            read_config_file(file, "file"),
            Layer("flag", {"train.epochs": 9}),
            parse_assignments(["train.seed=4"]),
        ]
    )
    got = {key: (resolved.value(key), resolved.origins[key]) for key in known_keys()}
    assert got["arms.cnn"] == ("resnet10t", "preset demo")
    assert got["optim.lr"] == (0.5, "file")
    assert got["train.batch_size"] == (3, "file")
    assert got["train.epochs"] == (9, "flag")
    assert got["train.seed"] == (4, "--set")
    assert got["optim.lr_period"] == (16, "default")


def test_what_is_asked_for_goes_before_what_a_file_says(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("train: {epochs: 7, batch_size: 3, seed: 1}\n")
    flags = {"train.epochs": 9, "train.seed": 2, "optim.lr": None}
    for assigned in (["train.seed=4"], {"train.seed": 4}, {"train": {"seed": 4}}):
        resolved = resolve(asked_layers(flags, file=file, assignments=assigned))
        assert [resolved.value(f"train.{key}") for key in ("batch_size", "epochs", "seed")] == [3, 9, 4]
        assert resolved.origins["optim.lr"] == "default", "an option that was not given says nothing"


def test_all_errors_are_reported_together() -> None:
    with pytest.raises(ConfigError) as caught:
        resolve([parse_assignments(["train.epochs=0", "train.epoch=3", "lr=1", "data.fractions=[1,1,1]"])])
    message = str(caught.value)
    assert "train.epochs: input should be greater than or equal to 1 (given: 0, from --set)" in message
    assert "no setting 'train.epoch'. Did you mean 'train.epochs'?" in message
    assert "no setting 'lr'. Did you mean 'optim.lr'?" in message
    assert "data.fractions" in message


def test_saved_configuration_reads_back_with_its_origins(tmp_path: Path) -> None:
    resolved = resolve([preset_layer("dermofit"), parse_assignments(["optim.lr=1e-5", "arms.weights={vit: v.pt}"])])
    file = tmp_path / "config.yaml"
    file.write_text(to_yaml(resolved))
    again = read_saved(file)
    assert again.config == resolved.config
    assert dict(again.origins) == dict(resolved.origins)


@pytest.mark.parametrize(("text", "value"), [("1e-4", 1e-4), ("3.5", 3.5), ("1.0e-3", 1e-3)])
def test_numbers_mean_what_they_say(text: str, value: float) -> None:
    assert resolve([parse_assignments([f"optim.lr={text}"])]).config.optim.lr == value


@pytest.mark.parametrize("bad", ["optim.lr", "=3", "a=[1"])
def test_malformed_assignment(bad: str) -> None:
    with pytest.raises(ConfigError, match="--set"):
        parse_assignments([bad])


@pytest.mark.parametrize("text", ["- a\n- b\n", "a: [1\n", "just words"])
def test_malformed_file(tmp_path: Path, text: str) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=r"bad\.yaml"):
        read_config_file(file, "file")


def test_yaml_cannot_run_code(tmp_path: Path) -> None:
    file = tmp_path / "evil.yaml"
    file.write_text("train: {epochs: !!python/object/apply:os.getpid []}\n")
    with pytest.raises(ConfigError, match="not valid YAML"):
        read_config_file(file, "file")


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_validates_and_explains_itself(name: str) -> None:
    resolve([preset_layer(name)])
    about = preset_about(name)
    assert about.images > 0
    header = [line for line in preset_path(name).read_text().splitlines() if line.startswith("#")]
    text = "\n".join(header)
    assert all(word in text for word in (f"cass pretrain --preset {name}", "Data ", "Metric ", "Cost "))


@pytest.mark.parametrize("name", PAPER_PRESETS)
def test_paper_presets_hold_the_paper_to_the_letter(name: str) -> None:
    config = resolve([preset_layer(name)]).config
    assert (config.arms.cnn, config.arms.vit, config.arms.init) == ("resnet50", "vit_base_patch16_384", "imagenet")
    assert (config.optim.lr, config.optim.lr_min, config.optim.lr_period) == (1e-3, 1e-6, 16)
    assert (config.optim.cnn, config.optim.vit, config.optim.averaging) == ("adam", "adam", True)
    assert (config.train.epochs, config.train.batch_size, config.data.image_size) == (100, 16, 384)
    assert config.data.fractions == (0.7, 0.1, 0.2)
    written = yaml.safe_load(preset_path(name).read_text())["augment"]
    assert set(written.values()) == {0.3, 0.2, 10}


def test_unknown_preset_names_the_closest() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'dermofit'"):
        preset_layer("dermofi")
