"""What pretraining costs against image size, batch size, number of images and number of processes.

    python benchmarks/scaling.py                                    ResNet-18 + ViT-Tiny
    python benchmarks/scaling.py --sweeps images,processes --turns 3

Each setting runs in a process of its own (with `torchrun`, in several), an epoch to warm up and one that counts,
on noise in memory; settings take turns. Given are seconds an image of the training alone and of the whole epoch, with
the gauges at its end; the peak memory of a process; and the forecast of `cass pretrain --dry-run`, which knows of
neither Python nor libraries: `of it before` is what the process held before anything was built.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from machine import write_result
from step import SIZES, case
from turns import circumstances, quartiles, take_turns

from cass_cli.engine.compute import choose_compute
from cass_cli.engine.device import choose_device
from cass_cli.engine.distributed import process_group, world_from_environment
from cass_cli.engine.pretraining.loop import pretrain
from cass_cli.engine.pretraining.plan import count_cost
from cass_cli.engine.pretraining.session import build_session
from cass_cli.engine.signals import StopRequest
from cass_cli.engine.timing.stepper import synthetic_store
from cass_cli.methods.build import build_arms

CHILD = "setting"  # first argument of a child process, before its setting and the file for its report


@dataclass(frozen=True)
class Setting:
    """One run: the pair of arms, and what is swept."""

    pair: str
    device: str
    image_size: int
    batch_size: int
    images: int
    processes: int = 1


def main() -> None:
    """Measure, print a table for each sweep and write benchmarks/results/<machine>/scaling.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pair", default="small", choices=list(SIZES), help="pair of arms")
    parser.add_argument("--sweeps", default="image-size,batch-size,images,processes")
    parser.add_argument("--image-sizes", default="64,96,128,192")
    parser.add_argument("--batch-sizes", default="4,8,16,32")
    parser.add_argument("--images", default="64,128,256")
    parser.add_argument("--processes", help="default: 1,2; with several GPUs, 1 and all of them")
    parser.add_argument("--turns", type=int, default=3, help="runs of each setting")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    given = parser.parse_args()
    device = choose_device(given.device)
    size = SIZES[given.pair]
    base = Setting(given.pair, device.type, size.image_size, min(16, size.batch_size), 64)
    gpus = torch.cuda.device_count() if device.type == "cuda" else 0
    processes = given.processes or (f"1,{gpus}" if gpus > 1 else "1" if gpus else "1,2")
    swept = {
        "image-size": [replace(base, image_size=int(n)) for n in given.image_sizes.split(",")],
        "batch-size": [replace(base, batch_size=int(n)) for n in given.batch_sizes.split(",")],
        "images": [replace(base, images=int(n)) for n in given.images.split(",")],
        "processes": [replace(base, processes=int(n)) for n in processes.split(",")],
    }
    results = {}
    for sweep in given.sweeps.split(","):
        field = sweep.replace("-", "_")
        results[sweep] = {str(getattr(setting, field)): found for setting, found in measure(swept[sweep], given.turns)}
        show(sweep, results[sweep])
    path = write_result("scaling", {"settings": vars(given), **circumstances(device), "results": results})
    print(f"\nWritten: {path}")


def measure(settings: list[Setting], turns: int) -> list[tuple[Setting, dict[str, Any]]]:
    """Run the settings in turn, and return what each cost."""
    reports: dict[Setting, list[dict[str, float]]] = {setting: [] for setting in settings}

    def turn(setting: Setting) -> float:
        reports[setting].append(launch(setting))
        return 0.0

    take_turns({str(setting): partial(turn, setting) for setting in settings}, turns=turns)
    return [
        (setting, {**asdict(setting), **{key: quartiles([one[key] for one in found]) for key in found[0]}})
        for setting, found in reports.items()
    ]


def show(sweep: str, rows: dict[str, dict[str, Any]]) -> None:
    """Print the table of a sweep."""
    print(f"\n{sweep:>12}   ms/image (quartiles)      with epoch's end   peak memory   of it before   forecast")
    for value, row in rows.items():
        median, low, high = (1000 * seconds for seconds in row["seconds_per_image"])
        peak, before, forecast = (row[key][0] / 2**30 for key in ("peak_memory", "memory_before", "forecast"))
        cost = f"{median:.4g} ({low:.4g}–{high:.4g})"
        whole = 1000 * row["whole_seconds_per_image"][0]
        print(f"{value:>12}   {cost:25} {whole:>16.4g}   {peak:>7.2f} GiB   {before:>8.2f} GiB   {forecast:>5.2f} GiB")


def launch(setting: Setting) -> dict[str, float]:
    """Run a setting in new processes that share the cores, and return the report of the first."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        threads = max(1, torch.get_num_threads() // setting.processes)
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
        torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={setting.processes}"]
        command = [sys.executable, *(torchrun if setting.processes > 1 else []), __file__]
        subprocess.run([*command, CHILD, json.dumps(asdict(setting)), report], check=True, env=environment)
        found: dict[str, float] = json.loads(report.read_text())
    return found


def run(setting: Setting, path: Path) -> None:
    """Pretrain for two epochs, and write what the second cost."""
    world = world_from_environment()
    device = choose_device(setting.device, local_rank=world.local_rank)
    before = peak_memory(device)
    size = replace(SIZES[setting.pair], image_size=setting.image_size)
    config = case(size, setting.batch_size, epochs=2, device=torch.device(setting.device))
    cost = count_cost(config)
    store = synthetic_store(setting.images, setting.image_size)
    with process_group(world, device):
        compute = choose_compute(config.train, local_rank=world.local_rank)
        session = build_session(config, build_arms(config), store, compute, world=world)
        epochs = pretrain(session, stop=StopRequest(), save=lambda _session: None)
        next(epochs)
        began = time.perf_counter()
        stats = next(epochs)
        whole = time.perf_counter() - began
    half = 2 if compute.precision == "bf16" else 1
    share = min(setting.batch_size, setting.images) / world.size
    report = {
        "seconds_per_image": stats.seconds / setting.images,
        "whole_seconds_per_image": whole / setting.images,
        "peak_memory": peak_memory(device),
        "memory_before": before,
        "forecast": cost.weight_bytes + cost.activation_bytes * share / half + store.images.nbytes,
    }
    if world.leads:
        path.write_text(json.dumps(report))


def peak_memory(device: torch.device) -> int:
    """Return the peak bytes of this process: allocated on the GPU, or resident."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    if sys.argv[1:2] == [CHILD]:
        run(Setting(**json.loads(sys.argv[2])), Path(sys.argv[3]))
    else:
        main()
