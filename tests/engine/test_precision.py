"""`auto` is the precision that is faster here; measured once, and kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from cass_cli.cli.app import run
from cass_cli.config.load import read_saved
from cass_cli.data.space import default_cache_dir
from cass_cli.engine import precision
from cass_cli.engine.precision import bf16_gain, known_gain, settle_precision
from cass_cli.methods.build import build_arms
from tests.engine.tiny import tiny_config, tiny_resolved

CPU = torch.device("cpu")
TINY = [
    *("--image-size", "32", "--epochs", "1", "--batch-size", "8", "--cnn", "test_resnet", "--vit", "test_vit"),
    *("--init", "random", "--device", "cpu"),
]


@pytest.fixture
def gain(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], list[int]]:
    """On a processor with bf16 instructions, let every measurement find this; return the list of measurements."""

    def found(value: float) -> list[int]:
        measured: list[int] = []
        monkeypatch.setattr(precision, "cpu_has_bf16", lambda: True)
        monkeypatch.setattr(precision, "bf16_gain", lambda *_, **__: measured.append(1) or value)
        return measured

    return found


@pytest.mark.parametrize(("value", "chosen"), [(0.6, "fp32"), (1.14, "fp32"), (1.15, "bf16"), (3.0, "bf16")])
def test_the_default_is_left_for_what_is_clearly_faster(
    gain: Callable[[float], list[int]], value: float, chosen: str
) -> None:
    gain(value)
    asked = tiny_resolved(train__precision="auto")
    settled, why = settle_precision(asked, build_arms(asked.config).values(), CPU)
    assert settled.config.train.precision == chosen
    assert settled.origins["train.precision"].startswith("measured: bf16 is ")
    assert f"{value:.2f} times" in why and chosen in why


def test_another_batch_or_size_is_measured_anew(gain: Callable[[float], list[int]]) -> None:
    measured = gain(2.0)
    for changes in ({}, {"train__batch_size": 8}, {"data__image_size": 64}, {}):
        settle_precision(tiny_resolved(train__precision="auto", **changes), [], CPU)
    assert len(measured) == 3


def test_nothing_is_measured_unless_asked_for_and_possible(
    gain: Callable[[float], list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = gain(2.0)
    for asked, device in (("fp32", CPU), ("bf16", CPU), ("auto", torch.device("cuda"))):
        resolved = tiny_resolved(train__precision=asked)
        assert settle_precision(resolved, [], device) == (resolved, "")
    monkeypatch.setattr(precision, "cpu_has_bf16", lambda: False)
    resolved = tiny_resolved(train__precision="auto")
    assert settle_precision(resolved, [], CPU) == (resolved, "")
    assert measured == []


def test_a_measurement_is_kept_and_a_damaged_file_made_anew(gain: Callable[[float], list[int]]) -> None:
    measured = gain(2.0)
    path = default_cache_dir() / "precision.json"
    assert [known_gain([], key="a", size=32, batch=4) for _ in range(2)] == [2.0, 2.0]
    assert known_gain([], key="b", size=32, batch=4) == 2.0
    assert len(measured) == 2
    for damaged in ("", "[1]", '{"a": "fast"}', '{"a": null}'):
        path.write_text(damaged)
        assert known_gain([], key="a", size=32, batch=4) == 2.0
    assert len(measured) == 6


def test_a_cache_folder_that_cannot_be_written_costs_a_measurement(
    gain: Callable[[float], list[int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("CASS_CACHE", str(tmp_path / "file" / "cache"))
    gain(2.0)
    assert known_gain([], key="a", size=32, batch=4) == 2.0


def test_measuring_leaves_the_networks_and_chance_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "PASS_SECONDS", 0.0)
    networks = [arm.model.eval() for arm in build_arms(tiny_config()).values()]
    before = [{key: value.clone() for key, value in network.state_dict().items()} for network in networks]
    state = torch.get_rng_state()
    assert bf16_gain(networks, size=32, batch=2) > 0
    assert torch.equal(state, torch.get_rng_state())
    for network, values in zip(networks, before, strict=True):
        assert not network.training
        assert all(torch.equal(value, values[key]) for key, value in network.state_dict().items())
        assert all(p.grad is None for p in network.parameters())


def test_a_run_keeps_its_choice_and_a_resumed_one_measures_nothing(
    gain: Callable[[float], list[int]], class_folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    measured = gain(1.5)
    place = ["--out", str(tmp_path / "runs"), "--name", "run"]
    assert run(["pretrain", *TINY, "--data", str(class_folders), *place]) == 0
    assert "Precision bf16: bf16 is 1.50 times as fast" in capsys.readouterr().out
    saved = read_saved(tmp_path / "runs/run/config.yaml")
    assert saved.config.train.precision == "bf16"
    assert saved.origins["train.precision"].startswith("measured")
    assert run(["pretrain", "--resume", "--epochs", "2", "--precision", "auto", *place]) == 0
    assert "cpu bf16" in capsys.readouterr().out
    assert run(["finetune", "--out", str(tmp_path / "runs"), "--epochs", "1"]) == 0
    assert "cpu bf16" in capsys.readouterr().out
    assert len(measured) == 1


def test_plain_transfer_measures_too(
    gain: Callable[[float], list[int]], class_folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gain(1.5)
    settings = ["--data", str(class_folders), "--init-from", "random", "--epochs", "1", *TINY[:2], *TINY[6:10]]
    assert run(["finetune", *settings, "--device", "cpu", "--out", str(tmp_path / "runs"), "--name", "t"]) == 0
    assert "Precision bf16" in capsys.readouterr().out
    assert read_saved(tmp_path / "runs/t/config.yaml").config.train.precision == "bf16"
