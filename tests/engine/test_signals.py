from __future__ import annotations

import os
import signal
import threading

import pytest

from cass_cli.engine.pretraining.loop import StepStats, pretrain
from cass_cli.engine.signals import PASSED_ON, SAVE, STOP, StopRequest, stop_on_signal
from cass_cli.errors import Interrupted
from tests.engine.tiny import tiny_session

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="Windows has neither")


@pytest.mark.parametrize("number", STOP)
def test_a_signal_that_stops_is_remembered(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with stop_on_signal() as stop:
        os.kill(os.getpid(), number)
        assert stop
        with pytest.raises(Interrupted) as caught:
            stop.check()
    assert caught.value.exit_code == 128 + number
    assert signal.getsignal(number) == before


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGXCPU])
def test_what_the_system_sends_again_ends_nothing(number: signal.Signals) -> None:
    """A dying terminal sends HUP twice, the kernel XCPU every further second: the state is being saved meanwhile."""
    with stop_on_signal() as stop:
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), number)
        assert stop.number == number


def test_a_second_one_sent_by_hand_ends_the_process() -> None:
    if child := os.fork():
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 143
        return
    with stop_on_signal():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
    os._exit(0)


@pytest.mark.parametrize("numbers", [(signal.SIGTERM, PASSED_ON), (PASSED_ON, signal.SIGTERM)])
def test_what_a_grid_passes_on_is_no_second_one(numbers: tuple[signal.Signals, ...]) -> None:
    """A scheduler tells a grid and its tasks: they hear it from both, in either order, and save all the same."""
    with stop_on_signal() as stop:
        for number in numbers:
            os.kill(os.getpid(), number)
        assert stop.number == signal.SIGTERM


def test_a_second_ctrl_c_ends_a_cell_and_not_its_notebook() -> None:
    """Notebooks and sessions of Python handle Ctrl-C by Python's own handler, which raises."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), stop_on_signal() as stop:
            os.kill(os.getpid(), signal.SIGINT)
            assert stop
            os.kill(os.getpid(), signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_thread_leaves_signals_to_the_main_one() -> None:
    before = {number: signal.getsignal(number) for number in (*STOP, *SAVE)}
    found: list[object] = []

    def train() -> None:
        with stop_on_signal() as stop:
            found.extend([bool(stop), {number: signal.getsignal(number) for number in (*STOP, *SAVE)}])

    thread = threading.Thread(target=train)
    thread.start()
    thread.join()
    assert found == [False, before]


def test_a_hup_that_nohup_ignores_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stop_on_signal() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not stop
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", SAVE)
def test_a_training_saves_once_for_a_signal_and_goes_on(number: signal.Signals) -> None:
    session, saved, names = tiny_session(), list[int](), list[str]()

    def send(stats: StepStats) -> None:
        if session.step == 2:
            os.kill(os.getpid(), number)

    with stop_on_signal() as stop:

        def save(s: object) -> None:
            names.append(stop.saved())
            saved.append(session.step)

        epochs = [stats.epoch for stats in pretrain(session, stop=stop, save=save, on_step=send)]
    assert epochs == [1, 2, 3]
    assert saved == [2, 5, 10, 15]  # of five steps an epoch
    assert names == [number.name, "", "", ""]


def test_a_request_made_while_a_state_is_saved_is_kept() -> None:
    stop = StopRequest()
    stop.save(signal.SIGUSR1, None)
    assert stop.saved() == "SIGUSR1"
    stop.save(signal.SIGUSR2, None)
    assert stop.asked
    assert stop.saved() == "SIGUSR2"
    assert not stop.asked
