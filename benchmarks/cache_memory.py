"""How much memory does training from the disk cache take? 20,000 synthetic images, more than memory would be given.

    python benchmarks/cache_memory.py

Four processes, so that each has a peak of its own: `build` fills the cache, `read` opens it and reads 50 shuffled
batches, `model` trains 50 steps on 16 images held in memory, `train` trains 50 steps on all images from the cache.
The peak of `train` less that of `model` is what the data cost. Memory is that of /proc/self/status, sampled every
10 ms: anonymous (the process's own) and file-backed (shared libraries and mapped files, which the system takes back
when it needs to). Linux only. Writes benchmarks/results/<machine>/cache_memory.json.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from machine import write_result
from PIL import Image

from cass_cli.data.sample_table import SampleTable
from cass_cli.data.store.store import ImageStore, build_store

GIB, CPU = 2**30, torch.device("cpu")
DISTINCT = 400  # encodings; the other files are hard links to them
STEPS = 50
PHASES = ("build", "read", "model", "train")


def main() -> None:
    """Run the four phases, print a short table and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--image-size", type=int, default=224, help="pixels along each side")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--cnn", default="resnet18")
    parser.add_argument("--vit", default="vit_tiny_patch16_224")
    parser.add_argument("--phase", choices=PHASES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.phase:
        print(json.dumps(run_phase(given)))
        return
    with tempfile.TemporaryDirectory() as folder:
        write_pictures(Path(folder) / "pictures", given.images)
        results = {}
        for phase in PHASES:
            results[phase] = found = in_own_process(phase, folder)
            print(
                f"{phase:<6} {found['seconds']:7.1f} s  {found['images_per_second']:9,.0f} img/s   peak GiB: "
                f"{found['peak_bytes'] / GIB:.2f} (anonymous {found['peak_anonymous_bytes'] / GIB:.2f}, "
                f"file-backed {found['peak_file_bytes'] / GIB:.2f})",
                flush=True,
            )
    beyond = (results["train"]["peak_bytes"] - results["model"]["peak_bytes"]) / GIB
    settings = {key: value for key, value in vars(given).items() if key not in ("phase", "folder")}
    cache_gib = results["build"]["cache_bytes"] / GIB
    print(f"The cache file holds {cache_gib:.2f} GiB; training from it took {beyond:.2f} GiB beyond the model's.")
    result = {"settings": settings, "steps": STEPS, "phases": results, "gib_beyond_the_model": round(beyond, 3)}
    print(f"Written: {write_result('cache_memory', result)}")


def in_own_process(phase: str, folder: str) -> dict[str, Any]:
    command = [sys.executable, __file__, *sys.argv[1:], "--phase", phase, "--folder", folder]
    own_cache = {**os.environ, "CASS_CACHE": str(Path(folder) / "cache")}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=own_cache)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def write_pictures(root: Path, count: int) -> None:
    """Write `count` JPEGs of 256 × 256 smooth noise: a few hundred encodings under many names."""
    root.mkdir()
    rng = np.random.default_rng(0)
    for i in range(min(count, DISTINCT)):
        coarse = Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8))
        coarse.resize((256, 256), Image.Resampling.BICUBIC).save(root / f"{i:06d}.jpg", quality=90)
    for i in range(DISTINCT, count):
        (root / f"{i:06d}.jpg").hardlink_to(root / f"{i % DISTINCT:06d}.jpg")


def run_phase(given: argparse.Namespace) -> dict[str, Any]:
    """Return seconds, images a second and peak memory of one phase, in this process."""
    with peaks() as found:
        store = random_store(given) if given.phase == "model" else open_store(given)
        work: Callable[[], int] = {
            "build": lambda: given.images,
            "read": lambda: read_batches(store, given.batch_size),
            "model": lambda: train(store, given),
            "train": lambda: train(store, given),
        }[given.phase]
        began = found["began"] if given.phase == "build" else time.perf_counter()
        images = work()
        seconds = time.perf_counter() - began
    found |= {"seconds": round(seconds, 2), "images_per_second": round(images / seconds, 1)}
    return {k: v for k, v in found.items() if k != "began"} | {
        "cache_bytes": store.path.stat().st_size if store.path else 0
    }


def open_store(given: argparse.Namespace) -> ImageStore:
    names = tuple(f"{i:06d}.jpg" for i in range(given.images))
    return build_store(SampleTable(given.folder / "pictures", names), size=given.image_size, mode="disk")


def random_store(given: argparse.Namespace) -> ImageStore:
    """Return as many images as there are on the disk that are the same few, over and over, in memory."""
    pixels = torch.randint(0, 256, (16, 3, given.image_size, given.image_size), dtype=torch.uint8)

    def read(rows: np.ndarray, out: np.ndarray) -> None:
        out[:] = pixels.numpy()[rows % len(pixels)]

    return ImageStore(pixels, "ram", np.arange(given.images), read=read)


def read_batches(store: ImageStore, batch_size: int) -> int:
    """Read the first batches of a shuffled epoch; returns how many images."""
    order = torch.randperm(len(store), generator=torch.Generator().manual_seed(0))
    return sum(len(store.batch(rows, CPU)) for rows in order.split(batch_size)[:STEPS])


def train(store: ImageStore, given: argparse.Namespace) -> int:
    """Pretrain two arms for `STEPS` steps by the engine's own loop; returns how many images it saw."""
    from cass_cli.config.load import Layer, resolve
    from cass_cli.engine.compute import choose_compute
    from cass_cli.engine.distributed import World
    from cass_cli.engine.pretraining.loop import StepStats, pretrain
    from cass_cli.engine.pretraining.session import build_session
    from cass_cli.engine.signals import StopRequest
    from cass_cli.errors import Interrupted
    from cass_cli.methods.build import build_arms

    settings: dict[str, Any] = {
        "data.image_size": given.image_size,
        "arms.cnn": given.cnn,
        "arms.vit": given.vit,
        "arms.init": "random",
        "train.batch_size": given.batch_size,
        "train.device": "cpu",
        "train.epochs": 1 + STEPS * given.batch_size // len(store),
    }
    config = resolve([Layer("benchmark", settings)]).config
    session = build_session(config, build_arms(config), store, choose_compute(config.train), world=World())

    stop = StopRequest()

    def count(_stats: StepStats) -> None:
        if session.step >= STEPS:
            stop.number = signal.SIGTERM

    with suppress(Interrupted):
        for _ in pretrain(session, stop=stop, save=lambda _session: None, on_step=count):
            pass
    return session.seen


@contextmanager
def peaks() -> Iterator[dict[str, Any]]:
    """Sample this process's memory until the block ends; the dict then holds the largest of each kind."""
    found: dict[str, Any] = {"began": time.perf_counter()}
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.01):
            text = Path("/proc/self/status").read_text()
            sizes = {key: int(kib) * 1024 for key, kib in re.findall(r"^(\w+):\s+(\d+) kB", text, re.MULTILINE)}
            for name, key in (
                ("peak_bytes", "VmHWM"),
                ("peak_anonymous_bytes", "RssAnon"),
                ("peak_file_bytes", "RssFile"),
            ):
                found[name] = max(found.get(name, 0), sizes[key])

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield found
    finally:
        over.set()
        watcher.join()


if __name__ == "__main__":
    main()
