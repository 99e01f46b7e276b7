"""Page faults, CPU time and memory of a pretraining step, with glibc's defaults and with freed memory kept.

    python benchmarks/allocator.py                       three pairs of arms, one thread, three processes of either kind
    python benchmarks/allocator.py --sizes light --turns 5

Processes take turns; each takes steps of ours on noise, counted by the system's own accounting after three steps that
don't count. CPU time holds beside other processes, where the time of a clock does not.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
from typing import Any

import torch
from machine import write_result
from step import SIZES, case
from turns import circumstances

from cass_cli.engine import device as backends
from cass_cli.engine.compute import choose_compute
from cass_cli.engine.timing.stepper import Stepper, synthetic_store

KINDS = ("as by default", "kept")
WARM_UP = 3


def main() -> None:
    """Measure, print a table and write benchmarks/results/<machine>/allocator.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="light,small,paper", help=f"of {', '.join(SIZES)}")
    parser.add_argument("--turns", type=int, default=3, help="processes of either kind")
    parser.add_argument("--steps", type=int, default=4, help="that count")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--one", choices=KINDS, help=argparse.SUPPRESS)  # the process that is measured
    given = parser.parse_args()
    if given.one:
        print(json.dumps(measure(given.sizes, keep=given.one == KINDS[1], steps=given.steps, threads=given.threads)))
        return
    results: dict[str, dict[str, Any]] = {}
    for size in given.sizes.split(","):
        found: dict[str, list[dict[str, float]]] = {kind: [] for kind in KINDS}
        for _ in range(given.turns):
            for kind in KINDS:
                same = ["--sizes", size, "--steps", str(given.steps), "--threads", str(given.threads), "--one", kind]
                done = subprocess.run([sys.executable, __file__, *same], capture_output=True, text=True, check=True)
                found[kind].append(json.loads(done.stdout))
        results[size] = {
            kind: {fact: statistics.median(turn[fact] for turn in turns) for fact in turns[0]}
            for kind, turns in found.items()
        }
        ratios = [
            sum(one[fact] for fact in ("user", "system")) / sum(other[fact] for fact in ("user", "system"))
            for one, other in zip(found[KINDS[0]], found[KINDS[1]], strict=True)
        ]
        results[size]["cpu_time_ratio"] = {"median": statistics.median(ratios), "all": ratios}
        show(size, results[size])
    path = write_result(
        "allocator", {"settings": vars(given), **circumstances(torch.device("cpu")), "results": results}
    )
    print(f"\nWritten: {path}")


def measure(size: str, *, keep: bool, steps: int, threads: int) -> dict[str, float]:
    """Return what a step takes: page faults, seconds of CPU time in the process and in the kernel; and peak bytes."""
    if not keep:
        backends.KEPT.clear()
    torch.set_num_threads(threads)
    device, pair = torch.device("cpu"), SIZES[size]
    batch = pair.batch(device, None)
    config = case(pair, batch, epochs=100, device=device, train__precision="fp32")
    stepper = Stepper(config, synthetic_store(batch, pair.image_size), choose_compute(config.train))
    stepper.warm_up(WARM_UP)
    before = resource.getrusage(resource.RUSAGE_SELF)
    for _ in range(steps):
        stepper.step()
    after = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "faults": (after.ru_minflt - before.ru_minflt) / steps,
        "user": (after.ru_utime - before.ru_utime) / steps,
        "system": (after.ru_stime - before.ru_stime) / steps,
        "peak_memory": 1024 * after.ru_maxrss,
    }


def show(size: str, found: dict[str, Any]) -> None:
    """Print the table of one pair of arms."""
    pair = SIZES[size]
    print(f"\n{pair.cnn} + {pair.vit}, {pair.image_size} px, batch {pair.cpu_batch_size}, a step")
    for kind in KINDS:
        row = found[kind]
        print(
            f"{kind:14} {row['faults']:8,.0f} page faults, CPU {row['user'] + row['system']:.2f} s, "
            f"{row['system']:.3f} of it in the kernel; {row['peak_memory'] / 2**30:.2f} GiB at most"
        )
    print(f"CPU time: {found['cpu_time_ratio']['median']:.2f} times less where it is kept")


if __name__ == "__main__":
    main()
