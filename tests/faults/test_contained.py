"""The judge of hostile attacks: whatever they are meant to do is seen, if it happens."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.faults import contained as module
from tests.faults.contained import contained, outside, verdict
from tests.faults.outcome import Result
from tests.faults.world import Outcome, World

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="attacks look into /proc")


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path / "base")
    for folder in (world.work, world.victim):
        folder.mkdir(parents=True)
    (world.victim / "mine").write_text("mine")
    return world


def judged(world: World, monkeypatch: pytest.MonkeyPatch, does: Callable[[], Outcome], *, named: str = "") -> Result:
    """Return the verdict on a command that `does` this, in the folder in which attacked commands run."""

    def run(_command: object) -> Outcome:
        os.chdir(world.work)
        return does()

    monkeypatch.setattr(world, "run", run)
    before = outside(world)
    return verdict(world, contained(world, ()), before, named=[named] if named else [])


def after(act: Callable[[], object], code: int = 0, said: str = "fine") -> Callable[[], Outcome]:
    def does() -> Outcome:
        act()
        return Outcome(code, said)

    return does


def hold(size: int) -> None:
    held = np.ones(size, np.uint8)
    time.sleep(20)  # it is killed as soon as it is seen, which a busy machine may put off
    assert held.all()


def compute(seconds: float) -> None:
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass


@pytest.mark.parametrize(
    ("word", "act"),
    [
        ("wrote outside", lambda: os.system("touch ../victim/attacked")),
        ("wrote outside", lambda: Path("../victim/mine").unlink()),
        ("wrote outside", lambda: Path("../victim/mine").write_text("theirs")),
        ("too much memory", lambda: hold(80_000_000)),
        ("too slow", lambda: compute(1.0)),
        ("traceback", lambda: 1 / 0),
        ("traceback", lambda: os.kill(os.getpid(), 9)),
        ("equal", lambda: None),
    ],
)
def test_what_it_does_is_seen(
    word: str, act: Callable[[], object], world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MEMORY", 50_000_000)
    monkeypatch.setattr(module, "SECONDS", 0.3)
    assert judged(world, monkeypatch, after(act)).word == word


def test_memory_that_was_free_in_the_process_before_counts(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MEMORY", 50_000_000)
    kept = [np.ones(60_000, np.uint8) for _ in range(4000)]  # too small for pages of their own
    kept[:-1] = [None] * (len(kept) - 1)  # the last one holds the hole open
    assert judged(world, monkeypatch, after(lambda: hold(80_000_000))).word == "too much memory"


@pytest.mark.parametrize(
    ("word", "code", "said"),
    [
        ("told", 2, "a.png is damaged"),
        ("told", 2, "a.p\nng is damaged"),  # lines break anywhere
        ("lost", 2, "something is damaged"),
        ("equal", 0, "fine"),
        ("shown raw", 2, "a.png is \x1b[31mdamaged"),
        ("shown raw", 0, "\u202efine"),
        ("traceback", 1, "a.png"),
        ("traceback", 2, "a.png: This is a fault of cass"),
    ],
)
def test_what_it_says_is_seen(word: str, code: int, said: str, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    assert judged(world, monkeypatch, after(lambda: None, code, said), named="a.png").word == word


def test_one_that_waits_for_ever_is_too_slow(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SECONDS", 0.5)
    monkeypatch.setattr(module, "GIVE_UP", 1.0)
    os.mkfifo(world.work / "pipe")
    assert judged(world, monkeypatch, after((world.work / "pipe").read_bytes)).word == "too slow"


def test_memory_and_time_of_its_processes_count(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MEMORY", 150_000_000)
    code = "import time; held = bytearray(b'x') * 200_000_000; time.sleep(20)"
    result = judged(world, monkeypatch, after(lambda: os.spawnl(os.P_WAIT, sys.executable, "python", "-c", code)))
    assert result.word == "too much memory"
