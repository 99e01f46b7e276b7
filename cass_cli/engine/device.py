"""The device at hand, what it can do, and how PyTorch is set up for it."""

from __future__ import annotations

import ctypes
import os
import platform
from pathlib import Path

import torch

from cass_cli.engine.distributed import world_from_environment
from cass_cli.errors import ConfigError
from cass_cli.words import shown

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # of malloc.h
KEPT = {TRIM_THRESHOLD: 2**31 - 1, MMAP_THRESHOLD: 2**30}  # bytes


def choose_device(name: str, *, local_rank: int = 0) -> torch.device:
    """Return the device called `name`; `auto` is the GPU of this process where there is one."""
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", local_rank)
        return torch.device("mps" if torch.backends.mps.is_available() and _is_alone() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigError(f"There is no device '{shown(name)}'.", hint="Use auto, cpu, cuda, cuda:0 or mps.") from None
    if device.type == "cuda":
        if not torch.cuda.is_available():
            raise ConfigError(
                "No CUDA device can be used here.",
                hint="Use --device cpu; or check `nvidia-smi` and that torch was installed with CUDA.",
            )
        if (device.index or 0) >= torch.cuda.device_count():
            raise ConfigError(f"There is no {name}: this machine has {torch.cuda.device_count()} CUDA device(s).")
        return torch.device("cuda", local_rank if device.index is None else device.index)
    if device.type == "mps":
        _check_mps()
        return torch.device("mps")
    if device.type != "cpu":
        raise ConfigError(f"cass does not run on '{name}'.", hint="Use auto, cpu, cuda or mps.")
    return device


def why_no_mps() -> str:
    """Return why PyTorch cannot use a Mac's graphics processor here, as a sentence; "" where it can."""
    if torch.backends.mps.is_available():
        return ""
    if not torch.backends.mps.is_built():
        return "This PyTorch was built without MPS."
    return "PyTorch cannot use MPS here: it needs Apple silicon and macOS 14."


def _check_mps() -> None:
    if why := why_no_mps():
        raise ConfigError(why, hint="MPS is for the graphics processors of Macs. Use --device auto, cpu or cuda.")
    if not _is_alone():
        raise ConfigError("Several processes cannot train together on MPS.", hint="Use --device cpu, or one process.")


def _is_alone() -> bool:
    return world_from_environment().size == 1


def exact(device: torch.device) -> torch.dtype:
    """Return the kind of number that sums are kept in on a device: float64, or float32 on MPS, which has no other."""
    return torch.float32 if device.type == "mps" else torch.float64


def device_name(device: torch.device) -> str:
    """Return what a device calls itself."""
    if device.type == "mps":
        return torch.backends.mps.get_name()
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"


def wait_for(device: torch.device) -> None:
    """Wait until a GPU has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def memory_taken(device: torch.device) -> int:
    """Return the bytes of a GPU that were taken at most so far; on MPS, which counts no peak, those taken now."""
    if device.type == "mps":
        return torch.mps.driver_allocated_memory()
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0


def give_memory_back(device: torch.device) -> None:
    """Give memory back to a GPU that is kept for later."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


def set_up_backends(device: torch.device) -> None:
    """Let fp32 products on a GPU use TF32, as every baseline here does; on a CPU, keep freed memory."""
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.benchmark = True
    else:
        keep_freed_memory()


def keep_freed_memory() -> None:
    """Let glibc hold on to freed activations, which the next step needs again.

    By default it hands large blocks back to the kernel at once, which clears every page that it gives out anew: tens of
    thousands of page faults a step. Other C libraries are left as they are, and so is what the user's own environment
    sets (MALLOC_TRIM_THRESHOLD_, MALLOC_MMAP_THRESHOLD_).
    """
    if platform.libc_ver()[0] == "glibc" and not any(name.startswith("MALLOC_") for name in os.environ):
        c_library = ctypes.CDLL(None)
        for what, value in KEPT.items():
            c_library.mallopt(what, value)


def cpu_has_bf16() -> bool:
    """Whether the processor multiplies bf16 natively (AVX512-BF16, AMX, or Arm's BF16), where Linux says so.

    One that does not emulates it some twenty times slower than fp32.
    """
    try:
        flags = set(Path("/proc/cpuinfo").read_text(encoding="ascii", errors="ignore").split())
    except OSError:
        return False
    return bool(flags & {"avx512_bf16", "amx_bf16", "bf16"})


def physical_cores() -> int:
    """Return how many cores the processors that this process may run on belong to; 0 where Linux does not say."""
    try:
        cores = os.sched_getaffinity(0)
        topology = Path("/sys/devices/system/cpu")
        return len({(topology / f"cpu{n}/topology/thread_siblings_list").read_text(encoding="ascii") for n in cores})
    except (OSError, AttributeError):
        return 0
