"""What the machine has: system, processor, memory, graphics cards, room on the disks. No name of it, and no folder."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import torch

from cass_cli.data.space import CGROUP, available_memory, default_cache_dir, memory_limit, total_memory
from cass_cli.data.store.folder import image_folder
from cass_cli.engine.device import device_name, memory_taken, physical_cores, why_no_mps
from cass_cli.engine.fastest import processor
from cass_cli.places import without_places

DRIVER = Path("/proc/driver/nvidia/version")


@dataclass(frozen=True)
class Machine:
    """System, processor and memory."""

    system: str
    processor: str
    cores: int  # 0: the system does not say
    threads: int  # that this process may run at once
    quota: float | None  # processors' worth of time that a container may take
    torch_threads: int
    capability: str  # the instructions that PyTorch uses
    memory: int
    memory_free: int
    memory_limit: int | None  # of a container


@dataclass(frozen=True)
class Gpu:
    """One graphics card that PyTorch can use."""

    name: str
    memory: int
    memory_free: int
    capability: str
    bf16: bool


@dataclass(frozen=True)
class AppleGpu:
    """A Mac's graphics processor (MPS), whose memory is the machine's."""

    name: str
    memory: int  # bytes that Metal recommends to take at most
    memory_taken: int


@dataclass(frozen=True)
class Gpus:
    """The graphics cards, and what stands between them and PyTorch."""

    cards: tuple[Gpu, ...]
    cuda: str | None  # of PyTorch's build
    driver: str  # "" where there is none
    problem: str  # what CUDA says where it fails
    mps: AppleGpu | None = None
    without_mps: str = ""  # why a Mac has none that PyTorch can use


@dataclass(frozen=True)
class Room:
    """Bytes on the disks of runs and of decoded images."""

    runs_free: int
    cache_free: int
    cache_writable: bool
    cached: int  # bytes of decoded images that are kept now


def machine() -> Machine:
    """Look what the machine has."""
    return Machine(
        system=f"{platform.system()} {platform.machine()}, {_libc()}".removesuffix(", "),
        processor=processor(),
        cores=physical_cores(),
        threads=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        quota=processor_quota(),
        torch_threads=torch.get_num_threads(),
        capability=torch.backends.cpu.get_cpu_capability(),
        memory=total_memory(),
        memory_free=available_memory(),
        memory_limit=memory_limit(),
    )


def _libc() -> str:
    if sys.platform == "darwin":
        return f"macOS {platform.mac_ver()[0]}"
    return " ".join(part for part in platform.libc_ver() if part)


def processor_quota() -> float | None:
    """Return how many processors' worth of time a container may take (cgroup 2), None where there is no limit."""
    try:
        share, period = (CGROUP / "cpu.max").read_text().split()
        return int(share) / int(period)
    except (OSError, ValueError, ZeroDivisionError):  # no such file, or "max"
        return None


def gpus() -> Gpus:
    """Look which graphics cards PyTorch can use; what fails is told, not raised."""
    cards, problem = [], ""
    try:
        for number in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
            facts = torch.cuda.get_device_properties(number)
            free, total = torch.cuda.mem_get_info(number)
            bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
            cards.append(Gpu(facts.name, total, free, f"{facts.major}.{facts.minor}", bf16))
    except (RuntimeError, AssertionError) as error:
        problem = without_places((str(error).strip().splitlines() or [type(error).__name__])[0])
    without = why_no_mps() if sys.platform == "darwin" else ""
    return Gpus(tuple(cards), torch.version.cuda, _driver(), problem, _apple_gpu(), without)


def _apple_gpu() -> AppleGpu | None:
    if not torch.backends.mps.is_available():
        return None
    mps = torch.device("mps")
    return AppleGpu(device_name(mps), torch.mps.recommended_max_memory(), memory_taken(mps))


def _driver() -> str:
    try:
        found = re.search(r"Kernel Module\D*([\d.]+)", DRIVER.read_text(encoding="ascii", errors="ignore"))
    except OSError:
        return ""
    return found[1] if found else "there"


def room(runs: Path) -> Room:
    """Look how much room there is for runs below `runs`, and for decoded images, and how much these take now."""
    cache, images = default_cache_dir(), image_folder()
    return Room(
        runs_free=_free(runs),
        cache_free=_free(cache),
        cache_writable=os.access(_existing(cache), os.W_OK),
        cached=sum(path.stat().st_size for path in images.iterdir() if path.is_file()) if images.is_dir() else 0,
    )


def _free(folder: Path) -> int:
    return shutil.disk_usage(_existing(folder)).free


def _existing(folder: Path) -> Path:
    """Return the folder, or the nearest one above it that is there."""
    place = folder.absolute()
    return next(found for found in (place, *place.parents) if found.is_dir())
