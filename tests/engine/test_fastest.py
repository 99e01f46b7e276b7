"""What the settings leave open is done the way that is fastest here; measured once, and kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from cass_cli.cli.app import run
from cass_cli.config.load import read_saved
from cass_cli.data.space import default_cache_dir
from cass_cli.engine import fastest
from cass_cli.engine.compute import Compute, choose_compute
from cass_cli.engine.fastest import (
    Way,
    known_gains,
    measure_gains,
    other_ways,
    settle_compute,
    unless_measured_elsewhere,
    usual_way,
)
from cass_cli.engine.finetuning import prepare
from cass_cli.methods.build import build_arms
from tests.cli.conftest import TRAINED
from tests.engine.tiny import tiny_config, tiny_resolved, tiny_session

CPU = torch.device("cpu")
TINY = [
    *("--image-size", "32", "--epochs", "1", "--batch-size", "8", "--cnn", "test_resnet", "--vit", "test_vit"),
    *("--init", "random", "--device", "cpu"),
]
AUTO: dict[str, Any] = {"train__precision": "auto"}
Gains = Callable[..., list[int]]


@pytest.fixture
def processor(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Let the processor have bf16 instructions, two threads, and cores to its threads."""
    threads = torch.get_num_threads()

    def has(*, bf16: bool = True, cores: int = 2) -> None:
        monkeypatch.setattr(fastest, "other_ways", other_ways)
        monkeypatch.setattr(fastest, "cpu_has_bf16", lambda: bf16)
        monkeypatch.setattr(fastest, "physical_cores", lambda: cores)
        monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)

    yield has
    torch.set_num_threads(threads)


@pytest.fixture
def gains(monkeypatch: pytest.MonkeyPatch, processor: Callable[..., None]) -> Gains:
    """On such a processor, let every measurement find these; return the list of measurements."""

    def found(bf16: float = 1.0, first: float = 1.0, fewer: float = 1.0, *, cores: int = 2) -> list[int]:
        processor(cores=cores)
        measured: list[int] = []
        values = {"bf16": bf16, "channels first": first, "a thread a core": fewer}
        values["channels first and a thread a core"] = max(values.values())

        def measure(_networks: Any, _usual: Any, others: Any, **_: Any) -> dict[str, float]:
            measured.append(1)
            return {other.name: values[other.name] for other in others}

        monkeypatch.setattr(fastest, "measure_gains", measure)
        return measured

    return found


@pytest.mark.parametrize(("value", "chosen"), [(0.6, "fp32"), (1.14, "fp32"), (1.15, "bf16"), (3.0, "bf16")])
def test_the_usual_way_is_left_for_what_is_clearly_faster(gains: Gains, value: float, chosen: str) -> None:
    gains(value)
    asked = tiny_resolved(**AUTO)
    settled, why = settle_compute(asked, build_arms(asked.config).values(), CPU)
    assert settled.config.train.precision == chosen
    assert settled.config.train.channels_last == "on"
    assert settled.origins["train.precision"].startswith("measured with")
    assert f"bf16 {value:.2f}, channels first 1.00" in why
    assert why.endswith("Chosen: bf16." if chosen == "bf16" else "fp32 with channels last stays.")
    assert settle_compute(settled, [], CPU) == (settled, "")  # a repeated run has nothing to measure


def test_memory_format_and_threads_are_chosen_too(gains: Gains) -> None:
    gains(0.9, 1.2, 1.3, cores=1)
    settled, why = settle_compute(tiny_resolved(**AUTO), [], CPU)
    train = settled.config.train
    assert (train.precision, train.channels_last, train.threads) == ("fp32", "off", 1)
    assert "Chosen: channels first and a thread a core." in why
    assert choose_compute(train) == Compute(CPU, "fp32", torch.contiguous_format)


def test_what_stays_is_settled_too(gains: Gains) -> None:
    gains(cores=1)
    settled, why = settle_compute(tiny_resolved(train__precision="bf16"), [], CPU)
    assert why.endswith("channels first 1.00, a thread a core 1.00. bf16 with channels last stays.")
    assert (settled.config.train.channels_last, settled.config.train.threads) == ("on", 0)


@pytest.mark.parametrize(("together", "found"), [(1.5, ("bf16", "off")), (1.25, ("bf16", "on"))])
def test_two_ways_are_taken_together_only_where_that_is_faster_than_the_best(
    gains: Gains, monkeypatch: pytest.MonkeyPatch, together: float, found: tuple[str, str]
) -> None:
    gains(1.3, 1.2)
    alone = fastest.measure_gains

    def measure(networks: Any, usual: Any, others: Any, **sizes: Any) -> dict[str, float]:
        return {"bf16 and channels first": together} if len(others) == 1 else alone(networks, usual, others, **sizes)

    monkeypatch.setattr(fastest, "measure_gains", measure)
    train = settle_compute(tiny_resolved(**AUTO), [], CPU)[0].config.train
    assert (train.precision, train.channels_last) == found


def test_what_was_measured_on_a_cpu_says_nothing_of_a_gpu(gains: Gains, monkeypatch: pytest.MonkeyPatch) -> None:
    gains(0.5, 1.5)
    settled, _ = settle_compute(tiny_resolved(**AUTO), [], CPU)
    assert (settled.config.train.precision, settled.config.train.channels_last) == ("fp32", "off")
    assert unless_measured_elsewhere(settled) == settled
    monkeypatch.setattr(fastest, "choose_device", lambda _name: torch.device("cuda"))
    free = unless_measured_elsewhere(settled)
    assert (free.config.train.precision, free.config.train.channels_last) == ("auto", "auto")
    said = tiny_resolved(train__precision="fp32")
    assert unless_measured_elsewhere(said) == said


def test_what_is_chosen_is_done() -> None:
    session = tiny_session(train__channels_last="off")
    assert session.compute.memory_format == torch.contiguous_format
    assert all(p.is_contiguous() for p in session.method.arms["cnn"].parameters())
    before = torch.get_num_threads()
    try:
        choose_compute(tiny_config(train__threads=3).train)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_another_batch_or_size_is_measured_anew(gains: Gains) -> None:
    measured = gains(2.0)
    for changes in ({}, {"train__batch_size": 8}, {"data__image_size": 64}, {}):
        settle_compute(tiny_resolved(**AUTO, **changes), [], CPU)
    assert len(measured) == 3


def test_only_what_is_open_is_tried(
    processor: Callable[..., None], gains: Gains, monkeypatch: pytest.MonkeyPatch
) -> None:
    def names(**changes: Any) -> list[str]:
        return [other.name for other in fastest.other_ways(tiny_config(**changes).train)]

    processor(bf16=True, cores=1)
    assert names(**AUTO) == ["bf16", "channels first", "a thread a core"]
    assert names(train__precision="bf16", train__channels_last="on") == ["a thread a core"]
    assert names(**AUTO, train__threads=2, train__channels_last="off") == ["bf16"]
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert names(train__precision="fp32") == ["channels first"]
    for cores in (0, 2, 4):  # not known; no two threads on one; fewer threads than cores already
        processor(bf16=False, cores=cores)
        assert names(**AUTO) == ["channels first"]
    measured = gains(2.0)
    said = tiny_resolved(train__precision="fp32", train__channels_last="on")
    assert settle_compute(said, [], CPU) == (said, "")
    left = tiny_resolved(**AUTO)
    assert settle_compute(left, [], torch.device("cuda")) == (left, "")
    assert measured == []


def test_a_measurement_is_kept_and_a_damaged_file_made_anew(gains: Gains) -> None:
    measured = gains(2.0)
    path = default_cache_dir() / "compute.json"
    train = tiny_config(**AUTO).train
    usual, others = usual_way(train), fastest.other_ways(train)
    found = {"bf16": 2.0, "channels first": 1.0}
    assert [known_gains([], usual, others[:1], size=32, batch=4) for _ in range(2)] == [{"bf16": 2.0}] * 2
    assert known_gains([], usual, others, size=32, batch=4) == found  # one is not known yet
    assert known_gains([], usual, others, size=64, batch=4) == found
    assert len(measured) == 3
    for damaged in ("", "[1]", '{"a": "fast"}', '{"a": {"bf16": null}}', '{"a": 2.0}'):
        path.write_text(damaged)
        assert known_gains([], usual, others, size=32, batch=4) == found
    assert len(measured) == 8


def test_a_cache_folder_that_cannot_be_written_costs_a_measurement(
    gains: Gains, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("CASS_CACHE", str(tmp_path / "file" / "cache"))
    gains(2.0)
    train = tiny_config(**AUTO).train
    assert known_gains([], usual_way(train), fastest.other_ways(train)[:1], size=32, batch=4) == {"bf16": 2.0}


def test_measuring_leaves_the_networks_the_threads_and_chance_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fastest, "PASS_SECONDS", 0.0)
    monkeypatch.setattr(fastest, "cpu_has_bf16", lambda: True)
    networks = [arm.model.eval() for arm in build_arms(tiny_config()).values()]
    before = [{key: value.clone() for key, value in network.state_dict().items()} for network in networks]
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    train = tiny_config(**AUTO).train
    usual = usual_way(train)
    others = [*other_ways(train), Way("2 threads", usual.compute, threads=2)]
    found = measure_gains(networks, usual, others, size=32, batch=2)
    assert found.keys() == {"bf16", "channels first", "2 threads"}
    assert all(gain > 0 for gain in found.values())
    assert torch.equal(state, torch.get_rng_state())
    assert torch.get_num_threads() == threads
    for network, values in zip(networks, before, strict=True):
        assert not network.training
        assert all(torch.equal(value, values[key]) for key, value in network.state_dict().items())
        assert all(p.grad is None for p in network.parameters())


def test_a_run_keeps_its_choice_and_a_resumed_one_measures_nothing(
    gains: Gains, class_folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    measured = gains(1.5)
    place = ["--runs", str(tmp_path / "runs"), "--name", "run"]
    assert run(["pretrain", *TINY, "--data", str(class_folders), *place]) == 0
    assert "bf16 1.50" in capsys.readouterr().out
    saved = read_saved(tmp_path / "runs/run/config.yaml")
    assert saved.config.train.precision == "bf16"
    assert saved.origins["train.precision"].startswith("measured")
    again = ["--precision", "auto", "--set", "train.channels_last=auto"]
    assert run(["pretrain", "--resume", "--epochs", "2", *again, *place]) == 0
    assert "cpu bf16" in capsys.readouterr().out
    assert run(["finetune", *TRAINED, "--runs", str(tmp_path / "runs"), "--epochs", "1"]) == 0
    assert "cpu bf16" in capsys.readouterr().out
    assert len(measured) == 1


def test_plain_transfer_measures_too(
    gains: Gains, class_folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gains(1.5)
    settings = ["--data", str(class_folders), "--init-from", "random", "--epochs", "1", *TINY[:2], *TINY[6:10]]
    assert (
        run(["finetune", *TRAINED, *settings, "--device", "cpu", "--runs", str(tmp_path / "runs"), "--name", "t"]) == 0
    )
    assert "Chosen: bf16." in capsys.readouterr().out
    assert read_saved(tmp_path / "runs/t/config.yaml").config.train.precision == "bf16"


def test_a_fine_tuning_is_gone_on_with_as_it_began_on_another_machine_too(
    gains: Gains,
    class_folders: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    gains(1.5)
    place = ["--runs", str(tmp_path / "runs")]
    assert run(["pretrain", *TINY, "--data", str(class_folders), *place, "--name", "run"]) == 0
    quick = ["finetune", *TRAINED, *place, "--epochs", "1"]
    assert run(quick) == 0
    monkeypatch.setattr(
        prepare, "unless_measured_elsewhere", lambda _resolved: pytest.fail("measured settings are dropped")
    )
    capsys.readouterr()
    assert run([*quick, "--resume", "--seeds", "2"]) == 0
    assert "seed 1, cpu bf16" in capsys.readouterr().out
    assert run([*quick, "--overwrite"]) == 0
    assert (tmp_path / "runs/run/finetune/pretrained-paper/1/seed1/summary.json").exists()
