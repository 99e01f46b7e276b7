"""Does bf16 train as fp32 does? Loss curves of both over the same batches, beside what another seed would change.

    python benchmarks/precision.py                      generated images
    python benchmarks/precision.py --data brain_mri     real ones

For each seed both precisions begin with the same weights and see the same views. Their difference is compared with the
difference between seeds in fp32. On a CPU without bf16 instructions bf16 is emulated, some twenty times slower.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from machine import RESULTS, machine_slug, write_result
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from plain import write_images
from step import SIZES, case, decode
from turns import circumstances

from cass_cli.data.sources import load_samples
from cass_cli.data.store.store import ImageStore
from cass_cli.engine.compute import choose_compute
from cass_cli.engine.device import choose_device
from cass_cli.engine.distributed import World
from cass_cli.engine.pretraining.loop import StepStats, pretrain
from cass_cli.engine.pretraining.session import build_session
from cass_cli.engine.signals import StopRequest
from cass_cli.methods.build import build_arms
from cass_cli.reports.curves import COLOURS

PRECISIONS = ("fp32", "bf16")
WINDOW = 20  # steps that a curve is averaged over
IMAGES = 512

Curves = dict[str, list[NDArray[np.float64]]]  # precision → a curve [steps] for each seed


def main() -> None:
    """Train, print how far the curves are apart, write precision.json and precision.png beside the other results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="small", choices=list(SIZES), help="pair of arms")
    parser.add_argument("--image-size", type=int, help="pixels; default: the pair's")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--lr", type=float, default=1e-4)
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--data", type=Path, help="folder of images; without, JPEG files are generated")
    given = parser.parse_args()
    device = choose_device(given.device)
    side = given.image_size or SIZES[given.size].image_size
    with tempfile.TemporaryDirectory() as folder:
        if not given.data:
            write_images(Path(folder), images=IMAGES, size=side)
        table = load_samples(given.data or Path(folder))
        store = decode(table.select(list(range(0, len(table), -(-len(table) // IMAGES)))), side, device)
    curves: Curves = {
        precision: [train(given, store, side, precision, seed) for seed in range(given.seeds)]
        for precision in PRECISIONS
    }
    found = differences(curves)
    print(f"mean |difference| of the loss, smoothed over {WINDOW} steps, of {given.steps} steps:")
    for what, value in found.items():
        print(f"  {what:<40} {value:.4f}")
    settings = {**vars(given), "data": str(given.data) if given.data else "generated"}
    losses = {precision: [curve.tolist() for curve in of_seeds] for precision, of_seeds in curves.items()}
    path = write_result(
        "precision", {"settings": settings, **circumstances(device), "differences": found, "losses": losses}
    )
    print(f"\nWritten: {path} and {draw(curves, RESULTS / machine_slug() / 'precision.png')}")


def train(given: argparse.Namespace, store: ImageStore, side: int, precision: str, seed: int) -> NDArray[np.float64]:
    """Return the loss of each step [steps]."""
    per_epoch = len(store.kept) // given.batch_size
    config = case(
        SIZES[given.size],
        given.batch_size,
        epochs=-(-given.steps // per_epoch),
        device=choose_device(given.device),
        data__image_size=side,
        optim__lr=given.lr,
        train__precision=precision,
        train__seed=seed,
    )
    session = build_session(config, build_arms(config), store, choose_compute(config.train), world=World())
    losses: list[float] = []

    def note(stats: StepStats) -> None:
        losses.append(stats.loss)

    for _ in pretrain(session, stop=StopRequest(), save=lambda _session: None, on_step=note):
        pass
    return np.array(losses[: given.steps])


def smooth(curve: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the running mean over `WINDOW` steps."""
    return np.convolve(curve, np.ones(WINDOW) / WINDOW, mode="valid")


def differences(curves: Curves) -> Mapping[str, Any]:
    """Return the mean absolute difference of smoothed curves: between precisions, and between seeds."""
    fp32, bf16 = ([smooth(curve) for curve in curves[precision]] for precision in PRECISIONS)
    precision = [float(np.abs(a - b).mean()) for a, b in zip(fp32, bf16, strict=True)]
    seeds = [float(np.abs(a - b).mean()) for a, b in combinations(fp32, 2)]
    return {"bf16 against fp32, same seed": np.mean(precision), "fp32 against fp32, other seed": np.mean(seeds)}


def draw(curves: Curves, path: Path) -> Path:
    """Draw the smoothed curves of both precisions."""
    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.add_subplot(title=f"CASS loss, running mean of {WINDOW} steps, a line a seed")
    for precision, colour, style in zip(PRECISIONS, COLOURS, ("-", "--"), strict=False):
        for seed, curve in enumerate(curves[precision]):
            steps = np.arange(WINDOW, len(curve) + 1)
            axes.plot(steps, smooth(curve), style, color=colour, linewidth=1.3, label="" if seed else precision)
    axes.set_xlabel("step")
    axes.set_ylabel("loss")
    axes.grid(alpha=0.3)
    axes.legend()
    FigureCanvasAgg(figure)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    return path


if __name__ == "__main__":
    main()
