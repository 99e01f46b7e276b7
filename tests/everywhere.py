"""Run all tests as processors of other kinds would: once with each instruction set that this one has, then with more
threads. `make test-everywhere` calls it; what is given is passed on to pytest.

Three libraries multiply for PyTorch and each picks its instructions by itself, so all three are told. NumPy's own
OpenBLAS, which the probes and the calibration use, stays as it is.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import torch

from cass_cli.data.store.decoding import usable_cores

ROOT = Path(__file__).parents[1]
# what the others call the instructions of an ATEN_CPU_CAPABILITY
OTHERS = ("ONEDNN_MAX_CPU_ISA", "MKL_ENABLE_INSTRUCTIONS")
SETS = {
    "default": ("SSE41", "SSE4_2"),
    "avx2": ("AVX2", "AVX2"),
    "avx512": ("DEFAULT", "AVX512"),
}
THREADS = (2, 4)


def instruction_sets() -> list[str]:
    """The instruction sets that this processor has, by PyTorch's names; where they are others, the least and best."""
    best = torch.backends.cpu.get_cpu_capability().lower()
    return list(SETS)[: list(SETS).index(best) + 1] if best in SETS else list(dict.fromkeys(("default", best)))


def run_tests(name: str, threads: int, **variables: str) -> bool:
    """Run the tests with these environment variables; print a line of how it went, and what failed."""
    began = time.monotonic()
    workers = max(1, usable_cores() // threads)
    command = [sys.executable, "-m", "pytest", "-n", str(workers), "-q", *sys.argv[1:]]
    variables |= {"CASS_TEST_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE"}  # or waiting threads take the cores
    done = subprocess.run(command, cwd=ROOT, env=os.environ | variables, capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines() or ["nothing was printed"]
    counts = re.sub(r" in [\d.]+s.*", "", lines[-1]).strip("= ")
    print(f"{name:28} {counts}, {time.monotonic() - began:.0f} s", flush=True)
    failed = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
    for line in failed or (done.stderr.splitlines()[-5:] if done.returncode else []):
        print(f"    {line}", flush=True)
    return done.returncode == 0


def main() -> int:
    """Return 0 when all of it is green."""
    green = []
    for name in instruction_sets():
        variables = {"ATEN_CPU_CAPABILITY": name, **dict(zip(OTHERS, SETS.get(name, ()), strict=False))}
        green.append(run_tests(f"{name}, 1 thread", 1, **variables))
    green += [run_tests(f"as it is, {threads} threads", threads) for threads in THREADS]
    return 0 if all(green) else 1


if __name__ == "__main__":
    sys.exit(main())
