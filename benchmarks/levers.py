"""What each lever gives: the pretraining step of ours with one thing changed at a time, both ways in turns.

    python benchmarks/levers.py                                  all levers that this machine has, ResNet-18 + ViT-Tiny
    python benchmarks/levers.py --levers channels-last,adam --size paper --batch-size 2 --turns 5
    python benchmarks/levers.py --list

The first variant of a lever is the step without it; ratios say how many times as fast the others are. Weight
prepacking, inference mode and libjpeg's scaled decoding aren't here: the first two are for inference (weights change
in every step), the third belongs to decoding, which happens once a run.
"""

from __future__ import annotations

import argparse
import gc
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from changes import (
    Change,
    adam,
    build_attention,
    graph_each_arm,
    keep_freed_memory,
    memory_format,
    stream_each_arm,
)
from machine import write_result
from plain import write_images
from step import SIZES, Size, case, decode
from torch import Tensor
from turns import Memory, Turn, circumstances, clock, show, summarise, take_turns

from cass_cli.data.sources import load_samples
from cass_cli.engine.batches import prefetch
from cass_cli.engine.compute import choose_compute
from cass_cli.engine.device import choose_device, set_up_backends
from cass_cli.engine.distributed import World
from cass_cli.engine.pretraining.loop import fetch, train_step
from cass_cli.engine.pretraining.session import Session, build_session
from cass_cli.methods.build import build_arms
from cass_cli.seeds import generator

BATCHES = 4  # distinct ones on disk


class Bench:
    """Makes variants of the step on the same images."""

    def __init__(self, size: Size, batch: int, device: torch.device, steps: int, folder: Path) -> None:
        self.size, self.batch, self.device, self.steps = size, batch, device, steps
        self.table = load_samples(folder)
        self.stores = {"auto": decode(self.table, size.image_size, device)}

    def variant(
        self,
        change: Change = lambda _session: None,
        *,
        before: Callable[[], object] | None = None,
        cache: str = "auto",
        ahead: bool = True,
        read_loss: bool = False,
        **settings: Any,
    ) -> Turn:
        """Return a turn of steps, after `change` to the session.

        `before` is a switch of the process: called before the session is built and before each turn, which then begins
        with a step that isn't timed.
        """
        if cache not in self.stores:
            self.stores[cache] = decode(self.table, self.size.image_size, self.device, cache)
        if before:
            before()
        config = case(self.size, self.batch, epochs=100, device=self.device, **settings)
        session = build_session(
            config, build_arms(config), self.stores[cache], choose_compute(config.train), world=World(), measure=False
        )
        change(session)
        batches = self._batches(session, ahead=ahead)

        def step() -> None:
            batch, images = next(batches)
            loss, _ = train_step(session, batch, images, lr=1e-4)
            session.step += 1
            if read_loss:
                float(loss)

        def turn() -> float:
            if before:
                before()
                step()
            began = clock(self.device)
            for _ in range(self.steps):
                step()
            return clock(self.device) - began

        return turn

    def _batches(self, s: Session, *, ahead: bool) -> Iterator[tuple[Tensor, list[Tensor]]]:
        def rows() -> Iterator[Tensor]:
            draw = generator(0, "order")
            while True:
                yield torch.randperm(s.images, generator=draw)[: self.batch]

        get = partial(_fetch_with_rows, s)
        return prefetch(get, rows(), device=s.device) if ahead else map(get, rows())


def levers(b: Bench) -> dict[str, dict[str, Callable[[], Turn]]]:
    """Return the variants of every lever that this device has, by name."""
    v, on_gpu = b.variant, b.device.type == "cuda"
    here: dict[str, dict[str, Callable[[], Turn]]] = {
        "same": {"off": v, "off again": v},
        "channels-last": {
            "NCHW": partial(v, memory_format(torch.contiguous_format)),
            "CNN channels last": partial(v, memory_format(torch.channels_last)),
        },
        "bf16": {
            "fp32": partial(v, train__precision="fp32"),
            "bf16 autocast": partial(v, train__precision="bf16"),
        },
        "adam": {
            "for-loop": partial(v, adam(foreach=False)),
            "foreach": partial(v, adam(foreach=True)),
            "fused": partial(v, adam(fused=True)),
        },
        "attention": {
            "written out": partial(v, before=partial(build_attention, False)),
            "SDPA": partial(v, before=partial(build_attention, True)),
        },
        "cache": {
            "decoded each time": partial(v, cache="off"),
            "cached in memory": partial(v, cache="ram"),
            "cached in a file": partial(v, cache="disk"),
            **({"cached on the device": partial(v, cache="device")} if on_gpu else {}),
        },
        "prefetch": {
            "no thread": partial(v, ahead=False, cache="ram"),
            "prefetch thread": partial(v, ahead=True, cache="ram"),
        },
        "checkpointing": {"off": v, "gradient checkpointing": partial(v, train__gradient_checkpointing=True)},
        "compile": {"off": v, "torch.compile": partial(v, train__compile="on")},
    }
    if not on_gpu:
        all_threads = torch.get_num_threads()
        here["allocator"] = {
            "freed memory goes back": partial(v, before=partial(keep_freed_memory, keep=False)),
            "freed memory is kept": partial(v, before=partial(keep_freed_memory, keep=True)),
        }
        here["threads"] = {
            "one": partial(v, before=partial(torch.set_num_threads, 1)),
            f"all {all_threads}": partial(v, before=partial(torch.set_num_threads, all_threads)),
        }
        return here
    return here | {
        "tf32": {
            name: partial(v, train__precision="fp32", before=partial(torch.set_float32_matmul_precision, level))
            for name, level in (("fp32", "highest"), ("TF32", "high"))
        },
        "sync": {"loss read each step": partial(v, read_loss=True), "loss not read": v},
        "streams": {"one": v, "a stream an arm": partial(v, stream_each_arm)},
        "graphs": {"off": v, "CUDA graph of each arm": partial(v, graph_each_arm)},
    }


def main() -> None:
    """Measure, print a table for each lever and write benchmarks/results/<machine>/levers.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--levers", help="names, separated by commas; default: all")
    parser.add_argument("--list", action="store_true", help="name the levers and stop")
    parser.add_argument("--size", default="small", choices=list(SIZES), help="pair of arms")
    parser.add_argument("--batch-size", type=int, help="default: the pair's, less on a CPU")
    parser.add_argument("--steps", type=int, default=1, help="steps of a turn")
    parser.add_argument("--turns", type=int, default=9, help="turns that each variant is timed for")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--name", default="levers", help="of the result file")
    given = parser.parse_args()
    device, size = choose_device(given.device), SIZES[given.size]
    batch = size.batch(device, given.batch_size)
    with tempfile.TemporaryDirectory() as folder:
        write_images(Path(folder), images=batch * BATCHES, size=size.image_size)
        known = levers(Bench(size, batch, device, given.steps, Path(folder)))
        if given.list:
            print("\n".join(known))
            return
        results = {}
        for name in given.levers.split(",") if given.levers else known:
            results[name] = measure(known[name], batch * given.steps, given.turns, device)
            title = f"{name} ({size.cnn} + {size.vit}, {size.image_size} px, batch {batch}, {device})"
            notes = {
                key: f"first turn {row['first_turn']:.1f} s" for key, row in results[name].items() if "turns" in row
            }
            first = next(iter(results[name]))
            show(title, results[name], first=first, meaning=f"times as fast as {first!r}", notes=notes)
    settings = {**vars(given), "batch_size": batch, "usual_batch_size": size.batch_size, "image_size": size.image_size}
    print(f"\nWritten: {write_result(given.name, {'settings': settings, **circumstances(device), 'results': results})}")


def measure(
    variants: Mapping[str, Callable[[], Turn]], images: int, turns: int, device: torch.device
) -> dict[str, Any]:
    """Build the variants, let them take turns, and return what each cost; a variant that fails says why."""
    threads = torch.get_num_threads()
    running: dict[str, Turn] = {}
    problems: dict[str, dict[str, Any]] = {}
    facts: dict[str, dict[str, Any]] = {}
    for name, build in variants.items():
        memory, began = Memory(device), time.perf_counter()
        try:
            turn = build()
            turn()  # warms up, and compiles
        except Exception as error:  # whatever a lever needs and this machine lacks
            problems[name] = {"problem": f"{type(error).__name__}: {str(error).strip().splitlines()[0][:90]}"}
            continue
        facts[name] = {"first_turn": time.perf_counter() - began, "peak_memory": memory.peak() or None}
        running[name] = turn
    rows: dict[str, Any] = {}
    if running:
        rows = summarise(take_turns(running, turns=turns), images=images, first=next(iter(running)))
    for row in rows.values():
        median, low, high = row["ratio"]
        row["ratio"] = [1 / median, 1 / high, 1 / low]  # how much faster than the first, not the other way round
    running.clear()
    gc.collect()
    build_attention(True)
    keep_freed_memory(keep=False)
    torch.set_num_threads(threads)
    set_up_backends(device)
    if "torch.compile" in rows:
        facts["torch.compile"]["images_to_repay"] = _repaid_after(rows, facts, images)
    return {name: rows[name] | facts[name] if name in rows else problems[name] for name in variants}


def _repaid_after(rows: Mapping[str, Any], facts: Mapping[str, Any], images: int) -> float | None:
    """Return the images after which compiling has paid; None when it never does."""
    off, on = (rows[name]["seconds_per_image"][0] for name in ("off", "torch.compile"))
    spent = facts["torch.compile"]["first_turn"] - facts["off"]["first_turn"] - images * (on - off)
    return spent / (off - on) if on < off else None


def _fetch_with_rows(s: Session, batch: Tensor) -> tuple[Tensor, list[Tensor]]:
    return batch, fetch(s, batch)


if __name__ == "__main__":
    main()
