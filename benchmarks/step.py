"""A pretraining step of ours, data included, against a plain loop on the same arms and the same files.

    python benchmarks/step.py                               both pairs of arms; the whole batch only on a GPU
    python benchmarks/step.py --sizes small --turns 11
    python benchmarks/step.py --sizes paper --batch-size 2 --steps 2 --turns 3      on a slow CPU

Ours is the loop of `cass pretrain` as it is: images decoded once before the run, augmented in batches, in the precision
that `auto` chooses; it is also run in the other one where the hardware has it. The plain loop (benchmarks/plain.py) is
what most people would write; on a GPU it is also run with bf16 autocast. All take turns of an epoch of `--steps` steps
in one process; the time of a turn contains all the work on its images. What ours does between epochs (gauges,
averaging) isn't counted, as the plain loop has no such thing.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from machine import write_result
from plain import Images, loader, pretraining_epoch, training_transform, write_images
from turns import Memory, Turn, circumstances, clock, quartiles, show, summarise, take_turns

from cass_cli.config.load import Layer, Resolved, resolve
from cass_cli.config.schema import Config
from cass_cli.data.sample_table import SampleTable
from cass_cli.data.sources import load_samples
from cass_cli.data.store.store import ImageStore, build_store
from cass_cli.engine.compute import Compute, choose_compute
from cass_cli.engine.device import choose_device, cpu_has_bf16, set_up_backends
from cass_cli.engine.distributed import World
from cass_cli.engine.fastest import settle_compute
from cass_cli.engine.pretraining.loop import EpochStats, pretrain
from cass_cli.engine.pretraining.plan import count_cost
from cass_cli.engine.pretraining.session import build_session
from cass_cli.engine.signals import StopRequest
from cass_cli.engine.timing.measure import matmul_peak
from cass_cli.methods.build import build_arms


@dataclass(frozen=True)
class Size:
    """A pair of arms, the size and batch at which they are trained, and the batch that a CPU is given."""

    cnn: str
    vit: str
    image_size: int
    batch_size: int
    cpu_batch_size: int

    def batch(self, device: torch.device, given: int | None) -> int:
        """Return the batch size asked for, or what suits the device."""
        return given or (self.batch_size if device.type == "cuda" else self.cpu_batch_size)

    def steps(self, device: torch.device, given: int | None) -> int:
        """Return the steps of a turn asked for, or so many that waiting for the first batch does not weigh."""
        return given or (60 if device.type == "cuda" else 4 if self.image_size <= 128 else 2)


SIZES = {
    "small": Size("resnet18", "vit_tiny_patch16_224", 128, 32, 32),
    "paper": Size("resnet50", "vit_base_patch16_384", 384, 16, 4),
    "light": Size("tf_efficientnet_lite0", "vit_small_patch14_dinov2", 112, 16, 16),
    "tiny": Size("test_resnet", "test_vit", 32, 4, 4),  # to try the script out
}


def main() -> None:
    """Measure, print a table for each size and write benchmarks/results/<machine>/step.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="small,paper", help=f"of {', '.join(SIZES)}")
    parser.add_argument("--batch-size", type=int, help="default: the pair's, less on a CPU")
    parser.add_argument("--steps", type=int, help="steps of a turn")
    parser.add_argument("--turns", type=int, default=7, help="turns that each contestant is timed for")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--name", default="step", help="of the result file")
    parser.add_argument("--data", type=Path, help="folder of images; without, JPEG files are generated")
    given = parser.parse_args()
    device = choose_device(given.device)
    results: dict[str, Any] = {}
    for name in given.sizes.split(","):
        size = SIZES[name]
        batch, steps = size.batch(device, given.batch_size), size.steps(device, given.steps)
        reduced = f" (reduced from {size.batch_size})" if batch < size.batch_size else ""
        title = f"{size.cnn} + {size.vit}, {size.image_size} px, batch {batch}{reduced}, {device}"
        with tempfile.TemporaryDirectory() as folder:
            found = given.data or Path(folder)
            if not given.data:
                write_images(found, images=steps * batch, size=size.image_size)
            results[name] = {"title": title, "batch_size": batch, "usual_batch_size": size.batch_size, "steps": steps}
            results[name] |= measure(size, batch, steps, given.turns, first_images(found, steps * batch), device)
        show_size(results[name])
    settings = {**vars(given), "data": str(given.data) if given.data else "generated"}
    path = write_result(given.name, {"settings": settings, **circumstances(device), "results": results})
    print(f"\nWritten: {path}")


def first_images(folder: Path, images: int) -> SampleTable:
    """Return that many images of a folder."""
    table = load_samples(folder)
    assert len(table) >= images, f"{folder} has {len(table)} images, and a turn takes {images}"
    return table.select(list(range(images)))


def measure(size: Size, batch: int, steps: int, turns: int, table: SampleTable, device: torch.device) -> dict[str, Any]:
    """Let ours and the plain loops take turns, and return what each cost."""
    config = case(size, batch, epochs=turns + 1, device=device)
    began = clock(device)
    store = decode(table, size.image_size, device)
    decoding = clock(device) - began
    files = [table.path(row) for row in range(len(table))]
    waiting: dict[str, list[float]] = {}
    contestants: dict[str, Turn] = {}
    memory: dict[str, int] = {}
    chosen, why = auto_precision(config, device)
    plain = {"plain loop": False, **({"plain loop, bf16": True} if device.type == "cuda" else {})}
    others = [p for p in ("fp32", "bf16") if p != chosen and (p == "fp32" or cpu_has_bf16())]
    for name, precision in {"ours": chosen, **{f"ours, {other}": other for other in others}}.items():
        measured = Memory(device)
        contestants[name] = ours(with_precision(config, precision), store, waiting.setdefault(name, []))
        contestants[name]()  # warms up
        memory[name] = measured.peak()
    for name, bf16 in plain.items():
        measured = Memory(device)
        networks = {arm: built.model for arm, built in build_arms(config).items()}
        images = Images(files, training_transform(size.image_size))
        contestants[name] = pretraining_epoch(
            networks, loader(images, batch_size=batch, device=device), device, bf16=bf16
        )
        contestants[name]()
        memory[name] = measured.peak()
    set_up_backends(device)
    peak, cost = matmul_peak(Compute(device, chosen)), count_cost(config)
    rows = summarise(take_turns(contestants, turns=turns), images=batch * steps, first="ours")
    for name, row in rows.items():
        row["peak_share"] = cost.flops / row["seconds_per_image"][0] / peak
        row["peak_memory"] = memory[name] or None
        row["waiting"] = quartiles(waiting[name][1:]) if name in waiting else None
    return {
        "rows": rows,
        "precision": chosen,
        "precision_chosen": why,
        "peak_flops": peak,
        "flops_per_image": cost.flops,
        "decoding_seconds_per_image": decoding / len(table),
    }


def case(size: Size, batch: int, *, epochs: int, device: torch.device, **changes: Any) -> Config:
    """Return the configuration of a pretraining of this size; `changes` are of any settings, __ for the dot."""
    values = {
        "arms.cnn": size.cnn,
        "arms.vit": size.vit,
        "arms.init": "random",
        "data.image_size": size.image_size,
        "train.batch_size": batch,
        "train.epochs": epochs,
        "train.device": str(device),
        "train.compile": "off",
    }
    return resolve([Layer("benchmark", values | {k.replace("__", "."): v for k, v in changes.items()})]).config


def auto_precision(config: Config, device: torch.device) -> tuple[str, str]:
    """Return the precision that a run of `config` takes, and why; a CPU is measured."""
    asked = Resolved(config, {"train.precision": "default"})
    settled, why = settle_compute(asked, build_arms(config).values(), device)
    return choose_compute(settled.config.train).precision, why


def with_precision(config: Config, precision: str) -> Config:
    """Return the same configuration in another precision."""
    return config.model_copy(update={"train": config.train.model_copy(update={"precision": precision})})


def decode(table: SampleTable, size: int, device: torch.device, mode: Any = "auto") -> ImageStore:
    """Decode the images as a run would."""
    return build_store(table, size=size, mode=mode, device=device)


def ours(config: Config, store: ImageStore, waiting: list[float]) -> Turn:
    """Return a function that runs the next epoch of `cass pretrain`; it notes the share of time spent on data."""
    session = build_session(config, build_arms(config), store, choose_compute(config.train), world=World())
    epochs: Iterator[EpochStats] = pretrain(session, stop=StopRequest(), save=lambda _session: None)

    def turn() -> float:
        set_up_backends(session.device)
        stats = next(epochs)
        waiting.append(stats.waiting)
        return stats.seconds

    return turn


def show_size(result: dict[str, Any]) -> None:
    """Print the table of one size."""
    notes = {}
    for name, row in result["rows"].items():
        memory = f", {row['peak_memory'] / 2**30:.1f} GiB" if row["peak_memory"] else ""
        waiting = f", waiting for data {row['waiting'][0]:.1%}" if row["waiting"] else ""
        notes[name] = f"{row['peak_share']:.0%} of peak{memory}{waiting}"
    show(result["title"], result["rows"], first="ours", notes=notes)
    print(result["precision_chosen"] or f"Precision {result['precision']}.")
    print(f"Peak: {result['peak_flops'] / 1e12:.3g} TFLOP/s ({result['precision']} products). ", end="")
    print(f"Decoding, once a run: {1000 * result['decoding_seconds_per_image']:.2f} ms/image.")


if __name__ == "__main__":
    main()
