"""Which precision is faster on this processor: measured on the arms at hand, once.

A processor's flags do not tell. With bf16 instructions a product may take half the time of fp32 or twice, and a network
of depthwise convolutions loses where a Transformer gains. So where `auto` is asked for, both arms take a few forward
and backward passes on noise in either precision, in turn. What was found is kept beside the cached images, and the
choice in the run's settings, so that a resumed or repeated run computes as the first did.
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
from pathlib import Path

import torch
from torch import Tensor, nn

from cass_cli.config.load import Resolved
from cass_cli.data.space import default_cache_dir
from cass_cli.engine.device import autocast, cpu_has_bf16
from cass_cli.models.arms import Arm

WORTH = 1.15  # times as fast: less is no reason to leave fp32
ROUNDS = 5  # at most; the fastest pass of either counts
SECONDS = 8.0  # after which no further round is begun
PASS_SECONDS = 1.0  # images are added until a pass takes so long: of a few images, bf16 shows less than it gives


def settle_precision(resolved: Resolved, arms: Collection[Arm], device: torch.device) -> tuple[Resolved, str]:
    """Return the settings with `auto` replaced by the faster precision, and a sentence on why; "" if nothing was asked.

    On a GPU, and on a CPU without bf16 instructions, there is nothing to measure and `auto` stays.
    """
    config = resolved.config
    if config.train.precision != "auto" or device.type != "cpu" or not cpu_has_bf16():
        return resolved, ""
    size, batch = config.data.image_size, config.train.batch_size
    gain = known_gain([arm.model for arm in arms], key=_key(arms, size, batch), size=size, batch=batch)
    chosen = "bf16" if gain >= WORTH else "fp32"
    why = f"bf16 is {gain:.2f} times as fast as fp32 with these arms here"
    train = config.train.model_copy(update={"precision": chosen})
    origins = {**resolved.origins, "train.precision": f"measured: {why}"}
    return Resolved(config.model_copy(update={"train": train}), origins), f"Precision {chosen}: {why} (measured)."


def known_gain(networks: Collection[nn.Module], *, key: str, size: int, batch: int) -> float:
    """Return `bf16_gain`, from `precision.json` in the cache folder where `key` was measured before."""
    path = default_cache_dir() / "precision.json"
    known = _read(path)
    if key not in known:
        known[key] = bf16_gain(networks, size=size, batch=batch)
        _keep(path, known)
    return known[key]


def bf16_gain(networks: Collection[nn.Module], *, size: int, batch: int) -> float:
    """Return how many times as fast forward and backward passes of all networks together are in bf16 as in fp32.

    On noise [B, 3, `size`, `size`] with B from 2 to `batch`, the networks (on the CPU) copied and left as they are.
    """
    copies = [copy.deepcopy(network).to(memory_format=torch.channels_last).train() for network in networks]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        images = torch.randn(max(2, batch), 3, size, size).contiguous(memory_format=torch.channels_last)
        images = images[: _enough(copies, images)]
        fp32: list[float] = []
        bf16: list[float] = []
        began = time.perf_counter()
        while len(fp32) < ROUNDS and (len(fp32) < 2 or time.perf_counter() - began < SECONDS):
            fp32.append(_pass(copies, images, "fp32"))
            bf16.append(_pass(copies, images, "bf16"))
    return min(fp32) / min(bf16)


def _enough(networks: list[nn.Module], images: Tensor) -> int:
    """Return how many images make a pass in fp32 long enough to be timed."""
    count = 2
    while count < len(images) and _pass(networks, images[:count], "fp32") < PASS_SECONDS / 2:
        count = min(2 * count, len(images))
    return count


def _pass(networks: list[nn.Module], images: Tensor, precision: str) -> float:
    """Return the seconds of one forward and backward pass of each network."""
    began = time.perf_counter()
    for network in networks:
        with autocast(precision, images.device):
            outputs = network(images)
        outputs.float().square().mean().backward()
        network.zero_grad(set_to_none=True)
    return time.perf_counter() - began


def _key(arms: Collection[Arm], size: int, batch: int) -> str:
    """Name what decides the result: processor, threads, version, arms, size and batch."""
    names = " + ".join(arm.name for arm in arms)
    machine = f"{_processor()}, {torch.get_num_threads()} threads, torch {torch.__version__}"
    return f"{machine}, {names}, {size} px, batch {batch}"


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="ignore")
    except OSError:
        text = ""
    # hidden behind "model name", as in many virtual machines, are processors of several generations
    found = [re.search(rf"^{fact}\s*: (.+)", text, re.MULTILINE) for fact in ("model name", "cpu family", "model")]
    return " ".join(match.group(1) for match in found if match) or platform.processor() or platform.machine()


def _read(path: Path) -> dict[str, float]:
    """Return what was measured before; nothing where the file is missing or damaged."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {str(key): float(gain) for key, gain in found.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _keep(path: Path, known: Mapping[str, float]) -> None:
    """Write the file whole or not at all; a folder that can't be written to costs a measurement, no more."""
    part = path.with_name(f"{path.name}.{os.getpid()}")
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(known, indent=2) + "\n", encoding="utf-8")
        part.replace(path)
    with suppress(OSError):
        part.unlink()
