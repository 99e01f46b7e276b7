"""Where the arithmetic happens, and in which precision."""

from __future__ import annotations

import ctypes
import platform
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch

from cass_cli.errors import ConfigError

# Numbers of malloc.h, and what glibc arrives at by itself when large blocks come and go.
TRIM_THRESHOLD, MMAP_THRESHOLD, MMAP_MAX = -1, -3, -4
USUAL = {TRIM_THRESHOLD: 64 * 2**20, MMAP_THRESHOLD: 32 * 2**20, MMAP_MAX: 65_536}
KEEPING = {TRIM_THRESHOLD: 2**31 - 1, MMAP_MAX: 0}


def choose_device(name: str, *, local_rank: int = 0) -> torch.device:
    """Return the device called `name`; `auto` is the GPU of this process where there is one."""
    if name == "auto":
        return torch.device("cuda", local_rank) if torch.cuda.is_available() else torch.device("cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigError(f"There is no device '{name}'.", hint="Use auto, cpu, cuda or cuda:0.") from None
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


def choose_precision(name: str, device: torch.device) -> str:
    """Return `bf16` or `fp32`; `auto` takes bf16 only where the hardware computes in it.

    A CPU without bf16 instructions emulates it some twenty times slower than fp32.
    """
    if name != "auto":
        return name
    fast = torch.cuda.is_bf16_supported(including_emulation=False) if device.type == "cuda" else _cpu_has_bf16()
    return "bf16" if fast else "fp32"


def autocast(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """Return the context in which forward passes run."""
    return torch.autocast(device.type, torch.bfloat16) if precision == "bf16" else nullcontext()


def set_up_backends(device: torch.device) -> None:
    """Let fp32 products on a GPU use TF32, as every baseline here does; on a CPU, keep memory that is freed."""
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.benchmark = True
    else:
        keep_freed_memory()


def keep_freed_memory(*, keep: bool = True) -> None:
    """Let the C library hold on to freed activations, which the next step needs again.

    glibc hands large blocks back to the kernel at once, and the kernel must clear each page that it gives out anew.
    Other C libraries are left as they are.
    """
    if platform.libc_ver()[0] == "glibc":
        c_library = ctypes.CDLL(None)
        for what, value in (KEEPING if keep else USUAL).items():
            c_library.mallopt(what, value)


def _cpu_has_bf16() -> bool:
    """Whether the processor multiplies bf16 natively (AVX512-BF16, AMX, or Arm's BF16), where Linux says so."""
    try:
        flags = set(Path("/proc/cpuinfo").read_text(encoding="ascii", errors="ignore").split())
    except OSError:
        return False
    return bool(flags & {"avx512_bf16", "amx_bf16", "bf16"})
