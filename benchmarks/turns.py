"""Contestants take turns, so that whatever drifts (clock, temperature, neighbours) hits all alike."""

from __future__ import annotations

import gc
import os
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch

Turn = Callable[[], float]
"""Takes one turn, waits for the device, and returns its seconds."""


def take_turns(contestants: Mapping[str, Turn], *, turns: int) -> dict[str, list[float]]:
    """Return the seconds of `turns` turns of each; every other round in reverse order. Warming up is theirs."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(turns):
        order = list(contestants) if turn % 2 == 0 else list(contestants)[::-1]
        for name in order:
            seconds[name].append(contestants[name]())
    return seconds


def summarise(seconds: Mapping[str, list[float]], *, images: int, first: str) -> dict[str, dict[str, Any]]:
    """Return for each contestant the seconds an image takes, and by what factor `first` is faster.

    `images` are those of a turn. Seconds are the median with its quartiles; ratios are medians, with quartiles, of the
    ratios within a turn.
    """
    return {
        name: {
            "seconds_per_image": quartiles([value / images for value in own]),
            "ratio": quartiles([theirs / ours for theirs, ours in zip(own, seconds[first], strict=True)]),
            "turns": len(own),
        }
        for name, own in seconds.items()
    }


def quartiles(values: list[float]) -> list[float]:
    """Return median, lower and upper quartile; of fewer than three values, median, lowest and highest."""
    if len(values) < 3:
        return [statistics.median(values), min(values), max(values)]
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return [median, low, high]


def show(
    title: str,
    rows: Mapping[str, Mapping[str, Any]],
    *,
    first: str,
    meaning: str = "",
    notes: Mapping[str, str] | None = None,
) -> None:
    """Print what `summarise` returned, with a note behind each row; `meaning` is that of the ratios."""
    print(f"\n{title}\n{'':30} ms/image (quartiles)       {meaning or f'{first!r} is … times as fast'}")
    for name, row in rows.items():
        if "problem" in row:
            print(f"{name:30} {row['problem']}")
            continue
        median, low, high = (1000 * value for value in row["seconds_per_image"])
        ratio = "" if name == first else "{:.2f} ({:.2f}–{:.2f})".format(*row["ratio"])
        print(
            f"{name:30} {f'{median:.4g} ({low:.4g}–{high:.4g})':26} {ratio:24} {(notes or {}).get(name, '')}".rstrip()
        )


def clock(device: torch.device) -> float:
    """Return the time in seconds when all that was asked of the device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


class Memory:
    """Peak bytes allocated on a GPU since this was made, over what was there already; 0 on a CPU."""

    def __init__(self, device: torch.device) -> None:
        gc.collect()
        self.device, self.before = device, 0
        if device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(device)
            self.before = torch.cuda.memory_allocated(device)

    def peak(self) -> int:
        """Return the peak so far."""
        return torch.cuda.max_memory_allocated(self.device) - self.before if self.device.type == "cuda" else 0


def circumstances(device: torch.device) -> dict[str, Any]:
    """Return what the machine was doing meanwhile, and which device it was."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    return {"device": name, "threads": torch.get_num_threads(), "load_average": os.getloadavg()}
