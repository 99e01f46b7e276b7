"""Where the arithmetic happens."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, sys, torch
from cass_cli.engine.device import set_up_backends
torch.set_num_threads(1)
set_up_backends(torch.device("cpu"))
def use():
    held = [torch.ones(4 * 2**20) for _ in range(4)]  # of 16 MiB, as activations are
    del held
for _ in range(5):
    use()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    use()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's memory is kept")
def test_freed_memory_is_kept_unless_the_user_says_how_to_keep_it() -> None:
    """Five times 64 MiB are 80,000 pages, or none."""
    free = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    told = free | {"MALLOC_TRIM_THRESHOLD_": "131072", "MALLOC_MMAP_THRESHOLD_": "131072"}
    kept, given_back = (
        int(subprocess.run([sys.executable, "-c", FAULTS], env=env, capture_output=True, text=True, check=True).stdout)
        for env in (free, told)
    )
    assert kept < 1000
    assert given_back > 50_000
