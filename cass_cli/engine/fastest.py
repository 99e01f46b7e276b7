"""Which way to compute is the fastest on this processor: measured on the arms at hand, once.

A processor's flags do not tell. With bf16 instructions a product may take half the time of fp32 or twice, and a network
of depthwise convolutions loses where a Transformer gains; channels last helps most convolutions, not all; and two
threads of one core may help each other or stand in each other's way. So what the settings leave open is tried: both
arms take a few forward and backward passes on noise, the usual way and each other way in turn. What was found is kept
beside the cached images, and the choice in the run's settings, so that a resumed or repeated run computes as the first.
"""

from __future__ import annotations

import copy
import json
import os
import platform
import re
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cass_cli.config.load import Resolved
from cass_cli.config.schema import Train
from cass_cli.data.space import default_cache_dir
from cass_cli.engine.compute import Compute
from cass_cli.engine.device import choose_device, cpu_has_bf16, physical_cores
from cass_cli.errors import RunError
from cass_cli.files import write_json
from cass_cli.models.arms import Arm

MEASURED = "measured"  # what the origin of such a setting begins with
WORTH = 1.15  # times as fast: less is no reason to leave the usual way
ROUNDS = 5  # at most; the fastest pass of each counts
SECONDS = 10.0  # after which no further round is begun
PASS_SECONDS = 1.0  # images are added until a pass takes so long: of a few images, bf16 shows less than it gives


@dataclass(frozen=True)
class Way:
    """A way to compute: the usual one, or one thing done otherwise, and the setting that says so."""

    name: str
    compute: Compute
    key: str = ""
    value: Any = None
    threads: int = 0  # 0: as many as usual


def usual_way(train: Train) -> Way:
    """Return what these settings mean on a CPU before anything is measured."""
    precision = "bf16" if train.precision == "bf16" else "fp32"
    first = train.channels_last == "off"
    memory_format = torch.contiguous_format if first else torch.channels_last
    return Way(
        f"{precision} with channels {'first' if first else 'last'}",
        Compute(torch.device("cpu"), precision, memory_format),
    )


def other_ways(train: Train) -> list[Way]:
    """Return what could be faster on this CPU than the usual way, among what the settings leave open."""
    usual, found = usual_way(train).compute, []
    if train.precision == "auto" and cpu_has_bf16():
        found.append(Way("bf16", replace(usual, precision="bf16"), "precision", "bf16"))
    if train.channels_last == "auto":
        first = replace(usual, memory_format=torch.contiguous_format)
        found.append(Way("channels first", first, "channels_last", "off"))
    cores = physical_cores()
    if train.threads == 0 and "OMP_NUM_THREADS" not in os.environ and 0 < cores < torch.get_num_threads():
        found.append(Way("a thread a core", usual, "threads", cores, threads=cores))
    return found


def settle_compute(
    resolved: Resolved, arms: Collection[Arm], device: torch.device, *, batch: int = 0
) -> tuple[Resolved, str]:
    """Return the settings with what they left open replaced by what is fastest, and a sentence on it, or "".

    `batch` is the images of a step, by default those of pretraining. On a GPU there is nothing to measure, and the
    settings stay as they are.
    """
    config = resolved.config
    others = other_ways(config.train) if device.type == "cpu" else []
    if not others:
        return resolved, ""
    usual, size, batch = usual_way(config.train), config.data.image_size, batch or config.train.batch_size
    gains = known_gains(arms, usual, others, size=size, batch=batch)
    faster = [other for other in others if gains[other.name] >= WORTH]
    faster = _together(arms, usual, faster, gains, size=size, batch=batch)
    stay = {"precision": "fp32", "channels_last": "on", "threads": 0}
    settled = {other.key: stay[other.key] for other in others} | {other.key: other.value for other in faster}
    found = ", ".join(f"{name} {gain:.2f}" for name, gain in gains.items())
    why = f"with these arms here, against {usual.name}, times as fast: {found}"
    origins = {**resolved.origins, **{f"train.{key}": f"{MEASURED} {why}" for key in settled}}
    train = config.train.model_copy(update=settled)
    outcome = f"Chosen: {' and '.join(other.name for other in faster)}." if faster else f"{usual.name} stays."
    return Resolved(config.model_copy(update={"train": train}), origins), f"Measured {why}. {outcome}"


def _together(
    arms: Collection[Arm], usual: Way, faster: list[Way], gains: Mapping[str, float], *, size: int, batch: int
) -> list[Way]:
    """Return those of the `faster` ways to take: all, where together they are faster than the best alone."""
    if len(faster) < 2:
        return faster
    compute = usual.compute
    for way in faster:
        if way.key == "precision":
            compute = replace(compute, precision=way.compute.precision)
        if way.key == "channels_last":
            compute = replace(compute, memory_format=way.compute.memory_format)
    all_of_them = Way(" and ".join(way.name for way in faster), compute, threads=max(way.threads for way in faster))
    best = max(faster, key=lambda way: gains[way.name])
    together = known_gains(arms, usual, [all_of_them], size=size, batch=batch)[all_of_them.name]
    return faster if together >= gains[best.name] else [best]


def unless_measured_elsewhere(resolved: Resolved) -> Resolved:
    """Return the settings without what was measured on a CPU, where a GPU is to be used: it says nothing of that."""
    if choose_device(resolved.config.train.device).type == "cpu":
        return resolved
    usual = Train()
    measured = [key for key, origin in resolved.origins.items() if origin.startswith(MEASURED)]
    train = {key.removeprefix("train."): getattr(usual, key.removeprefix("train.")) for key in measured}
    config = resolved.config.model_copy(update={"train": resolved.config.train.model_copy(update=train)})
    return Resolved(config, {**resolved.origins, **dict.fromkeys(measured, "default")})


def known_gains(
    arms: Collection[Arm], usual: Way, others: Collection[Way], *, size: int, batch: int
) -> dict[str, float]:
    """Return `measure_gains`, from `compute.json` in the cache folder where the same was measured before."""
    path = default_cache_dir() / "compute.json"
    key, known = _key(arms, usual, size, batch), _read(path)
    names = [other.name for other in others]
    if not set(names) <= known.get(key, {}).keys():
        gains = measure_gains([arm.model for arm in arms], usual, others, size=size, batch=batch)
        known[key] = known.get(key, {}) | gains
        _keep(path, known)
    return {name: known[key][name] for name in names}


def measure_gains(
    networks: Collection[nn.Module], usual: Way, others: Collection[Way], *, size: int, batch: int
) -> dict[str, float]:
    """Return how many times as fast as the usual way forward and backward passes of all networks are each other way.

    On noise [B, 3, `size`, `size`] with B from 2 to `batch`, the networks (on the CPU) copied and left as they are.
    """
    copies = [copy.deepcopy(network).train() for network in networks]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        images = torch.randn(max(2, batch), 3, size, size)
        images = images[: _enough(copies, images, usual)]
        seconds: dict[str, list[float]] = {way.name: [] for way in (usual, *others)}
        began = time.perf_counter()
        for number in range(ROUNDS):
            if number >= 2 and time.perf_counter() - began > SECONDS:
                break
            for way in (usual, *others):
                seconds[way.name].append(_pass(copies, images, way))
    return {other.name: min(seconds[usual.name]) / min(seconds[other.name]) for other in others}


def _enough(networks: list[nn.Module], images: Tensor, way: Way) -> int:
    """Return how many images make a pass long enough to be timed."""
    count = 2
    while count < len(images) and _pass(networks, images[:count], way) < PASS_SECONDS / 2:
        count = min(2 * count, len(images))
    return count


def _pass(networks: list[nn.Module], images: Tensor, way: Way) -> float:
    """Return the seconds of one forward and backward pass of each network."""
    images = images.contiguous(memory_format=way.compute.memory_format)
    for network in networks:
        way.compute.place(network)
    threads = torch.get_num_threads()
    torch.set_num_threads(way.threads or threads)
    began = time.perf_counter()
    for network in networks:
        with way.compute.autocast():
            outputs = network(images)
        outputs.float().square().mean().backward()
        network.zero_grad(set_to_none=True)
    seconds = time.perf_counter() - began
    torch.set_num_threads(threads)
    return seconds


def _key(arms: Collection[Arm], usual: Way, size: int, batch: int) -> str:
    """Name what decides the result: processor, threads, version, arms, size, batch, and what it is compared with."""
    names = " + ".join(arm.name for arm in arms)
    machine = f"{processor()}, {torch.get_num_threads()} threads, torch {torch.__version__}"
    return f"{machine}, {names}, {size} px, batch {batch}, {usual.name}"


def processor() -> str:
    """Return what the processor calls itself, with family and model where Linux tells them."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="ignore")
    except OSError:
        text = ""
    # hidden behind "model name", as in many virtual machines, are processors of several generations
    found = [re.search(rf"^{fact}\s*: (.+)", text, re.MULTILINE) for fact in ("model name", "cpu family", "model")]
    return " ".join(match.group(1) for match in found if match) or platform.processor() or platform.machine()


def _read(path: Path) -> dict[str, dict[str, float]]:
    """Return what was measured before; nothing where the file is missing or damaged."""
    if not path.is_file():  # a pipe would be waited for
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {str(key): {str(k): float(v) for k, v in gains.items()} for key, gains in found.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _keep(path: Path, known: Mapping[str, Mapping[str, float]]) -> None:
    """Write the file whole or not at all; a folder that can't be written to costs a measurement, no more."""
    with suppress(RunError):
        write_json(path, known)
