"""What fetching ahead costs on a CPU: by a thread that computes alone, by one with a team of its own, by none.

    python benchmarks/prefetch.py
    python benchmarks/prefetch.py --sizes light --turns 11

A turn is an epoch of `cass pretrain` in fp32 on decoded images; the thread lives as long. Besides its seconds, the
times that a thread of the process went to sleep within a step are counted (voluntary context switches).
"""

from __future__ import annotations

import argparse
import resource
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from machine import write_result
from plain import write_images
from step import SIZES, case, decode, first_images, ours
from turns import Turn, circumstances, quartiles, show, summarise, take_turns

from cass_cli.data.store.store import ImageStore
from cass_cli.engine.batches import prefetch
from cass_cli.engine.pretraining import loop

CPU = torch.device("cpu")
Prefetch = Callable[..., Iterator[Any]]


def with_a_team(fetch: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
    """Fetch one item ahead in a thread as Python makes it, which PyTorch gives as many helpers as the caller."""
    with ThreadPoolExecutor(1) as pool:
        waiting: list[Any] = []
        for item in items:
            waiting.append(pool.submit(fetch, item))
            if len(waiting) > 1:
                yield waiting.pop(0).result()
        for last in waiting:
            yield last.result()


PREFETCHES: dict[str, Prefetch] = {
    "a thread alone": prefetch,
    "a thread with a team": with_a_team,
    "no thread": map,
}


def main() -> None:
    """Measure, print a table for each size and write benchmarks/results/<machine>/prefetch.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="light,small", help=f"of {', '.join(SIZES)}")
    parser.add_argument("--steps", type=int, default=4, help="steps of a turn")
    parser.add_argument("--turns", type=int, default=9, help="turns that each contestant is timed for")
    given = parser.parse_args()
    results = {name: measure(name, given.steps, given.turns) for name in given.sizes.split(",")}
    path = write_result("prefetch", {"settings": vars(given), **circumstances(CPU), "results": results})
    print(f"\nWritten: {path}")


def measure(name: str, steps: int, turns: int) -> dict[str, Any]:
    """Let the three take turns on one pair of arms."""
    size = SIZES[name]
    batch = size.batch(CPU, None)
    title = f"{size.cnn} + {size.vit}, {size.image_size} px, batch {batch}, fp32"
    switches: dict[str, list[int]] = {}
    with tempfile.TemporaryDirectory() as folder:
        write_images(Path(folder), images=steps * batch, size=size.image_size)
        store: ImageStore = decode(first_images(Path(folder), steps * batch), size.image_size, CPU)
    config = case(size, batch, epochs=len(PREFETCHES) * turns + 2, device=CPU, train__precision="fp32")
    epoch = ours(config, store, [])
    epoch()  # warms up
    contestants = {name: _turn(epoch, way, switches.setdefault(name, [])) for name, way in PREFETCHES.items()}
    rows = summarise(take_turns(contestants, turns=turns), images=steps * batch, first="a thread alone")
    for way, row in rows.items():
        row["sleeps_per_step"] = quartiles([count / steps for count in switches[way]])
    notes = {way: f"{row['sleeps_per_step'][0]:,.0f} sleeps a step" for way, row in rows.items()}
    show(title, rows, first="a thread alone", notes=notes)
    return {"title": title, "rows": rows}


def _turn(epoch: Turn, way: Prefetch, switches: list[int]) -> Turn:
    def turn() -> float:
        setattr(loop, "prefetch", way)  # noqa: B010 - the loop does not export what it imports
        before = resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw
        seconds = epoch()
        switches.append(resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw - before)
        return seconds

    return turn


if __name__ == "__main__":
    main()
