"""On which machine, with which versions and by which command something was measured."""

from __future__ import annotations

import json
import os
import platform
import re
import sys
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from cass_cli.places import without_folders

RESULTS = Path(__file__).parent / "results"
_PACKAGES = ("torch", "torchvision", "timm", "numpy", "pillow", "scikit-learn")


def machine_slug() -> str:
    """Return a folder name for this machine: processor or GPU, cores, and the widest vector instructions torch uses."""
    if torch.cuda.is_available():
        return _slug(torch.cuda.get_device_name())
    return _slug(f"{_processor()}-{os.cpu_count()}-cores-{torch.backends.cpu.get_cpu_capability()}")


def environment() -> dict[str, Any]:
    """Return machine, versions, date and command."""
    return {
        "machine": machine_slug(),
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        **{package: version(package) for package in _PACKAGES},
        "date": date.today().isoformat(),
        "command": ["python", f"benchmarks/{Path(sys.argv[0]).name}", *map(without_folders, sys.argv[1:])],
    }


def write_result(name: str, result: dict[str, Any]) -> Path:
    """Write `result` with the environment to results/<machine>/<name>.json and return the path."""
    path = RESULTS / machine_slug() / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"environment": environment(), **result}, indent=2) + "\n", encoding="utf-8")
    return path


def read_result(name: str) -> dict[str, Any]:
    """Return what `write_result` has written by this name on a machine like this one; {} where nothing was."""
    path = RESULTS / machine_slug() / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _processor() -> str:
    try:
        models = re.findall(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text(encoding="ascii", errors="ignore"))
    except OSError:
        models = []
    name = models[0] if models else platform.processor() or platform.machine()
    return re.sub(r"\((R|TM)\)|Processor|@.*", "", name)


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
