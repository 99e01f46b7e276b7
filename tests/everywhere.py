"""Run all tests as processors of other kinds would: once with each instruction set that this one has, then with more
threads. `make test-everywhere` calls it; what is given is passed on to pytest.

Three libraries multiply for PyTorch and each picks its instructions by itself, so all three are told.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time

import torch

# ATEN_CPU_CAPABILITY → what oneDNN and MKL call the same instructions
SETS = {"default": ("SSE41", "SSE4_2"), "avx2": ("AVX2", "AVX2"), "avx512": ("DEFAULT", "AVX512")}
THREADS = (2, 4)


def instruction_sets() -> list[str]:
    """The instruction sets that this processor has, of those that PyTorch has code for."""
    best = torch.backends.cpu.get_cpu_capability().lower()
    return list(SETS)[: list(SETS).index(best) + 1] if best in SETS else []


def run_tests(name: str, threads: int, **variables: str) -> bool:
    """Run the tests with these environment variables; print a line of how it went, and what failed."""
    began = time.monotonic()
    workers = max(1, (os.cpu_count() or 1) // threads)
    command = [sys.executable, "-m", "pytest", "-n", str(workers), "-q", *sys.argv[1:]]
    variables |= {"CASS_TEST_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE"}  # or waiting threads take the cores
    done = subprocess.run(command, env=os.environ | variables, capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines() or ["nothing was printed"]
    counts = re.sub(r" in [\d.]+s.*", "", lines[-1]).strip("= ")
    print(f"{name:28} {counts}, {time.monotonic() - began:.0f} s", flush=True)
    for line in lines:
        if line.startswith(("FAILED", "ERROR")):
            print(f"    {line}", flush=True)
    return done.returncode == 0


def main() -> int:
    """Return 0 when all of it is green."""
    green = []
    for name in instruction_sets():
        onednn, mkl = SETS[name]
        variables = {"ATEN_CPU_CAPABILITY": name, "ONEDNN_MAX_CPU_ISA": onednn, "MKL_ENABLE_INSTRUCTIONS": mkl}
        green.append(run_tests(f"{name}, 1 thread", 1, **variables))
    green += [run_tests(f"as it is, {threads} threads", threads) for threads in THREADS]
    return 0 if all(green) else 1


if __name__ == "__main__":
    sys.exit(main())
