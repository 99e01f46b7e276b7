"""A Mac's graphics processor, which no test here has: what cass asks of it, and what it says where there is none."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from typing import Any

import pytest
import torch

from cass_cli.cli.app import run
from cass_cli.cli.fallback import VARIABLE, allow_fallback
from cass_cli.cli.memory import memory_message
from cass_cli.config.schema import Train
from cass_cli.data.store.store import _choose_place
from cass_cli.engine.compute import choose_compute
from cass_cli.engine.device import choose_device, memory_taken, why_no_mps
from cass_cli.engine.doctor.job import choose
from cass_cli.engine.doctor.machine import AppleGpu, gpus
from cass_cli.engine.memory import lacks_memory
from cass_cli.engine.pretraining.loop import pretrain
from cass_cli.engine.pretraining.session import Session, restore_session, session_state
from cass_cli.engine.signals import StopRequest
from cass_cli.errors import ConfigError
from tests.engine.pretended_mps import MPS, OnMps, pretended_mps, seen
from tests.engine.tiny import tiny_session

OUT_OF_MEMORY = (
    "MPS backend out of memory (MPS allocated: 8.90 GiB, other allocations: 1.20 GiB, max allowed: 10.20 GiB). Tried "
    "to allocate 512.00 MiB on private pool. Use PYTORCH_MPS_HIGH_WATERMARK_RATIO=0.0 to disable upper limit for "
    "memory allocations (may cause system failure)."
)


@pytest.fixture
def on_a_mac(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch says that it has MPS; no tensor goes there."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    for name, answer in {"backends.mps.is_available": True, "backends.mps.get_name": "Apple M0"}.items():
        monkeypatch.setattr(f"torch.{name}", lambda answer=answer: answer)
    monkeypatch.setattr("torch.mps.recommended_max_memory", lambda: 2**34)
    monkeypatch.setattr("torch.mps.driver_allocated_memory", lambda: 2**30)
    monkeypatch.delenv("WORLD_SIZE", raising=False)


@pytest.mark.parametrize(("built", "said"), [(False, "built without MPS"), (True, "Apple silicon and macOS 14")])
def test_where_there_is_none_it_is_said_why(built: bool, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.backends.mps.is_built", lambda: built)
    assert said in why_no_mps()
    with pytest.raises(ConfigError, match=said):
        choose_device("mps")


def test_auto_takes_it_and_cuda_before_it(on_a_mac: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose_device("auto") == choose_device("mps") == choose_device("mps:0") == MPS
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert choose_device("auto").type == "cuda"


def test_several_processes_train_on_the_cpu(on_a_mac: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert choose_device("auto").type == "cpu"
    with pytest.raises(ConfigError, match="Several processes"):
        choose_device("mps")


def test_what_computes_wrongly_there_is_not_done(on_a_mac: None) -> None:
    compute = choose_compute(Train(device="mps"))
    assert (compute.precision, compute.memory_format) == ("fp32", torch.contiguous_format)
    assert choose_compute(Train(device="mps", channels_last="on")).memory_format == torch.contiguous_format
    with pytest.raises(ConfigError, match="fp32 alone"):
        choose_compute(Train(device="mps", precision="bf16"))
    with pytest.raises(ConfigError, match="does not compile"):
        tiny_session(train__device="mps", train__compile="on")


def test_images_stay_in_the_memory_that_it_shares(on_a_mac: None) -> None:
    assert _choose_place("auto", 1000, MPS) == ("ram", [])
    place, notes = _choose_place("device", 1000, MPS)
    assert place == "ram" and "shares the memory" in notes[0]


def test_memory_that_ran_out_is_that_of_the_gpu() -> None:
    """And PyTorch's advice to take all that the machine has is not passed on."""
    error = RuntimeError(OUT_OF_MEMORY)
    assert lacks_memory(error)
    what, hint = memory_message(error, ["--batch-size", "--device", "--image-size"])
    assert what.startswith("Not enough memory on the GPU: MPS backend") and "WATERMARK" not in what
    assert "--device cpu" in hint


def test_the_doctor_tells_of_it(on_a_mac: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert gpus().mps == AppleGpu("Apple M0", 2**34, 2**30) and memory_taken(MPS) == 2**30
    chosen = choose()
    assert (chosen.device, chosen.precision) == ("mps", "fp32") and "fp32" in chosen.why
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    monkeypatch.setattr("sys.platform", "darwin")
    assert gpus().without_mps == "This PyTorch was built without MPS."


def test_operators_that_it_lacks_are_computed_on_the_cpu_and_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(warnings, "showwarning", lambda message, *_, **__: print("other:", message))
    allow_fallback()  # not on a Mac: nothing happens
    monkeypatch.setattr("sys.platform", "darwin")
    monkeypatch.setenv(VARIABLE, "0")
    allow_fallback()
    assert os.environ[VARIABLE] == "0"  # the user's own word
    monkeypatch.delenv(VARIABLE)
    allow_fallback()
    assert os.environ[VARIABLE] == "1"
    lacking = "The operator 'aten::im2col' is not currently supported on the MPS backend and will fall back to run on"
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning(UserWarning(f"{lacking} the CPU. (function operator())"), UserWarning, "file", 1)
        warnings.showwarning(UserWarning("something else"), UserWarning, "file", 1)
    said = capsys.readouterr()
    assert said.err.startswith("MPS lacks aten::im2col: it is computed on the CPU") and said.err.count("\n") == 1
    assert said.out == "other: something else\n"


def test_the_variable_is_set_before_pytorch_is_imported() -> None:
    """PyTorch reads it when it is loaded."""
    code = (
        "import sys; sys.platform = 'darwin'; sys.argv = ['cass', '--version']\n"
        "import os, cass_cli.cli.fallback as f; before = f.allow_fallback\n"
        "f.allow_fallback = lambda: (before(), print('torch' in sys.modules, os.environ[f.VARIABLE]))\n"
        "from cass_cli.__main__ import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[0] == "False 1"


def test_an_operator_that_is_lacking_is_told_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = "The operator 'aten::_linalg_svd' is not currently implemented for the MPS device. If you want this op …"

    def lacking(*_: object, **__: object) -> None:
        raise NotImplementedError(said)

    monkeypatch.setattr("cass_cli.engine.doctor.job.examine", lacking)
    assert run(["doctor"]) == 2
    error = capsys.readouterr().err
    assert "MPS lacks the operator aten::_linalg_svd." in error and f"export {VARIABLE}=1" in error


def _session(images: int = 4, **changes: Any) -> Session:
    return tiny_session(images, train__batch_size=4, optim__averaging=False, **changes)


def _trained(session: Session, epochs: int) -> list[float]:
    steps = pretrain(session, stop=StopRequest(), save=lambda _session: None)
    return [next(steps).loss for _ in range(epochs)]


@pytest.mark.parametrize("method", ["cass", "mae", "vicreg"])
def test_pretraining_asks_nothing_of_it_that_it_lacks(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No float64, no second thread, no channels last, no singular values; and the losses are those of the CPU."""
    arms = {"method__arm": "vit"} if method == "mae" else {}
    asked = {"method__name": method, "train__epochs": 1, **arms}
    (here,) = _trained(_session(train__channels_last="off", **asked), 1)
    seen.clear()
    with pretended_mps(monkeypatch):
        (there,) = _trained(_session(train__device="mps", **asked), 1)
    assert "aten.convolution.default" in seen  # it did compute there
    assert there == pytest.approx(here, rel=1e-4)


def test_a_resumed_training_is_the_uninterrupted_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chance is drawn anew each step from seed and position, so that no state of a generator has to be kept.

    The first epoch is of the CPU, whose checkpoint holds sums in float64: they must not go there as they are.
    """
    before = _session(train__epochs=3)
    next(pretrain(before, stop=StopRequest(), save=lambda _session: None))
    with pretended_mps(monkeypatch):
        whole, first, second = (_session(train__device="mps", train__epochs=3) for _ in range(3))
        restore_session(whole, session_state(before))
        restore_session(first, session_state(before))
        expected = _trained(whole, 2)
        assert _trained(first, 1) == expected[:1]
        restore_session(second, session_state(first))
        assert isinstance(second.loss_sum, OnMps) and second.loss_sum.dtype == torch.float32
        assert _trained(second, 1) == expected[1:]
