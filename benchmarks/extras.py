"""What each extra costs: its size on disk beyond cass alone, and whether `cass` answers later where it is installed.

    python benchmarks/extras.py --base VENV

`VENV` is a virtual environment with cass and no extra. Each extra is installed by pip into an environment of its own
that sees VENV's packages, so that only what VENV lacks is added; the last of them has all. Then commands take turns in
all environments. Bytes are those of files, not of blocks, without compiled Python.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import time
import tomllib
from functools import partial
from pathlib import Path

import torch
from machine import write_result
from turns import circumstances, quartiles, take_turns

REPO = Path(__file__).resolve().parents[1]
COMMANDS = ("--version", "--help")
NOT_FOR_USERS = ("dev", "docs")
ALONE, ALL = "cass alone", "all of them"


def main() -> None:
    """Measure, print a table and write benchmarks/results/<machine>/extras.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", type=Path, required=True, help="environment with cass and no extra")
    parser.add_argument("--turns", type=int, default=7, help="times that each command is run in each environment")
    parser.add_argument("--only", nargs="+", metavar="EXTRA", help="these extras; without it all, and all together")
    given = parser.parse_args()
    project = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = {name: what for name, what in project["optional-dependencies"].items() if name not in NOT_FOR_USERS}
    wanted[ALL] = sorted({one for what in wanted.values() for one in what})
    wanted = {name: what for name, what in wanted.items() if name in (given.only or wanted)}
    with tempfile.TemporaryDirectory() as folder:
        pythons, megabytes = {ALONE: given.base / "bin" / "python"}, {ALONE: size(packages(given.base))}
        for number, (name, what) in enumerate(wanted.items()):
            pythons[name], megabytes[name] = installed(Path(folder, str(number)), given.base, what)
            print(f"{name:12} {megabytes[name]:8.1f} MB", flush=True)
        contestants = {
            f"{name} {option}": partial(run, python, option) for option in COMMANDS for name, python in pythons.items()
        }
        for contestant in contestants.values():
            contestant()  # fills the system's file cache, and compiles
        seconds = {name: quartiles(own) for name, own in take_turns(contestants, turns=given.turns).items()}
    for name in pythons:
        told = "  ".join(f"cass {option} {seconds[f'{name} {option}'][0]:.2f} s" for option in COMMANDS)
        print(f"{name:12} {megabytes[name]:8.1f} MB  {told}")
    settings = {"turns": given.turns, "only": given.only}
    result = {"settings": settings, **circumstances(torch.device("cpu")), "megabytes": megabytes, "seconds": seconds}
    print(f"\nWritten: {write_result('extras', result)}")


def installed(venv: Path, base: Path, what: list[str]) -> tuple[Path, float]:
    """Return the Python of a new environment over `base` with these requirements, and the megabytes that they added."""
    python = venv / "bin" / "python"
    subprocess.run([base / "bin" / "python", "-m", "venv", venv], check=True)
    (packages(venv) / "base.pth").write_text(f"{packages(base)}\n", encoding="utf-8")
    empty = size(packages(venv))
    install = ["-m", "pip", "install", "--quiet", "--no-cache-dir", "-c", REPO / "constraints.txt", *what]
    subprocess.run([python, *install], check=True, stderr=subprocess.DEVNULL)
    return python, round(size(packages(venv)) - empty, 1)


def packages(venv: Path) -> Path:
    (found,) = (venv / "lib").glob("python3*/site-packages")
    return found.resolve()


def size(folder: Path) -> float:
    """Return the megabytes of all files below, without compiled Python."""
    files = (Path(top, name) for top, _, names in os.walk(folder) for name in names if not name.endswith(".pyc"))
    return round(sum(path.lstat().st_size for path in files) / 1e6, 1)


def run(python: Path, option: str) -> float:
    """Run `cass` with this option, and return the seconds that it took."""
    began = time.perf_counter()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    subprocess.run([python, "-m", "cass_cli", option], check=True, stdout=subprocess.DEVNULL, env=environment)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
