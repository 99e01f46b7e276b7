"""Images a second from the cached, batched path against torchvision's transforms on PIL images and on tensors.

    python benchmarks/data.py                    one core, 128, 224 and 384 px
    python benchmarks/data.py --device cuda      on the device

All draw the paper's view (C.5.2) with the same probabilities and end in a normalised float batch on the
device. Contestants take turns batch by batch, so that drift of the machine hits all alike; ratios are medians
of the ratios within a turn. On a CPU, time is the process's CPU time, that is, per core; on a GPU wall time
with the device waited for. kornia takes part where it is installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import itertools
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from machine import write_result
from PIL import Image
from torch import Tensor
from torchvision.transforms import InterpolationMode, v2

from cass_cli.data.views.apply import apply_view
from cass_cli.data.views.draw import draw_view
from cass_cli.data.views.spec import ImageSpec

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
STORED = 4 / 3
"""Side of the stored JPEG files over the training size."""

Contestant = Callable[[], Tensor]


def main() -> None:
    """Measure, print a table and write benchmarks/results/<machine>/data.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="128,224,384", help="image sizes in px")
    parser.add_argument("--batch-size", type=int, default=16, help="images a batch")
    parser.add_argument("--turns", type=int, default=15, help="batches that each contestant is timed for")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--device", default="cpu", help="where the batch is augmented")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    device = torch.device(given.device)
    results: dict[str, dict[str, Any]] = {}
    for size, content in itertools.product(given.sizes.split(","), ("colour", "grey")):
        title = f"{size} px, {content}"
        runs = contestants(int(size), content == "grey", given.batch_size, device)
        results[title] = measure(runs, given.batch_size, given.turns, device)
        print(f"\n{title}, batch {given.batch_size}, {given.threads} thread(s), {given.device}")
        print(f"{'':28}   ms/image   images/s   ours is … times as fast (quartiles)")
        for name, row in results[title].items():
            quartiles = "" if name == "ours" else "{:.1f} ({:.1f}–{:.1f})".format(*row["ratio"])
            print(f"{name:28} {row['ms_per_image']:>10.2f} {1000 / row['ms_per_image']:>10.0f}   {quartiles}")
    settings = {**vars(given), "stored_over_size": STORED, "load_average": os.getloadavg()}
    print(f"\nWritten: {write_result('data', {'settings': settings, 'results': results})}")


def measure(runs: dict[str, Contestant], batch: int, turns: int, device: torch.device) -> dict[str, Any]:
    """Median ms per image and its quartiles of each contestant, and by what factor ours is faster."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(-2, turns):  # two turns to warm up
        for name, run in runs.items():
            torch.manual_seed(turn)
            start = _seconds(device)
            output = run()
            end = _seconds(device)
            if turn >= 0:
                times[name].append((end - start) / batch * 1000)
            assert output.shape[0] == batch
            assert output.device.type == device.type
    return {
        name: {
            "ms_per_image": statistics.median(measured),
            "ms_quartiles": statistics.quantiles(measured, n=4)[::2],
            "ratio": _quartiles([theirs / ours for theirs, ours in zip(measured, times["ours"], strict=True)]),
        }
        for name, measured in times.items()
    }


def contestants(size: int, grey: bool, batch: int, device: torch.device) -> dict[str, Contestant]:
    """Functions that each give one augmented, normalised batch of the same images."""
    files = [stored_file(number, round(size * STORED), grey=grey) for number in range(batch)]
    pictures = [decode(file).resize((size, size), Image.Resampling.BILINEAR) for file in files]
    tensors = [torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous().to(device) for picture in pictures]
    store = torch.stack(tensors)
    view, resize = torchvision_view(), v2.Resize((size, size))
    generator, spec = torch.Generator().manual_seed(0), ImageSpec(size, MEAN, STD)

    def ours() -> Tensor:
        rows = torch.randperm(batch, generator=generator).to(device)
        return apply_view(store[rows], draw_view(batch, generator=generator), spec)

    runs: dict[str, Contestant] = {
        "ours": ours,
        "torchvision, PIL": lambda: torch.stack([view(picture) for picture in pictures]).to(device),
        "torchvision, PIL, decoding": lambda: torch.stack([view(resize(decode(f))) for f in files]).to(device),
        "torchvision, tensors": lambda: torch.stack([view(tensor) for tensor in tensors]),
    }
    if importlib.util.find_spec("kornia"):
        batched = kornia_view()
        runs["kornia, batch"] = lambda: batched(store.float() / 255)
    return runs


def torchvision_view() -> Callable[[Any], Tensor]:
    """Return the paper's view as torchvision's documentation would write it, for a PIL image or a tensor."""
    jitter = v2.ColorJitter(0.2, 0.2, 0.2, 0.2)
    rotation = v2.RandomAffine(degrees=10, interpolation=InterpolationMode.BILINEAR)
    return v2.Compose(
        [
            v2.RandomApply([jitter, v2.RandomPerspective(0.2, p=1.0)], p=0.3),
            v2.RandomApply([jitter, rotation], p=0.3),
            v2.RandomVerticalFlip(0.3),
            v2.RandomHorizontalFlip(0.3),
            v2.ToImage(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(MEAN, STD),
        ]
    )


def kornia_view() -> Any:
    """Return nearly the same view in kornia, where jitter and warp of a pair are drawn apart."""
    import kornia.augmentation as K

    return K.ImageSequential(
        K.ColorJitter(0.2, 0.2, 0.2, 0.2, p=0.3),
        K.RandomPerspective(0.2, p=0.3),
        K.ColorJitter(0.2, 0.2, 0.2, 0.2, p=0.3),
        K.RandomAffine(10.0, p=0.3),
        K.RandomVerticalFlip(p=0.3),
        K.RandomHorizontalFlip(p=0.3),
        K.Normalize(MEAN, STD),
    )


def stored_file(number: int, side: int, *, grey: bool) -> bytes:
    """Return a JPEG of partly smooth, partly noisy content, as a camera (colour) or a scanner (grey) gives it."""
    rng = np.random.default_rng(number)
    coarse = Image.fromarray(rng.integers(0, 256, (12, 12, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC), dtype=np.float32)
    pixels = np.clip(smooth + rng.normal(0, 12, smooth.shape), 0, 255).astype(np.uint8)
    memory = io.BytesIO()
    Image.fromarray(pixels[:, :, 0] if grey else pixels).save(memory, "JPEG", quality=90)
    return memory.getvalue()


def decode(file: bytes) -> Image.Image:
    """Decode a JPEG from memory, so that no disk is measured."""
    return Image.open(io.BytesIO(file)).convert("RGB")


def _quartiles(values: list[float]) -> tuple[float, float, float]:
    low, _, high = statistics.quantiles(values, n=4)
    return statistics.median(values), low, high


def _seconds(device: torch.device) -> float:
    if device.type == "cpu":
        return time.process_time()
    torch.cuda.synchronize(device)
    return time.perf_counter()


if __name__ == "__main__":
    main()
