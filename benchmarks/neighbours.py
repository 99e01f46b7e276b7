"""What neighbours on the same processor cost a pretraining step, when threads that wait spin and when they sleep.

    python benchmarks/neighbours.py
    python benchmarks/neighbours.py --turns 3 --steps 2

OpenMP's threads wait for each other after every operation. By default they spin for a while, which pays where they
have a core each; `OMP_WAIT_POLICY=passive` lets them sleep. Steps are ours, data included, on a CPU, in processes of
their own that take turns: alone, beside a process that keeps one core busy, and beside a second pretraining.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from machine import write_result
from plain import write_images
from step import SIZES, case, decode, ours
from turns import Turn, circumstances, show, summarise, take_turns

from cass_cli.data.sources import load_samples

BUSY = "while True: pass"
POLICIES = {"spinning": {}, "sleeping": {"OMP_WAIT_POLICY": "passive"}}
EPOCHS = 10_000  # more than anybody waits for


def main() -> None:
    """Measure, print a table for each neighbour and write benchmarks/results/<machine>/neighbours.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=7, help="processes of each kind")
    parser.add_argument("--steps", type=int, default=3, help="steps that a process is timed for")
    parser.add_argument("--size", default="small", choices=list(SIZES), help="pair of arms")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)  # folder of images
    parser.add_argument("--endless", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        work(given.worker, given.size, endless=given.endless)
        return
    images = given.steps * SIZES[given.size].cpu_batch_size
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        write_images(Path(folder), images=images, size=SIZES[given.size].image_size)
        worker = [__file__, "--worker", folder, "--size", given.size]
        for neighbour, command in {
            "alone": None,
            "beside one busy core": ["-c", BUSY],
            "beside a second pretraining": [*worker, "--endless"],
        }.items():
            contestants: dict[str, Turn] = {
                name: partial(run, worker, command, policy) for name, policy in POLICIES.items()
            }
            rows = summarise(take_turns(contestants, turns=given.turns), images=images, first="sleeping")
            results[neighbour] = rows
            show(neighbour, rows, first="sleeping")
    where = circumstances(torch.device("cpu"))
    print(f"\nWritten: {write_result('neighbours', {'settings': vars(given), **where, 'results': results})}")


def work(folder: Path, size: str, *, endless: bool) -> None:
    """Train for an epoch, and for another whose seconds are printed; or until killed."""
    cpu, shape, table = torch.device("cpu"), SIZES[size], load_samples(folder)
    config = case(shape, shape.cpu_batch_size, epochs=EPOCHS, device=cpu)
    turn = ours(config, decode(table, shape.image_size, cpu), [])
    turn()  # warms up
    print(turn(), flush=True)
    while endless:
        turn()


def run(worker: list[str], neighbour: list[str] | None, policy: dict[str, str]) -> float:
    """Return the seconds of a worker's epoch beside a neighbour under the same policy."""
    environment = {k: v for k, v in os.environ.items() if k != "OMP_WAIT_POLICY"} | policy
    with beside(neighbour, environment):
        out = subprocess.run([sys.executable, *worker], check=True, capture_output=True, text=True, env=environment)
    return float(out.stdout)


@contextmanager
def beside(command: list[str] | None, environment: dict[str, str]) -> Iterator[None]:
    """Keep a process running meanwhile; one that prints when it is under way is waited for."""
    if command is None:
        yield
        return
    with subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, env=environment) as process:
        try:
            if command[-1] != BUSY:
                assert process.stdout
                process.stdout.readline()
            yield
        finally:
            process.kill()


if __name__ == "__main__":
    main()
