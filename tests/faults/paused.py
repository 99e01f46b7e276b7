"""`cass`, as a process of its own that waits at one place: `python -m tests.faults.paused FOLDER MODULE:NAME N …`.

It makes FOLDER/there when NAME is called for the Nth time, and waits until FOLDER/go is there.
"""

from __future__ import annotations

import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any


def main(folder: str, place: str, number: str, *arguments: str) -> None:
    """Run `cass arguments` to its end."""
    import torch

    from cass_cli.__main__ import main as cass
    from cass_cli.engine import fastest

    torch.set_num_threads(1)
    fastest.other_ways = lambda train: []  # noqa: ARG005
    _pause(place, int(number), Path(folder))
    sys.argv = ["cass", *arguments]
    cass()


def _pause(place: str, number: int, folder: Path) -> None:
    module_name, _, names = place.partition(":")
    holder: Any = import_module(module_name)
    *outer, name = names.split(".")
    for each in outer:
        holder = getattr(holder, each)
    usual, calls = getattr(holder, name), 0

    def paused(*args: Any, **more: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == number:
            (folder / "there").touch()
            while not (folder / "go").exists():
                time.sleep(0.01)
        return usual(*args, **more)

    setattr(holder, name, paused)


if __name__ == "__main__":
    main(*sys.argv[1:])
