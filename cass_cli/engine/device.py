"""The device at hand, what it can do, and how PyTorch is set up for it."""

from __future__ import annotations

import ctypes
import os
import platform
from pathlib import Path

import torch

from cass_cli.errors import ConfigError
from cass_cli.words import shown

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # of malloc.h
KEPT = {TRIM_THRESHOLD: 2**31 - 1, MMAP_THRESHOLD: 2**30}  # bytes


def choose_device(name: str, *, local_rank: int = 0) -> torch.device:
    """Return the device called `name`; `auto` is the GPU of this process where there is one."""
    if name == "auto":
        return torch.device("cuda", local_rank) if torch.cuda.is_available() else torch.device("cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigError(f"There is no device '{shown(name)}'.", hint="Use auto, cpu, cuda or cuda:0.") from None
    if device.type == "cuda":
        if not torch.cuda.is_available():
            raise ConfigError(
                "No CUDA device can be used here.",
                hint="Use --device cpu; or check `nvidia-smi` and that torch was installed with CUDA.",
            )
        if (device.index or 0) >= torch.cuda.device_count():
            raise ConfigError(f"There is no {name}: this machine has {torch.cuda.device_count()} CUDA device(s).")
        return torch.device("cuda", local_rank if device.index is None else device.index)
    if device.type != "cpu":
        raise ConfigError(f"cass does not run on '{name}'.", hint="Use auto, cpu or cuda.")
    return device


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
