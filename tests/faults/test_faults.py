"""A few of the attacks, the same each time; `make attack` runs them all."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.faults.attack import GROUPS
from tests.faults.outcome import BAD
from tests.faults.world import World

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="attacks look into /proc")

QUICK = {"disk/pretrain": 3, "disk/paper": 1, "disk/probe": 1, "changed/pretraining": 3, "changed/arms": 1}
QUICK |= {"names/options": 3, "names/runs": 3}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("world"))


@pytest.mark.parametrize("group", QUICK)
def test_attacks_lose_nothing(world: World, group: str) -> None:
    ended = {attack.name: attack.run() for attack in GROUPS[group](world, sample=QUICK[group])}
    assert len(ended) >= QUICK[group]
    assert {name: result for name, result in ended.items() if result.word in BAD} == {}


def test_the_layer_kills_for_good(tmp_path: Path) -> None:
    """What cleans up after an error does not run in a process that is dead."""
    from cass_cli.files import sweep, write_text
    from tests.faults.layer import Killed, Layer, attacked

    write_text(tmp_path / "a", "old")
    with attacked(Layer(tmp_path)) as layer:
        write_text(tmp_path / "a", "old")
    assert [kind for kind, _ in layer.seen] == ["open", "write", "fsync", "rename"]
    for at in range(len(layer.seen)):
        with attacked(Layer(tmp_path, at, halfway=True)), pytest.raises(Killed):
            write_text(tmp_path / "a", "new")
        assert (tmp_path / "a").read_text() == "old"
        assert len(list(tmp_path.iterdir())) == (1 if at == 0 else 2)
        sweep(tmp_path)
        assert len(list(tmp_path.iterdir())) == 1
