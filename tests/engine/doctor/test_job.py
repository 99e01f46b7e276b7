"""What the doctor finds odd, of machines that are made up."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cass_cli.engine.compute import Compute
from cass_cli.engine.doctor.installed import installed
from cass_cli.engine.doctor.job import Chosen, Found, Warned, _of_machine, _of_weights, choose, examine
from cass_cli.engine.doctor.machine import Gpu, Gpus, Machine, Room, gpus, processor_quota, room
from cass_cli.engine.fastest import Way, usual_way
from cass_cli.engine.weight_files import NeededFile

SOUND = Found(
    machine=Machine("Linux", "some processor", 8, 16, None, 8, "AVX512", 64 * 10**9, 32 * 10**9, None),
    gpus=Gpus((), None, "", ""),
    room=Room(10**11, 10**11, cache_writable=True, cached=0),
    weights=(NeededFile("resnet50", "resnet50.a1_in1k.safetensors", (), "timm/x", "", "mit", 1, "folder", None),),
    folder="there",
    network="Name or service not known",
    chosen=Chosen("cpu", "fp32", ""),
)


def odd(**changed: Any) -> list[Warned]:
    found = replace(SOUND, **changed)
    return [*_of_machine(found), *_of_weights(found)]


def test_a_sound_machine_without_a_network_is_not_odd() -> None:
    assert odd() == []


@pytest.mark.parametrize(
    ("changed", "what", "hint"),
    [
        ({"machine": replace(SOUND.machine, memory_free=2 * 10**9)}, "2.0 GB of memory are free", "--cache disk"),
        ({"machine": replace(SOUND.machine, torch_threads=1)}, "uses 1 of 16 threads", "OMP_NUM_THREADS"),
        ({"machine": replace(SOUND.machine, quota=2.0)}, "a limit gives this process 2 proc", "OMP_NUM_THREADS=2"),
        ({"room": replace(SOUND.room, runs_free=10**9)}, "1.0 GB are free on the disk of the runs", "Make room"),
        ({"room": replace(SOUND.room, cache_writable=False)}, "cannot be written", "CASS_CACHE"),
        ({"gpus": replace(SOUND.gpus, driver="550.1")}, "built without CUDA", "Install a build"),
        (
            {"gpus": replace(SOUND.gpus, driver="550.1", cuda="13.0")},
            "PyTorch cannot use it",
            "older than PyTorch's CUDA",
        ),
        ({"folder": "not there"}, "names a folder that is not there", "Mount"),
        ({"weights": (replace(SOUND.weights[0], where=""),)}, "resnet50 are not here", "cass weights fetch resnet50"),
    ],
)
def test_what_is_odd_is_told_with_what_to_do(changed: dict[str, Any], what: str, hint: str) -> None:
    (warned,) = odd(**changed)
    assert what in warned.what and hint in warned.hint


def test_weights_that_can_be_fetched_are_not_missed() -> None:
    assert odd(weights=(replace(SOUND.weights[0], where=""),), network="") == []


def test_a_limit_that_explains_the_threads_is_not_odd() -> None:
    assert odd(machine=replace(SOUND.machine, torch_threads=2, quota=2.0)) == []


def test_the_cards_are_those_that_pytorch_uses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    monkeypatch.setattr("torch.cuda.get_device_properties", lambda _n: SimpleNamespace(name="H100", major=9, minor=0))
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda _n: (60, 80))
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda **_: True)
    assert gpus().cards == (Gpu("H100", 80, 60, "9.0", bf16=True),)

    def lost(_number: int) -> None:
        raise RuntimeError("CUDA error: no such device in /home/anna/driver\nand more")

    monkeypatch.setattr("torch.cuda.get_device_properties", lost)
    assert gpus().problem == "CUDA error: no such device in driver" and not gpus().cards


def test_a_limit_of_processors_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cass_cli.engine.doctor.machine.CGROUP", tmp_path)
    assert processor_quota() is None
    for text, quota in (("150000 100000\n", 1.5), ("max 100000\n", None)):
        (tmp_path / "cpu.max").write_text(text)
        assert processor_quota() == quota


def test_room_is_that_of_a_folder_that_is_not_there_yet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CASS_CACHE", str(tmp_path / "a" / "b"))
    found = room(tmp_path / "c" / "d")
    assert found.runs_free > 0 and found.cache_writable and found.cached == 0
    (tmp_path / "a" / "b" / "images").mkdir(parents=True)
    (tmp_path / "a" / "b" / "images" / "x.img").write_bytes(b"123")
    assert room(tmp_path).cached == 3


def test_what_is_chosen_is_what_a_run_would_choose(monkeypatch: pytest.MonkeyPatch) -> None:
    """On this processor: measured, and taken where it is worth it."""
    assert choose() == Chosen("cpu", "fp32", "No graphics card; on this processor there is no other way to try.")

    def with_bf16(train: Any) -> list[Way]:
        usual = usual_way(train).compute
        return [Way("bf16", Compute(usual.device, "bf16"), "precision", "bf16")]

    for gain, precision in ((2.0, "bf16"), (0.5, "fp32")):
        monkeypatch.setattr("cass_cli.engine.fastest.other_ways", with_bf16)
        monkeypatch.setattr("cass_cli.engine.fastest.known_gains", lambda *_, gain=gain, **__: {"bf16": gain})
        chosen = choose()
        assert chosen.precision == precision and f"bf16 {gain:.2f}" in chosen.why and "resnet10t" in chosen.why


def test_a_broken_library_is_told_and_the_rest_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> None:
        if name == "torchvision":
            raise RuntimeError("operator torchvision::nms does not exist in /home/anna/venv/lib/x.so\nand more")

    monkeypatch.setattr("cass_cli.engine.doctor.installed.import_module", broken)
    found = examine(tmp_path)
    assert not found.usable and found.found is None
    (warned,) = found.warnings
    assert warned.what.startswith("torchvision cannot be imported: RuntimeError: operator torchvision::nms")
    assert "anna" not in warned.what


def test_what_is_older_than_cass_asks_for_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = ["torch>=99", "nothing-of-that-name>=1", "timm>=1.0", 'pydicom>=3; extra == "dicom"', 'x; extra == "dev"']
    monkeypatch.setattr("cass_cli.engine.doctor.installed.requires", lambda _name: asked)
    found = installed()
    assert [text.split(" is ")[0] for text in found.outdated] == ["torch", "nothing-of-that-name"]
    assert set(found.extras) == {"dicom"} and not found.broken
